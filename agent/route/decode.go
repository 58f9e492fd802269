package route

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// errNoObject says that a body cannot be an event.
var errNoObject = errors.New("no JSON object")

// Decode reads the body of a webhook of any kind. kind is what the request's
// header said, for a body that does not name its own.
//
// https://docs.gitlab.com/user/project/integrations/webhook_events/
func Decode(kind string, body []byte) (Fact, error) {
	var e envelope
	if err := read(lean(body, "commits"), &e); err != nil {
		return Fact{}, fmt.Errorf("read event: %w", err)
	}
	f := Fact{Kind: firstOf(e.ObjectKind, e.EventName, kind), UserID: firstID(e.User.ID, e.UserID), UserName: e.User.Name}
	f.Project = e.project()
	f.Instance = instanceOf(f.Project)
	switch f.Kind {
	case Push, TagPush:
		f.Changes = []Change{e.push()}
	case repositoryUpdate:
		f.Changes = e.refs()
	case MergeRequest:
		e.mergeRequest(&f)
	case Note:
		e.note(&f)
	case Pipeline:
		e.pipeline(&f)
	case Deployment:
		e.deployment(&f)
	case Release:
		e.release(&f)
	}
	return f, nil
}

// envelope is the part that the kinds share. What the kinds have by one name and
// of different shape is read when the kind is known.
type envelope struct {
	ObjectKind string `json:"object_kind"`
	EventName  string `json:"event_name"`
	Project    place  `json:"project"`
	ProjectID  id     `json:"project_id"`
	User       person `json:"user"`
	UserID     id     `json:"user_id"`

	Ref         string `json:"ref"`
	Before      string `json:"before"`
	After       string `json:"after"`
	CheckoutSHA string `json:"checkout_sha"`

	Action    string `json:"action"`
	Status    string `json:"status"`
	Tag       string `json:"tag"`
	CommitURL string `json:"commit_url"`
	Commit    commit `json:"commit"`

	Attributes   json.RawMessage `json:"object_attributes"`
	Changes      json.RawMessage `json:"changes"`
	MergeRequest json.RawMessage `json:"merge_request"`
}

type person struct {
	ID   id     `json:"id"`
	Name string `json:"username"`
}

type commit struct {
	ID string `json:"id"`
}

// place is a project as bodies describe it.
type place struct {
	ID            id     `json:"id"`
	Path          string `json:"path_with_namespace"`
	URL           string `json:"web_url"`
	HTTPURL       string `json:"http_url"`
	GitHTTPURL    string `json:"git_http_url"`
	DefaultBranch string `json:"default_branch"`
}

func (p place) project() delivery.Project {
	return delivery.Project{ID: int64(p.ID), Path: p.Path, URL: firstOf(p.URL, p.HTTPURL, p.GitHTTPURL), DefaultBranch: p.DefaultBranch}
}

func (e *envelope) project() delivery.Project {
	p := e.Project.project()
	p.ID = firstID(e.Project.ID, e.ProjectID)
	return p
}

// id is a number that may be written as text. Anything else is 0.
type id int64

// UnmarshalJSON never fails.
func (n *id) UnmarshalJSON(text []byte) error {
	var v int64
	if json.Unmarshal(bytes.Trim(text, `"`), &v) == nil && v > 0 {
		*n = id(v)
	}
	return nil
}

// read fills v with what is in body. A value of a type that v does not expect is
// passed over, with the rest of the body still read.
func read(body []byte, v any) error {
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return errNoObject
	}
	var odd *json.UnmarshalTypeError
	if err := json.Unmarshal(body, v); err != nil && !errors.As(err, &odd) {
		return err
	}
	return nil
}

// instanceOf is the base URL that p's address begins with: all before the path,
// or at least scheme and host where the address does not end in the path.
func instanceOf(p delivery.Project) string {
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" {
		return ""
	}
	root, ok := strings.CutSuffix(strings.TrimSuffix(strings.TrimRight(u.Path, "/"), ".git"), "/"+p.Path)
	if !ok || p.Path == "" {
		root = ""
	}
	return (&url.URL{Scheme: strings.ToLower(u.Scheme), Host: strings.ToLower(u.Host), Path: root}).String()
}

var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// sha is s if it is the id of a commit, else nothing.
func sha(s string) string {
	if !commitID.MatchString(s) || delivery.ZeroSHA(s) {
		return ""
	}
	return s
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

func firstID(ids ...id) int64 {
	for _, n := range ids {
		if n != 0 {
			return int64(n)
		}
	}
	return 0
}
