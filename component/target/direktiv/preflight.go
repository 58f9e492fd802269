package direktiv

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// mirrorState is where a mirror leads, as any version of the API shows it.
type mirrorState struct {
	url, ref string
}

type mirrorV2 struct {
	URL       string `json:"url"`
	GitRef    string `json:"gitRef"`
	AuthType  string `json:"authType"`
	PublicKey string `json:"publicKey"`
	Insecure  bool   `json:"insecure"`
}

type namespaceV2 struct {
	Name   string    `json:"name"`
	Mirror *mirrorV2 `json:"mirror"`
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

func (m *oldMirror) state() *mirrorState { return &mirrorState{m.URL, m.Ref} }

func (v *apiV2) get(ctx context.Context) (*namespaceV2, *rest.Answer, error) {
	a, err := v.call.do(ctx, http.MethodGet, v.namespacePath(), nil)
	if err != nil {
		return nil, a, err
	}
	var in object[*namespaceV2]
	if err := read(a, &in); err != nil {
		return nil, a, err
	}
	if in.Data == nil || in.Data.Name == "" {
		return nil, a, &broken{a, errNoNamespace}
	}
	return in.Data, a, nil
}

// preflight reads the mirror and decides whether the event concerns it. A mirror
// that cannot be read, for want of a permission or of a route, only warns.
func (r *run) preflight(ctx context.Context) error {
	ns, a, err := (&apiV2{r.call, r.config.Namespace}).get(ctx)
	switch {
	case err == nil && ns.Mirror == nil:
		return noMirror(r.config.Namespace, a)
	case err == nil:
		r.mirror = &mirrorState{ns.Mirror.URL, ns.Mirror.GitRef}
		return r.concerns()
	case ctx.Err() != nil:
		return r.call.explain(a, err)
	case notHere(a, err):
		return nil // the next request finds out whether another API is there
	}
	f := r.call.explain(a, err)
	if _, noAnswer := asConn(err); noAnswer || isFinal(a) {
		return f
	}
	r.warn("the mirror's settings could not be read (" + delivery.Explain(f).Summary + "); neither its ref nor its repository was checked")
	return r.concerns()
}

// isFinal says whether every other request would be answered the same way.
func isFinal(a *rest.Answer) bool {
	return a != nil && (a.Code == http.StatusUnauthorized || a.Code == http.StatusNotFound)
}

// concerns is a skip if the mirror follows another ref than the event's. A
// mirror follows a branch by its plain name, so a tag is never what it follows.
func (r *run) concerns() error {
	tag := r.ev.RefType == delivery.Tag
	switch {
	case r.config.anyRef():
	case r.ev.FromFork():
		return delivery.Skip("the branch is a fork's, which the mirror does not read")
	case r.mirror == nil || r.mirror.ref == "":
		if tag {
			return delivery.Skip("a mirror follows a branch, not a tag")
		}
	case tag || strings.TrimPrefix(r.mirror.ref, "refs/heads/") != r.ev.Ref:
		return delivery.Skip("mirror follows " + clip(r.mirror.ref))
	}
	if r.mirror != nil && !sameRepository(r.mirror.url, r.ev.Project) {
		r.warn("the mirror reads another repository, " + tidy(place(r.mirror.url)) + ", not " + tidy(place(r.ev.Project.URL)))
	}
	return nil
}

// sameRepository compares host and path, in whatever form the mirror's URL has.
// Ports and user names differ between https and ssh, and a GitLab below a path
// has that path in its web URL only.
func sameRepository(mirror string, p delivery.Project) bool {
	if p.URL == "" || mirror == "" {
		return true
	}
	host, path := split(mirror)
	wantHost, wantPath := split(p.URL)
	if host != wantHost {
		return false
	}
	return path == wantPath || (p.Path != "" && path == strings.ToLower(p.Path))
}

// place is a repository for a person: host[:port]/path, without userinfo. A port
// behind userinfo is left out: it may be a piece of a password.
func place(raw string) string {
	host, path := split(raw)
	if u, err := url.Parse(strings.TrimSpace(raw)); err == nil && u.Port() != "" && !strings.Contains(raw, "@") {
		host += ":" + u.Port()
	}
	switch {
	case host != "":
		return host + "/" + path
	case path != "":
		return path
	}
	return "at an unreadable URL"
}

// split gives host and path of a git URL, in lower case: https, ssh, the
// scp-like git@host:path, or a plain path.
func split(raw string) (host, path string) {
	raw = strings.TrimSpace(raw)
	if !strings.Contains(raw, "://") {
		if before, after, ok := strings.Cut(raw, ":"); ok && !strings.Contains(before, "/") {
			host, path = before[strings.LastIndex(before, "@")+1:], after
		} else {
			path = raw
		}
	} else if u, err := url.Parse(raw); err == nil {
		host, path = u.Hostname(), u.Path
	}
	// A password with a slash in it would otherwise begin the path.
	path = path[strings.LastIndex(path, "@")+1:]
	path = strings.TrimSuffix(strings.Trim(strings.ToLower(path), "/"), ".git")
	return strings.ToLower(host), strings.TrimRight(path, "/")
}
