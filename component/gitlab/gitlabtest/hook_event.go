package gitlabtest

import (
	"slices"
	"strings"
)

// hookEvent is a kind of event: what its header, flag and trigger are called, and
// which hooks have it since when.
type hookEvent struct {
	header, flag, trigger string
	of                    string // p: project, g: group, s: system
	major, minor          int
}

var hookEvents = []hookEvent{
	{"Push Hook", "push_events", "push_hooks", "pgs", 8, 0},
	{"Tag Push Hook", "tag_push_events", "tag_push_hooks", "pgs", 8, 0},
	{"Merge Request Hook", "merge_requests_events", "merge_request_hooks", "pgs", 8, 0},
	{"Issue Hook", "issues_events", "issue_hooks", "pg", 8, 0},
	{"Confidential Issue Hook", "confidential_issues_events", "confidential_issue_hooks", "pg", 8, 0},
	{"Note Hook", "note_events", "note_hooks", "pg", 8, 0},
	{"Confidential Note Hook", "confidential_note_events", "confidential_note_hooks", "pg", 8, 0},
	{"Job Hook", "job_events", "job_hooks", "pg", 8, 0},
	{"Pipeline Hook", "pipeline_events", "pipeline_hooks", "pg", 8, 0},
	{"Wiki Page Hook", "wiki_page_events", "wiki_page_hooks", "pg", 8, 0},
	{"Deployment Hook", "deployment_events", "deployment_hooks", "pg", 13, 0},
	{"Feature Flag Hook", "feature_flag_events", "feature_flag_hooks", "pg", 13, 0},
	{"Release Hook", "releases_events", "release_hooks", "pg", 13, 0},
	{"Emoji Hook", "emoji_events", "emoji_hooks", "pg", 16, 2},
	{"Resource Access Token Hook", "resource_access_token_events", "resource_access_token_hooks", "pg", 16, 10},
	{"Milestone Hook", "milestone_events", "milestone_hooks", "pg", 18, 2},
	{"Vulnerability Hook", "vulnerability_events", "vulnerability_hooks", "pg", 17, 7},
	{"Resource Deploy Token Hook", "resource_deploy_token_events", "resource_deploy_token_hooks", "p", 18, 4},
	{"Member Hook", "member_events", "member_hooks", "g", 13, 4},
	{"Subgroup Hook", "subgroup_events", "subgroup_hooks", "g", 13, 9},
	{"Project Hook", "project_events", "project_hooks", "g", 17, 6},
	{"System Hook", "repository_update_events", "repository_update_hooks", "s", 9, 4},
}

// letter is the kind of a place in hookEvent.of.
func (of HookOf) letter() string {
	switch {
	case of.Project != 0:
		return "p"
	case of.Group != 0:
		return "g"
	}
	return "s"
}

// flagsOf are the flags of the hooks of a place, here and in every GitLab.
func (s *Server) flagsOf(of HookOf) (here, anywhere []string) {
	for _, e := range hookEvents {
		if !strings.Contains(e.of, of.letter()) {
			continue
		}
		anywhere = append(anywhere, e.flag)
		if s.since(e.major, e.minor) && (e.flag != "vulnerability_events" || s.edition != Community) {
			here = append(here, e.flag)
		}
	}
	return here, anywhere
}

// eventWith is the event for which is true; nil if it is for none.
func eventWith(is func(hookEvent) bool) *hookEvent {
	if i := slices.IndexFunc(hookEvents, is); i >= 0 {
		return &hookEvents[i]
	}
	return nil
}

// kind is the object_kind of a payload.
func (e *hookEvent) kind() string {
	name := strings.ToLower(strings.ReplaceAll(strings.TrimSuffix(e.header, " Hook"), " ", "_"))
	if name == "job" {
		return "build"
	}
	return strings.TrimPrefix(name, "confidential_")
}
