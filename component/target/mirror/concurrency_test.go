package mirror_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestTwoAtOnceAreSafe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	first := w.commit("x", "1")
	second := w.commit("x", "2")
	w.publish("main")
	target := w.target(w.config())
	var all sync.WaitGroup
	outcomes := make([]delivery.Outcome, 6)
	for i := range outcomes {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			outcomes[i] = delivery.Sync(ctx, w.event("main", []string{first, second}[i%2]), []delivery.Target{target}, nil)[0]
		})
	}
	all.Wait()
	for _, o := range outcomes {
		if o.State != delivery.Done {
			t.Errorf("got %s (%v), want done", o.State, o.Err)
		}
	}
	w.wantAt("refs/heads/main", second)
	w.wantNoLeftovers()
	if got := w.stores(); len(got) != 1 {
		t.Errorf("stores = %q, want one", got)
	}
}

func TestARefMovedBySomeoneElseMeanwhileIsNotOverwritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	sha := w.commit("x", "1")
	w.publish("main")
	w.git(w.work, "reset", "-q", "--hard", "HEAD~1")
	foreign := w.commit("x", "theirs")
	var once sync.Once
	w.there.tame(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost { // between the last look and the push
			once.Do(func() { w.git(w.work, "push", "-q", "--force", w.copy, foreign+":refs/heads/main") })
		}
		return false
	})
	c := w.config()
	c.Refs = "+main"
	o := w.apply(c, w.event("main", sha))
	if o.State != delivery.Retry || delivery.Explain(o.Err).Summary != "remote changed meanwhile" {
		t.Errorf("got %s (%v), want retry: remote changed meanwhile", o.State, o.Err)
	}
	w.wantAt("refs/heads/main", foreign)
}

func TestACancelDuringThePushLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	sha := w.commit("x", "1")
	w.publish("main")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.there.tame(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			// A body left unread would hide that the client is gone.
			_, _ = io.Copy(io.Discard, r.Body)
			cancel()
			<-r.Context().Done()
			return true
		}
		return false
	})
	o := delivery.Deliver(ctx, w.event("main", sha), w.target(w.config()), 1)
	if !o.Canceled() {
		t.Errorf("got %s (%v), want canceled", o.State, o.Err)
	}
	w.wantNoLeftovers()
	w.there.tame(nil)
	w.wantDone(w.apply(w.config(), w.event("main", sha)), "pushed")
}
