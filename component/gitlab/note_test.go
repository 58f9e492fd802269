package gitlab_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/rest"
)

const mark = "<!-- remora:sync"

func TestAMarkerOnPageThreeIsFound(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	for range 210 {
		s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "talk"})
	}
	n := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Bot.ID, Body: "hello\r\n" + mark + " run=7 -->\r\n" + mark + " second -->"})
	s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Bot.ID, Body: "pushed", System: true})
	var found []gitlab.Note
	total := 0
	for note, err := range client.Notes(t.Context(), app, 7, mark) {
		if err != nil {
			t.Fatal(err)
		}
		if total++; note.Marker != "" || note.System {
			found = append(found, note)
		}
	}
	want := []gitlab.Note{
		{ID: n.ID, AuthorID: sc.Bot.ID, Marker: mark + " run=7 -->"},
		{ID: n.ID + 1, AuthorID: sc.Bot.ID, System: true},
	}
	if diff := cmp.Diff(want, found); diff != "" || total != 212 {
		t.Errorf("got %d notes (-want +got):\n%s", total, diff)
	}
	if got := len(s.Requests("GET /notes")); got != 3 {
		t.Errorf("got %d requests, want 3 pages", got)
	}
}

func TestAListErrorIsNotAnEmptyList(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault gitlabtest.Answer
		want  string
	}{
		{"a refusal on the second page", gitlabtest.Answer{Code: 403, Body: `{"message":"403 Forbidden"}`}, "list notes: GET "},
		{"a page that breaks off", gitlabtest.Answer{Code: 200, Body: `[{"id":1},`, Cut: true}, "unexpected EOF"},
		{"a page that is cut within a note", gitlabtest.Answer{Code: 200, Body: `[{"id":1,"bo`}, "unexpected EOF"},
		{"an object", gitlabtest.Answer{Code: 200, Body: `{"message":"x"}`}, `got "{", want "["`},
		{"an empty answer", gitlabtest.Answer{Code: 200, Header: map[string]string{"Content-Type": "application/json"}}, "unexpected EOF"},
		{"a text for an id", gitlabtest.Answer{Code: 200, Body: `[{"id":"1"}]`}, "cannot unmarshal string"},
		{"a page of HTML", gitlabtest.Answer{Code: 200, Body: `<html>`}, "not JSON but text/html"},
		{"a next page that is not after this one", gitlabtest.Answer{Code: 200, Body: `[]`, Header: map[string]string{"X-Next-Page": "2"}}, "next page \"2\" after page 2"},
		{"a next page that is no number", gitlabtest.Answer{Code: 200, Body: `[]`, Header: map[string]string{"X-Next-Page": "x"}}, "next page \"x\""},
		{"a next page at another host", gitlabtest.Answer{Code: 200, Body: `[]`, Header: map[string]string{"Link": `<https://evil.example/notes?page=3>; rel="next"`}}, "refused redirect to https://evil.example/notes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, _, client := stage(t)
			for range 150 {
				s.AddNote(42, 7, gitlabtest.Note{Body: "x"})
			}
			s.Fail("GET /notes", gitlabtest.Answer{}, tt.fault)
			n, failure := 0, error(nil)
			for _, err := range client.Notes(t.Context(), app, 7, mark) {
				if failure = err; err == nil {
					n++
				}
			}
			if failure == nil || !strings.Contains(failure.Error(), tt.want) || n != 100 {
				t.Errorf("got %d notes and %v, want 100 and %q", n, failure, tt.want)
			}
			var conn *rest.ConnError
			var status *rest.StatusError
			var content *rest.ContentError
			if !errors.As(failure, &conn) && !errors.As(failure, &status) && !errors.As(failure, &content) {
				t.Errorf("got %T, want an error of rest", failure)
			}
		})
	}
}

func TestLinksLeadOnWhereNoPageNumberDoes(t *testing.T) {
	t.Parallel()
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("PRIVATE-TOKEN") != token {
			t.Error("got no token")
		}
		if r.URL.Query().Get("cursor") == "" {
			w.Header().Set("Link", fmt.Sprintf(`<%s/first>; rel="first", <%s/api/v4/next?cursor=a>; rel="next"`, s.URL, s.URL))
		}
		send(200, "application/json", `[{"id":1}]`)(w)
	}))
	defer s.Close()
	n := 0
	for _, err := range connect(t, s.URL, rest.Config{}).Notes(t.Context(), app, 7, mark) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("got %d notes, want that of each page", n)
	}
}

// longNotes serves pages of notes of 256 KiB, but for the first few, without
// ever holding one.
func longNotes(total, short int) http.Handler {
	text := strings.Repeat("log ", 1<<16)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var page, size int
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
		_, _ = fmt.Sscan(r.URL.Query().Get("per_page"), &size)
		w.Header().Set("Content-Type", "application/json")
		if page*size < total {
			w.Header().Set("X-Next-Page", fmt.Sprint(page+1))
		}
		_, _ = io.WriteString(w, "[")
		for i := (page - 1) * size; i < min(page*size, total); i++ {
			_, err := fmt.Fprintf(w, `{"id":%d,"author":{"id":5},"body":"%s -->\n%s"}`, i+1, mark, text[:len(text)*min(max(i+1-short, 0), 1)])
			if err != nil {
				return
			}
			if i+1 < min(page*size, total) {
				_, _ = io.WriteString(w, ",")
			}
		}
		_, _ = io.WriteString(w, "]")
	})
}

func TestLongNotesAreReadInSmallerPages(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ total, short int }{{25, 0}, {125, 100}, {250, 190}} {
		s := httptest.NewServer(longNotes(tt.total, tt.short))
		defer s.Close()
		last := int64(0)
		for n, err := range connect(t, s.URL, rest.Config{MaxBody: 4 << 20}).Notes(t.Context(), app, 7, mark) {
			if err != nil {
				t.Fatal(err)
			}
			if n.ID != last+1 || n.Marker != mark+" -->" {
				t.Fatalf("got note %d with %q after note %d", n.ID, n.Marker, last)
			}
			last = n.ID
		}
		if last != int64(tt.total) {
			t.Errorf("got %d notes, want %d", last, tt.total)
		}
	}
}

func TestANoteThatIsTooLongForAnyPageIsAnError(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(longNotes(25, 0))
	defer s.Close()
	var failure error
	for _, err := range connect(t, s.URL, rest.Config{MaxBody: 1 << 20}).Notes(t.Context(), app, 7, mark) {
		failure = err
	}
	var large *rest.TooLargeError
	if !errors.As(failure, &large) {
		t.Errorf("got %v, want that the answer is too large", failure)
	}
}

// Not parallel: it measures memory.
func TestAPageOfLongNotesIsNotHeld(t *testing.T) {
	s := httptest.NewServer(longNotes(90, 0))
	defer s.Close()
	client := connect(t, s.URL, rest.Config{MaxBody: 64 << 20})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for _, err := range client.Notes(t.Context(), app, 7, mark) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			runtime.GC()
			runtime.ReadMemStats(&after)
		}
	}
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); n != 90 || kept > 4<<20 {
		t.Errorf("got %d notes with %d MiB held, want 90 and little", n, kept>>20)
	}
}

func TestANoteIsWrittenChangedAndDeleted(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	body := mark + " -->\n" + strings.Repeat("ü", 20000)
	made, err := client.CreateNote(t.Context(), app, 7, body)
	if err != nil || made.AuthorID != sc.Bot.ID {
		t.Fatalf("got %+v, %v, want a note of the bot", made, err)
	}
	if got := s.Notes(42, 7); len(got) != 1 || got[0].Body != body {
		t.Errorf("got %d notes, want the one that was written", len(got))
	}
	if posted := s.Requests("POST /notes"); len(posted) != 1 || len(posted[0].Query) != 0 {
		t.Errorf("got %d posts, want one without a query", len(posted))
	}
	if _, err := client.UpdateNote(t.Context(), app, 7, made.ID, "changed"); err != nil || s.Notes(42, 7)[0].Body != "changed" {
		t.Errorf("got %v and %q, want it changed", err, s.Notes(42, 7)[0].Body)
	}
	if err := client.DeleteNote(t.Context(), app, 7, made.ID); err != nil || len(s.Notes(42, 7)) != 0 {
		t.Errorf("got %v, want it deleted", err)
	}
	for _, err := range []error{
		client.DeleteNote(t.Context(), app, 7, made.ID),
		func() error { _, err := client.UpdateNote(t.Context(), app, 7, made.ID, "x"); return err }(),
	} {
		var status *rest.StatusError
		if !errors.As(err, &status) || status.Code != 404 || status.Body != "404 Not found" {
			t.Errorf("got %v, want that there is no such note", err)
		}
	}
}

func TestANoteIsPostedOnce(t *testing.T) {
	t.Parallel()
	s, _, client := stage(t)
	s.Fail("POST /notes", gitlabtest.Answer{Code: 502, After: true})
	if _, err := client.CreateNote(t.Context(), app, 7, "x"); err == nil || !strings.HasPrefix(err.Error(), "create note: POST ") {
		t.Errorf("got %v, want the 502", err)
	}
	if got := len(s.Notes(42, 7)); got != 1 {
		t.Errorf("got %d notes for one 502, want 1", got)
	}
}

func TestATextOfQuickActionsAloneIsAnError(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	n := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Bot.ID, Body: "x"})
	d := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Bot.ID, Body: "x", Resolvable: true})
	_, created := client.CreateNote(t.Context(), app, 7, "/close")
	_, updated := client.UpdateNote(t.Context(), app, 7, n.ID, "/reopen")
	_, started := client.CreateDiscussion(t.Context(), app, 7, "/draft")
	_, replied := client.Reply(t.Context(), app, 7, d.Discussion, "/ready")
	for i, err := range []error{created, updated, started, replied} {
		var status *rest.StatusError
		if want := []int{202, 202, 201, 201}[i]; !errors.As(err, &status) || status.Code != want || rest.Temporary(status.Code) {
			t.Errorf("got %v, want code %d", err, want)
		}
	}
}

func TestThreadsAreReadResolvedAndRepliedTo(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "alone"})
	made, err := client.CreateDiscussion(t.Context(), app, 7, mark+" -->\nbroken")
	if err != nil || made.ID == "" || made.Note.ID == 0 || !made.Resolvable || made.Resolved {
		t.Fatalf("got %+v, %v, want an open thread", made, err)
	}
	if _, err := client.Reply(t.Context(), app, 7, made.ID, "still broken"); err != nil {
		t.Fatal(err)
	}
	read := func() gitlab.Discussion {
		t.Helper()
		var all []gitlab.Discussion
		for d, err := range client.Discussions(t.Context(), app, 7, mark) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, d)
		}
		if len(all) != 2 || all[0].Resolvable || all[0].Note.AuthorID != sc.Person.ID {
			t.Fatalf("got %+v, want a single note and a thread", all)
		}
		return all[1]
	}
	want := gitlab.Discussion{
		ID: made.ID, Resolvable: true, Replies: 1,
		Note: gitlab.Note{ID: made.Note.ID, AuthorID: sc.Bot.ID, Marker: mark + " -->", Type: "DiscussionNote"},
	}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("thread (-want +got):\n%s", diff)
	}
	s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "why?", Discussion: made.ID})
	s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "changed", Discussion: made.ID, System: true})
	want.Replies, want.OthersReplied = 2, true
	for _, resolved := range []bool{true, false, true} {
		if err := client.ResolveDiscussion(t.Context(), app, 7, made.ID, resolved); err != nil {
			t.Fatal(err)
		}
		want.Resolved = resolved
		if diff := cmp.Diff(want, read()); diff != "" {
			t.Errorf("resolved %v (-want +got):\n%s", resolved, diff)
		}
	}
	err = client.ResolveDiscussion(t.Context(), app, 7, "0", true)
	if err == nil || !strings.Contains(err.Error(), "404 Discussion Not Found") {
		t.Errorf("got %v, want that there is no such thread", err)
	}
}

func TestMarkers(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"on the first line", mark + " a -->", mark + " a -->"},
		{"on a later line", "x\n" + mark + " a -->\ny", mark + " a -->"},
		{"not within a line", "x " + mark + " a -->", ""},
		{"not in a quote", "> " + mark + " a -->", ""},
		{"none", "x", ""},
		{"no longer than 4096 bytes", mark + strings.Repeat("a", 9000), (mark + strings.Repeat("a", 9000))[:4096]},
	}
	for _, tt := range tests {
		if got := gitlab.Marker(tt.body, mark); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[{"id":1,"notes":[{"id":2,"body":"<!-- remora:sync a"}]}]`, `{"diffs":[{"old_path":"a","new_path":"b"}],"compare_timeout":true}`,
		`null`, `[null]`, `[{"notes":null}]`, `{"message":{"a":["b",{"c":1}]}}`, `{"diffs":{}}`, `[[[`, `{"error":null}`, `{"id":1,"notes":[null]}`,
	} {
		f.Add([]byte(seed), 200)
		f.Add([]byte(seed), 400)
	}
	f.Fuzz(func(t *testing.T, body []byte, code int) {
		if code != 200 {
			code = 400
		}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { send(code, "application/json", string(body))(w) }))
		defer s.Close()
		client := connect(t, s.URL, rest.Config{Retries: -1})
		for range client.Notes(t.Context(), app, 7, mark) {
		}
		for range client.Discussions(t.Context(), app, 7, mark) {
		}
		for range client.Statuses(t.Context(), app, "a", "b") {
		}
		got, err := client.Compare(t.Context(), app, "a", "b", true)
		if err == nil && !json.Valid(body) && !strings.HasPrefix(strings.TrimSpace(string(body)), "{") {
			t.Errorf("got %+v from %q, want an error", got, body)
		}
		_, _ = client.Commit(t.Context(), app, "a")
		_, _ = client.MergeRequest(t.Context(), app, 7)
		_, _ = client.CreateNote(t.Context(), app, 7, "x")
		_, _ = client.CreateDiscussion(t.Context(), app, 7, "x")
		_, _ = client.SetStatus(t.Context(), app, "a", gitlab.Status{State: "running"})
		_, _ = client.MergeBase(t.Context(), app, "a", "b")
		_, _ = client.User(t.Context())
	})
}

func TestANoteIsReadWhole(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	n := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "one\ntwo"})
	got, body, err := client.ReadNote(t.Context(), app, 7, n.ID)
	if body != "one\ntwo" || got.AuthorID != sc.Person.ID || got.System || got.Created.IsZero() || err != nil {
		t.Errorf("got %+v, %q, %v, want the body, whose it is and since when", got, body, err)
	}
	if _, _, err := client.ReadNote(t.Context(), app, 7, 1); err == nil || !strings.HasPrefix(err.Error(), "read note: GET ") {
		t.Errorf("got %v, want that there is no such note", err)
	}
}

func TestTheAnswerAboutAnotherNoteIsNone(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	n := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "one"})
	for _, body := range []string{`{}`, `{"id":1,"body":"one","author":{"id":5}}`} {
		s.Fail("GET /notes/", gitlabtest.Answer{Code: 200, Body: body})
		if got, _, err := client.ReadNote(t.Context(), app, 7, n.ID); err == nil {
			t.Errorf("%s: got %+v, want an error", body, got)
		}
	}
}

func TestN16AnEmojiThatIsThereAlreadyIsFine(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	n := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "/sync"})
	for range 2 {
		if err := client.Award(t.Context(), app, 7, n.ID, "eyes"); err != nil {
			t.Error(err)
		}
	}
	want := []gitlabtest.Emoji{{Name: "eyes", NoteID: n.ID, UserID: sc.Bot.ID}}
	if diff := cmp.Diff(want, s.Emoji(42, 7)); diff != "" {
		t.Errorf("emoji (-want +got):\n%s", diff)
	}
	if err := client.Award(t.Context(), app, 7, 1, "eyes"); err == nil || !strings.HasPrefix(err.Error(), "award emoji: POST ") {
		t.Errorf("got %v, want that there is no such note", err)
	}
}
