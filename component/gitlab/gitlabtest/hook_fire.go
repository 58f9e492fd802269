package gitlabtest

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fire calls every hook that a project, its groups and the instance have for an
// event, one after the other, and says what became of the calls. event is the
// X-Gitlab-Event, "Push Hook"; system hooks get it as "System Hook", with the same
// payload. Disabled hooks are not called.
func (s *Server) Fire(projectID int64, event string, payload []byte) []HookCall {
	s.mu.Lock()
	p := s.mustProject(projectID)
	places := append([]HookOf{{Project: projectID}}, s.groupPlaces(path.Dir(p.Path))...)
	s.mu.Unlock()
	return s.fire(append(places, HookOf{}), event, payload)
}

// FireGroup calls the hooks that a group and those above it have for an event of
// the group: Member Hook, Subgroup Hook, Project Hook.
func (s *Server) FireGroup(groupID int64, event string, payload []byte) []HookCall {
	s.mu.Lock()
	places := s.groupPlaces(s.mustGroup(groupID).Path)
	s.mu.Unlock()
	return s.fire(places, event, payload)
}

// groupPlaces are the groups whose hooks are called for what happens in the group
// with that path: without a licence none.
func (s *Server) groupPlaces(full string) []HookOf {
	var places []HookOf
	for _, g := range s.above(full) {
		if s.edition == Premium {
			places = append(places, HookOf{Group: g.ID})
		}
	}
	return places
}

func (s *Server) fire(places []HookOf, event string, payload []byte) []HookCall {
	e := eventWith(func(e hookEvent) bool { return e.header == event })
	if e == nil {
		panic(fmt.Sprintf("gitlabtest: GitLab has no event %q", event))
	}
	var calls []HookCall
	for _, of := range places {
		s.mu.Lock()
		hooks := s.hooksOf(of)
		s.mu.Unlock()
		for _, h := range hooks {
			if !slices.Contains(h.Events, e.flag) {
				continue
			}
			if call, made := s.deliver(h.ID, e.trigger, payload, "", false); made {
				calls = append(calls, call)
			}
		}
	}
	return calls
}

// deliver makes a call, counts it and remembers it. Without a key it is a new one;
// a disabled hook is called only by force. The lock is not held.
func (s *Server) deliver(hook int64, trigger string, payload []byte, key string, force bool) (HookCall, bool) {
	s.mu.Lock()
	h := s.hooks.all[hook]
	if h == nil || !force && s.alertStatus(h) != "executable" {
		s.mu.Unlock()
		return HookCall{}, false
	}
	if key == "" {
		key = uuid()
	}
	call := HookCall{Hook: hook, URL: h.URL, Trigger: trigger, Key: key, Payload: payload, At: s.hooks.now()}
	call.Header = s.headers(h, &call)
	verify := h.VerifyTLS
	s.mu.Unlock()

	call.send(verify)

	s.mu.Lock()
	defer s.mu.Unlock()
	call.ID = s.id(0)
	s.hooks.calls = append(s.hooks.calls, &call)
	if h := s.hooks.all[hook]; h != nil {
		s.account(h, call)
	}
	return call, true
}

// headers are those of a call: https://docs.gitlab.com/user/project/integrations/webhooks/.
func (s *Server) headers(h *Hook, call *HookCall) http.Header {
	call.Event = "System Hook"
	if e := eventWith(func(e hookEvent) bool { return e.trigger == call.Trigger }); e != nil && h.Of != (HookOf{}) {
		call.Event = e.header
	}
	set := http.Header{}
	set.Set("Content-Type", "application/json")
	set.Set("User-Agent", "GitLab/"+s.version)
	set.Set("X-Gitlab-Event", call.Event)
	set.Set("X-Gitlab-Instance", s.URL)
	set.Set("X-Gitlab-Webhook-UUID", uuid())
	set.Set("X-Gitlab-Event-UUID", uuid())
	if h.Token != "" {
		set.Set("X-Gitlab-Token", h.Token)
	}
	if s.since(17, 4) {
		set.Set("Idempotency-Key", call.Key)
	}
	if s.since(19, 0) {
		at := strconv.FormatInt(call.At.Unix(), 10)
		set.Set("webhook-id", call.Key)
		set.Set("webhook-timestamp", at)
		if secret, ok := hookKey(h.SigningToken); ok {
			mac := hmac.New(sha256.New, secret)
			fmt.Fprintf(mac, "%s.%s.%s", call.Key, at, call.Payload)
			set.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		}
	}
	return set
}

// hookKey is the key in a signing token: whsec_ and base64 of 32 bytes.
func hookKey(token string) ([]byte, bool) {
	text, marked := strings.CutPrefix(token, "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	return key, marked && err == nil && len(key) == 32
}

// send makes the call and notes the answer.
func (c *HookCall) send(verify bool) {
	c.Status = noAnswer
	req, err := http.NewRequest(http.MethodPost, c.URL, bytes.NewReader(c.Payload))
	if err != nil {
		c.Body = err.Error()
		return
	}
	req.Header = c.Header.Clone()
	client := &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: !verify}, //nolint:gosec // the hook says whether to check
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		c.Body = err.Error()
		if in := new(url.Error); errors.As(err, &in) {
			c.Body = in.Err.Error() // without the URL
		}
		return
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 8<<10))
	c.Status, c.Body = strconv.Itoa(res.StatusCode), string(body)
}

func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
