package agent_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gitlab.com/remora-ci/remora/agent/command"
	"gitlab.com/remora-ci/remora/agent/route"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
)

// write has somebody write a note on a merge request of the project, without a
// word to the agent.
func (s *stage) write(iid, author int64, text string) gitlabtest.Note {
	return s.git.AddNote(42, iid, gitlabtest.Note{AuthorID: author, Body: text})
}

// say has the author of merge request 7 write a note there, of which the agent is
// told.
func (s *stage) say(text string) gitlabtest.Note {
	s.Helper()
	n := s.write(7, s.scene.Person.ID, text)
	s.hook(s.git.NoteHook(42, 7, n.ID))
	return n
}

// member is somebody new with a level; 0 is a stranger.
func (s *stage) member(level gitlabtest.Level) int64 {
	u := s.git.AddUser(gitlabtest.User{}, "")
	s.git.AddMember(42, u.ID, level)
	return u.ID
}

// replies are the answers of the bot to a note, without their hidden line.
func (s *stage) replies(iid int64, to gitlabtest.Note) []string {
	s.Helper()
	out := []string{}
	for _, n := range s.git.Notes(42, iid) {
		text, ours := strings.CutPrefix(n.Body, command.Marker(to.ID)+"\n")
		if !ours {
			continue
		}
		if n.AuthorID != s.scene.Bot.ID || n.Discussion != to.Discussion {
			s.Errorf("the answer %q is by user %d in thread %s, want %d in %s", text, n.AuthorID, n.Discussion, s.scene.Bot.ID, to.Discussion)
		}
		out = append(out, text)
	}
	return out
}

// untilReply waits until a note has its answer and nothing is left to do, and gives
// the answer. A second one is an error.
func (s *stage) untilReply(iid int64, to gitlabtest.Note) string {
	s.Helper()
	s.until("answer", func() bool { return len(s.replies(iid, to)) > 0 && s.idle() })
	got := s.replies(iid, to)
	if len(got) != 1 {
		s.Errorf("got %d answers, want one: %q", len(got), got)
	}
	return got[0]
}

func (s *stage) answers(to gitlabtest.Note, want string) {
	s.Helper()
	if got := s.untilReply(7, to); !strings.Contains(got, want) {
		s.Errorf("got the answer %q, want %q in it", got, want)
	}
}

// acknowledged says whether the bot's eyes are on a note.
func (s *stage) acknowledged(iid int64, n gitlabtest.Note) bool {
	return slices.Contains(s.git.Emoji(42, iid), gitlabtest.Emoji{Name: "eyes", NoteID: n.ID, UserID: s.scene.Bot.ID})
}

// causes are why the target was called.
func (s *stage) causes() []string {
	out := []string{}
	for _, ev := range s.place.got() {
		out = append(out, string(ev.Cause)+" "+delivery.ShortSHA(ev.SHA))
	}
	return out
}

// quiet wants events that lead to nothing, for these reasons, and no answer.
func (s *stage) quiet(want ...string) {
	s.Helper()
	s.until(fmt.Sprintf("events %q", want), func() bool { return slices.Equal(s.eventStates(), want) })
	s.same("answers", len(s.git.Requests("POST /discussions/", "POST /notes", "POST /award_emoji")), 0)
	s.same("calls", len(s.place.got()), 0)
}

// commandFlows: who writes a command …
var commandFlows = map[string]func(s *stage){
	"sync delivers the head, also if that was done before": func(s *stage) {
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("first", func() bool { return len(s.place.got()) == 1 && s.idle() })
		n := s.say("/remora sync")
		s.answers(n, "⏳ **On its way**: `feature` at `c0ffee12` to `site`.")
		s.until("second", func() bool { return len(s.place.got()) == 2 && s.idle() })
		s.same("causes", s.causes(), []string{"webhook c0ffee12", "command c0ffee12"})
		s.same("acknowledged", s.acknowledged(7, n), true)
		if mr := s.place.got()[1].MergeRequest; mr == nil || mr.IID != 7 || mr.URL != s.git.URL+"/acme/app/-/merge_requests/7" {
			s.Errorf("the target was told of merge request %+v, want 7", mr)
		}
		s.same("deliveries", s.deliveries(), []string{"c0ffee12 done", "c0ffee12 done", "c0ffee12 done"})
		s.same("events", s.eventStates(), []string{"push routed", "note routed"})
		db := s.open()
		defer func() { _ = db.Close() }()
		pool := ""
		if err := db.Query(s.Context(), func(r store.Row) error { return r.Scan(&pool) }, "SELECT pool FROM work WHERE key LIKE 'command:%'"); err != nil {
			s.Fatal(err)
		}
		s.same("pool", pool, "command:"+strings.TrimPrefix(s.git.URL, "http://")) // a GitLab that hangs holds up no target, and no other
	},
	"sync delivers whatever paths the route names": func(s *stage) {
		s.route = `, paths: 'flows/**'`
		s.start()
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("first", func() bool { return len(s.place.got()) == 1 && s.idle() })
		head := s.commit("README.md") // which the target need not have
		s.untilReply(7, s.say("/remora sync site"))
		s.until("delivery", func() bool { return slices.Equal(s.place.shas(), []string{s.scene.SHA, head}) && s.idle() })
	},
	"sync delivers what the head is, not what it was when the note was written": func(s *stage) {
		s.start()
		n := s.write(7, s.scene.Person.ID, "/remora sync")
		body := s.git.NoteHook(42, 7, n.ID)
		head := s.commit("a.txt")
		s.hook(body)
		s.answers(n, "at `"+head[:8]+"` to `site`")
		s.until("delivery", func() bool { return slices.Equal(s.place.shas(), []string{head}) && s.idle() })
	},
	"two syncs at once are both answered, and deliver one after the other": func(s *stage) {
		s.start()
		one, two := s.write(7, s.scene.Person.ID, "/remora sync"), s.write(7, s.scene.Person.ID, "/remora sync")
		for _, n := range []gitlabtest.Note{one, two} {
			s.hook(s.git.NoteHook(42, 7, n.ID))
		}
		s.untilReply(7, one)
		s.untilReply(7, two)
		s.until("rest", s.idle)
		if n := len(s.place.got()); n < 1 || n > 2 || s.place.most > 1 {
			s.Errorf("got %d calls, %d at once", n, s.place.most)
		}
		s.untilShown(s.scene.SHA, "sync/site success")
	},
	"a note that two hooks tell of is one command, and so is a replay": func(s *stage) {
		s.start()
		n := s.say("/remora sync")
		s.hook(s.git.NoteHook(42, 7, n.ID)) // by another key
		s.untilReply(7, n)
		s.until("both", func() bool { return len(s.eventStates()) == 2 && s.idle() })
		db := s.open()
		defer func() { _ = db.Close() }()
		if _, err := db.Replay(s.Context(), store.EventFilter{IDs: []int64{1}}); err != nil {
			s.Fatal(err)
		}
		s.until("replay", func() bool { return len(s.deliveries()) == 4 && s.idle() })
		s.same("calls", len(s.place.got()), 1)
		s.same("answers", len(s.replies(7, n)), 1)
		again := slices.DeleteFunc(s.deliveries(), func(d string) bool { return !strings.HasSuffix(d, "skipped the note has its answer") })
		s.same("rows that tell of it again", len(again), 2)
	},
	"a person below the level is refused where all can see it": func(s *stage) {
		s.start()
		for level, role := range map[gitlabtest.Level]string{gitlabtest.Guest: "your role is Guest", gitlabtest.Reporter: "your role is Reporter", 0: "you are no member of it"} {
			n := s.write(7, s.member(level), "/remora sync")
			s.hook(s.git.NoteHook(42, 7, n.ID))
			s.answers(n, "🚫 **Refused**: `/remora sync` is for people with the role Developer or above in this project, and "+role)
			s.same("acknowledged", s.acknowledged(7, n), false)
		}
		s.same("calls", len(s.place.got()), 0)
		for _, d := range s.deliveries() {
			if !strings.HasPrefix(d, "c0ffee12 skipped the author's access level is ") {
				s.Errorf("got delivery %q", d)
			}
		}
	},
	"the level is the configured one, and a role of a group counts": func(s *stage) {
		s.yaml = "commands: {access_level: maintainer}"
		s.start()
		n := s.write(7, s.member(gitlabtest.Developer), "/remora help")
		s.hook(s.git.NoteHook(42, 7, n.ID))
		s.answers(n, "with the role Maintainer or above in this project, and your role is Developer")
		u := s.git.AddUser(gitlabtest.User{}, "")
		s.git.AddInheritedMember(42, u.ID, gitlabtest.Maintainer)
		n = s.write(7, u.ID, "/remora help")
		s.hook(s.git.NoteHook(42, 7, n.ID))
		s.answers(n, "**Commands**")
	},
	"a stranger is told five times, and then no more": func(s *stage) {
		s.start()
		who := s.member(0)
		var notes []gitlabtest.Note
		for range 7 {
			n := s.write(7, who, "/remora sync")
			s.hook(s.git.NoteHook(42, 7, n.ID))
			notes = append(notes, n)
		}
		s.until("rest", func() bool { return len(s.deliveries()) == 7 && s.idle() })
		told := 0
		for _, n := range notes {
			told += len(s.replies(7, n))
		}
		s.same("answers", told, 5)
		s.untilReply(7, s.say("/remora help")) // somebody else is heard
	},
	"what is not understood is answered by the usage, without repeating it": func(s *stage) {
		s.start()
		n := s.say("/remora @all /close <b>")
		s.answers(n, "❓ **Not understood**: there is no such command.")
		s.same("acknowledged", s.acknowledged(7, n), true)
		if text := s.untilReply(7, n); strings.Contains(text, "@all") || strings.Contains(text, "/close") {
			s.Errorf("the answer repeats the note: %q", text)
		}
		s.same("quick actions", len(s.git.QuickActions(42, 7)), 0)
	},
	"sync of a target that no route leads to is refused, and the others are named": func(s *stage) {
		s.start()
		s.answers(s.say("/remora sync site shop"), "🚫 **Not done**: no route leads this merge request to a target of that name. Targets here: `site`.")
		s.same("calls", len(s.place.got()), 0)
	},
	"sync says why no route takes the merge request": func(s *stage) {
		s.route = ", refs: ['release/*']"
		s.start()
		s.answers(s.say("/remora sync"), "🚫 **Not done**: no route matches: ref feature.")
	},
	"help lists the commands, with the prefix that is configured": func(s *stage) {
		s.yaml = "commands: {prefix: /rem}"
		s.start()
		s.answers(s.say("/rem HELP\r\nthanks"), "| `/rem sync [target …]` |")
	},
	"status tells of nothing, of what runs and of what ended": func(s *stage) {
		release := s.place.block()
		defer release()
		s.start()
		n := s.say("/remora status")
		s.answers(n, "**Deliveries** · `feature` at `c0ffee12`\n\nThere is none yet.")
		s.place.answer(http.StatusForbidden)
		s.hook(s.push(s.scene.Base, s.scene.SHA))
		s.until("call", func() bool { return len(s.place.got()) == 1 })
		n = s.say("/remora status")
		s.until("answer", func() bool { return len(s.replies(7, n)) == 1 })
		if got := s.replies(7, n)[0]; !strings.Contains(got, "| site | ⏳ running | – | – |") {
			s.Errorf("got %q of what runs", got)
		}
		release()
		s.until("end", s.idle)
		s.answers(s.say("/remora status"), "| ❌ ")
		s.place.answer(0)
		s.untilReply(7, s.say("/remora sync"))
		s.until("end", func() bool { return len(s.place.got()) == 2 && s.idle() })
		s.answers(s.say("/remora status"), "| ✅ ")
	},
	"allow on a merge request that is no fork's is not needed": func(s *stage) {
		s.start()
		s.answers(s.say("/remora allow"), "👌 **Not needed**: this merge request comes from no fork.")
		s.same("calls", len(s.place.got()), 0)
	},
	"W31 a note without an action is a command": func(s *stage) {
		s.start()
		n := s.write(7, s.scene.Person.ID, "/remora help")
		body := s.git.NoteHook(42, 7, n.ID)
		delete(body["object_attributes"].(map[string]any), "action")
		delete(body["object_attributes"].(map[string]any), "discussion_id") // nor the thread
		s.hook(body)
		s.answers(n, "**Commands**")
	},
	"an answer stands in the thread that people talk in, and does not end it": func(s *stage) {
		strict := func(m *gitlabtest.Project) { m.ResolveThreads = true }
		s.git.ChangeProject(42, strict)
		s.start()
		first := s.git.AddNote(42, 7, gitlabtest.Note{AuthorID: s.scene.Person.ID, Body: "does it work?", Resolvable: true})
		n := s.git.AddNote(42, 7, gitlabtest.Note{AuthorID: s.scene.Person.ID, Body: "/remora status", Discussion: first.Discussion})
		s.hook(s.git.NoteHook(42, 7, n.ID))
		s.answers(n, "**Deliveries**")
		s.same("resolved", s.thread(n).Resolved(), false)
	},
	"an answer leaves no open thread where that would keep people from merging": func(s *stage) {
		s.git.ChangeProject(42, func(m *gitlabtest.Project) { m.ResolveThreads = true })
		s.start()
		n := s.say("/remora help")
		s.untilReply(7, n)
		s.same("resolved", s.thread(n).Resolved(), true)
	},
	"an answer does not end what people said about the command": func(s *stage) {
		s.git.ChangeProject(42, func(m *gitlabtest.Project) { m.ResolveThreads = true })
		s.start()
		n := s.write(7, s.scene.Person.ID, "/remora help")
		body := s.git.NoteHook(42, 7, n.ID)
		s.git.AddNote(42, 7, gitlabtest.Note{AuthorID: s.scene.Person.ID, Body: "is it slow?", Discussion: n.Discussion})
		s.hook(body)
		s.untilReply(7, n)
		s.same("resolved", s.thread(n).Resolved(), false)
	},
	"an answer leaves its thread open elsewhere": func(s *stage) {
		s.start()
		n := s.say("/remora help")
		s.untilReply(7, n)
		s.same("resolved", s.thread(n).Resolved(), false)
	},
}

// thread is that of a note.
func (s *stage) thread(n gitlabtest.Note) gitlabtest.Discussion {
	s.Helper()
	for _, d := range s.git.Discussions(42, 7) {
		if d.ID == n.Discussion {
			return d
		}
	}
	s.Fatalf("note %d has no thread", n.ID)
	return gitlabtest.Discussion{}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	for name, flow := range commandFlows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow(newStage(t, sqlite(t)))
		})
	}
}

func TestACommandOnBothDatabases(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		commandFlows["sync delivers the head, also if that was done before"](newStage(t, c))
	})
}

// The routes and the command must not differ in what they take for a command.
func TestRoutesAndCommandsAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		prefix := rapid.SampledFrom([]string{"/remora", "/r", "/remora-stg"}).Draw(rt, "prefix")
		note := rapid.OneOf(
			rapid.StringMatching(`(/remora|/r|/remora-stg|> /remora)[ \t\r\n]?[a-z /\n\r]{0,20}`), rapid.String(),
		).Draw(rt, "note")
		table, err := route.New(route.Config{
			Instances: []route.Instance{{URL: "https://gitlab.example.com"}}, Rules: []route.Rule{{Sync: []string{"x"}}}, Commands: true, CommandPrefix: prefix,
		})
		if err != nil {
			rt.Fatal(err)
		}
		_, reason := table.Command(route.Fact{
			Kind: route.Note, Text: note, NoteID: 1, UserID: 2, Project: delivery.Project{ID: 42, Path: "acme/app"}, MergeRequest: &delivery.MergeRequest{IID: 7},
		})
		if _, ok := command.Parse(prefix, note); ok != (reason == "") {
			rt.Errorf("%q with %q: command %v, reason %q", note, prefix, ok, reason)
		}
	})
}
