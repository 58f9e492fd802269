package direktiv_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

func TestTheMirrorDecidesWhetherAnEventConcernsIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ref    string // of the mirror
		event  delivery.Event
		anyRef string
		want   string // skip reason; empty: synced
	}{
		"the branch that it follows":   {ref: "main", event: delivery.Event{Ref: "main"}},
		"another branch":               {ref: "main", event: delivery.Event{Ref: "feature"}, want: "mirror follows main"},
		"another branch, any ref":      {ref: "main", event: delivery.Event{Ref: "feature"}, anyRef: "true"},
		"a fork's branch of that name": {ref: "main", event: delivery.Event{Ref: "main", Project: delivery.Project{ID: 42}, MergeRequest: &delivery.MergeRequest{IID: 7, ProjectID: 42, SourceProjectID: 43}}, want: "the branch is a fork's, which the mirror does not read"},
		"a tag":                        {ref: "main", event: delivery.Event{Ref: "v1", RefType: delivery.Tag}, want: "mirror follows main"},
		"a tag of the same name":       {ref: "main", event: delivery.Event{Ref: "main", RefType: delivery.Tag}, want: "mirror follows main"},
		"a tag, any ref":               {ref: "main", event: delivery.Event{Ref: "v1", RefType: delivery.Tag}, anyRef: "true"},
		"a deleted branch":             {ref: "main", event: delivery.Event{Ref: "main", Deleted: true}, want: "ref was deleted"},
		"a deleted branch, any ref":    {ref: "main", event: delivery.Event{Ref: "main", Deleted: true}, anyRef: "true", want: "ref was deleted"},
		"a branch by its full name":    {ref: "refs/heads/main", event: delivery.Event{Ref: "main"}},
		"a branch in another case":     {ref: "Main", event: delivery.Event{Ref: "main"}, want: "mirror follows Main"},
		"a mirror without a ref":       {ref: "", event: delivery.Event{Ref: "main"}},
		"a ref with noise in its name": {ref: "a\x00b", event: delivery.Event{Ref: "main"}, want: `mirror follows "a\x00b"`},
	} {
		for _, g := range []direktivtest.Generation{direktivtest.V07, direktivtest.V0810} {
			t.Run(name+" on "+string(g), func(t *testing.T) {
				t.Parallel()
				srv := serve(t, direktivtest.Options{Generation: g, Mirror: &direktivtest.Mirror{URL: "https://gitlab.example.com/acme/app", GitRef: c.ref}})
				d := target(t, srv.URL, func(x *config) { x.AnyRef = c.anyRef })
				ev := c.event
				ev.Project = push().Project
				o := delivery.Deliver(context.Background(), ev, d, 1)
				if got, _ := delivery.SkipReason(o.Err); got != c.want {
					t.Errorf("skip reason = %q (%v), want %q", got, o.Err, c.want)
				}
				if n := srv.Asked("POST "); (n > 0) != (c.want == "") {
					t.Errorf("%d triggers with skip reason %q", n, c.want)
				}
			})
		}
	}
}

func TestAMirrorOfAnotherProjectWarns(t *testing.T) {
	t.Parallel()
	for _, g := range []direktivtest.Generation{direktivtest.V07, direktivtest.V0810} {
		srv := serve(t, direktivtest.Options{Generation: g, Mirror: &direktivtest.Mirror{URL: "https://bot:" + url.PathEscape(canary) + "@gitlab.example.com/acme/old.git", GitRef: "main"}})
		o := apply(t, target(t, srv.URL, nil))
		wantDone(t, o)
		want := "the mirror reads another repository, gitlab.example.com/acme/old, not gitlab.example.com/acme/app"
		if len(o.Receipt.Warnings) != 1 || o.Receipt.Warnings[0] != want {
			t.Errorf("%s: warnings = %q, want %q", g, o.Receipt.Warnings, want)
		}
	}
}

func TestAPasswordInAMalformedMirrorURLIsNotShown(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"https://bot:" + canary + "@gitlab.example.com/acme/old.git", "https://bot:12/" + canary + "@gitlab.example.com/acme/old.git"} {
		srv := serve(t, direktivtest.Options{Mirror: &direktivtest.Mirror{URL: raw, GitRef: "main"}})
		d := target(t, srv.URL, func(c *config) { c.Token = "" }) // the scrubber knows nothing
		o := apply(t, d)
		wantDone(t, o)
		if len(o.Receipt.Warnings) != 1 || strings.Contains(o.Receipt.Warnings[0], "77+e0") {
			t.Errorf("warnings = %q, want one without the password", o.Receipt.Warnings)
		}
	}
}

func TestARepositoryIsKnownInEveryFormOfItsURL(t *testing.T) {
	t.Parallel()
	app := delivery.Project{Path: "acme/app", URL: "https://gitlab.example.com/acme/app"}
	below := delivery.Project{Path: "acme/app", URL: "https://example.com/gitlab/acme/app"}
	for raw, c := range map[string]struct {
		project delivery.Project
		same    bool
	}{
		"https://gitlab.example.com/acme/app":            {app, true},
		"https://gitlab.example.com/acme/app.git":        {app, true},
		"https://gitlab.example.com/acme/app/":           {app, true},
		"https://GitLab.example.com/Acme/App.git":        {app, true},
		"https://user:pw@gitlab.example.com/acme/app":    {app, true},
		"https://gitlab.example.com:8443/acme/app.git":   {app, true},
		"http://gitlab.example.com/acme/app.git":         {app, true},
		"git@gitlab.example.com:acme/app.git":            {app, true},
		"gitlab.example.com:acme/app":                    {app, true},
		"ssh://git@gitlab.example.com/acme/app.git":      {app, true},
		"ssh://git@gitlab.example.com:2222/acme/app.git": {app, true},
		"git@example.com:acme/app.git":                   {below, true},
		"https://example.com/gitlab/acme/app.git":        {below, true},
		"https://gitlab.example.com/acme/app2.git":       {app, false},
		"https://gitlab.example.com/other/acme/app":      {app, false},
		"https://github.example.com/acme/app.git":        {app, false},
		"git@gitlab.example.com:acme/old.git":            {app, false},
		"file:///srv/git/app.git":                        {app, false},
		"/srv/git/app.git":                               {app, false},
		"://":                                            {app, false},
	} {
		if got := direktiv.SameRepository(raw, c.project); got != c.same {
			t.Errorf("SameRepository(%q, %s) = %v, want %v", raw, c.project.URL, got, c.same)
		}
	}
}

func TestAnUnreadableMirrorOnlyWarns(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.Handler{
		"forbidden":      page(403, "application/json", `{"error":{"code":"access_token_denied","message":"denied"}}`),
		"a server error": page(500, "application/json", `{"error":{"code":"internal","message":"internal server error"}}`),
		"broken JSON":    page(200, "application/json", `{"data":{"na`),
		"no namespace":   page(200, "application/json", `{"data":null}`),
		"no such route":  page(404, "application/json", `{"error":{"code":"request_path_not_found","message":"request http path is not found"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := direktivtest.New(direktivtest.Options{})
			base := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/namespaces/demo") {
					answer.ServeHTTP(w, r)
					return
				}
				srv.Handler().ServeHTTP(w, r)
			}))
			o := apply(t, target(t, base, nil))
			wantDone(t, o)
			if warned := len(o.Receipt.Warnings) == 1 && strings.Contains(o.Receipt.Warnings[0], "could not be read"); warned != (name != "no such route") {
				t.Errorf("warnings = %q, want one that the mirror could not be read, unless the route is missing", o.Receipt.Warnings)
			}
			ev := push()
			ev.Ref, ev.RefType = "v1", delivery.Tag
			if o := delivery.Deliver(context.Background(), ev, target(t, base, nil), 1); o.State != delivery.Skipped && name != "no such route" {
				t.Errorf("state of a tag = %q (%v), want skipped: no mirror follows a tag", o.State, o.Err)
			}
		})
	}
}
