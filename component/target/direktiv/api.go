package direktiv

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/rest"
)

// api is one generation of Direktiv's API, as far as a sync needs it. Errors are
// those of package rest, and broken; the caller explains them.
type api interface {
	// list gives the syncs of the namespace and the server's clock.
	list(ctx context.Context) ([]process, time.Time, error)
	// start begins a sync. The id is empty where the API does not tell it.
	start(ctx context.Context) (id string, a *rest.Answer, err error)
	// logs gives the lines of a sync that have arrived, oldest first.
	logs(ctx context.Context, id string) ([]line, error)
}

// process is a sync as Direktiv lists it.
type process struct {
	id, status string
	created    time.Time
}

// The statuses that are known; any other is waited on.
const (
	pending   = "pending"
	executing = "executing"
	complete  = "complete"
	failed    = "failed"
)

func (p process) ended() bool   { return p.status == complete || p.status == failed }
func (p process) running() bool { return p.status == pending || p.status == executing }

func find(list []process, id string) (process, bool) {
	for _, p := range list {
		if p.id == id {
			return p, true
		}
	}
	return process{}, false
}

// clock is the time of an answer, by the server's clock.
func clock(a *rest.Answer) time.Time {
	if t, err := http.ParseTime(a.Header.Get("Date")); err == nil {
		return t
	}
	return time.Now()
}

// apiV2 is the API of v0.8.5 and later: namespaces/{namespace}/syncs.
//
// https://docs.direktiv.io/api/
type apiV2 struct {
	call      *caller
	namespace string
}

func (v *apiV2) namespacePath() string { return "/api/v2/namespaces/" + url.PathEscape(v.namespace) }
func (v *apiV2) syncsPath() string     { return v.namespacePath() + "/syncs" }

func (v *apiV2) logsPath(id string) string {
	return v.namespacePath() + "/logs?activity=" + url.QueryEscape(id)
}

type processV2 struct {
	ID        string `json:"id"`
	Status    string `json:"status"`
	CreatedAt moment `json:"createdAt"`
}

// moment is a time that only explains: one in a form nobody knows is no reason to
// refuse the answer that it stands in.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &m.Time) != nil {
		m.Time = time.Time{}
	}
	return nil
}

var errNoID = errors.New("no id in the answer")

func (v *apiV2) list(ctx context.Context) ([]process, time.Time, error) {
	a, err := v.call.do(ctx, http.MethodGet, v.syncsPath(), nil)
	if err != nil {
		return nil, time.Time{}, err
	}
	var in object[[]processV2]
	if err := read(a, &in); err != nil {
		return nil, time.Time{}, err
	}
	list := make([]process, 0, len(in.Data))
	for _, p := range in.Data {
		if p.ID == "" {
			return nil, time.Time{}, &broken{a, errNoID}
		}
		list = append(list, process{p.ID, p.Status, p.CreatedAt.Time})
	}
	return list, clock(a), nil
}

func (v *apiV2) start(ctx context.Context) (string, *rest.Answer, error) {
	a, err := v.call.do(ctx, http.MethodPost, v.syncsPath(), nil)
	if err != nil {
		return "", a, err
	}
	var in object[processV2]
	if err := read(a, &in); err != nil {
		return "", a, err
	}
	if in.Data.ID == "" {
		return "", a, &broken{a, errNoID}
	}
	return in.Data.ID, a, nil
}

// apiLegacy is the API of v0.6.6 to v0.8.5: namespaces/{namespace}/tree?op=…. It
// tells no id when a sync is started.
type apiLegacy struct {
	call      *caller
	namespace string
	directory string
}

func (l *apiLegacy) treePath(op string) string {
	return "/api/namespaces/" + url.PathEscape(l.namespace) + "/tree" + l.directory + "?op=" + op
}

// mirrorInfo is what the legacy API says of a mirror and its syncs.
type mirrorInfo struct {
	Info       *oldMirror `json:"info"`
	Activities struct {
		Results []struct {
			ID        string `json:"id"`
			Type      string `json:"type"`
			Status    string `json:"status"`
			CreatedAt moment `json:"createdAt"`
		} `json:"results"`
	} `json:"activities"`
}

func (l *apiLegacy) info(ctx context.Context) (*mirrorInfo, *rest.Answer, error) {
	a, err := l.call.do(ctx, http.MethodGet, l.treePath("mirror-info"), nil)
	if err != nil {
		return nil, a, err
	}
	var in mirrorInfo
	if err := read(a, &in); err != nil {
		return nil, a, err
	}
	if in.Info == nil {
		return nil, a, &broken{a, errors.New("no mirror in the answer")}
	}
	return &in, a, nil
}

func (l *apiLegacy) list(ctx context.Context) ([]process, time.Time, error) {
	info, a, err := l.info(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	list, err := info.processes(a)
	return list, clock(a), err
}

// processes are sorted here: v0.7 and v0.8 differ in the order they send.
func (m *mirrorInfo) processes(a *rest.Answer) ([]process, error) {
	var list []process
	for _, p := range m.Activities.Results {
		if p.ID == "" {
			return nil, &broken{a, errNoID}
		}
		// Locking and reconfiguring are listed too; only init and the syncs clone.
		if p.Type == "" || p.Type == "init" || strings.Contains(p.Type, "sync") {
			list = append(list, process{p.ID, p.Status, p.CreatedAt.Time})
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].created.Before(list[j].created) })
	return list, nil
}

func (l *apiLegacy) start(ctx context.Context) (string, *rest.Answer, error) {
	a, err := l.call.do(ctx, http.MethodPost, l.treePath("sync-mirror&force=true"), nil)
	return "", a, err
}
