package direktiv_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

// lines are findings as "level subject: text | remedy".
func lines(found []delivery.Finding) string {
	var b strings.Builder
	for _, f := range found {
		b.WriteString(string(f.Level) + " " + f.Subject + ": " + f.Text + " | " + f.Remedy + "\n")
	}
	return b.String()
}

func TestACheckSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	type situation struct {
		options direktivtest.Options
		change  func(*direktiv.Config)
		before  func(*direktivtest.Server)
		want    []string
	}
	for name, s := range map[string]situation{
		"all is well with v2": {
			options: direktivtest.Options{Key: canary},
			want:    []string{"pass address: ", "API v2", "pass token: it is accepted", "pass namespace: demo is there", "pass mirror: it follows main of gitlab.example.com/acme/app"},
		},
		"all is well with the legacy API": {
			options: direktivtest.Options{Generation: direktivtest.V07, Key: canary},
			want:    []string{"API legacy", "pass mirror: it follows main"},
		},
		"no key is asked for": {
			options: direktivtest.Options{Generation: direktivtest.V0100},
			change:  func(c *direktiv.Config) { c.Token = "" },
			want:    []string{"pass token: none is sent, and none is asked for"},
		},
		"the token is wrong": {
			options: direktivtest.Options{Key: "another"},
			want:    []string{"fail address: token refused", "set DIREKTIV_TOKEN"},
		},
		"the token is missing": {
			options: direktivtest.Options{Key: canary},
			change:  func(c *direktiv.Config) { c.Token = "" },
			want:    []string{"fail address: token missing"},
		},
		"there is no such namespace": {
			options: direktivtest.Options{Key: canary},
			change:  func(c *direktiv.Config) { c.Namespace = "nowhere" },
			want:    []string{"fail address: namespace not found", "remora mirror create"},
		},
		"the namespace is no mirror": {
			options: direktivtest.Options{Key: canary, NoMirror: true},
			want:    []string{"pass namespace", "fail mirror: no mirror", "remora mirror update"},
		},
		"a crash left a sync behind": {
			options: direktivtest.Options{Key: canary},
			before:  func(srv *direktivtest.Server) { srv.Running(time.Now().Add(-time.Hour), -1) },
			want:    []string{"warn syncs: sync ", "has been executing for 1h", "delete the namespace"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, s.options)
			if s.before != nil {
				s.before(srv)
			}
			got := lines(target(t, srv.URL, s.change).Check(t.Context()))
			for _, want := range s.want {
				if !strings.Contains(got, want) {
					t.Errorf("got\n%swant %q in it", got, want)
				}
			}
			for _, r := range srv.Requests() {
				if r.Method != http.MethodGet {
					t.Errorf("a check sent %s %s", r.Method, r.URI)
				}
			}
			if strings.Contains(got, canary) {
				t.Errorf("the token is in %s", got)
			}
		})
	}
}

func TestACheckOfAnotherServerSaysThatItIsNoDirektiv(t *testing.T) {
	t.Parallel()
	at := serveHandler(t, page(http.StatusOK, "text/html", "<html>hello"))
	if got := lines(target(t, at, nil).Check(t.Context())); !strings.Contains(got, "fail address: no Direktiv API") {
		t.Errorf("got %s", got)
	}
}
