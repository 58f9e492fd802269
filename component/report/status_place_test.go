package report_test

import (
	"strings"
	"sync"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/report"
)

// merged adds a merged-result pipeline 1005 on a commit of its own.
func (s *stage) merged() string {
	sha := s.git.AddCommit(42, gitlabtest.Commit{SHA: "ae12ed0000000000000000000000000000000003", Parents: []string{s.scene.Base, s.scene.SHA}}).SHA
	s.git.AddPipeline(42, gitlabtest.Pipeline{ID: 1005, SHA: sha, Ref: "refs/merge-requests/7/merge", Source: "merge_request_event", MergeRequest: 7})
	return sha
}

func (s *stage) inMerged() (sha string) {
	sha = s.merged()
	s.ev.Pipeline.ID, s.ev.Pipeline.SHA, s.ev.MergeRequest.EventType = 1005, sha, "merged_result"
	return sha
}

// placeCases are about the commit and the pipeline that statuses go to.
var placeCases = map[string]func(*stage){
	"S9 a pipeline that appears late is waited for": func(s *stage) {
		s.outside()
		s.ev.MergeRequest = nil
		sha := s.git.AddCommit(42, gitlabtest.Commit{Parents: []string{s.scene.Base}, Branches: []string{"late"}}).SHA
		s.ev.SHA, s.ev.Ref = sha, "late"
		var asked int
		var once sync.Mutex
		s.git.Before(func(r gitlabtest.Request) {
			once.Lock()
			defer once.Unlock()
			if asked++; asked == 3 {
				s.git.AddPipeline(42, gitlabtest.Pipeline{ID: 1009, SHA: sha, Ref: "late"})
			}
		})
		r := s.reporter()
		s.told(s.close(r, succeeded("direktiv")))
		s.same("shown", s.shows(42, sha), []string{"sync/direktiv success 1009"})
		s.same("pipelines", len(s.git.Pipelines(42)), 2)
	},
	"S9 a commit without any pipeline goes by its ref, and stays in what GitLab made": func(s *stage) {
		s.outside()
		s.ev.MergeRequest = nil
		sha := s.git.AddCommit(42, gitlabtest.Commit{Parents: []string{s.scene.Base}, Branches: []string{"bare", "a-branch"}}).SHA
		s.ev.SHA, s.ev.Ref = sha, "bare"
		r := s.reporter()
		r.Open(s.Context(), []string{"direktiv", "mirror"})
		s.told(s.close(r, succeeded("direktiv"), succeeded("mirror")))
		all := s.git.Pipelines(42)
		s.same("pipelines", len(all), 2)
		s.same("ref", all[1].Ref, "bare")
		posts := s.git.Requests("POST /statuses/")
		s.same("ref of the first post", s.body(posts[0])["ref"], any("bare"))
		s.same("pipeline of the last post", s.body(posts[len(posts)-1])["pipeline_id"], any(float64(all[1].ID)))
	},
	"the pipeline of the merge request comes before that of the branch": func(s *stage) {
		s.git.AddPipeline(42, gitlabtest.Pipeline{ID: 1010, SHA: s.scene.SHA, Ref: "feature"})
		s.outside()
		r := s.reporter()
		s.told(s.close(r, succeeded("direktiv")))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"S10 a merged-result pipeline gets its statuses on its own commit": func(s *stage) {
		sha := s.inMerged()
		r := s.reporter()
		s.told(s.close(r, succeeded("direktiv")))
		s.same("on the merge commit", s.shows(42, sha), []string{"sync/direktiv success 1005"})
		s.same("on the source", s.shows(42, s.scene.SHA), []string(nil))
		s.same("requests", len(s.git.Requests()), 1)
	},
	"S10 a merged-result pipeline is found outside of CI": func(s *stage) {
		sha := s.merged()
		s.outside()
		r := s.reporter()
		s.told(s.close(r, succeeded("direktiv")))
		s.same("on the merge commit", s.shows(42, sha), []string{"sync/direktiv success 1005"})
	},
	"S10 the source commit is reported if asked for, without the pipeline of the merge": func(s *stage) {
		s.config.StatusOn = report.OnSource
		sha := s.inMerged()
		r := s.reporter()
		s.told(s.close(r, succeeded("direktiv")))
		s.same("on the merge commit", s.shows(42, sha), []string(nil))
		s.same("on the source", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"S10 the source commit is reported outside of CI, if asked for": func(s *stage) {
		s.config.StatusOn = report.OnSource
		sha := s.merged()
		s.outside()
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("on the merge commit", s.shows(42, sha), []string(nil))
		s.same("on the source", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"S10 both commits are reported if asked for": func(s *stage) {
		s.config.StatusOn = report.OnBoth
		sha := s.inMerged()
		r := s.reporter()
		got := s.close(r, succeeded("direktiv"))
		s.told(got)
		s.same("statuses", got.Statuses, 2)
		s.same("on the merge commit", s.shows(42, sha), []string{"sync/direktiv success 1005"})
		s.same("on the source", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"both is one where the pipeline runs on the source, in CI and outside": func(s *stage) {
		s.config.StatusOn = report.OnBoth
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.outside()
		s.told(s.close(s.reporter(), succeeded("mirror")))
		s.same("posts", s.posts(), []string{"sync/direktiv success 201", "sync/mirror success 201"})
	},
	"S11 after a push the old commit keeps its statuses": func(s *stage) {
		r := s.reporter()
		s.opened(r, "direktiv")
		sha := s.git.AddCommit(42, gitlabtest.Commit{Parents: []string{s.scene.SHA}, Branches: []string{"feature"}}).SHA
		s.git.AddPipeline(42, gitlabtest.Pipeline{SHA: sha, Ref: "refs/merge-requests/7/head", Source: "merge_request_event", MergeRequest: 7})
		s.told(s.close(r, succeeded("direktiv")))
		s.same("on the old commit", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
		s.same("on the new commit", s.shows(42, sha), []string(nil))
	},
	"S11 outside of CI the old commit's own pipeline is found after a push": func(s *stage) {
		s.outside()
		sha := s.git.AddCommit(42, gitlabtest.Commit{Parents: []string{s.scene.SHA}, Branches: []string{"feature"}}).SHA
		s.git.AddPipeline(42, gitlabtest.Pipeline{SHA: sha, Ref: "refs/merge-requests/7/head", Source: "merge_request_event", MergeRequest: 7})
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("on the old commit", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"S12 two merge requests of one commit are not crossed": func(s *stage) {
		s.outside()
		s.git.AddCommit(42, gitlabtest.Commit{SHA: s.scene.SHA, Parents: []string{s.scene.Base}, Branches: []string{"twin"}})
		s.git.AddMergeRequest(42, gitlabtest.MergeRequest{IID: 8, SourceBranch: "twin"})
		s.git.AddPipeline(42, gitlabtest.Pipeline{ID: 1008, SHA: s.scene.SHA, Ref: "refs/merge-requests/8/head", Source: "merge_request_event", MergeRequest: 8})
		s.told(s.close(s.reporter(), broken("direktiv")))
		s.ev.MergeRequest = &delivery.MergeRequest{IID: 8, ProjectID: 42, SourceBranch: "twin"}
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv failed 1001", "sync/direktiv success 1008"})
	},
	"S13 a pipeline that is not of the commit is dropped, and one is found once more": func(s *stage) {
		s.ev.Pipeline.ID = 999
		r := s.reporter()
		s.opened(r, "direktiv", "mirror")
		s.told(s.close(r, succeeded("direktiv"), succeeded("mirror")))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001", "sync/mirror success 1001"})
		refused := 0
		for _, q := range s.git.Requests("POST /statuses/") {
			if q.Code == 404 {
				refused++
			}
		}
		s.same("refused posts", refused, 1)
	},
	"S13 no second pipeline is looked for when the one found is not taken either": func(s *stage) {
		s.git.AddPipeline(42, gitlabtest.Pipeline{ID: 1011, SHA: s.scene.SHA, Ref: "feature"})
		s.git.AddPipeline(42, gitlabtest.Pipeline{ID: 1012, SHA: s.scene.SHA, Ref: "feature"})
		stale := gitlabtest.Answer{Code: 404, Body: `{"message":"404 Pipeline for pipeline_id, sha and ref Not Found"}`}
		s.git.Fail("POST /statuses/", stale, stale, stale, stale)
		s.spare = true
		s.told(s.close(s.reporter(), succeeded("direktiv")), "run a new pipeline of this commit")
		s.same("posts", s.posts(), []string{"sync/direktiv success 404", "sync/direktiv success 404"})
	},
	"S13 an archived pipeline is not found again": func(s *stage) {
		s.ev.MergeRequest = nil
		s.ev.Pipeline.ID = s.git.AddPipeline(42, gitlabtest.Pipeline{SHA: s.scene.SHA, Ref: "feature", Archived: true}).ID
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("ref", s.git.Statuses(42, s.scene.SHA)[0].Ref, "feature")
		s.same("posts", s.posts(), []string{"sync/direktiv success 404", "sync/direktiv success 201"})
	},
	"S13 an archived pipeline of the merge request gives way to one that is not": func(s *stage) {
		s.ev.Pipeline.ID = s.git.AddPipeline(42, gitlabtest.Pipeline{
			SHA: s.scene.SHA, Ref: s.scene.Pipeline.Ref, Source: "merge_request_event", MergeRequest: 7, Archived: true}).ID
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
		s.same("posts", s.posts(), []string{"sync/direktiv success 404", "sync/direktiv success 201"})
	},
	"the source commit has the pipeline if that runs on it": func(s *stage) {
		s.config.StatusOn = report.OnSource
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
		s.same("requests", len(s.git.Requests()), 1)
	},
	"a project that is known by its path alone is named so": func(s *stage) {
		s.ev.Project.ID, s.ev.MergeRequest = 0, nil
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"an event without a project is not reported": func(s *stage) {
		s.ev.Project = delivery.Project{}
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("requests", len(s.git.Requests()), 0)
	},
	"a merge request that cannot be read leaves the commit's last pipeline": func(s *stage) {
		s.outside()
		s.git.Fail("GET /merge_requests/7", gitlabtest.Answer{Code: 403})
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("shown", s.shows(42, s.scene.SHA), []string{"sync/direktiv success 1001"})
	},
	"a commit that cannot be read goes by its ref at once": func(s *stage) {
		s.outside()
		s.ev.MergeRequest = nil
		s.git.Fail("GET /repository/commits/", gitlabtest.Answer{Code: 403})
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("ref", s.git.Statuses(42, s.scene.SHA)[0].Ref, "feature")
		s.same("requests", len(s.git.Requests()), 2)
	},
	"after a lost answer a status in another pipeline is not taken for ours": func(s *stage) {
		s.outside()
		s.ev.MergeRequest = nil
		s.git.AddStatus(42, gitlabtest.Status{SHA: s.scene.SHA, Ref: s.scene.Pipeline.Ref, Name: "sync/direktiv", State: "running", PipelineID: 1001, UserID: s.scene.Bot.ID})
		s.git.Fail("GET /repository/commits/", gitlabtest.Answer{Code: 403})
		s.git.Fail("POST /statuses/", gitlabtest.Answer{Code: 502})
		r := s.reporter()
		r.Open(s.Context(), []string{"direktiv"})
		s.until("second post", func() bool { return len(s.git.Requests("POST /statuses/")) > 1 })
		s.told(s.close(r, succeeded("direktiv")))
		s.same("ref", s.git.Statuses(42, s.scene.SHA)[1].Ref, "feature")
	},
	"S28 a tag has its status in the pipeline of the tag": func(s *stage) {
		s.outside()
		s.ev.MergeRequest = nil
		sha := s.git.AddCommit(42, gitlabtest.Commit{Parents: []string{s.scene.Base}, Tags: []string{"v1"}}).SHA
		s.ev.SHA, s.ev.Ref, s.ev.RefType = sha, "v1", delivery.Tag
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("ref", s.git.Statuses(42, sha)[0].Ref, "v1")
	},
	"S28 a detached head sends no ref": func(s *stage) {
		s.outside()
		s.ev.MergeRequest, s.ev.Ref = nil, s.scene.Base
		s.ev.SHA = s.scene.Base
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("ref", s.body(s.git.Requests("POST /statuses/")[0])["ref"], any(nil))
	},
	"S28 a ref that was deleted before the report is told": func(s *stage) {
		s.outside()
		s.ev.MergeRequest, s.ev.Ref = nil, ""
		s.ev.SHA = s.git.AddCommit(42, gitlabtest.Commit{Parents: []string{s.scene.Base}}).SHA
		s.told(s.close(s.reporter(), succeeded("direktiv")), "References for commit")
		s.same("posts", len(s.posts()), 1)
	},
	"S28 a deleted ref has no commit to report on": func(s *stage) {
		s.outside()
		s.ev.Deleted, s.ev.SHA = true, strings.Repeat("0", 40)
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("requests", len(s.git.Requests()), 0)
	},
	"a ref of 300 characters is left out rather than cut": func(s *stage) {
		s.outside()
		s.ev.MergeRequest = nil
		s.ev.Ref, s.ev.SHA = strings.Repeat("x", 300), s.scene.Base
		s.told(s.close(s.reporter(), succeeded("direktiv")))
		s.same("ref", s.body(s.git.Requests("POST /statuses/")[0])["ref"], any(nil))
	},
}
