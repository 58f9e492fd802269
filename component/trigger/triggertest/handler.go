package triggertest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/trigger"
)

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	s.mu.Lock()
	s.requests = append(s.requests, Request{
		Method: r.Method, Path: r.URL.Path, Key: r.Header.Get("Idempotency-Key"), Body: string(body), Stream: wantsStream(r),
	})
	var faults []Fault
	faults, s.faults = s.faults[:min(1, len(s.faults))], s.faults[min(1, len(s.faults)):]
	s.mu.Unlock()
	switch {
	case len(faults) == 1 && faults[0].Code != 0:
		faults[0].write(w)
		return
	case len(faults) == 1: // taken, and its answer is lost
		r.Header.Set("Accept", "application/json")
		s.route(discard{http.Header{}}, r, body)
		panic(http.ErrAbortHandler)
	}
	s.route(w, r, body)
}

func (s *Server) route(w http.ResponseWriter, r *http.Request, body []byte) {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	isJob := bearer && token == s.o.IDToken && token != ""
	isBuild := bearer && token == s.o.ProjectToken && token != ""
	id, isDelivery := strings.CutPrefix(r.URL.Path, trigger.DeliveriesPath+"/")
	switch post := r.Method == http.MethodPost; {
	case !isJob && !isBuild:
		// A careless agent would repeat the token: whoever prints this is found out.
		problem(w, http.StatusUnauthorized, "the claim aud did not hold, in "+token, "")
	case isDelivery && r.Method == http.MethodGet:
		s.get(w, r, id)
	case post && (r.URL.Path == trigger.DeliveriesPath && isJob || r.URL.Path == trigger.ReportsPath):
		s.post(w, r, body, isJob)
	default:
		problem(w, http.StatusNotFound, r.Method+" "+r.URL.Path+" is nothing of this agent", "")
	}
}

func (s *Server) post(w http.ResponseWriter, r *http.Request, body []byte, isJob bool) {
	key := r.Header.Get("Idempotency-Key")
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	var ask trigger.Request
	var report trigger.Report
	var err error
	isReport := r.URL.Path == trigger.ReportsPath
	if isReport {
		err = d.Decode(&report)
	} else {
		err = d.Decode(&ask)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Header.Get("Content-Type") != "application/json":
		problem(w, http.StatusUnsupportedMediaType, "want application/json", "")
	case key == "" || len(key) > 200:
		problem(w, http.StatusBadRequest, "Idempotency-Key: missing or too long", "")
	case err != nil:
		problem(w, http.StatusUnprocessableEntity, "the body is not what is wanted: "+err.Error(), "")
	case !isReport && (ask.JobID != s.o.JobID || ask.PipelineID != s.o.PipelineID || ask.SHA != s.o.SHA):
		problem(w, http.StatusForbidden, fmt.Sprintf("the claim job_id is %d, not %d", s.o.JobID, ask.JobID), "")
	case isReport && (report.SHA == "" || report.Name == "" || report.State == "" || !isJob && report.Project == ""):
		problem(w, http.StatusUnprocessableEntity, "sha, name, state or project: missing", "")
	case s.taken[key]:
		problem(w, http.StatusConflict, "this Idempotency-Key belongs to another job", "")
	default:
		s.take(w, key, report, isReport)
	}
}

// take stores what was asked; mu is held.
func (s *Server) take(w http.ResponseWriter, key string, report trigger.Report, isReport bool) {
	id, again := s.keys[key]
	if !again {
		id = int64(100 + len(s.known))
		s.keys[key] = id
		known := trigger.Delivery{ID: id, State: "waiting", Project: s.o.Project, SHA: s.o.SHA, Targets: []trigger.Target{}}
		switch {
		case isReport:
			s.reports = append(s.reports, report)
			known.SHA, known.Targets = report.SHA, []trigger.Target{{Delivery: id, Target: report.Name, State: "waiting"}}
		case s.o.Hold:
			for _, t := range s.o.Results {
				known.Targets = append(known.Targets, trigger.Target{Delivery: t.Delivery, Target: t.Target, Place: t.Place, Optional: t.Optional, State: "waiting"})
			}
		}
		if !s.o.Hold {
			s.end(&known, isReport)
		}
		s.known = append(s.known, known)
	}
	w.Header().Set("Location", fmt.Sprintf("%s/%d", trigger.DeliveriesPath, id))
	write(w, http.StatusAccepted, s.known[id-100])
}

// end is the end of a delivery, as the options say it.
func (s *Server) end(d *trigger.Delivery, isReport bool) {
	d.Done, d.State, d.Reason = true, "done", s.o.Reason
	switch {
	case len(s.o.Results) > 0:
		d.Targets = s.o.Results
	case isReport && s.o.Nothing == "":
		d.Targets[0].State, d.Targets[0].Done = "done", true
	default:
		d.State, d.Targets = cmp.Or(s.o.Nothing, "skipped"), nil
	}
	for _, t := range d.Targets {
		if t.State == "failed" && !t.Optional {
			d.State = "failed"
		}
	}
}

// of is what is known of a delivery, and what tells of the next change.
func (s *Server) of(id string) (d trigger.Delivery, changed, cut chan struct{}, ok bool) {
	n, err := strconv.Atoi(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || n < 100 || n-100 >= len(s.known) {
		return d, nil, nil, false
	}
	select {
	case <-s.asked:
	default:
		close(s.asked)
	}
	return s.known[n-100], s.changed, s.cut, true
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, id string) {
	d, _, _, ok := s.of(id)
	switch {
	case !ok:
		problem(w, http.StatusNotFound, "there is no such delivery", "")
	case s.o.NoStreams || !wantsStream(r):
		write(w, http.StatusOK, d)
	case s.o.FullHouse:
		Fault{Code: http.StatusServiceUnavailable, Detail: "there are too many streams; ask without one", After: "5"}.write(w)
	default:
		s.stream(w, r, id)
	}
}

func wantsStream(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// stream sends the state at once and at each change, until the end.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, id string) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	beat := time.NewTicker(s.o.Heartbeat)
	defer beat.Stop()
	send := func(format string, args ...any) {
		_, _ = fmt.Fprintf(w, format, args...)
		if !s.o.HoldBack {
			_ = out.Flush()
		}
	}
	send(": remora\n\n")
	for sent := 0; ; {
		d, changed, cut, _ := s.of(id)
		if !s.o.HeartsOnly {
			text, _ := json.Marshal(d)
			send("event: delivery\ndata: %s\n\n", text)
			sent++
		}
		if d.Done && !s.o.HeartsOnly {
			return
		}
		if s.o.CutAfter > 0 && sent >= s.o.CutAfter {
			panic(http.ErrAbortHandler)
		}
		for waiting := true; waiting; {
			select {
			case <-changed:
				waiting = false
			case <-cut:
				panic(http.ErrAbortHandler)
			case <-beat.C:
				send(": heartbeat\n\n")
			case <-r.Context().Done():
				return
			}
		}
	}
}

func (f Fault) write(w http.ResponseWriter) {
	if f.After != "" {
		w.Header().Set("Retry-After", f.After)
	}
	if f.Plain != "" {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(f.Code)
		_, _ = io.WriteString(w, f.Plain)
		return
	}
	problem(w, f.Code, f.Detail, f.Remedy)
}

func problem(w http.ResponseWriter, code int, detail, remedy string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(trigger.Problem{Title: strings.ToLower(http.StatusText(code)), Status: code, Detail: detail, Remedy: remedy})
}

func write(w http.ResponseWriter, code int, d trigger.Delivery) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(d)
}

// discard is where an answer goes that is lost on its way.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
