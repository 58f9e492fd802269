package direktivtest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"
)

func answer(w http.ResponseWriter, data any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

// fault is an error of v2, whose code is a word.
func fault(w http.ResponseWriter, status int, code, message string) {
	invalid(w, status, code, message, nil)
}

func invalid(w http.ResponseWriter, status int, code, message string, fields map[string]string) {
	e := map[string]any{"code": code, "message": message}
	if fields != nil {
		e["validation"] = fields
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": e})
}

// allowed checks the key; what it refuses it has answered.
func (s *Server) allowed(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case s.o.Enterprise:
		return s.allowedEnterprise(w, r)
	case s.o.Key == "" || !s.o.Generation.checksKey():
		return true
	case r.Header.Get("Direktiv-Token") == s.o.Key:
		return true
	}
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

func (s *Server) allowedEnterprise(w http.ResponseWriter, r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !ok:
		fault(w, http.StatusForbidden, "access_token_missing", "access token is missing")
	case token != s.o.Key || r.Header.Get("Direktiv-Api-Key") != "" || r.Header.Get("Direktiv-Token") != "":
		fault(w, http.StatusForbidden, "access_token_invalid", "access token is invalid")
	default:
		return true
	}
	return false
}

func (s *Server) serveV2(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	if path == "status" && s.o.Generation != V085 {
		answer(w, map[string]any{"version": "", "isEnterprise": s.o.Enterprise, "requiresAuth": s.o.Key != ""})
		return
	}
	if !s.allowed(w, r) {
		return
	}
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	switch {
	case path == "version" && s.o.Generation == V085:
		answer(w, "dev2")
	case len(parts) == 1 && parts[0] == "namespaces":
		s.serveNamespaces(w, r, body)
	case len(parts) == 2 && parts[0] == "namespaces" && parts[1] != "":
		s.serveNamespace(w, r, parts[1], body)
	case len(parts) == 3 && parts[0] == "namespaces" && parts[2] == "syncs":
		s.serveSyncs(w, r, parts[1])
	case len(parts) == 3 && parts[0] == "namespaces" && parts[2] == "logs" && r.Method == http.MethodGet:
		s.serveLogs(w, r, parts[1])
	default:
		fault(w, http.StatusNotFound, "request_path_not_found", "request http path is not found")
	}
}

func (s *Server) wrongMethod(w http.ResponseWriter) {
	code := http.StatusMethodNotAllowed
	if s.o.Generation == Main {
		code = http.StatusBadRequest
	}
	fault(w, code, "request_method_not_allowed", "request http method is not allowed")
}

func unknownNamespace(w http.ResponseWriter) {
	fault(w, http.StatusNotFound, "resource_not_found", "requested resource(namespace) is not found")
}

func (s *Server) serveSyncs(w http.ResponseWriter, r *http.Request, name string) {
	ns := s.namespaces[name]
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		s.wrongMethod(w)
	case ns == nil:
		unknownNamespace(w)
	case r.Method == http.MethodPost:
		s.trigger(w, ns)
	default:
		s.step(ns)
		list := []process{}
		for _, p := range ns.syncs {
			list = append(list, wire(p))
		}
		answer(w, list)
	}
}

func (s *Server) trigger(w http.ResponseWriter, ns *namespace) {
	if s.refused > 0 {
		s.refused--
		panic(http.ErrAbortHandler)
	}
	if ns.mirror == nil {
		fault(w, http.StatusNotFound, "resource_not_found", "requested resource is not found")
		return
	}
	if s.broken > 0 {
		s.broken--
		fault(w, http.StatusInternalServerError, "internal", "internal server error")
		return
	}
	p, busy := s.start(ns, "sync")
	if busy {
		fault(w, http.StatusInternalServerError, "internal", "internal server error")
		return
	}
	if s.lost > 0 {
		s.lost--
		panic(http.ErrAbortHandler)
	}
	answer(w, wire(p))
}

// process is a sync on the wire. A sync that has not ended has the year 1 as its
// end: never null, never absent.
type process struct {
	ID        string    `json:"id"`
	Status    string    `json:"status"`
	EndedAt   time.Time `json:"endedAt"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func wire(p *Sync) process { return process{p.ID, p.Status, p.Ended, p.Created, p.Updated} }

// mirrorBody are the fields of a mirror in a request; nil is "not sent".
type mirrorBody struct {
	URL                  *string `json:"url"`
	GitRef               *string `json:"gitRef"`
	AuthType             *string `json:"authType"`
	AuthToken            *string `json:"authToken"`
	PublicKey            *string `json:"publicKey"`
	PrivateKey           *string `json:"privateKey"`
	PrivateKeyPassphrase *string `json:"privateKeyPassphrase"`
	Insecure             *bool   `json:"insecure"`
}

func (b mirrorBody) onto(m *Mirror) {
	set := func(dst *string, v *string) {
		if v != nil {
			*dst = *v
		}
	}
	set(&m.URL, b.URL)
	set(&m.GitRef, b.GitRef)
	set(&m.AuthToken, b.AuthToken)
	set(&m.PublicKey, b.PublicKey)
	set(&m.PrivateKey, b.PrivateKey)
	set(&m.Passphrase, b.PrivateKeyPassphrase)
	if b.Insecure != nil {
		m.Insecure = *b.Insecure
	}
}

func (m *Mirror) problems(authType string) map[string]string {
	p := map[string]string{}
	if m.URL == "" {
		p["url"] = "field is required"
	}
	if m.GitRef == "" {
		p["gitRef"] = "field is required"
	}
	if authType == "ssh" && m.PublicKey == "" {
		p["publicKey"] = "field is required"
	}
	switch authType {
	case "", "public", "token", "ssh":
	default:
		p["authType"] = "unknown value"
	}
	if len(p) == 0 {
		return nil
	}
	return p
}

// answerOf is a namespace as GET shows it: no secret, and an authType that is
// derived from which secrets are set.
func (s *Server) answerOf(ns *namespace) map[string]any {
	data := map[string]any{"name": ns.name, "createdAt": ns.created, "updatedAt": ns.created, "isSystemNamespace": ns.name == "system", "mirror": nil}
	if m := ns.mirror; m != nil {
		mirror := map[string]any{"url": m.URL, "gitRef": m.GitRef, "insecure": m.Insecure, "createdAt": m.Created, "updatedAt": m.Updated}
		switch {
		case s.o.Generation == V085:
		case m.PublicKey != "":
			mirror["authType"], mirror["publicKey"] = "ssh", m.PublicKey
		case m.AuthToken != "":
			mirror["authType"] = "token"
		default:
			mirror["authType"] = "public"
		}
		data["mirror"] = mirror
	}
	return data
}

var validName = regexp.MustCompile(`^[a-z](([a-z0-9_\-\.]*[a-z0-9])|[a-z0-9]*)$`)

func (s *Server) serveNamespaces(w http.ResponseWriter, r *http.Request, body []byte) {
	switch r.Method {
	case http.MethodGet:
		list := []any{}
		for _, ns := range s.namespaces {
			list = append(list, s.answerOf(ns))
		}
		answer(w, list)
	case http.MethodPost:
		s.create(w, body)
	default:
		s.wrongMethod(w)
	}
}

func (s *Server) create(w http.ResponseWriter, body []byte) {
	var in struct {
		Name   string      `json:"name"`
		Mirror *mirrorBody `json:"mirror"`
	}
	if !decode(w, body, &in) {
		return
	}
	switch {
	case !validName.MatchString(in.Name):
		fault(w, http.StatusBadRequest, "request_data_invalid", "invalid namespace name")
		return
	case s.namespaces[in.Name] != nil:
		fault(w, http.StatusBadRequest, "request_data_invalid", "namespace name already used")
		return
	}
	ns := &namespace{name: in.Name, created: s.o.Now().UTC()}
	if in.Mirror != nil {
		m := &Mirror{AuthType: text(in.Mirror.AuthType), Created: ns.created, Updated: ns.created}
		in.Mirror.onto(m)
		if p := m.problems(m.AuthType); p != nil {
			invalid(w, http.StatusBadRequest, "request_data_invalid", "request data has invalid fields", p)
			return
		}
		ns.mirror = m
	}
	s.namespaces[in.Name] = ns
	answer(w, s.answerOf(ns))
}

func (s *Server) serveNamespace(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	ns := s.namespaces[name]
	if ns == nil {
		unknownNamespace(w)
		return
	}
	switch r.Method {
	case http.MethodGet:
		answer(w, s.answerOf(ns))
	case http.MethodDelete:
		delete(s.namespaces, name)
	case http.MethodPatch:
		s.patch(w, ns, body)
	default:
		s.wrongMethod(w)
	}
}

// patch changes the fields that are sent. Without a mirror in the body it
// deletes the mirror, and answers 200 with an empty body.
func (s *Server) patch(w http.ResponseWriter, ns *namespace, body []byte) {
	var in struct {
		Mirror *mirrorBody `json:"mirror"`
	}
	if !decode(w, body, &in) {
		return
	}
	if in.Mirror == nil {
		ns.mirror = nil
		return
	}
	m := Mirror{AuthType: text(in.Mirror.AuthType), Created: s.o.Now().UTC()}
	if ns.mirror != nil {
		m = *ns.mirror // authType stays what it was at creation
	}
	in.Mirror.onto(&m)
	if p := m.problems(text(in.Mirror.AuthType)); p != nil {
		invalid(w, http.StatusBadRequest, "request_data_invalid", "request data has invalid fields", p)
		return
	}
	m.Updated = s.o.Now().UTC()
	ns.mirror = &m
	answer(w, s.answerOf(ns))
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func decode(w http.ResponseWriter, body []byte, v any) bool {
	switch err := json.Unmarshal(body, v); err.(type) {
	case nil:
		return true
	case *json.UnmarshalTypeError:
		fault(w, http.StatusBadRequest, "request_body_bad_json_schema", "request payload has bad json schema")
	default:
		fault(w, http.StatusBadRequest, "request_body_not_json", "couldn't parse request payload in json format")
	}
	return false
}
