package gitlab_test

import (
	"fmt"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// Since when the head is what it is, told by what was written before and after it.
func TestSinceWhenAMergeRequestIsAtItsHead(t *testing.T) {
	t.Parallel()
	s, sc, client := stage(t)
	written := func() time.Time {
		n := s.AddNote(42, 7, gitlabtest.Note{AuthorID: sc.Person.ID, Body: "look"})
		got, _, err := client.ReadNote(t.Context(), app, 7, n.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got.Created
	}
	move := func(sha string) {
		s.ChangeMergeRequest(42, 7, func(m *gitlabtest.MergeRequest) { m.SHA = sha })
	}
	check := func(want string, before, after time.Time) {
		t.Helper()
		sha, since, err := client.HeadSince(t.Context(), app, 7)
		if sha != want || err != nil || !since.After(before) || !since.Before(after) {
			t.Errorf("got %s since %s, %v, want %s between %s and %s", sha, since, err, want, before, after)
		}
	}
	first := written()
	check(sc.SHA, time.Time{}, first)
	move("feed")
	second := written()
	check("feed", first, second)
	move(sc.SHA) // and back again
	third := written()
	check(sc.SHA, second, third)

	const again = `[{"head_commit_sha":"feed","created_at":"2026-11-20T14:09:00.000Z"},{"head_commit_sha":"feed","created_at":"2026-11-20T14:05:00.000Z"},{"head_commit_sha":"beef","created_at":"2026-11-20T14:01:00.000Z"}]`
	s.Fail("GET /versions", gitlabtest.Answer{Code: 200, Body: again}) // as after a change of the target branch
	check("feed", time.Date(2026, 11, 20, 14, 4, 59, 0, time.UTC), time.Date(2026, 11, 20, 14, 5, 1, 0, time.UTC))

	for name, answer := range map[string]gitlabtest.Answer{"none": {Code: 200, Body: `[]`}, "refused": {Code: 403}} {
		s.Fail("GET /versions", answer)
		if sha, _, err := client.HeadSince(t.Context(), app, 7); sha != "" || (err != nil) != (answer.Code == 403) {
			t.Errorf("%s: got %q, %v", name, sha, err)
		}
	}
	for i := range 150 {
		move(fmt.Sprintf("%040d", i))
	}
	s.Forget()
	if sha, _, err := client.HeadSince(t.Context(), app, 7); sha != fmt.Sprintf("%040d", 149) || err != nil || len(s.Requests("GET /versions")) != 1 {
		t.Errorf("got %s, %v by %d requests, want one", sha, err, len(s.Requests("GET /versions")))
	}
}
