package direktivtest

import (
	"encoding/json"
	"net/http"
	"strings"
)

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// oldFault is an error of the legacy API, whose code is a number.
func oldFault(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"code": status, "message": message})
}

func (s *Server) serveLegacy(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	if !s.allowed(w, r) {
		return
	}
	parts := strings.SplitN(path, "/", 4)
	switch {
	case len(parts) < 2 || parts[0] != "namespaces" || parts[1] == "":
		s.outside(w)
	case len(parts) == 2 && r.Method == http.MethodPut:
		s.oldCreate(w, parts[1], body)
	case len(parts) == 2 && r.Method == http.MethodDelete:
		delete(s.namespaces, parts[1])
	case len(parts) >= 3 && parts[2] == "tree":
		s.serveTree(w, r, parts[1], body)
	case len(parts) == 4 && parts[2] == "activities" && s.o.Generation == V07:
		s.serveActivity(w, r, parts[1], parts[3])
	default:
		s.outside(w)
	}
}

// serveTree takes any path below tree: since v0.8 it means the namespace.
func (s *Server) serveTree(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	op := r.Method + " " + r.URL.Query().Get("op")
	switch op {
	case "POST sync-mirror", "GET mirror-info", "POST update-mirror":
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	ns := s.namespaces[name]
	if ns == nil || ns.mirror == nil {
		oldFault(w, http.StatusNotFound, "ErrNotFound")
		return
	}
	switch op {
	case "POST sync-mirror":
		s.oldTrigger(w, ns)
	case "POST update-mirror":
		s.oldUpdate(w, ns, body)
	default:
		s.mirrorInfo(w, ns)
	}
}

func (s *Server) oldTrigger(w http.ResponseWriter, ns *namespace) {
	if s.refused > 0 {
		s.refused--
		panic(http.ErrAbortHandler)
	}
	if s.broken > 0 {
		s.broken--
		s.oldBusy(w)
		return
	}
	if _, busy := s.start(ns, "sync"); busy {
		s.oldBusy(w)
		return
	}
	if s.lost > 0 {
		s.lost--
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) oldBusy(w http.ResponseWriter) {
	if s.o.Generation == V07 {
		oldFault(w, http.StatusInternalServerError, "mirror operations are already underway")
		return
	}
	oldFault(w, http.StatusInternalServerError, "a mirroring process is already being executed on this namespace")
}

// hidden is how the legacy API shows a secret that is set.
func hidden(secret string) string {
	if secret == "" {
		return ""
	}
	return "-"
}

// mirrorInfo lists the processes, of v0.7 newest first, to teach a client to
// sort them.
func (s *Server) mirrorInfo(w http.ResponseWriter, ns *namespace) {
	s.step(ns)
	m := ns.mirror
	results := []map[string]any{}
	for _, p := range ns.syncs {
		results = append(results, map[string]any{"id": p.ID, "type": p.Type, "status": p.Status, "createdAt": p.Created, "updatedAt": p.Updated})
	}
	if s.o.Generation == V07 {
		for i, j := 0, len(results)-1; i < j; i, j = i+1, j-1 {
			results[i], results[j] = results[j], results[i]
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"namespace": ns.name,
		"info": map[string]any{"url": m.URL, "ref": m.GitRef, "cron": m.Cron, "publicKey": m.PublicKey, "lastSync": nil,
			"privateKey": hidden(m.PrivateKey), "passphrase": hidden(m.Passphrase), "insecure": m.Insecure},
		"activities": map[string]any{"pageInfo": map[string]any{"total": len(results)}, "results": results},
	})
}

type oldMirror struct {
	URL        string `json:"url"`
	Ref        string `json:"ref"`
	Cron       string `json:"cron"`
	PublicKey  string `json:"publicKey"`
	PrivateKey string `json:"privateKey"`
	Passphrase string `json:"passphrase"`
	Insecure   bool   `json:"insecure"`
}

func (o oldMirror) mirror() *Mirror {
	return &Mirror{URL: o.URL, GitRef: o.Ref, Cron: o.Cron, PublicKey: o.PublicKey, PrivateKey: o.PrivateKey, Passphrase: o.Passphrase, Insecure: o.Insecure}
}

// oldCreate makes a namespace; a mirror starts a first process by itself.
func (s *Server) oldCreate(w http.ResponseWriter, name string, body []byte) {
	if s.namespaces[name] != nil {
		oldFault(w, http.StatusConflict, "resource already exists")
		return
	}
	ns := &namespace{name: name, created: s.o.Now().UTC()}
	if len(body) > 0 {
		var in oldMirror
		if err := json.Unmarshal(body, &in); err != nil {
			oldFault(w, http.StatusBadRequest, "invalid request body")
			return
		}
		ns.mirror = in.mirror()
	}
	s.namespaces[name] = ns
	if ns.mirror != nil {
		s.add(ns, "init", Script{})
	}
	writeJSON(w, http.StatusOK, map[string]any{"namespace": map[string]any{"name": name, "createdAt": ns.created, "updatedAt": ns.created}})
}

// oldUpdate replaces the mirror, except where the body has "-", and starts a
// sync by itself.
func (s *Server) oldUpdate(w http.ResponseWriter, ns *namespace, body []byte) {
	var in oldMirror
	if err := json.Unmarshal(body, &in); err != nil {
		oldFault(w, http.StatusBadRequest, "invalid request body")
		return
	}
	if s.running(ns) {
		s.oldBusy(w)
		return
	}
	m := in.mirror()
	for _, f := range []struct{ to, old *string }{{&m.URL, &ns.mirror.URL}, {&m.GitRef, &ns.mirror.GitRef}, {&m.Cron, &ns.mirror.Cron},
		{&m.PublicKey, &ns.mirror.PublicKey}, {&m.PrivateKey, &ns.mirror.PrivateKey}, {&m.Passphrase, &ns.mirror.Passphrase}} {
		if *f.to == "-" {
			*f.to = *f.old
		}
	}
	ns.mirror = m
	s.start(ns, "sync")
}

// serveActivity answers activities/{id}/logs, which v0.8.4 dropped.
func (s *Server) serveActivity(w http.ResponseWriter, r *http.Request, name, rest string) {
	id, ok := strings.CutSuffix(rest, "/logs")
	ns := s.namespaces[name]
	if !ok || ns == nil || r.Method != http.MethodGet {
		s.outside(w)
		return
	}
	p := s.find(ns, id)
	if p == nil {
		oldFault(w, http.StatusNotFound, "ErrNotFound")
		return
	}
	results := []map[string]any{}
	for _, l := range p.arrived() {
		results = append(results, map[string]any{"t": p.Created, "level": strings.ToLower(l.Level), "msg": l.Msg, "tags": map[string]string{}})
	}
	writeJSON(w, http.StatusOK, map[string]any{"namespace": name, "activity": id, "pageInfo": map[string]any{"total": len(results)}, "results": results})
}
