package agent_test

import (
	"slices"
	"strings"
	"testing"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// What is no command of ours leads to nothing, and the reason is kept.
func TestNotesThatAreNoCommands(t *testing.T) {
	t.Parallel()
	type fields = map[string]any
	const noCommand = "note ignored note is not a command"
	attributes := func(key string, value any) func(*stage, fields) {
		return func(_ *stage, body fields) { body["object_attributes"].(fields)[key] = value }
	}
	for name, tt := range map[string]struct {
		text   string
		change func(*stage, fields)
		want   string
	}{
		"W28 in a quote":                {"> /remora sync", nil, noCommand},
		"W28 in a fence":                {"```\n/remora sync\n```", nil, noCommand},
		"W28 on the second line":        {"hello\n/remora sync", nil, noCommand},
		"W24 edited":                    {"/remora sync", attributes("action", "update"), "note ignored an edited note"},
		"W24 by GitLab":                 {"/remora sync", attributes("system", true), "note ignored a note of GitLab itself"},
		"on an issue":                   {"/remora sync", attributes("noteable_type", "Issue"), "note ignored a command on an issue, and only merge requests take commands"},
		"on a commit":                   {"/remora sync", attributes("noteable_type", "Commit"), "note ignored a command on a commit, and only merge requests take commands"},
		"on a merge request in no body": {"/remora sync", func(_ *stage, b fields) { delete(b, "merge_request") }, "note ignored a command on something else, and only merge requests take commands"},
		"W24 by the bot": {"/remora sync", func(s *stage, b fields) {
			b["user"] = fields{"id": s.scene.Bot.ID}
			b["object_attributes"].(fields)["author_id"] = s.scene.Bot.ID
		}, "note ignored the bot's own event"},
		"W30 of another instance": {"/remora sync", func(_ *stage, b fields) {
			b["project"].(fields)["web_url"] = "https://evil.example/acme/app"
		}, "note ignored instance https://evil.example is not configured"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, sqlite(t))
			s.start()
			n := s.write(7, s.scene.Person.ID, tt.text)
			body := s.git.NoteHook(42, 7, n.ID)
			if tt.change != nil {
				tt.change(s, body)
			}
			s.hook(body)
			s.quiet(tt.want)
		})
	}
	t.Run("where commands are not enabled", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, sqlite(t))
		s.yaml = "commands: {enabled: false}"
		s.start()
		s.say("/remora sync")
		s.quiet("note ignored commands are not enabled")
	})
}

// What became otherwise between the webhook and the run is seen by the run.
func TestCommandsMeetWhatIsThere(t *testing.T) {
	t.Parallel()
	t.Run("a merge request that was closed meanwhile", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, sqlite(t))
		s.start()
		n := s.write(7, s.scene.Person.ID, "/remora sync")
		body := s.git.NoteHook(42, 7, n.ID)
		s.git.ChangeMergeRequest(42, 7, func(m *gitlabtest.MergeRequest) { m.State = "closed" })
		s.hook(body)
		s.answers(n, "🚫 **Not done**: this merge request is closed.")
		s.same("calls", len(s.place.got()), 0)
	})
	t.Run("a merge request that is closed is told of, and no more", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, sqlite(t))
		s.git.ChangeMergeRequest(42, 7, func(m *gitlabtest.MergeRequest) { m.State = "closed" })
		s.start()
		s.answers(s.say("/remora help"), "**Commands**")
		s.answers(s.say("/remora status"), "**Deliveries** · `feature` at `c0ffee12`")
		s.answers(s.say("/remora sync"), "🚫 **Not done**: this merge request is closed.")
		s.answers(s.say("/remora allow"), "🚫 **Not done**: this merge request is closed.")
		s.same("calls", len(s.place.got()), 0)
	})
	t.Run("a note that was deleted meanwhile", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, sqlite(t))
		s.start()
		n := s.write(7, s.scene.Person.ID, "/remora sync")
		body := s.git.NoteHook(42, 7, n.ID)
		s.git.DeleteNote(42, 7, n.ID)
		s.hook(body)
		s.until("end", func() bool {
			return slices.Equal(s.deliveries(), []string{"c0ffee12 skipped the note is gone"}) && s.idle()
		})
		s.same("calls", len(s.place.got()), 0)
	})
	t.Run("a note that was deleted after it was obeyed", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, sqlite(t))
		n := s.write(7, s.scene.Person.ID, "/remora sync")
		body := s.git.NoteHook(42, 7, n.ID)
		s.git.Before(func(r gitlabtest.Request) {
			if r.Method == "GET" && strings.Contains(r.Path, "/discussions/") {
				s.git.DeleteNote(42, 7, n.ID)
			}
		})
		s.start()
		s.hook(body)
		s.until("delivery", func() bool { return len(s.place.got()) == 1 && s.idle() })
		s.same("deliveries", s.deliveries(), []string{"c0ffee12 done", "c0ffee12 done"})
		s.same("log", strings.Contains(s.logs.String(), "the note is gone"), true)
	})
	t.Run("a bot that nobody knew when the note was routed", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, sqlite(t))
		s.git.Fail("GET /user", gitlabtest.Answer{Code: 403}) // asked before the first event is routed
		s.start()
		n := s.write(7, s.scene.Bot.ID, "/remora sync")
		s.hook(s.git.NoteHook(42, 7, n.ID))
		s.until("end", func() bool {
			return slices.Equal(s.deliveries(), []string{"c0ffee12 skipped the bot's own event"}) && s.idle()
		})
		s.same("answers", len(s.replies(7, n)), 0)
		s.same("calls", len(s.place.got()), 0)
	})
}
