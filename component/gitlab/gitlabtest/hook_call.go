package gitlabtest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	callsPerMinute = 5  // tests, and resends, of one user in one project or group
	mostPerPage    = 20 // calls of a hook
	remembered     = 7 * 24 * time.Hour
)

// tooMany counts a request and refuses the sixth of a minute, without headers.
func (c *call) tooMany(kind string, of HookOf) *reply {
	key := fmt.Sprint(kind, of, c.user.ID)
	w := c.hooks.windows[key]
	if now := c.hooks.now(); w == nil || now.Sub(w.began) >= time.Minute {
		w = &window{began: now}
		c.hooks.windows[key] = w
	}
	if w.n++; w.n > callsPerMinute {
		return refuse(message(429, fields{"error": "This endpoint has been requested too many times. Try again later."}))
	}
	return nil
}

// testHook calls a hook with an example, also if it is disabled.
func (c *call) testHook() reply {
	since := c.since(16, 11)
	if c.project == nil {
		since = c.since(17, 1)
	}
	if !since {
		return noRoute()
	}
	h, refused := c.hook()
	if refused != nil {
		return *refused
	}
	flag := c.req.PathValue("trigger")
	e := eventWith(func(e hookEvent) bool { return e.flag == flag && strings.Contains(e.of, "p") })
	if e == nil {
		return invalid("trigger does not have a valid value")
	}
	if refused := c.tooMany("test", h.Of); refused != nil {
		return *refused
	}
	payload, fine := c.example(h.Of, e)
	if !fine {
		return message(422, "Ensure the project has at least one commit.")
	}
	made := c.deliverUnlocked(h.ID, e.trigger, payload, "")
	if made.Status[0] != '2' {
		return message(422, made.Body)
	}
	return created(fields{"message": "201 Created"})
}

// testSystemHook calls a hook with an example, and does not mind what it answers.
func (c *call) testSystemHook() reply {
	h, refused := c.hook()
	if refused != nil {
		return *refused
	}
	data := fields{"event_name": "project_create", "name": "Ruby", "path": "ruby", "project_id": 1, "owner_name": "Someone", "owner_email": "example@gitlabhq.com"}
	payload, _ := json.Marshal(data)
	c.deliverUnlocked(h.ID, "system_hooks", payload, "")
	return created(data)
}

// deliverUnlocked delivers while others are served: the receiver may ask GitLab.
func (c *call) deliverUnlocked(hook int64, trigger string, payload []byte, key string) HookCall {
	c.mu.Unlock()
	defer c.mu.Lock()
	made, _ := c.deliver(hook, trigger, payload, key, true)
	return made
}

// example is the payload of a test: of the project of the hook, or of the first
// one of its group.
func (c *call) example(of HookOf, e *hookEvent) ([]byte, bool) {
	p := c.projects[of.Project]
	if of.Group != 0 {
		full := c.groups[of.Group].Path
		for _, other := range c.projects {
			if path.Dir(other.Path) == full && (p == nil || other.ID < p.ID) {
				p = other
			}
		}
	}
	pushes := e.flag == "push_events" || e.flag == "tag_push_events"
	if p == nil || pushes && p.branches[p.DefaultBranch] == "" {
		return nil, false
	}
	head := p.branches[p.DefaultBranch]
	payload, _ := json.Marshal(fields{
		"object_kind": e.kind(), "event_name": e.kind(), "project_id": p.ID,
		"ref": "refs/heads/" + p.DefaultBranch, "before": head, "after": head, "checkout_sha": head,
		"project":           fields{"id": p.ID, "path_with_namespace": p.Path, "web_url": c.URL + "/" + p.Path, "default_branch": p.DefaultBranch},
		"object_attributes": fields{"id": 1, "iid": 1, "ref": p.DefaultBranch, "sha": head},
		"commits":           []any{}, "total_commits_count": 0,
	})
	return payload, true
}

func (c *call) listHookCalls() reply {
	if !c.since(17, 3) {
		return noRoute()
	}
	h, refused := c.hook()
	if refused != nil {
		return *refused
	}
	if n, fine := c.params.number("per_page"); !fine || n > mostPerPage {
		return invalid("per_page does not have a valid value")
	}
	wanted := func(string) bool { return true }
	if c.params.given("status") {
		filter := strings.Split(c.params.text("status"), ",")
		wanted = func(status string) bool {
			return slices.ContainsFunc(filter, func(f string) bool { return fits(f, status) })
		}
	}
	var list []*HookCall
	for _, call := range slices.Backward(c.hooks.calls) {
		if call.Hook == h.ID && wanted(call.Status) && c.hooks.now().Sub(call.At) < remembered {
			list = append(list, call)
		}
	}
	return paged(c, list, c.showHookCall)
}

// fits says whether a status is what a filter names.
func fits(filter, status string) bool {
	switch filter {
	case "successful":
		return status[0] == '2'
	case "client_failure":
		return status[0] == '4'
	case "server_failure":
		return status[0] == '5' || status == noAnswer
	}
	return filter == status
}

func (c *call) showHookCall(call *HookCall) any {
	headers := fields{}
	for name := range call.Header {
		headers[name] = call.Header.Get(name)
		if strings.EqualFold(name, "X-Gitlab-Token") {
			headers[name] = "[REDACTED]"
		}
	}
	if c.since(17, 4) {
		headers["Idempotency-Key"] = call.Key
	}
	address := call.URL
	if u, err := url.Parse(call.URL); err == nil && u.User != nil {
		u.User = url.UserPassword("*****", "*****")
		address = strings.ReplaceAll(u.String(), "%2A", "*")
	}
	var data any = fields{}
	if json.Valid(call.Payload) {
		data = json.RawMessage(call.Payload)
	}
	return fields{
		"id": call.ID, "url": address, "trigger": call.Trigger, "request_headers": headers, "request_data": data,
		"response_headers": fields{}, "response_body": call.Body, "execution_duration": 0.1, "response_status": call.Status,
		"created_at": call.At.UTC(),
	}
}

// resendHookCall sends a call again with its key, and a new time.
func (c *call) resendHookCall() reply {
	if !c.since(17, 4) {
		return noRoute()
	}
	h, refused := c.hook()
	if refused != nil {
		return *refused
	}
	if refused := c.tooMany("resend", h.Of); refused != nil {
		return *refused
	}
	id, _ := strconv.ParseInt(c.req.PathValue("call"), 10, 64)
	i := slices.IndexFunc(c.hooks.calls, func(call *HookCall) bool { return call.ID == id && call.Hook == h.ID })
	switch {
	case i < 0:
		return missing()
	case c.hooks.calls[i].URL != h.URL:
		return message(422, "The hook URL has changed, and this log entry cannot be retried")
	case c.alertStatus(h) != "executable":
		return message(422, "Hook disabled")
	}
	old := *c.hooks.calls[i]
	made := c.deliverUnlocked(h.ID, old.Trigger, old.Payload, old.Key)
	if made.Status == noAnswer {
		return message(422, made.Body)
	}
	status, _ := strconv.Atoi(made.Status)
	return created(fields{"response_status": status})
}
