package route_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/component/delivery"
)

var broad = route.Rule{On: []string{"push", "tag_push", "merge_request", "pipeline", "deployment", "release"}, Forks: route.ForksAll, Refs: []string{"!x/**"}, Sync: []string{"direktiv", "mirror"}}

func TestDecodeRefusesWhatIsNoObject(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "null", "[]", "7", `"push"`, "{", `{"object_kind":"push"`, "<html>", "\xff"} {
		if f, err := route.Decode("push", []byte(body)); err == nil {
			t.Errorf("%q: got %+v, want an error", body, f)
		}
	}
}

func TestDecodeTakesTheHeadersKindWhereTheBodyHasNone(t *testing.T) {
	t.Parallel()
	f, err := route.Decode("push", []byte(`{"ref":"refs/heads/main"}`))
	if err != nil || f.Kind != route.Push || len(f.Changes) != 1 || f.Changes[0].Ref != "refs/heads/main" {
		t.Errorf("got %+v, %v, want a push of main", f, err)
	}
	f, err = route.Decode("push", []byte(`{"object_kind":"note"}`))
	if err != nil || f.Kind != "note" {
		t.Errorf("got %+v, %v, want what the body says", f, err)
	}
}

// FuzzDecide: any body is an error, or works xor a reason, fit for a key and a line.
func FuzzDecide(f *testing.F) {
	for _, body := range []fields{
		push("refs/heads/main", shaA, shaB), push("refs/tags/v1", shaA, none), mergeRequest(attributes(nil), nil), update(fields{"draft": fields{"previous": true}}),
		noteOn("/remora sync", nil), pipeline(nil), {"object_kind": "deployment", "status": "success", "ref": "main", "project": project(gitlabURL)},
		{"object_kind": "release", "action": "create", "tag": "v1", "project": project(gitlabURL)}, {"event_name": "repository_update", "project": project(gitlabURL), "changes": []fields{{"ref": "refs/heads/main", "after": shaB}}},
	} {
		f.Add("push", encode(f, body))
	}
	f.Add("", []byte(`{"object_kind":7,"project":[],"changes":{"title":3},"object_attributes":[{}]}`))
	made, obeying := table(f, broad), obeying(f, "")
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		fact, err := route.Decode(kind, body)
		if err != nil {
			return
		}
		works, reason := made.Decide(fact)
		judge(t, works, reason)
		_, reason = obeying.Command(fact)
		if reason == "" && (fact.Kind != route.Note || fact.NoteID == 0 || fact.UserID == 0 || fact.MergeRequest == nil || !strings.HasPrefix(fact.Text, "/remora")) {
			t.Errorf("%+v is no command", fact)
		}
	})
}

// judge fails unless works and reason are what every caller may rely on.
func judge(t interface{ Errorf(string, ...any) }, works []route.Work, reason string) {
	if (len(works) == 0) == (reason == "") {
		t.Errorf("got %d works and reason %q, want one or the other", len(works), reason)
	}
	if !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) || utf8.RuneCountInString(reason) > 300 {
		t.Errorf("reason %q is not fit for a line", reason)
	}
	last := ""
	for _, w := range works {
		if w.Key <= last {
			t.Errorf("key %q comes after %q, want each once and in order", w.Key, last)
		}
		last = w.Key
		if strings.ContainsFunc(w.Key, unicode.IsControl) || !strings.HasPrefix(w.Key, "sync:"+w.Target+":gitlab.example.com/") || w.Key != route.Key(w.Target, w.Event) {
			t.Errorf("key %q is not that of target %s and its event", w.Key, w.Target)
		}
		ev := w.Event
		if ev.Instance != gitlabURL || !strings.HasPrefix(ev.Project.URL, gitlabURL+"/") || ev.Cause != delivery.CauseWebhook || ev.Ref == "" {
			t.Errorf("event %+v is not one of the configured instance", ev)
		}
		if ev.SHA != "" && delivery.ZeroSHA(ev.SHA) || ev.Deleted && (ev.SHA != "" || w.Target != "mirror") {
			t.Errorf("event %+v is at no commit", ev)
		}
	}
}

// odd is a JSON value that a field may have although it should not.
func odd(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kind := rapid.IntRange(0, 8).Draw(t, "type")
		switch {
		case kind == 0:
			return nil
		case kind == 1:
			return rapid.Bool().Draw(t, "bool")
		case kind == 2:
			return rapid.Float64Range(-1e18, 1e18).Draw(t, "number")
		case kind == 3:
			return rapid.SampledFrom([]string{"None", "", none, shaA, shaB, "opened", "success", "refs/heads/main", "refs/tags/v1", "main", gitlabURL + "/acme/app"}).Draw(t, "word")
		case kind == 4 && depth > 0:
			return rapid.SliceOfN(odd(depth-1), 0, 3).Draw(t, "list")
		case kind == 5 && depth > 0:
			return fields{"id": odd(0).Draw(t, "id"), "ref": odd(0).Draw(t, "ref"), "previous": odd(0).Draw(t, "previous")}
		}
		return rapid.String().Draw(t, "text")
	})
}

// bent is base with some of its fields, at any depth, made odd.
func bent(t *rapid.T, base fields, depth int) fields {
	out := fields{}
	for k, v := range base {
		inner, ok := v.(fields)
		switch {
		case rapid.IntRange(0, 9).Draw(t, k) == 0:
			out[k] = odd(2).Draw(t, k)
		case ok && depth > 0:
			out[k] = bent(t, inner, depth-1)
		default:
			out[k] = v
		}
	}
	return out
}

func TestAnyBodyLeadsToWorksOrAReason(t *testing.T) {
	t.Parallel()
	made := table(t, broad)
	bases := []fields{
		push("refs/heads/main", shaA, shaB), mergeRequest(attributes(nil), fields{"draft": fields{"previous": true, "current": false}}), noteOn("hi", nil), pipeline(nil),
		{"object_kind": "deployment", "status": "success", "ref": "main", "commit_url": "x/" + shaB, "project": project(gitlabURL)},
		{"object_kind": "release", "action": "create", "tag": "v1", "project": project(gitlabURL)},
		{"event_name": "repository_update", "project": project(gitlabURL), "changes": []fields{{"ref": "refs/heads/main", "after": shaB}, {"ref": "refs/tags/v1", "after": none}}},
	}
	rapid.Check(t, func(rt *rapid.T) {
		body := bent(rt, rapid.SampledFrom(bases).Draw(rt, "base"), 3)
		works, reason := made.Decide(decode(t, body))
		judge(rt, works, reason)
		again, same := made.Decide(decode(t, body))
		if len(again) != len(works) || same != reason {
			rt.Errorf("decided twice: %d works %q, then %d works %q", len(works), reason, len(again), same)
		}
	})
}

func TestAnOddFieldBesideNeverLosesAPush(t *testing.T) {
	t.Parallel()
	made := table(t)
	needed := map[string]bool{"object_kind": true, "ref": true, "project": true}
	rapid.Check(t, func(rt *rapid.T) {
		body := push("refs/heads/main", shaA, shaB)
		for k := range body {
			if !needed[k] && rapid.Bool().Draw(rt, k) {
				body[k] = odd(2).Draw(rt, k+" odd")
			}
		}
		body["user_id"] = humanID
		if after, ok := body["after"].(string); ok && after == none {
			return // a deletion
		}
		works, reason := made.Decide(decode(t, body))
		if len(works) != 2 {
			rt.Errorf("got %d works, reason %q, want two for %v", len(works), reason, body)
		}
	})
}
