package main

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vars builds the variables of a pipeline of acme/app from those that differ.
func vars(more map[string]string) map[string]string {
	v := map[string]string{
		"CI_PROJECT_ID": "1", "CI_PROJECT_PATH": "acme/app", "CI_PROJECT_ROOT_NAMESPACE": "acme",
		"GITLAB_USER_LOGIN": "dora", "CI_DEFAULT_BRANCH": "main",
	}
	maps.Copy(v, more)
	return v
}

func branch(more map[string]string) map[string]string {
	v := vars(map[string]string{"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "feature"})
	maps.Copy(v, more)
	return v
}

func mergeRequest(more map[string]string) map[string]string {
	v := vars(map[string]string{
		"CI_PIPELINE_SOURCE": "merge_request_event", "CI_OPEN_MERGE_REQUESTS": "acme/app!7",
		"CI_MERGE_REQUEST_IID": "7", "CI_MERGE_REQUEST_PROJECT_ID": "1", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1",
	})
	maps.Copy(v, more)
	return v
}

// fork are the variables of a contributor's own copy.
var fork = map[string]string{"CI_PROJECT_ID": "2", "CI_PROJECT_PATH": "dora/app", "CI_PROJECT_ROOT_NAMESPACE": "dora"}

func in(base, more map[string]string) map[string]string {
	v := maps.Clone(base)
	maps.Copy(v, more)
	return v
}

// ours are variables that the project's settings hold.
var ours = map[string]string{
	"DIREKTIV_URL": "https://direktiv.example.com", "DIREKTIV_TOKEN": "t", "REMORA_GITLAB_TOKEN": "g",
}

// pushes are what happens in GitLab, and the pipelines that it may start for it.
var pushes = map[string]struct {
	pipelines map[string]map[string]string
	settings  map[string]string
	args      map[string]any
	want      map[string][]string // by rules input, the pipelines that get the job
}{
	"a push to a branch": {
		pipelines: map[string]map[string]string{"branch": branch(nil)},
		settings:  ours,
		want:      map[string][]string{"push": {"branch"}, "both": {"branch"}},
	},
	"a push to a branch with an open merge request": {
		pipelines: map[string]map[string]string{
			"branch": branch(map[string]string{"CI_OPEN_MERGE_REQUESTS": "acme/app!7"}), "merge request": mergeRequest(nil),
		},
		settings: ours,
		want:     map[string][]string{"push": {"branch"}, "merge-request": {"merge request"}, "both": {"merge request"}},
	},
	"a merged result": {
		pipelines: map[string]map[string]string{"merge request": mergeRequest(map[string]string{"CI_MERGE_REQUEST_EVENT_TYPE": "merged_result"})},
		settings:  ours,
		want:      map[string][]string{"merge-request": {"merge request"}, "both": {"merge request"}},
	},
	"a tag": {
		pipelines: map[string]map[string]string{"tag": vars(map[string]string{"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "v1"})},
		settings:  ours,
		want:      map[string][]string{"push": {"tag"}, "both": {"tag"}},
	},
	"a schedule on a branch with an open merge request": {
		pipelines: map[string]map[string]string{"schedule": branch(map[string]string{"CI_PIPELINE_SOURCE": "schedule", "CI_OPEN_MERGE_REQUESTS": "acme/app!7"})},
		settings:  ours,
		want:      map[string][]string{"push": {"schedule"}, "both": {"schedule"}},
	},
	"a person who starts a pipeline": {
		pipelines: map[string]map[string]string{"web": branch(map[string]string{"CI_PIPELINE_SOURCE": "web"})},
		settings:  ours,
		want:      map[string][]string{"push": {"web"}, "both": {"web"}},
	},
	"a branch where every variable is protected": {
		pipelines: map[string]map[string]string{"branch": branch(nil)},
		want:      map[string][]string{"push": {"branch"}, "both": {"branch"}}, // it fails, and says why
	},
	"a push in a fork": {
		pipelines: map[string]map[string]string{"branch": branch(fork)},
	},
	"a push in a fork, where the targets are inputs": {
		pipelines: map[string]map[string]string{"branch": branch(fork)},
		args:      map[string]any{"direktiv-url": "https://direktiv.example.com", "direktiv-namespace": "demo"},
	},
	"a push in a person's own project whose one secret is a file": {
		pipelines: map[string]map[string]string{"branch": branch(fork)},
		settings:  map[string]string{"REMORA_GITLAB_TOKEN_FILE": "/tmp/token"},
		want:      map[string][]string{"push": {"branch"}, "both": {"branch"}},
	},
	"a push in a person's own project, which has an agent and no secret": {
		pipelines: map[string]map[string]string{"branch": branch(fork)},
		args:      map[string]any{"agent-url": "https://remora.example.com"},
		want:      map[string][]string{"push": {"branch"}, "both": {"branch"}}, // of a fork the agent knows, and remora skips it
	},
	"a push in a person's own project whose agent is a variable": {
		pipelines: map[string]map[string]string{"branch": branch(fork)},
		settings:  map[string]string{"REMORA_AGENT_URL": "https://remora.example.com"},
		want:      map[string][]string{"push": {"branch"}, "both": {"branch"}},
	},
	"a push in a fork of a project that is named and has an agent": {
		pipelines: map[string]map[string]string{"branch": branch(fork)},
		args:      map[string]any{"agent-url": "https://remora.example.com", "project": "acme/app"},
	},
	"a fork's merge request in the parent, which has an agent": {
		pipelines: map[string]map[string]string{"merge request": mergeRequest(map[string]string{"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "2"})},
		args:      map[string]any{"agent-url": "https://remora.example.com"},
	},
	"a push in a fork with an open merge request": {
		pipelines: map[string]map[string]string{
			"branch":        branch(in(fork, map[string]string{"CI_OPEN_MERGE_REQUESTS": "acme/app!7"})),
			"merge request": mergeRequest(in(fork, map[string]string{"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "2"})),
		},
	},
	"a fork's merge request that a member runs in the parent": {
		pipelines: map[string]map[string]string{"merge request": mergeRequest(map[string]string{"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "2"})},
		settings:  ours,
	},
	"a push in a fork that a group owns, where the project is named": {
		pipelines: map[string]map[string]string{"branch": branch(map[string]string{"CI_PROJECT_PATH": "other/app", "CI_PROJECT_ROOT_NAMESPACE": "other"})},
		args:      map[string]any{"project": "acme/app"},
	},
	"a push in the project that is named": {
		pipelines: map[string]map[string]string{"branch": branch(nil)},
		settings:  ours,
		args:      map[string]any{"project": "acme/app"},
		want:      map[string][]string{"push": {"branch"}, "both": {"branch"}},
	},
	"a push in a person's own project": {
		pipelines: map[string]map[string]string{"branch": branch(fork)},
		settings:  ours,
		want:      map[string][]string{"push": {"branch"}, "both": {"branch"}},
	},
}

func TestOnePushGivesOneJobAtMost(t *testing.T) {
	t.Parallel()
	eachTemplate(t, func(t *testing.T, tmpl template, mandatory map[string]any) {
		for name, tc := range pushes {
			for _, mode := range []string{"push", "merge-request", "both"} {
				args := map[string]any{"rules": mode}
				maps.Copy(args, mandatory)
				for input, value := range tc.args {
					if _, has := tmpl.inputs[input]; has {
						args[input] = value
					}
				}
				var got []string
				for kind, predefined := range tc.pipelines {
					_, content := job(t, tmpl, args)
					w, err := when(content["rules"].([]any), variablesIn(content, predefined, tc.settings))
					if err != nil {
						t.Fatal(err)
					}
					if w != "never" {
						got = append(got, kind)
					}
				}
				slices.Sort(got)
				if len(got) > 1 {
					t.Errorf("%s, rules %s: two jobs, in the pipelines %v", name, mode, got)
				}
				if diff := cmp.Diff(tc.want[mode], got); diff != "" {
					t.Errorf("%s, rules %s: pipelines with the job (-want +got):\n%s", name, mode, diff)
				}
			}
		}
	})
}

// A group's project gets the job without a secret: it fails there and says which
// is missing. A person's own might as well be a fork.
func TestAnInputSwitchesTheTargetOnInAGroupsProject(t *testing.T) {
	t.Parallel()
	tmpl := readTemplate(t, "sync.yml")
	for _, input := range []string{"direktiv-url", "http-url", "mirror-url"} {
		_, content := job(t, tmpl, map[string]any{input: "https://example.com"})
		got, err := when(content["rules"].([]any), variablesIn(content, branch(nil), nil))
		if err != nil || got != "on_success" {
			t.Errorf("%s: got %s (%v), want on_success", input, got, err)
		}
	}
}

func TestAReportRunsWhenItIsTold(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"on_success", "on_failure", "always"} {
		_, content := job(t, readTemplate(t, "report.yml"), map[string]any{"name": "n", "state": "failed", "when": want, "rules": "both"})
		tag := vars(map[string]string{"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "v1"})
		for kind, predefined := range map[string]map[string]string{"branch": branch(nil), "merge request": mergeRequest(nil), "tag": tag} {
			got, err := when(content["rules"].([]any), variablesIn(content, predefined, ours))
			if err != nil || got != want {
				t.Errorf("%s: got %s (%v), want %s", kind, got, err, want)
			}
		}
	}
}
