package gitlabtest

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// hookRoutes are the routes of hooks: of projects, of groups, of the instance.
func (s *Server) hookRoutes(handle func(pattern, known string, serve func(*call) reply)) {
	for base, of := range map[string]HookOf{"/projects/{id}/hooks": {Project: 1}, "/groups/{group}/hooks": {Group: 1}, "/hooks": {}} {
		_, flags := s.flagsOf(of)
		known := "url name description token signing_token enable_ssl_verification push_events_branch_filter custom_webhook_template " + strings.Join(flags, " ")
		handle("GET "+base, paging, (*call).listHooks)
		handle("POST "+base, known, (*call).postHook)
		handle("GET "+base+"/{hook}", "", (*call).getHook)
		handle("PUT "+base+"/{hook}", known, (*call).putHook)
		handle("DELETE "+base+"/{hook}", "", (*call).deleteHook)
		if of == (HookOf{}) {
			handle("POST "+base+"/{hook}", "", (*call).testSystemHook)
			continue
		}
		handle("POST "+base+"/{hook}/test/{trigger}", "", (*call).testHook)
		handle("GET "+base+"/{hook}/events", "status "+paging, (*call).listHookCalls)
		handle("POST "+base+"/{hook}/events/{call}/resend", "", (*call).resendHookCall)
	}
}

// place is where the hooks of a call lie, if the user may have to do with them.
func (c *call) place() (HookOf, *reply) {
	admin := c.user != nil && c.hooks.admins[c.user.ID]
	switch {
	case c.user == nil:
		return HookOf{}, refuse(unauthorized())
	case c.project != nil:
		if c.level() < Maintainer && !admin {
			return HookOf{}, refuse(forbidden())
		}
		return HookOf{Project: c.project.ID}, nil
	case c.req.PathValue("group") == "":
		if !admin {
			return HookOf{}, refuse(forbidden())
		}
		return HookOf{}, nil
	case c.edition == Community:
		return HookOf{}, refuse(noRoute())
	}
	g, refused := c.findGroup()
	if refused == nil && c.groupLevelOf(g) < Owner && !admin {
		refused = refuse(forbidden())
	}
	if refused != nil {
		return HookOf{}, refused
	}
	return HookOf{Group: g.ID}, nil
}

// hook is the hook of a call.
func (c *call) hook() (*Hook, *reply) {
	of, refused := c.place()
	if refused != nil {
		return nil, refused
	}
	id, err := strconv.ParseInt(c.req.PathValue("hook"), 10, 64)
	if err != nil {
		return nil, refuse(invalid("hook_id is invalid"))
	}
	h := c.hooks.all[id]
	if h == nil || h.Of != of {
		return nil, refuse(missing())
	}
	return h, nil
}

func (c *call) showHook(h Hook) any {
	shown := fields{
		"id": h.ID, "url": h.URL, "created_at": stamp(h.ID), "enable_ssl_verification": h.VerifyTLS, "repository_update_events": false,
		"alert_status": c.alertStatus(&h), "disabled_until": nil, "url_variables": []any{}, "push_events_branch_filter": h.BranchFilter,
	}
	if h.Of != (HookOf{}) && c.since(16, 10) {
		shown["custom_webhook_template"] = h.Template
	}
	if !h.DisabledUntil.IsZero() {
		shown["disabled_until"] = h.DisabledUntil.UTC()
	}
	if c.since(17, 1) {
		shown["name"], shown["description"] = h.Name, h.Description
	}
	if c.since(19, 0) {
		shown["token_present"], shown["signing_token_present"] = h.Token != "", h.SigningToken != ""
	}
	here, _ := c.flagsOf(h.Of)
	for _, flag := range here {
		shown[flag] = slices.Contains(h.Events, flag)
	}
	return shown
}

func (c *call) listHooks() reply {
	of, refused := c.place()
	if refused != nil {
		return *refused
	}
	return paged(c, c.hooksOf(of), c.showHook)
}

func (c *call) getHook() reply {
	h, refused := c.hook()
	if refused != nil {
		return *refused
	}
	return ok(c.showHook(*h))
}

func (c *call) postHook() reply {
	of, refused := c.place()
	if refused != nil {
		return *refused
	}
	h := Hook{Of: of, Events: []string{"push_events"}, VerifyTLS: true}
	if refused := c.setHook(&h); refused != nil {
		return *refused
	}
	kind := map[string]string{"p": "project", "g": "group"}[of.letter()]
	if most, limited := c.hooks.most[kind]; limited && len(c.hooksOf(of)) >= most {
		return reply{code: 422, body: fields{"error": "Maximum number of " + kind + " hooks (" + strconv.Itoa(most) + ") exceeded"}}
	}
	return created(c.showHook(c.addHook(h)))
}

func (c *call) putHook() reply {
	h, refused := c.hook()
	if refused != nil {
		return *refused
	}
	next := *h
	if refused := c.setHook(&next); refused != nil {
		return *refused
	}
	*h = next
	return ok(c.showHook(next))
}

// setHook sets what the parameters say. What this version does not know is
// dropped. A new URL drops the secrets that do not come with it.
func (c *call) setHook(h *Hook) *reply {
	address := c.params.text("url")
	if !c.params.given("url") {
		return refuse(invalid("url is missing"))
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return refuse(reply{code: 422, body: fields{"error": "Invalid url given"}})
	}
	if address != h.URL {
		h.URL, h.Token, h.SigningToken = address, "", ""
	}
	set := func(name string, to *string, known bool) {
		if known && c.params.given(name) {
			*to = c.params.text(name)
		}
	}
	set("name", &h.Name, c.since(17, 1))
	set("description", &h.Description, c.since(17, 1))
	set("token", &h.Token, true)
	set("push_events_branch_filter", &h.BranchFilter, true)
	set("custom_webhook_template", &h.Template, h.Of != HookOf{} && c.since(16, 10))
	set("signing_token", &h.SigningToken, c.since(19, 0))
	if _, fine := hookKey(h.SigningToken); !fine && h.SigningToken != "" {
		return refuse(message(422, fields{"signing_token": []string{"must be in the format whsec_<base64> and encode a 32-byte key"}}))
	}
	if strings.ContainsAny(h.Token, "\r\n") {
		return refuse(message(422, fields{"token": []string{"is invalid"}}))
	}
	return c.setFlags(h)
}

func (c *call) setFlags(h *Hook) *reply {
	here, anywhere := c.flagsOf(h.Of)
	for _, name := range append(anywhere, "enable_ssl_verification") {
		if !c.params.given(name) {
			continue
		}
		on, err := strconv.ParseBool(c.params.text(name))
		if err != nil {
			return refuse(invalid(name + " is invalid"))
		}
		if name == "enable_ssl_verification" {
			h.VerifyTLS = on
			continue
		}
		h.Events = slices.DeleteFunc(slices.Clone(h.Events), func(e string) bool { return e == name })
		if on && slices.Contains(here, name) {
			h.Events = append(h.Events, name)
		}
	}
	slices.Sort(h.Events)
	return nil
}

func (c *call) deleteHook() reply {
	h, refused := c.hook()
	if refused != nil {
		return *refused
	}
	delete(c.hooks.all, h.ID)
	return reply{code: 204}
}
