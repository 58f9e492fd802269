package delivery

import "context"

// Target is a place that events are delivered to.
type Target interface {
	// Name is short, unique and stable: it appears in commit statuses.
	Name() string

	// Apply brings the target to the state ev describes and waits for the true
	// result, as long as ctx allows. It must be idempotent: the agent delivers
	// at least once. It returns [Skip] when ev does not concern the target and
	// [Permanent] when trying again cannot help. The receipt is shown also when
	// an error comes with it.
	Apply(ctx context.Context, ev Event) (Receipt, error)
}

// Placer is a target that can say where it leads, in a word: a namespace, a host.
type Placer interface {
	Place() string
}

// Planner is a target that can say what Apply would send. It sends nothing, and
// its lines hold no secret.
type Planner interface {
	Plan(ev Event) ([]string, error)
}

// Receipt is what a target answered. Every field may be empty.
type Receipt struct {
	ID       string    `json:"id,omitempty"`       // the target's own id of this run
	URL      string    `json:"url,omitempty"`      // where a person can look at it
	Result   string    `json:"result,omitempty"`   // few words for a person: "pushed", "4 files"
	Revision string    `json:"revision,omitempty"` // the commit the target says it is at; never a guess
	Started  bool      `json:"started,omitempty"`  // true if it was started and its result was not awaited
	Request  string    `json:"request,omitempty"`  // evidence: method, URL without secrets, status code
	Warnings []string  `json:"warnings,omitempty"` // what a person should know although it worked
	Log      []LogLine `json:"log,omitempty"`      // the last lines of the target's log, oldest first
}

// LogLine is one line of a target's log.
type LogLine struct {
	Level string `json:"level,omitempty"` // DEBUG, INFO, WARN, ERROR, or empty
	Text  string `json:"text"`
}
