package direktiv_test

import (
	"context"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

func TestACauseInTheLogGetsItsRemedyOnEveryGeneration(t *testing.T) {
	t.Parallel()
	for cause, c := range map[string]struct {
		summary string
		state   delivery.State
		words   []string
	}{
		"reference not found":     {"reference not found", delivery.Failed, []string{"gitlab.example.com/acme/app", "remora mirror update --ref main"}},
		"repository not found":    {"repository not found", delivery.Failed, []string{"remora mirror update --url", "DIREKTIV_GIT_TOKEN"}},
		"authentication required": {"repository refused the mirror", delivery.Failed, []string{"DIREKTIV_GIT_TOKEN"}},
		"ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey]": {"repository refused the mirror", delivery.Failed, []string{"DIREKTIV_GIT_SSH_KEY"}},
		"remote repository is empty":                                                       {"repository is empty", delivery.Failed, []string{"push a commit"}},
		"dial tcp: lookup gitlab.example.com: no such host":                                {"host not found by Direktiv", delivery.Failed, []string{"remora mirror update --url"}},
		"dial tcp: lookup http on 10.0.0.1:53: server misbehaving":                         {"token needs an https URL", delivery.Failed, []string{"https"}},
		"tls: failed to verify certificate: x509: certificate signed by unknown authority": {"certificate refused by Direktiv", delivery.Failed, []string{"--insecure"}},
		"dial tcp 10.0.0.1:443: connect: connection refused":                               {"repository out of reach of Direktiv", delivery.Retry, []string{"network"}},
		"something nobody has seen":                                                        {"sync failed", delivery.Failed, []string{"something nobody has seen", "remora mirror show"}},
	} {
		for _, g := range direktivtest.Generations() {
			t.Run(c.summary+" on "+string(g), func(t *testing.T) {
				t.Parallel()
				srv := serve(t, direktivtest.Options{Generation: g, Key: canary})
				srv.Next(direktivtest.Script{Failure: cause})
				o := apply(t, target(t, srv.URL, nil))
				wantFault(t, o, c.state, c.summary, append(c.words, o.Receipt.ID)...)
				if text := delivery.Explain(o.Err).Cause; strings.Contains(text, "EXTRA") || strings.Contains(text, "process_id") {
					t.Errorf("cause = %q, want it without the formatting fault", text)
				}
				if len(o.Receipt.Log) == 0 {
					t.Error("no log in the receipt of a failed sync")
				}
			})
		}
	}
}

func TestAMissingReferenceOfAnotherRepositoryPointsAtThisOne(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Mirror: &direktivtest.Mirror{URL: "git@gitlab.example.com:acme/old.git", GitRef: "main"}, Refs: []string{"master"}})
	wantFault(t, apply(t, target(t, srv.URL, nil)), delivery.Failed, "reference not found",
		"the mirror's ref main does not exist in the repository that it reads, gitlab.example.com/acme/old",
		"remora mirror update --url https://gitlab.example.com/acme/app.git")
}

func TestAMissingReferenceNamesTheBranchToFollow(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"refs/heads/main": "by its plain name, no tag, no commit: `remora mirror update --ref main`",
		"main":            "deleted meanwhile? Let the mirror follow one that exists: `remora mirror update --ref main`",
	} {
		srv := serve(t, direktivtest.Options{Mirror: &direktivtest.Mirror{URL: "https://gitlab.example.com/acme/app", GitRef: ref}, Refs: []string{"master"}})
		wantFault(t, apply(t, target(t, srv.URL, nil)), delivery.Failed, "reference not found", want)
	}
}

func TestAMissingReferenceNeverNamesATagToFollow(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Mirror: &direktivtest.Mirror{URL: "https://gitlab.example.com/acme/app", GitRef: "v1.0"}, Refs: []string{"main"}})
	ev := push()
	ev.Ref, ev.RefType = "v2.0", delivery.Tag
	d := target(t, srv.URL, func(c *config) { c.AnyRef = "true" })
	wantFault(t, delivery.Deliver(t.Context(), ev, d, 1), delivery.Failed, "reference not found", "a mirror follows a branch by its plain name, no tag, no commit: `remora mirror update --ref …`")
}

func TestABranchNameCannotBeACommandInARemedy(t *testing.T) {
	t.Parallel()
	srv := serve(t, direktivtest.Options{Refs: []string{}})
	ev := push()
	ev.Ref = "x;$(touch /tmp/a)'`id`"
	o := delivery.Deliver(context.Background(), ev, target(t, srv.URL, func(c *config) { c.AnyRef = "true" }), 1)
	wantFault(t, o, delivery.Failed, "reference not found", `--ref 'x;$(touch /tmp/a)'\''id'`)
}

func TestAFailureWithoutALogSaysSo(t *testing.T) {
	t.Parallel()
	t.Run("it never arrives", func(t *testing.T) {
		t.Parallel()
		srv := serve(t, direktivtest.Options{})
		srv.Next(direktivtest.Script{Failure: "x", NoLogs: true})
		wantFault(t, apply(t, target(t, srv.URL, nil)), delivery.Failed, "sync failed", "had not arrived after 100ms", "remora mirror show")
	})
	t.Run("the log store does not answer", func(t *testing.T) {
		t.Parallel()
		srv := serve(t, direktivtest.Options{Generation: direktivtest.V0100})
		srv.Next(direktivtest.Script{Failure: "x"})
		srv.LogsDown(true)
		wantFault(t, apply(t, target(t, srv.URL, nil)), delivery.Failed, "sync failed", "could not be read", "(200)")
	})
}
