package gitlabtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"time"
)

// route is what is known of one method and path.
type route struct {
	known []string // parameters
	serve func(*call) reply
}

// call is one request being served. The server's lock is held.
type call struct {
	*Server
	req     *http.Request
	entry   Request
	params  params
	user    *User // nil: anonymous
	kind    Kind
	project *project
	mr      *mergeRequest
}

// reply is an answer; pages of a list have elements.
type reply struct {
	code   int
	body   any
	header http.Header
}

type fields = map[string]any

// message is an error as GitLab words most: {"message": …}.
func message(code int, what any) reply { return reply{code: code, body: fields{"message": what}} }

// invalid is an error in the parameters: {"error": …}.
func invalid(what string) reply { return reply{code: 400, body: fields{"error": what}} }

func notFound(what string) reply { return message(404, "404 "+what+" Not Found") }

// missing is the answer where GitLab looks a record up by its id.
func missing() reply { return message(404, "404 Not found") }

func forbidden() reply { return message(403, "403 Forbidden") }

func unauthorized() reply { return message(401, "401 Unauthorized") }

func ok(body any) reply      { return reply{code: 200, body: body} }
func created(body any) reply { return reply{code: 201, body: body} }

// serve runs a route: it writes the log, obeys faults and hooks, checks the
// token and the parameters, then calls the route.
func (s *Server) serve(rt *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entry := s.read(r)
		logged := new(entry)
		s.mu.Lock()
		s.log = append(s.log, logged)
		planned := s.planned(entry)
		before := s.before
		s.mu.Unlock()
		if before != nil {
			before(entry)
		}
		if planned != nil && !planned.After && planned.effective() {
			s.done(logged, planned.Code)
			planned.write(w, r)
			return
		}
		answer := httptest.NewRecorder()
		s.answer(rt, r, entry, answer)
		s.done(logged, answer.Code)
		if planned != nil && planned.effective() {
			planned.write(w, r)
			return
		}
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// done records the code of an answer.
func (s *Server) done(logged *Request, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	logged.Code = code
}

func (s *Server) answer(rt *route, r *http.Request, entry Request, w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &call{Server: s, req: r, entry: entry}
	out := c.throttled(w.Header())
	if out == nil {
		out = refuse(c.run(rt))
	}
	for k, v := range out.header {
		w.Header()[k] = v
	}
	if text, plain := out.body.(string); plain {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(out.code)
		_, _ = w.Write([]byte(text))
		return
	}
	if out.code == http.StatusNoContent {
		w.WriteHeader(out.code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(out.code)
	_ = json.NewEncoder(w).Encode(out.body)
}

// throttled counts a call, and refuses it when there were too many.
func (c *call) throttled(h http.Header) *reply {
	l := &c.limits
	if l.calls == 0 {
		return nil
	}
	l.called++
	reset := strconv.FormatInt(time.Now().Add(l.wait).Unix(), 10)
	for name, v := range map[string]string{
		"Limit": strconv.Itoa(l.calls), "Name": "throttle_authenticated_api", "Observed": strconv.Itoa(l.called),
		"Remaining": strconv.Itoa(max(l.calls-l.called, 0)), "Reset": reset,
	} {
		h.Set("RateLimit-"+name, v)
	}
	if l.called <= l.calls {
		return nil
	}
	l.called = 0
	h.Set("Retry-After", strconv.Itoa(int(l.wait.Seconds())))
	return &reply{code: http.StatusTooManyRequests, body: "Retry later\n"}
}

func (c *call) run(rt *route) reply {
	if len(c.req.URL.RequestURI()) > 8192 {
		return reply{code: http.StatusRequestURITooLong, body: "URI Too Long"}
	}
	if refused := c.refuseSecrets(); refused != nil {
		return *refused
	}
	if refused := c.authenticate(); refused != nil {
		return *refused
	}
	if rt.known == nil && c.req.PathValue("id") == "" {
		return rt.serve(c)
	}
	var refused *reply
	if c.params, refused = parse(c.entry, rt.known); refused != nil {
		return *refused
	}
	if c.req.PathValue("id") != "" {
		if refused := c.findProject(); refused != nil {
			return *refused
		}
	}
	if c.req.PathValue("iid") != "" {
		if refused := c.findMergeRequest(); refused != nil {
			return *refused
		}
	}
	return rt.serve(c)
}

// refuseSecrets refuses a token in the query, which GitLab would take but every
// proxy would log.
func (c *call) refuseSecrets() *reply {
	for _, name := range []string{"private_token", "access_token", "job_token", "token"} {
		if c.entry.Query.Has(name) {
			c.leaks = append(c.leaks, c.entry.Method+" "+c.entry.Path+"?"+name)
			out := invalid(name + " in the query")
			return &out
		}
	}
	return nil
}

func (c *call) self() reply {
	if c.user == nil || c.kind == Job {
		return unauthorized()
	}
	return ok(fields{"id": c.user.ID, "username": c.user.Username, "name": c.user.Username, "state": "active", "bot": c.user.Bot})
}

// has says whether list holds s.
func has(list []string, s string) bool { return slices.Contains(list, s) }
