package agent

import (
	"strconv"
	"strings"

	"gitlab.com/remora-ci/remora/agent/store"
)

// The kinds of work.
const (
	kindSync     = "sync"     // sync:<target>:<project>:<full ref>
	kindStatus   = "status"   // status:<project>:<sha>
	kindNote     = "note"     // note:<project>:<iid>, of the project of the source branch
	kindSchedule = "schedule" // schedule:<name>
	kindReport   = "report"   // report:<project>:<sha>, what build systems say of a commit
)

// syncPool is the pool of a target's deliveries: one that hangs has workers of its
// own, and holds up neither another target nor the reports.
func syncPool(target string) string { return kindSync + ":" + target }

// reportPool is the pool of the reports of a kind to the instance that a key of
// kind sync names: a GitLab that hangs holds up no other.
func reportPool(kind, syncKey string) string {
	host, _, _ := strings.Cut(projectOf(syncKey), "/")
	return kind + ":" + host
}

// projectOf is the project's part of a key of kind sync, "<host>/<id>", or the
// path in small letters where the id is not known.
func projectOf(syncKey string) string {
	_, rest, _ := strings.Cut(syncKey, ":")
	_, rest, _ = strings.Cut(rest, ":")
	project, _, _ := strings.Cut(rest, ":refs/")
	return project
}

func statusKey(syncKey, sha string) string { return kindStatus + ":" + projectOf(syncKey) + ":" + sha }

func noteKey(syncKey string, iid int64) string {
	return kindNote + ":" + projectOf(syncKey) + ":" + strconv.FormatInt(iid, 10)
}

// reportKey is a key of kind status or note, taken apart.
type reportKey struct {
	kind, project, last string
}

func parseReportKey(key string) (reportKey, bool) {
	kind, rest, _ := strings.Cut(key, ":")
	i := strings.LastIndexByte(rest, ':')
	if i <= 0 || i == len(rest)-1 {
		return reportKey{}, false
	}
	return reportKey{kind, rest[:i], rest[i+1:]}, true
}

// rows is the choice of the deliveries that the key is about, but for those of
// another instance whose project has the same id.
func (k reportKey) rows() store.DeliveryFilter {
	f := store.DeliveryFilter{Limit: maxReported}
	_, project, _ := strings.Cut(k.project, "/")
	if f.ProjectID, _ = strconv.ParseInt(project, 10, 64); f.ProjectID == 0 {
		f.NoProjectID = true
	}
	if k.kind == kindNote {
		f.MergeRequest, _ = strconv.ParseInt(k.last, 10, 64)
	} else {
		f.SHA = k.last
	}
	return f
}

// maxReported bounds how many deliveries one report looks at, the newest first.
const maxReported = 200
