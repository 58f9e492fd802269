package mirror_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/mirror"
	"gitlab.com/remora-ci/remora/component/target/targettest"
)

func TestContract(t *testing.T) {
	w := newWorld(t)
	w.commit("README.md", "hello\n")
	w.publish("main")
	sha := w.git(w.work, "rev-parse", "main")
	at := func(t *testing.T, base string) delivery.Target {
		c := w.config()
		c.URL, c.Cache = base+"/copy/app.git", t.TempDir()
		target, err := mirror.New(c)
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	// fresh is an empty mirror of its own.
	fresh := func(t *testing.T) *gitServer {
		root := t.TempDir()
		w.git(root, "init", "-q", "--bare", "-b", "main", filepath.Join(root, "copy", "app.git"))
		return &gitServer{root: root, user: "bot", token: mirrorToken}
	}
	targettest.Run(t, targettest.Suite{
		Name: "mirror", Event: w.event("main", sha), Canaries: []string{jobToken, mirrorToken},
		New: func(t *testing.T) delivery.Target {
			srv := httptest.NewServer(fresh(t))
			t.Cleanup(srv.Close)
			return at(t, srv.URL)
		},
		At:      at,
		Handler: func(t *testing.T) http.Handler { return fresh(t) },
		Skips: map[string]func(*testing.T) (delivery.Target, delivery.Event){
			"a deletion that is not asked for": func(t *testing.T) (delivery.Target, delivery.Event) {
				ev := w.event("main", "")
				ev.Deleted = true
				return at(t, w.there.URL), ev
			},
			"a ref that is left out": func(t *testing.T) (delivery.Target, delivery.Event) {
				c := w.config()
				c.Refs = "tags"
				return w.target(c), w.event("main", sha)
			},
		},
		Hostile: map[string]func() http.Handler{
			"refs without end": func() http.Handler {
				return advertise(strings.Repeat("x", 5000))
			},
			"a ref line that is none": func() http.Handler {
				return advertise("003fnot a hash at all, however long one looks for it in here 1")
			},
			"an error in the protocol's words": func() http.Handler { return advertise("0015ERR access denied") },
			"nothing at all":                   func() http.Handler { return advertise("") },
		},
	})
}

// advertise answers all with a list of refs that is what is given.
func advertise(refs string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-"+r.URL.Query().Get("service")+"-advertisement")
		_, _ = w.Write([]byte(refs))
	})
}
