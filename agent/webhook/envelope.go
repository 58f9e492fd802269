package webhook

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"gitlab.com/remora-ci/remora/agent/store"
)

// Envelope is what has to be known of a webhook to store and to find it. What a
// body does not say is empty.
type Envelope struct {
	// IdempotencyKey is the header of that name, or webhook-id, which is the one
	// that a signature covers; or "sha256:…" of the body.
	IdempotencyKey string

	Kind      string // object_kind, else event_name; [Unknown] where there is neither
	Project   string // full path
	ProjectID int64  // as the body says; a token proves the path, not the number
	Group     bool   // the event is a group's: it has no project
	Ref       string // short: main, v1.2.0
	Tag       bool   // Ref is a tag
	SHA       string // of the commit; empty where a ref was deleted

	// Paths are all full paths that could pass for the project's, also by a key
	// that is written twice or in other letters: a token must cover each.
	Paths []string

	// Instances are the origins ("https://gitlab.example.com") that the header
	// X-Gitlab-Instance and the body name, the header's first; [Unreadable] for
	// one that is no URL.
	Instances []string
}

// Unknown is the kind of a body that does not name its kind: a custom template,
// or a ping of something else.
const Unknown = "unknown"

// Limits of what is kept of a body, in bytes.
const (
	maxKey  = 255
	maxKind = 64
	maxPath = 1024
	maxRef  = 1024
	maxURL  = 2048
)

// raw are the members of a body that are read, as they stand in it.
type raw struct {
	objectKind, eventName                        []byte
	project, path, projectPath, projectID        []byte
	repository, attributes, mergeRequest, commit []byte
	ref, sha, checkoutSHA, after, tag, commitURL []byte
	group, groupID                               []byte
	otherProjects, otherPaths, mergeRequests     [][]byte
	numbered                                     bool // the project has a plain number
}

// Parse reads the envelope of a webhook, tolerantly: a value of a type that was
// not expected is passed over. The error is [ErrNotObject], with the place.
//
// https://docs.gitlab.com/user/project/integrations/webhook_events/
func Parse(header http.Header, body []byte) (Envelope, error) {
	var r raw
	if err := members(body, r.keep); err != nil {
		return Envelope{}, err
	}
	e := Envelope{IdempotencyKey: idempotencyKey(header, body), Kind: r.kind()}
	e.addInstance(header.Get("X-Gitlab-Instance"))
	r.readProject(&e)
	if e.Project == "" && e.ProjectID == 0 && r.project == nil {
		e.Group = r.group != nil || r.groupID != nil
	}
	r.readCommit(&e)
	return e, nil
}

// keep remembers a member of the body. Of a key that is there twice the last one
// counts, as in encoding/json.
func (r *raw) keep(key, value []byte) {
	switch string(key) {
	case "object_kind":
		r.objectKind = value
	case "event_name":
		r.eventName = value
	case "project":
		r.project = value
		r.otherProjects = append(r.otherProjects, value)
	case "path_with_namespace":
		r.path = value
		r.otherPaths = append(r.otherPaths, value)
	case "project_path_with_namespace":
		r.projectPath = value
		r.otherPaths = append(r.otherPaths, value)
	case "project_id":
		r.projectID = value
	case "repository":
		r.repository = value
	case "object_attributes":
		r.attributes = value
		r.mergeRequests = append(r.mergeRequests, value)
	case "merge_request":
		r.mergeRequest = value
		r.mergeRequests = append(r.mergeRequests, value)
	case "commit":
		r.commit = value
	case "ref":
		r.ref = value
	case "sha":
		r.sha = value
	case "checkout_sha":
		r.checkoutSHA = value
	case "after":
		r.after = value
	case "tag":
		r.tag = value
	case "commit_url":
		r.commitURL = value
	case "group":
		r.group = value
	case "group_id":
		r.groupID = value
	default:
		r.keepOther(key, value)
	}
}

// keepOther finds keys that another reader of the body might take for one of
// these: encoding/json does not tell "Project" from "project".
func (r *raw) keepOther(key, value []byte) {
	switch {
	case bytes.EqualFold(key, []byte("project")):
		r.otherProjects = append(r.otherProjects, value)
	case bytes.EqualFold(key, []byte("path_with_namespace")), bytes.EqualFold(key, []byte("project_path_with_namespace")):
		r.otherPaths = append(r.otherPaths, value)
	case bytes.EqualFold(key, []byte("object_attributes")), bytes.EqualFold(key, []byte("merge_request")):
		r.mergeRequests = append(r.mergeRequests, value)
	}
}

// kind is the name of the event. The header X-Gitlab-Event is not asked: it is
// the same for many.
func (r *raw) kind() string {
	for _, value := range [][]byte{r.objectKind, r.eventName} {
		if name := text(value, maxKind); name != "" {
			return name
		}
	}
	return Unknown
}

// readProject finds the project: its object, else the members that system hooks
// have beside each other, else the address of its repository.
func (r *raw) readProject(e *Envelope) {
	for _, value := range r.otherProjects {
		r.readProjectObject(e, value)
	}
	for _, value := range r.otherPaths {
		e.addPath(text(value, maxPath))
	}
	for _, value := range [][]byte{r.path, r.projectPath} {
		if e.Project == "" {
			e.Project = text(value, maxPath)
		}
	}
	e.ProjectID = cmp.Or(number(r.projectID), e.ProjectID)
	r.numbered = r.numbered || plainNumber(r.projectID)
	r.readMergeRequestPaths(e)
	if homepage := address(member(r.repository, "homepage")); homepage != "" {
		e.addInstance(homepage)
		if e.Project == "" {
			e.Project = pathOf(homepage)
			e.addPath(e.Project)
		}
	}
}

// readProjectObject reads one "project". The last path and id count. Its page
// says where it is; the clone addresses, which may lie on another host of the
// same GitLab, do so only where a reader could find no page.
func (r *raw) readProjectObject(e *Envelope, object []byte) {
	var clones []string
	page, noPage := false, false
	_ = members(object, func(key, value []byte) {
		switch {
		case string(key) == "id":
			e.ProjectID = cmp.Or(number(value), e.ProjectID)
			r.numbered = r.numbered || plainNumber(value)
		case bytes.EqualFold(key, []byte("path_with_namespace")):
			path := text(value, maxPath)
			if string(key) == "path_with_namespace" {
				e.Project = cmp.Or(path, e.Project)
			}
			e.addPath(path)
		case bytes.EqualFold(key, []byte("web_url")):
			address := address(value)
			page, noPage = true, noPage || address == ""
			e.addInstance(address)
		case bytes.EqualFold(key, []byte("http_url")), bytes.EqualFold(key, []byte("git_http_url")):
			clones = append(clones, address(value))
		}
	})
	if !page || noPage {
		for _, address := range clones {
			e.addInstance(address)
		}
	}
}

// readMergeRequestPaths adds the target's path, by which a reader may know the
// project where it finds no other. Without the project's number nobody can tell
// whether a source is the project itself, so its path counts too.
func (r *raw) readMergeRequestPaths(e *Envelope) {
	for _, object := range r.mergeRequests {
		_ = members(object, func(key, value []byte) {
			if bytes.EqualFold(key, []byte("target")) || !r.numbered && bytes.EqualFold(key, []byte("source")) {
				_ = members(value, func(key, value []byte) {
					if bytes.EqualFold(key, []byte("path_with_namespace")) {
						e.addPath(text(value, maxPath))
					}
				})
			}
		})
	}
}

func (e *Envelope) addPath(path string) {
	if path != "" && !slices.Contains(e.Paths, path) {
		e.Paths = append(e.Paths, path)
	}
}

func (e *Envelope) addInstance(address string) {
	if address == "" {
		return
	}
	if o := origin(address); !slices.Contains(e.Instances, o) {
		e.Instances = append(e.Instances, o)
	}
}

// idempotencyKey is the sender's name of this delivery, which stays the same when
// it is sent again. One that looks like a key of our own is no name: what we make
// ourselves is believed further than what comes from outside.
func idempotencyKey(header http.Header, body []byte) string {
	names := []string{"Idempotency-Key", "Webhook-Id"}
	if len(header.Values("Webhook-Signature")) > 0 {
		slices.Reverse(names)
	}
	for _, name := range names {
		key := strings.TrimSpace(header.Get(name))
		if key != "" && len(key) <= maxKey && !strings.HasPrefix(key, store.OwnPrefix) && !strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
			return key
		}
	}
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}
