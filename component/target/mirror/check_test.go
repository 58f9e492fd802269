package mirror_test

import (
	"net/http"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/mirror"
)

func check(w *world, c mirror.Config) string {
	var b strings.Builder
	for _, f := range w.target(c).Check(w.t.Context()) {
		b.WriteString(string(f.Level) + " " + f.Subject + ": " + f.Text + " | " + f.Remedy + "\n")
	}
	return b.String()
}

func TestACheckOfAMirror(t *testing.T) {
	w := newWorld(t)
	w.seed()
	overSSH := newSSHServer(t, w.root)
	tests := []struct {
		name   string
		config func(*mirror.Config)
		tame   func(w http.ResponseWriter, r *http.Request) bool
		want   []string
	}{
		{"it may be pushed to", nil, nil, []string{"pass address: 127.0.0.1 answers, with 1 refs", "pass push: it is offered as bot; what protected branches"}},
		{"over SSH too", func(c *mirror.Config) { *c = overSSH.config(w) }, nil, []string{"pass address", "pass push: it is offered with the SSH key"}},
		{"the token is wrong", func(c *mirror.Config) { c.Token = "bot:wrong" }, nil, []string{"fail address: token refused", "REMORA_MIRROR_TOKEN"}},
		{"it may be read but not pushed to", nil, func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.RawQuery, "receive-pack") {
				http.Error(w, "You are not allowed to push code to this project.", http.StatusForbidden)
				return true
			}
			return false
		}, []string{"pass address: 127.0.0.1 answers, and lets the repository be read", "fail push: not allowed", "write_repository"}},
		{"there is no such repository", func(c *mirror.Config) { c.URL += "x" }, nil, []string{"fail address: "}},
		{"the host key is another", func(c *mirror.Config) {
			*c = overSSH.config(w)
			other, _ := newKey(t)
			c.KnownHosts = overSSH.knownHosts(other.PublicKey())
		}, nil, []string{"fail address: host key changed", "ssh-keyscan"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			c := w.config()
			if tt.config != nil {
				tt.config(&c)
			}
			w.there.tame(tt.tame)
			before := w.at(w.copy, "refs/heads/main")
			got := check(w, c)
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("got\n%swant %q in it", got, want)
				}
			}
			if strings.Contains(got, mirrorToken) || strings.Contains(got, jobToken) {
				t.Errorf("a token is in %s", got)
			}
			w.wantAt("refs/heads/main", before)
			for _, r := range w.there.requests() {
				if !strings.HasPrefix(r, "GET ") {
					t.Errorf("a check sent %s", r)
				}
			}
		})
	}
	var _ delivery.Checker = w.target(w.config())
}
