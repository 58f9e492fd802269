package doctor_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/doctor"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/target"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

func TestAJobIsLookedAtFromWhatItWasTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*doctor.Job, *gitlabtest.Server, gitlabtest.Scene)
		worst  delivery.Level
		want   []string
	}{
		{"all is well", nil, delivery.Pass, []string{"pass GitLab http", "pass token REMORA_GITLAB_TOKEN: it is Developer in acme/app", "pass target direktiv, mirror: it follows main"}},
		{"the token is missing", func(j *doctor.Job, _ *gitlabtest.Server, _ gitlabtest.Scene) { j.GitLab.Token = "" }, delivery.Warn,
			[]string{"warn token REMORA_GITLAB_TOKEN: there is none", "protected variable"}},
		{"the bot is a guest", func(_ *doctor.Job, git *gitlabtest.Server, s gitlabtest.Scene) {
			git.AddMember(42, s.Bot.ID, gitlabtest.Guest)
		}, delivery.Fail, []string{"fail token REMORA_GITLAB_TOKEN: it is only Guest in acme/app"}},
		{"there is no target", func(j *doctor.Job, _ *gitlabtest.Server, _ gitlabtest.Scene) { j.Targets = target.Config{} }, delivery.Fail,
			[]string{"fail targets: no target is configured", "REMORA_AGENT_URL"}},
		{"the agent does not answer", func(j *doctor.Job, _ *gitlabtest.Server, _ gitlabtest.Scene) {
			j.Targets, j.GitLab.Token, j.AgentURL = target.Config{}, "", nobody
		}, delivery.Fail, []string{"pass token REMORA_GITLAB_TOKEN: there is none, and the agent reports", "fail agent " + nobody, "REMORA_AGENT_URL"}},
		{"the target's token is wrong", func(j *doctor.Job, _ *gitlabtest.Server, _ gitlabtest.Scene) {
			j.Targets.Direktiv.Token = "wrong-" + targetToken
		},
			delivery.Fail, []string{"fail target direktiv, address: token refused", "DIREKTIV_TOKEN"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			git := gitlabtest.New(t)
			scene := git.Populate()
			flow := direktivtest.NewServer(direktivtest.Options{Key: targetToken})
			t.Cleanup(flow.Close)
			job := doctor.Job{
				GitLab: gitlab.Config{URL: git.URL, Token: delivery.Secret(scene.Token)}, Project: gitlab.ProjectInfo{ID: 42, Path: "acme/app"},
				Targets: target.Config{Direktiv: direktiv.Config{URL: flow.URL, Namespace: "demo", Token: targetToken}},
				Scrub:   delivery.NewScrubber(targetToken, delivery.Secret(scene.Token)),
			}
			if tt.change != nil {
				tt.change(&job, git, scene)
			}
			found := doctor.ExamineJob(t.Context(), job, doctor.Options{Version: "1.0.0", Each: 5 * time.Second})
			got := lines(found)
			if doctor.Worst(found) != tt.worst {
				t.Errorf("worst is %s, want %s:\n%s", doctor.Worst(found), tt.worst, got)
			}
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("got\n%swant %q in it", got, want)
				}
			}
			text, err := json.Marshal(found)
			if err != nil || strings.Contains(string(text), scene.Token) || strings.Contains(string(text), targetToken) {
				t.Errorf("a secret is in %s (%v)", text, err)
			}
		})
	}
}
