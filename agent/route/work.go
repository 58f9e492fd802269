package route

import (
	"strconv"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
)

// Work is one event on its way to one target. Its JSON form is stored, and read
// by later versions.
type Work struct {
	Key     string         `json:"key"`
	Target  string         `json:"target"`
	Project string         `json:"project"` // path, lower case: what fairness goes by
	Event   delivery.Event `json:"event"`   // SHA is empty where the body told none: the head is to be read
	Paths   string         `json:"paths,omitempty"`
	Report  report.Config  `json:"report"`
	Rule    string         `json:"rule"`

	// OnlyAllowed says that the commit is a fork's and was taken because somebody
	// has allowed it: no other may be delivered in its place.
	OnlyAllowed bool `json:"only_allowed,omitempty"`

	// Once, if set, is to be noted as a firing in the transaction that puts the
	// work, and the work is to be put only by whoever notes it first. Our own
	// statuses end a pipeline again, so that without it a pipeline's success would
	// cause itself.
	Once *Once `json:"once,omitempty"`
}

// Once is a firing that happens a single time. Its slot is no time but the id of
// the pipeline, so that the newest of a ref is the last to be forgotten.
type Once struct {
	Name string    `json:"name"`
	Slot time.Time `json:"slot"`
}

// Key names the work that brings target in step with the ref of ev. Every cause
// of such work uses it, so that they meet in one row.
func Key(target string, ev delivery.Event) string {
	return "sync:" + target + ":" + projectKey(ev) + ":" + ev.FullRef()
}

// projectKey is the host and id of a project; its path where there is no id.
func projectKey(ev delivery.Event) string {
	name := strings.ToLower(ev.Project.Path)
	if ev.Project.ID != 0 {
		name = strconv.FormatInt(ev.Project.ID, 10)
	}
	_, host, _ := strings.Cut(ev.Instance, "://")
	return strings.ToLower(host) + "/" + name
}
