package report_test

import (
	"fmt"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/report"
)

// fork makes the merge request one from the fork 43, whose pipeline 2001 runs
// there.
func (s *stage) fork(bot gitlabtest.Level) (sha string) {
	s.git.AddProject(gitlabtest.Project{ID: 43, Path: "mona/app", Public: true})
	if bot != 0 {
		s.git.AddMember(43, s.scene.Bot.ID, bot)
	}
	sha = s.git.AddCommit(43, gitlabtest.Commit{SHA: "f0ee000000000000000000000000000000000004", Branches: []string{"patch"}}).SHA
	s.git.AddMergeRequest(42, gitlabtest.MergeRequest{IID: 9, SourceProjectID: 43, SourceBranch: "patch"})
	s.git.AddPipeline(43, gitlabtest.Pipeline{ID: 2001, SHA: sha, Ref: "patch"})
	s.ev.Project, s.ev.SHA, s.ev.Ref = delivery.Project{ID: 43, Path: "mona/app"}, sha, "patch"
	s.ev.Pipeline = &delivery.Pipeline{ID: 2001, SHA: sha}
	s.ev.MergeRequest = &delivery.MergeRequest{IID: 9, ProjectID: 42, ProjectPath: "acme/app", SourceProjectID: 43, SourceBranch: "patch"}
	return sha
}

// asked are the projects that statuses were posted to, with the pipeline.
func (s *stage) asked() []string {
	s.Helper()
	var out []string
	for _, r := range s.git.Requests("POST /statuses/") {
		var project int64
		var sha string
		if _, err := fmt.Sscanf(r.Path, "/projects/%d/statuses/%s", &project, &sha); err != nil {
			s.Fatalf("path %q: %v", r.Path, err)
		}
		out = append(out, fmt.Sprintf("%d %v %d", project, s.body(r)["pipeline_id"], r.Code))
	}
	return out
}

// forkCases are about merge requests from another project.
var forkCases = map[string]func(*stage){
	"a fork that takes us gets the statuses": func(s *stage) {
		sha := s.fork(gitlabtest.Developer)
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("shown", s.shows(43, sha), []string{"sync/direktiv success 2001"})
	},
	"a pipeline that a member ran in the parent gets the statuses": func(s *stage) {
		sha := s.fork(0)
		s.git.AddPipeline(42, gitlabtest.Pipeline{ID: 2002, SHA: sha, Ref: "refs/merge-requests/9/head", Source: "merge_request_event", MergeRequest: 9})
		s.ev.Project = delivery.Project{ID: 42, Path: "acme/app"}
		s.ev.Pipeline.ID = 2002
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("asked", s.asked(), []string{"42 2002 201"})
	},
	"outside of CI the pipeline in the parent is found after the fork refused": func(s *stage) {
		sha := s.fork(0)
		s.git.AddPipeline(42, gitlabtest.Pipeline{ID: 2002, SHA: sha, Ref: "refs/merge-requests/9/head", Source: "merge_request_event", MergeRequest: 9})
		s.outside()
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("asked", s.asked(), []string{"43 2001 403", "42 2002 201"})
	},
	"S14 both projects refuse: one hint, final states only, and the note": func(s *stage) {
		s.fork(0)
		s.config.Note = report.NoteUpdate
		r := s.reporter()
		s.opened(r, "direktiv")
		got := s.close(r, succeeded("direktiv"), broken("mirror"))
		s.told(got, "to the fork as Developer")
		s.same("asked", s.asked(), []string{"43 2001 403", "42 <nil> 404"})
		s.same("posts", s.posts(), []string{"sync/direktiv running 403", "sync/direktiv success 404"})
		s.same("note", got.Note, "created")
		s.same("notes", len(s.git.Notes(42, 9)), 1)
	},
	"S15 a refused step in the source is no refusal of the project": func(s *stage) {
		sha := s.fork(gitlabtest.Developer)
		s.git.AddStatus(43, gitlabtest.Status{SHA: sha, Ref: "patch", Name: "sync/direktiv", State: "running", PipelineID: 2001, UserID: s.scene.Bot.ID})
		r := s.reporter()
		s.opened(r, "direktiv")
		s.told(s.close(r, succeeded("direktiv")))
		s.same("asked", s.asked(), []string{"43 2001 400", "43 2001 201"})
	},
	"S16 the pipeline of the source is never asked for in the target": func(s *stage) {
		sha := s.fork(gitlabtest.Developer)
		pl := s.git.AddPipeline(42, gitlabtest.Pipeline{SHA: sha, Ref: "refs/merge-requests/9/head", Source: "merge_request_event", MergeRequest: 9})
		r := s.reporter()
		s.opened(r, "direktiv")
		var down []gitlabtest.Answer
		for range 4 {
			down = append(down, gitlabtest.Answer{Code: 502})
		}
		s.git.Fail("POST /projects/43/statuses/", down...)
		s.told(s.close(r, succeeded("direktiv")))
		s.same("asked", s.asked(), []string{"43 2001 201", "43 2001 502", "43 2001 502", "43 2001 502", "43 2001 502", fmt.Sprintf("42 %d 201", pl.ID)})
	},
	"a fork's branch pipeline knows the parent by its path alone": func(s *stage) {
		sha := s.fork(0)
		pl := s.git.AddPipeline(42, gitlabtest.Pipeline{SHA: sha, Ref: "refs/merge-requests/9/head", Source: "merge_request_event", MergeRequest: 9})
		s.ev.MergeRequest = &delivery.MergeRequest{IID: 9, ProjectPath: "acme/app", SourceBranch: "patch"}
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		posts := s.git.Requests("POST /statuses/")
		s.same("posts", len(posts), 2)
		s.same("path of the last", posts[1].Path, "/projects/acme/app/statuses/"+sha)
		s.same("pipeline of the last", s.body(posts[1])["pipeline_id"], any(float64(pl.ID)))
	},
	"the source is asked first if the source is asked for, each with its own pipeline": func(s *stage) {
		sha := s.fork(0)
		s.git.AddPipeline(42, gitlabtest.Pipeline{ID: 2002, SHA: sha, Ref: "refs/merge-requests/9/head", Source: "merge_request_event", MergeRequest: 9})
		s.ev.Project, s.ev.Pipeline.ID, s.config.StatusOn = delivery.Project{ID: 42, Path: "acme/app"}, 2002, report.OnSource
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("asked", s.asked(), []string{"43 2001 403", "42 2002 201"})
	},
	"a revoked token is no matter of the fork": func(s *stage) {
		s.fork(gitlabtest.Developer)
		s.git.AddToken(s.scene.Bot.ID, s.scene.Token, gitlabtest.Revoked)
		s.told(s.close(s.reporter(), succeeded("direktiv")), "token refused")
		s.same("asked", s.asked(), []string{"43 2001 401"})
	},
	"a fork that is gone leaves the target project": func(s *stage) {
		s.fork(0)
		s.ev.Project = delivery.Project{ID: 42, Path: "acme/app"}
		s.outside()
		s.ev.MergeRequest.SourceProjectID = 4711
		got := s.close(s.reporter(), succeeded("direktiv"))
		s.told(got, "to the fork as Developer")
		s.same("asked", s.asked(), []string{"4711 <nil> 404", "42 <nil> 404"})
	},
}
