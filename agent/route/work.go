package route

import (
	"strconv"
	"strings"

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

	// Once, if set, names what may cause this work a single time: the work is to
	// be put only by whoever notes the name first. Our own statuses end a pipeline
	// again, so that without it a pipeline's success would cause itself.
	Once string `json:"once,omitempty"`
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
