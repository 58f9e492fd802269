package mirror_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/mirror"
)

// sshServer runs git's services for one key, on loopback.
type sshServer struct {
	net.Listener
	root   string
	host   ssh.Signer
	client delivery.Secret // PEM of the key that is let in
	say    string          // said on stderr, instead of serving
	all    sync.WaitGroup
}

func newSSHServer(t *testing.T, root string) *sshServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sshServer{Listener: l, root: root}
	s.host, _ = newKey(t)
	signer, text := newKey(t)
	s.client = text
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) == string(signer.PublicKey().Marshal()) {
			return nil, nil
		}
		return nil, os.ErrPermission
	}}
	config.AddHostKey(s.host)
	s.all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.all.Go(func() { s.serve(conn, config) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); s.all.Wait() })
	return s
}

func newKey(t *testing.T) (ssh.Signer, delivery.Secret) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, delivery.Secret(pem.EncodeToMemory(block))
}

func (s *sshServer) serve(raw net.Conn, config *ssh.ServerConfig) {
	defer func() { _ = raw.Close() }()
	conn, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	var sessions sync.WaitGroup
	defer sessions.Wait()
	sessions.Go(func() { ssh.DiscardRequests(requests) })
	for offer := range channels {
		channel, requests, err := offer.Accept()
		if err != nil {
			return
		}
		sessions.Go(func() {
			s.session(channel, requests)
			_ = conn.Close()
		})
	}
}

func (s *sshServer) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer func() { _ = channel.Close() }()
	for req := range requests {
		if req.Type != "exec" {
			_ = req.Reply(false, nil)
			continue
		}
		_ = req.Reply(true, nil)
		var line struct{ Command string }
		_ = ssh.Unmarshal(req.Payload, &line)
		code := s.exec(line.Command, channel)
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
		return
	}
}

func (s *sshServer) exec(command string, channel ssh.Channel) uint32 {
	if s.say != "" {
		_, _ = io.WriteString(channel.Stderr(), s.say)
		return 1
	}
	service, path, ok := strings.Cut(command, " ")
	if !ok || (service != "git-upload-pack" && service != "git-receive-pack") {
		return 127
	}
	path = filepath.Join(s.root, strings.Trim(path, "'"))
	cmd := exec.Command("git", strings.TrimPrefix(service, "git-"), path)
	cmd.Env = append(os.Environ(), "HOME="+s.root, "GIT_CONFIG_NOSYSTEM=1")
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	stdin, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return 126
	}
	go func() { _, _ = io.Copy(stdin, channel); _ = stdin.Close() }()
	if cmd.Wait() != nil {
		return 1
	}
	return 0
}

// knownHosts is what ssh-keyscan would print, with a given key.
func (s *sshServer) knownHosts(key ssh.PublicKey) string {
	_, port, _ := net.SplitHostPort(s.Addr().String())
	return "[127.0.0.1]:" + port + " " + string(ssh.MarshalAuthorizedKey(key))
}

func (s *sshServer) config(w *world) mirror.Config {
	return mirror.Config{URL: "ssh://git@" + s.Addr().String() + "/copy/app.git", SSHKey: s.client, JobToken: jobToken,
		KnownHosts: s.knownHosts(s.host.PublicKey()), Cache: w.caches}
}
