package mirror

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Config says where to push, with what, and which refs.
type Config struct {
	URL           string          `env:"REMORA_MIRROR_URL" usage:"Git remote to push the commit's ref to: https://host/path.git, ssh://git@host/path.git or git@host:path.git; its presence switches the target on"`
	Token         delivery.Secret `env:"REMORA_MIRROR_TOKEN" usage:"user:token for an https remote; a token alone is sent with the user oauth2"`
	SSHKey        delivery.Secret `env:"REMORA_MIRROR_SSH_KEY" usage:"private key for an SSH remote, as PEM or as base64 of it (one line, so that GitLab can mask it)"`
	SSHPassphrase delivery.Secret `env:"REMORA_MIRROR_SSH_PASSPHRASE" usage:"passphrase of the private key, if it has one"`
	KnownHosts    string          `env:"REMORA_MIRROR_KNOWN_HOSTS" usage:"host keys of an SSH remote, as ssh-keyscan prints them, or the absolute path of a file with them"`
	Refs          string          `env:"REMORA_MIRROR_REFS, default=all" usage:"which refs to push: all, branches, tags, or patterns such as 'main release/* tags/v*'; + before one allows overwriting commits that only the remote has, :delete after one lets deletions follow, ! before one leaves it out"`
	Cache         string          `env:"REMORA_MIRROR_CACHE" usage:"folder for the cache of fetched objects, which may be lost at any time; default is in the user's cache folder"`
	JobToken      delivery.Secret `env:"CI_JOB_TOKEN" usage:"token that reads the project; set by GitLab in every job"`
	CAFile        string          `env:"CI_SERVER_TLS_CA_FILE" usage:"PEM file of more certificate authorities to trust; set by GitLab where the runner has one"`

	// ProjectToken reads the project where there is no job token: the bot's.
	ProjectToken delivery.Secret
	// NoWait is without meaning here: a push is awaited or it is none.
	NoWait bool
}

// Enabled says whether the target is switched on.
func (c Config) Enabled() bool { return c.URL != "" }

// Validate reports everything that is wrong, one line each, none with a secret.
func (c Config) Validate() error {
	var wrong []error
	bad := func(variable, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("%s: %s", variable, fmt.Sprintf(format, args...)))
	}
	if _, err := parseRules(c.Refs); err != nil {
		bad("REMORA_MIRROR_REFS", "%v", err)
	}
	if c.URL == "" {
		bad("REMORA_MIRROR_URL", "missing; set it to the remote to push to, such as https://git.example.com/group/project.git")
		return errors.Join(wrong...)
	}
	a, err := parseAddress(c.URL)
	switch {
	case err != nil:
		bad("REMORA_MIRROR_URL", "%v", err)
	case a.ssh():
		wrong = append(wrong, c.validateSSH()...)
	default:
		if !c.SSHKey.Empty() {
			bad("REMORA_MIRROR_SSH_KEY", "not used with an %s address; set REMORA_MIRROR_TOKEN, or use an ssh:// address", a.scheme)
		}
		if strings.ContainsAny(c.Token.Reveal(), "\r\n\x00") {
			bad("REMORA_MIRROR_TOKEN", "has a line break in it; it must be user:token on one line")
		}
	}
	return errors.Join(wrong...)
}

func (c Config) validateSSH() []error {
	var wrong []error
	if !c.Token.Empty() {
		wrong = append(wrong, errors.New("REMORA_MIRROR_TOKEN: not used with an SSH address; set REMORA_MIRROR_SSH_KEY, or use an https:// address"))
	}
	if c.SSHKey.Empty() {
		wrong = append(wrong, errors.New("REMORA_MIRROR_SSH_KEY: missing; an SSH address needs a private key (a protected variable is empty on unprotected refs)"))
	} else if _, err := c.signer(); err != nil {
		wrong = append(wrong, err)
	}
	if strings.TrimSpace(c.KnownHosts) == "" {
		wrong = append(wrong, errors.New("REMORA_MIRROR_KNOWN_HOSTS: missing; host keys are always checked, so set it to what ssh-keyscan prints for the host (check it against what the host publishes)"))
	} else if _, err := hostKeys(c.KnownHosts); err != nil {
		wrong = append(wrong, fmt.Errorf("REMORA_MIRROR_KNOWN_HOSTS: %w", err))
	}
	return wrong
}

// signer is the private key. Its errors name the variable to set.
func (c Config) signer() (ssh.Signer, error) {
	text := strings.TrimSpace(c.SSHKey.Reveal())
	if !strings.HasPrefix(text, "-----BEGIN") {
		raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err == nil && strings.HasPrefix(string(raw), "-----BEGIN") {
			text = string(raw)
		} else if strings.HasPrefix(text, "/") && !strings.Contains(text, "\n") {
			return nil, errors.New("REMORA_MIRROR_SSH_KEY: is the path of a file; set REMORA_MIRROR_SSH_KEY_FILE to that path instead")
		}
	}
	pem := []byte(text + "\n")
	if !c.SSHPassphrase.Empty() {
		signer, err := ssh.ParsePrivateKeyWithPassphrase(pem, []byte(c.SSHPassphrase.Reveal()))
		if err != nil {
			// A key without passphrase may come with one that is not needed.
			if signer, plain := ssh.ParsePrivateKey(pem); plain == nil {
				return signer, nil
			}
			return nil, fmt.Errorf("REMORA_MIRROR_SSH_PASSPHRASE: does not open the private key: %s", keyFault(err))
		}
		return signer, nil
	}
	signer, err := ssh.ParsePrivateKey(pem)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return nil, errors.New("REMORA_MIRROR_SSH_KEY: needs a passphrase; set REMORA_MIRROR_SSH_PASSPHRASE, or use a key without one")
	}
	if err != nil {
		return nil, fmt.Errorf("REMORA_MIRROR_SSH_KEY: is no private key in PEM form (%s); a file variable needs REMORA_MIRROR_SSH_KEY_FILE", keyFault(err))
	}
	return signer, nil
}

// keyFault is a parser's complaint, short enough not to quote the key.
func keyFault(err error) string {
	text := strings.TrimPrefix(err.Error(), "ssh: ")
	return text[:min(len(text), 60)]
}

// login splits user:token. A token alone goes with a user that GitLab, GitHub,
// Gitea and Bitbucket take for any token; assumed says that it was made up.
func login(token delivery.Secret) (user string, password delivery.Secret, assumed bool) {
	if user, password, ok := strings.Cut(token.Reveal(), ":"); ok && user != "" {
		return user, delivery.Secret(password), false
	}
	return "oauth2", delivery.Secret(strings.TrimPrefix(token.Reveal(), ":")), true
}

// scrubber knows every secret of the configuration, also as a server sees it.
func (c Config) scrubber() *delivery.Scrubber {
	pair := func(user string, s delivery.Secret) delivery.Secret {
		if s.Empty() {
			return ""
		}
		return delivery.Secret(user + ":" + s.Reveal())
	}
	user, password, _ := login(c.Token)
	return delivery.NewScrubber(c.Token, pair(user, password), c.SSHKey, c.SSHPassphrase,
		pair("gitlab-ci-token", c.JobToken), pair("oauth2", c.ProjectToken))
}
