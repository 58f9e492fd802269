package agent_test

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// issued has the agent take tokens of projects, and webhooks be sent with one of
// acme/app. Who has it writes what he likes.
func (s *stage) issued() {
	s.Helper()
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	s.hooks = ", token_key: " + strconv.Quote(key)
	token, err := auth.Issue(delivery.Secret(key), auth.Grant{Path: "acme/app", Issued: time.Now(), Expires: time.Now().Add(time.Hour)})
	if err != nil {
		s.Fatal(err)
	}
	s.secret = token.Token.Reveal()
}

// A webhook that lies about a note leads to nothing, whoever sends it: GitLab says
// who wrote it, and what.
func TestALieAboutANoteLeadsToNothing(t *testing.T) {
	t.Parallel()
	type fields = map[string]any
	by := func(body fields, id int64) {
		body["user"], body["object_attributes"].(fields)["author_id"] = fields{"id": id, "username": "root"}, id
	}
	for name, tt := range map[string]struct {
		text string
		lie  func(s *stage, body fields)
		want string
	}{
		"a maintainer wrote it": {"/remora sync", func(s *stage, b fields) { by(b, s.member(gitlabtest.Maintainer)) }, "the note was written by somebody else than the webhook says"},
		"it is a command": {"looks good", func(_ *stage, b fields) {
			b["object_attributes"].(fields)["note"] = "/remora sync"
		}, "the note has another first line than the webhook says"},
		"it is another command": {"/remora help", func(_ *stage, b fields) {
			b["object_attributes"].(fields)["note"] = "/remora sync"
		}, "the note has another first line than the webhook says"},
		"it begins otherwise": {"thanks\n/remora sync", func(_ *stage, b fields) {
			b["object_attributes"].(fields)["note"] = "/remora sync"
		}, "the note has another first line than the webhook says"},
		"it stands on another merge request": {"/remora sync", func(s *stage, b fields) {
			s.git.AddMergeRequest(42, gitlabtest.MergeRequest{IID: 9, SourceBranch: "feature"})
			b["merge_request"].(fields)["iid"] = 9
		}, "the note is gone"},
		"there is one": {"/remora sync", func(_ *stage, b fields) { b["object_attributes"].(fields)["id"] = 4711 }, "the note is gone"},
	} {
		for _, sender := range []string{"whoever has the project's token", "whoever has the instance's secret"} {
			t.Run(name+", says "+sender, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, sqlite(t))
				if strings.Contains(sender, "project") {
					s.issued()
				}
				s.start()
				n := s.write(7, s.scene.Person.ID, tt.text)
				body := s.git.NoteHook(42, 7, n.ID)
				tt.lie(s, body)
				s.hook(body)
				s.until("end", func() bool { return slices.Equal(s.deliveries(), []string{"c0ffee12 skipped " + tt.want}) && s.idle() })
				s.same("answers", len(s.git.Requests("POST /discussions/", "POST /notes", "POST /award_emoji")), 0)
				s.same("calls", len(s.place.got()), 0)
			})
		}
	}
}

// What is kept of a long first line is what is compared.
func TestALongLineIsTheNotesOwn(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.start()
	s.answers(s.say("/remora sync "+strings.Repeat("ä€\U0001F600\xff", 600)), "❓ **Not understood**: the line is too long.")
	s.same("calls", len(s.place.got()), 0)
}
