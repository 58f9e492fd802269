package gitlab

import (
	"slices"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// HookScope is where a webhook lies: exactly one of the three.
type HookScope struct {
	Project Project // project hook
	Group   string  // group hook: id or full path
	System  bool    // system hook of the instance
}

// Hook is a webhook, as GitLab shows it:
// https://docs.gitlab.com/api/project_webhooks/, https://docs.gitlab.com/api/group_webhooks/,
// https://docs.gitlab.com/api/system_hooks/.
type Hook struct {
	ID             int64
	URL            string
	Name           string
	Events         []string // names of the flags that are on: push_events, merge_requests_events, … in order
	Unknown        []string // names of the flags that this GitLab does not show, for it is too old or of another edition: they cannot be had
	VerifyTLS      bool     // enable_ssl_verification
	Branches       string   // push_events_branch_filter: pushes to others are not sent; empty: all are
	Template       bool     // custom_webhook_template: what is sent is no event of GitLab's
	AlertStatus    string   // executable, temporarily_disabled, disabled; always executable for a system hook, and where GitLab disables none
	TokenPresent   *bool    // nil where GitLab is too old to say it (before 19.0)
	SigningPresent *bool    // nil where GitLab is too old to say it (before 19.0)
}

// HookSpec is a webhook as it is wanted, for all branches and with GitLab's own
// payload. GitLab never shows its two secrets.
type HookSpec struct {
	URL          string
	Name         string          // GitLab before 17.1 drops it, and Description
	Description  string          // for people
	Token        delivery.Secret // sent back by GitLab in X-Gitlab-Token; empty: none
	SigningToken delivery.Secret // whsec_ and base64 of 32 bytes; empty: none. GitLab before 19.0 drops it
	Events       []string        // names of the flags that are on; all others of the scope are sent as off
	VerifyTLS    bool
}

// HookCall is one call of a webhook that GitLab remembers, for seven days. One that
// is sent again is a new call with the Key of the old.
type HookCall struct {
	ID      int64  // grows
	Status  string // "200", "503", "internal error" where no answer came
	URL     string // that was called, without its secrets
	Trigger string // push_hooks, merge_request_hooks, …
	Key     string // Idempotency-Key, which is also webhook-id; empty before 17.4
}

// Failed says whether the call counts as failed: only answers of 2xx and 3xx do not.
func (c HookCall) Failed() bool {
	return len(c.Status) != 3 || c.Status[0] != '2' && c.Status[0] != '3'
}

// The flags of a hook, in the order of GitLab's pages.
var (
	anyHookEvents    = []string{"push_events", "tag_push_events", "merge_requests_events"}
	sharedHookEvents = slices.Concat(anyHookEvents, []string{
		"note_events", "confidential_note_events", "issues_events", "confidential_issues_events", "job_events", "pipeline_events",
		"deployment_events", "releases_events", "milestone_events", "emoji_events", "feature_flag_events", "wiki_page_events",
		"vulnerability_events", "resource_access_token_events",
	})
	projectHookEvents = append(slices.Clone(sharedHookEvents), "resource_deploy_token_events")
	groupHookEvents   = slices.Concat(sharedHookEvents, []string{"member_events", "subgroup_events", "project_events"})
	systemHookEvents  = slices.Concat(anyHookEvents, []string{"repository_update_events"})
)

// HookEvents are the names of the flags that hooks of that scope have.
func HookEvents(s HookScope) []string {
	switch {
	case s.System:
		return slices.Clone(systemHookEvents)
	case s.Group != "":
		return slices.Clone(groupHookEvents)
	}
	return slices.Clone(projectHookEvents)
}
