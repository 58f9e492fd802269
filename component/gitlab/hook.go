package gitlab

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
	VerifyTLS      bool     // enable_ssl_verification
	AlertStatus    string   // executable, temporarily_disabled, disabled; empty for a system hook
	TokenPresent   *bool    // nil where GitLab is too old to say it
	SigningPresent *bool    // nil where GitLab is too old to say it (before 19.0)
}

// HookCall is one delivery of a webhook that GitLab remembers.
type HookCall struct {
	ID     int64
	Status string // "200", "503", "internal error", …
	URL    string
}
