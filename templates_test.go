package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/remora-ci/remora/component"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// What users include is held to these rules:
//
//   - every input is described, named in kebab-case, and used
//   - an input reaches variables: and the job's frame, and nothing near a shell
//   - one job, no global keyword, only what GitLab 17.0 can read
//   - a variable that a template sets is one that remora reads
//   - no secret is an input
//   - one push gives one job

// templates are the components, each with its mandatory inputs.
var templates = map[string]map[string]any{
	"sync.yml":   {},
	"report.yml": {"name": "rpm-build", "state": "success"},
}

func eachTemplate(t *testing.T, check func(t *testing.T, tmpl template, mandatory map[string]any)) {
	t.Helper()
	for name, mandatory := range templates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, readTemplate(t, name), mandatory)
		})
	}
}

func TestEveryInputIsDescribedAndUsed(t *testing.T) {
	t.Parallel()
	eachTemplate(t, func(t *testing.T, tmpl template, _ map[string]any) {
		used := map[string]bool{}
		walkBody(tmpl.body, nil, func(path []string, text string) {
			for _, m := range block.FindAllStringSubmatch(text, -1) {
				used[strings.TrimPrefix(m[1], "inputs.")] = true
			}
		})
		for name, spec := range tmpl.inputs {
			if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(name) {
				t.Errorf("input %s: not in kebab-case", name)
			}
			if d, _ := spec["description"].(string); len(d) < 10 || !strings.Contains(d, " ") {
				t.Errorf("input %s: not described", name)
			}
			if !used[name] {
				t.Errorf("input %s: not used", name)
			}
			for key := range spec {
				if !slices.Contains([]string{"description", "default", "options", "regex", "type"}, key) {
					t.Errorf("input %s: GitLab 17.0 does not know the key %s", name, key)
				}
			}
			if kind := typeOf(spec); kind != "string" && kind != "number" {
				t.Errorf("input %s: type %s; in 17.0 a variable takes text and whole numbers", name, kind)
			}
		}
	})
}

// frame are the places outside variables: that an input may reach.
var frame = regexp.MustCompile(`^(|/stage|/image/name|/rules/if|/rules/when)$`)

func TestNoInputReachesAShell(t *testing.T) {
	t.Parallel()
	eachTemplate(t, func(t *testing.T, tmpl template, _ map[string]any) {
		walkBody(tmpl.body, nil, func(path []string, text string) {
			for _, m := range block.FindAllStringSubmatch(text, -1) {
				name, isInput := strings.CutPrefix(m[1], "inputs.")
				if !isInput {
					t.Errorf("%v: %s is no plain input", path, m[0])
				}
				at := "/" + strings.Join(path[min(1, len(path)):], "/")
				at = strings.TrimSuffix(at, "/")
				switch spec := tmpl.inputs[name]; {
				case strings.HasPrefix(at, "/variables/"):
				case !frame.MatchString(at):
					t.Errorf("input %s stands in %s", name, at)
				case strings.HasPrefix(at, "/rules") && checkValue(spec, `x" || "x`) == nil:
					t.Errorf("input %s stands in %s, and may hold a quote", name, at)
				}
			}
		})
	})
}

// jobKeys are the keywords of a job that our templates may use.
var jobKeys = []string{"stage", "image", "rules", "interruptible", "id_tokens", "retry", "variables", "script", "after_script", "artifacts"}

// globals are names that GitLab does not take for a job, or that act on others' jobs.
var globals = []string{"default", "stages", "workflow", "variables", "include", "image", "services", "cache", "before_script", "after_script", "pages", "spec", "true", "false", "nil", "null"}

func TestABodyIsOneJobAndNothingGlobal(t *testing.T) {
	t.Parallel()
	eachTemplate(t, func(t *testing.T, tmpl template, mandatory map[string]any) {
		name, content := job(t, tmpl, mandatory)
		if slices.Contains(globals, name) || strings.HasPrefix(name, ".") {
			t.Errorf("the job is called %s", name)
		}
		for key := range content {
			if !slices.Contains(jobKeys, key) {
				t.Errorf("keyword %s is not one of %v", key, jobKeys)
			}
		}
		for name, value := range content["variables"].(map[string]any) {
			if v, ok := value.(map[string]any); ok {
				value = v["value"]
			}
			if kind := kindOf(value); kind != "string" && kind != "number" {
				t.Errorf("variable %s: %v is neither text nor a number", name, value)
			}
		}
	})
}

func TestTheScriptIsRemora(t *testing.T) {
	t.Parallel()
	_, sync := job(t, readTemplate(t, "sync.yml"), nil)
	if diff := cmp.Diff([]any{"remora sync"}, sync["script"]); diff != "" {
		t.Errorf("script (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{"remora sync --finish"}, sync["after_script"]); diff != "" {
		t.Errorf("after_script (-want +got):\n%s", diff)
	}
	_, report := job(t, readTemplate(t, "report.yml"), templates["report.yml"])
	script := fmt.Sprint(report["script"])
	if !strings.HasPrefix(script, "[remora report --") {
		t.Errorf("got %s, want remora report", script)
	}
	for name := range report["variables"].(map[string]any) {
		if strings.HasPrefix(name, "STATUS_") && !strings.Contains(script, `="$`+name+`"`) {
			t.Errorf("%s is not used in quotes by %s", name, script)
		}
	}
	if left := regexp.MustCompile(`"\$STATUS_[A-Z_]+"`).ReplaceAllString(script, ""); strings.ContainsAny(left, "$`;|&<>") {
		t.Errorf("more than one plain command: %s", script)
	}
}

func TestEverySettingIsAnInputAndNoSecretIs(t *testing.T) {
	t.Parallel()
	tmpl := readTemplate(t, "sync.yml")
	variables := tmpl.body["$[[ inputs.job-name ]]"].(map[string]any)["variables"].(map[string]any)
	known := map[string]component.Setting{}
	// What the job is told by GitLab, or by nobody.
	notInputs := regexp.MustCompile(`^(CI_.*|REMORA_(JUNIT|DOTENV|ANNOTATIONS|JOURNAL|LOG|GITLAB_URL))$`)
	for _, s := range component.Settings() {
		known[s.Env] = s
		_, set := variables[s.Env]
		switch secret := s.Flag == ""; {
		case secret && set:
			t.Errorf("%s is a secret, and a variable of the template", s.Env)
		case !secret && !set && !notInputs.MatchString(s.Env):
			t.Errorf("%s is a setting, and no input fills it", s.Env)
		case set && !notInputs.MatchString(s.Env):
			checkInput(t, tmpl, s, variables[s.Env])
		}
	}
	for name := range variables {
		if _, ok := known[name]; !ok && !strings.HasPrefix(name, "GIT_") {
			t.Errorf("%s is set, and nothing reads it", name)
		}
	}
	report := readTemplate(t, "report.yml").body["$[[ inputs.job-name ]]"].(map[string]any)["variables"].(map[string]any)
	for name := range report {
		if s, ok := known[name]; (!ok || s.Flag == "") && !strings.HasPrefix(name, "GIT_") && !strings.HasPrefix(name, "STATUS_") {
			t.Errorf("report.yml sets %s, and nothing reads it", name)
		}
	}
}

// checkInput holds that the input is called like the flag and has its default.
// Settings without a default are off or empty, whichever the input can say.
func checkInput(t *testing.T, tmpl template, s component.Setting, value any) {
	t.Helper()
	if v, ok := value.(map[string]any); ok {
		value = v["value"]
	}
	if want := "$[[ inputs." + s.Flag + " ]]"; value != want {
		t.Errorf("%s: got %v, want %s", s.Env, value, want)
	}
	spec := tmpl.inputs[s.Flag]
	if d, _ := spec["description"].(string); !strings.Contains(d, s.Env) {
		t.Errorf("input %s: its text does not name %s", s.Flag, s.Env)
	}
	got := fmt.Sprint(spec["default"])
	if got != s.Default && (s.Default != "" || got != "false") {
		t.Errorf("input %s: default %q, but that of %s is %q", s.Flag, got, s.Env, s.Default)
	}
}

func TestJQReachesRemoraAsItWasWritten(t *testing.T) {
	t.Parallel()
	const body = `.sha as $s | {"ref": $s, "by": "o'hara"}`
	for input, variable := range map[string]string{"http-body": "REMORA_HTTP_BODY", "http-status-url": "REMORA_HTTP_STATUS_URL", "http-state": "REMORA_HTTP_STATE"} {
		_, sync := job(t, readTemplate(t, "sync.yml"), map[string]any{input: body})
		want := map[string]any{"value": body, "expand": false}
		if diff := cmp.Diff(want, sync["variables"].(map[string]any)[variable]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", variable, diff)
		}
	}
}

// A wrong word is told when the pipeline is made, not by a job that fails.
func TestAnInputOfFewWordsListsThem(t *testing.T) {
	t.Parallel()
	for name, inputs := range map[string][]string{
		"sync.yml": {"job-name", "rules", "git-strategy", "wait", "report", "note", "status-on", "output", "direktiv-auth",
			"direktiv-any-ref", "direktiv-fail-on-warn", "http-method", "project"},
		"report.yml": {"job-name", "rules", "when", "note", "status-on", "project"},
	} {
		for _, input := range inputs {
			args := maps.Clone(templates[name])
			args[input] = "~ no such word"
			if _, err := readTemplate(t, name).interpolate(args); err == nil {
				t.Errorf("%s: input %s takes any text", name, input)
			}
		}
	}
}

func TestAJobRunsInItsImageAndMayBeReplaced(t *testing.T) {
	t.Parallel()
	eachTemplate(t, func(t *testing.T, tmpl template, mandatory map[string]any) {
		_, content := job(t, tmpl, mandatory)
		if diff := cmp.Diff([]any{""}, content["image"].(map[string]any)["entrypoint"]); diff != "" {
			t.Errorf("entrypoint, which must be the runner's sh (-want +got):\n%s", diff)
		}
		if content["interruptible"] != true {
			t.Error("a newer push does not cancel it")
		}
		want := map[string]any{"max": 2, "when": []any{"runner_system_failure", "scheduler_failure"}}
		if diff := cmp.Diff(want, content["retry"]); diff != "" {
			t.Errorf("retry, only for faults of the runner (-want +got):\n%s", diff)
		}
		if got := content["variables"].(map[string]any)["GIT_STRATEGY"]; got != "none" {
			t.Errorf("GIT_STRATEGY: got %v, want none by default: nothing is read from a clone", got)
		}
	})
}

// GitLab refuses an empty audience, so the prefix stands even where no agent is asked.
func TestTheIDTokenIsForTheAgentAlone(t *testing.T) {
	t.Parallel()
	eachTemplate(t, func(t *testing.T, tmpl template, mandatory map[string]any) {
		args := maps.Clone(mandatory)
		args["agent-url"] = "https://remora.example.com"
		_, content := job(t, tmpl, args)
		want := map[string]any{"REMORA_ID_TOKEN": map[string]any{"aud": trigger.AudiencePrefix + "$REMORA_AGENT_URL"}}
		if diff := cmp.Diff(want, content["id_tokens"]); diff != "" {
			t.Errorf("id_tokens (-want +got):\n%s", diff)
		}
		if got := content["variables"].(map[string]any)["REMORA_AGENT_URL"]; got != args["agent-url"] {
			t.Errorf("REMORA_AGENT_URL: got %v, want the input", got)
		}
	})
	if !strings.Contains(component.IDTokenLines, "REMORA_ID_TOKEN: {aud: '"+trigger.AudiencePrefix+"$REMORA_AGENT_URL'}") {
		t.Errorf("what remora tells to write is another line: %s", component.IDTokenLines)
	}
}

func TestReportFilesAreArtifacts(t *testing.T) {
	t.Parallel()
	_, sync := job(t, readTemplate(t, "sync.yml"), nil)
	variables := sync["variables"].(map[string]any)
	artifacts := sync["artifacts"].(map[string]any)
	want := map[string]any{"junit": variables["REMORA_JUNIT"], "dotenv": variables["REMORA_DOTENV"], "annotations": variables["REMORA_ANNOTATIONS"]}
	if diff := cmp.Diff(want, artifacts["reports"]); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	if artifacts["when"] != "always" {
		t.Errorf("when: got %v, want always: a failure is what people look for", artifacts["when"])
	}
}

func TestTheImageIsPinnedTheSameEverywhere(t *testing.T) {
	t.Parallel()
	images := map[any]bool{}
	eachImage := regexp.MustCompile(`^registry\.gitlab\.com/remora-ci/remora:\d+\.\d+\.\d+$`)
	for name := range templates {
		image := readTemplate(t, name).inputs["image"]["default"]
		images[image] = true
		if !eachImage.MatchString(fmt.Sprint(image)) {
			t.Errorf("%s: image %v is not one version of ours", name, image)
		}
	}
	if len(images) != 1 {
		t.Errorf("got images %v, want one", slices.Collect(maps.Keys(images)))
	}
}

// walkBody visits every key and text of a body, with the keys that lead there.
func walkBody(node any, path []string, visit func(path []string, text string)) {
	switch node := node.(type) {
	case map[string]any:
		for key, value := range node {
			visit(path, key)
			walkBody(value, append(slices.Clip(path), key), visit)
		}
	case []any:
		for _, value := range node {
			walkBody(value, path, visit)
		}
	case string:
		visit(path, node)
	}
}
