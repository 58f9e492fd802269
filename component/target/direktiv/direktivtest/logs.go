package direktivtest

import (
	"fmt"
	"net/http"
	"time"
)

// pageSize is how many lines v0.8 answers at once.
const pageSize = 200

// linesOf are the lines that a sync logs, as its generation words them.
func (s *Server) linesOf(p *Sync) []Line {
	begin := map[Generation]string{V07: "Starting mirroring process", V085: "Mirroring process started", V0810: "Mirroring process started",
		V0100: "starting mirroring process", Main: "mirroring started"}[s.o.Generation]
	lines := append([]Line{{Level: "INFO", Msg: begin}}, p.script.Lines...)
	cause := p.script.Failure
	if cause == "" {
		return lines
	}
	switch s.o.Generation {
	case V0100:
		return append(lines, Line{"ERROR", "mirror processing failed", "initializing source: " + cause})
	case Main:
		return append(lines, Line{"ERROR", "mirroring failed 'mirroring source pull: " + cause + "'", ""})
	default:
		return append(lines, Line{"ERROR", fmt.Sprintf("Mirroring process failed initializing source: %s%%!(EXTRA string=process_id, uuid.UUID=%s)", cause, p.ID), ""})
	}
}

// Warnings are the lines by which a generation says that a workflow is broken
// although the sync is complete.
func (g Generation) Warnings(path string) []Line {
	switch g {
	case Main:
		return []Line{{"WARN", "detecing yaml failed", "yaml: line 3: did not find expected key: " + path}}
	case V0100:
		return []Line{{"WARN", "error loading possible Direktiv resource definition '" + path + "': yaml: line 3: did not find expected key", ""}}
	default:
		return []Line{{"WARN", "Error loading possible Direktiv resource definition '" + path + "': yaml: line 3: did not find expected key", ""}}
	}
}

// arrived are the lines of a sync that have reached the log store.
func (p *Sync) arrived() []Line {
	p.asked++
	if p.script.NoLogs || p.asked <= p.script.LogsAfter || p.Status == "pending" {
		return nil
	}
	return p.lines
}

func (s *Server) find(ns *namespace, id string) *Sync {
	for _, p := range ns.syncs {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// serveLogs answers in one of two shapes. An unknown id has no lines: the store
// is not the database and knows no syncs.
func (s *Server) serveLogs(w http.ResponseWriter, r *http.Request, name string) {
	ns := s.namespaces[name]
	if ns == nil {
		unknownNamespace(w)
		return
	}
	if s.logsDown && !s.o.Generation.oldLogs() {
		fault(w, http.StatusInternalServerError, "internal", "internal server error")
		return
	}
	id := r.URL.Query().Get("activity")
	var lines []Line
	var at time.Time
	if p := s.find(ns, id); p != nil && !s.logsDown {
		lines, at = p.arrived(), p.Created
	}
	if s.o.Generation.oldLogs() {
		s.oldLogs(w, r, id, lines, at)
		return
	}
	data := []map[string]any{}
	for i, l := range lines {
		entry := map[string]any{"time": at.Add(time.Duration(i) * time.Millisecond), "msg": l.Msg, "level": l.Level, "namespace": name}
		if l.Error != "" {
			entry["error"] = l.Error
		}
		data = append(data, entry)
	}
	answer(w, data)
}

// oldLogs answers the last page, or the one before the time asked for.
func (s *Server) oldLogs(w http.ResponseWriter, r *http.Request, id string, lines []Line, at time.Time) {
	end := len(lines)
	if before, err := time.Parse(time.RFC3339Nano, r.URL.Query().Get("before")); err == nil {
		end = min(max(int(before.Sub(at)/time.Millisecond), 0), len(lines))
	}
	first := max(end-pageSize, 0)
	data := []map[string]any{}
	for i := first; i < end; i++ {
		data = append(data, map[string]any{"id": i + 1, "time": at.Add(time.Duration(i) * time.Millisecond), "msg": lines[i].Msg, "level": lines[i].Level,
			"namespace": nil, "trace": "", "span": "", "activity": map[string]any{"id": id}, "error": nil})
	}
	meta := map[string]any{"previousPage": nil, "startingFrom": nil}
	if first > 0 {
		meta["previousPage"] = at.Add(time.Duration(first) * time.Millisecond).Format(time.RFC3339Nano)
	}
	if len(data) > 0 {
		meta["startingFrom"] = at.Add(time.Duration(end) * time.Millisecond).Format(time.RFC3339Nano)
	}
	writeJSON(w, http.StatusOK, map[string]any{"meta": meta, "data": data})
}
