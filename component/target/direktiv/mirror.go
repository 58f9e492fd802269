package direktiv

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// The ways in which a mirror can authenticate to its repository.
const (
	AuthNone  = "none"
	AuthToken = "token"
	AuthSSH   = "ssh"
)

// MirrorSpec is what is wanted of a mirror. In an update, what is empty or nil
// stays as it is.
type MirrorSpec struct {
	URL  string // of the repository: https://host/path.git or git@host:path.git
	Ref  string // plain name of a branch
	Auth string // one of the Auth constants; empty: as the secrets below say

	Token      delivery.Secret // user:token, or a token alone, which GitLab takes with any user
	PublicKey  string
	PrivateKey delivery.Secret
	Passphrase delivery.Secret // of the private key

	Insecure *bool   // accept any certificate of the git server
	Cron     *string // legacy API only; empty: no schedule
	Sync     bool    // the caller starts a sync afterwards: nothing is noted about one that is missing
}

// MirrorView is a mirror as Direktiv shows it: it never shows a secret.
type MirrorView struct {
	Namespace string     `json:"namespace"`
	API       string     `json:"api"` // v2 or legacy
	Mirror    bool       `json:"mirror"`
	URL       string     `json:"url,omitempty"`
	Ref       string     `json:"ref,omitempty"`
	Auth      string     `json:"auth,omitempty"` // none, token or ssh; empty if this version does not tell
	PublicKey string     `json:"public_key,omitempty"`
	Insecure  bool       `json:"insecure"`
	Cron      string     `json:"cron,omitempty"`
	Notes     []string   `json:"notes,omitempty"`
	Syncs     []SyncView `json:"syncs,omitempty"` // newest first
}

// SyncView is a sync as Direktiv lists it, with the tail of its log.
type SyncView struct {
	ID      string             `json:"id"`
	Status  string             `json:"status"`
	Started time.Time          `json:"started"`
	Log     []delivery.LogLine `json:"log,omitempty"`
}

// Admin makes, changes and shows the mirror of a namespace. Its errors are like
// those of [Target.Apply].
type Admin struct {
	config Config
	out    *rest.Client
	pace   pace
}

// NewAdmin makes an Admin of a valid c that makes its calls through out.
func NewAdmin(c Config, out *rest.Client) (*Admin, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Admin{config: c, out: out, pace: usual}, nil
}

// Create makes the namespace as a mirror. The legacy API starts a first sync by
// itself, v2 does not: see [Admin.Sync].
func (a *Admin) Create(ctx context.Context, spec MirrorSpec) (MirrorView, error) {
	if err := spec.Validate(true); err != nil {
		return MirrorView{}, err
	}
	m := a.open(spec)
	ns, v2, err := m.find(ctx)
	switch {
	case err != nil:
		return m.end(MirrorView{}, err)
	case v2 && ns != nil:
		return m.end(MirrorView{}, m.exists(ns))
	case v2:
		err = m.createV2(ctx)
	default:
		err = m.createLegacy(ctx)
	}
	return m.changed(ctx, err)
}

// Update changes what the spec names and nothing else.
func (a *Admin) Update(ctx context.Context, spec MirrorSpec) (MirrorView, error) {
	if err := spec.Validate(false); err != nil {
		return MirrorView{}, err
	}
	m := a.open(spec)
	ns, v2, err := m.find(ctx)
	switch {
	case err != nil:
		return m.end(MirrorView{}, err)
	case v2 && ns == nil:
		return m.end(MirrorView{}, m.unknown)
	case v2:
		err = m.updateV2(ctx, ns)
	default:
		err = m.updateLegacy(ctx)
	}
	return m.changed(ctx, err)
}

// Show reads the mirror and its last syncs, at most limit, with their logs.
func (a *Admin) Show(ctx context.Context, limit int) (MirrorView, error) {
	m := a.open(MirrorSpec{})
	return m.end(m.show(ctx, limit))
}

// Sync starts a sync whatever ref the mirror follows, and waits for its end. The
// error is that of [Target.Apply].
func (a *Admin) Sync(ctx context.Context) (delivery.Receipt, error) {
	c := a.config
	c.AnyRef, c.NoWait = "true", false
	t := &Target{config: c, call: newCaller(c, a.out), pace: a.pace}
	return t.Apply(ctx, delivery.Event{RefType: delivery.Branch})
}

// mirrorWork is one call of an Admin.
type mirrorWork struct {
	spec    MirrorSpec
	call    *caller
	v2      *apiV2
	legacy  *apiLegacy
	notes   []string
	unknown error // why the namespace is not there
}

func (a *Admin) open(spec MirrorSpec) *mirrorWork {
	call := newCaller(a.config, a.out, spec.Token, spec.PrivateKey, spec.Passphrase)
	return &mirrorWork{spec: spec, call: call, v2: &apiV2{call, a.config.Namespace},
		legacy: &apiLegacy{call, a.config.Namespace, a.config.directory()}}
}

// find asks for the namespace by v2. ns is nil if v2 has no such namespace, or
// if v2 is not there.
func (m *mirrorWork) find(ctx context.Context) (ns *namespaceV2, v2 bool, err error) {
	ns, answer, err := m.v2.get(ctx)
	switch {
	case err == nil:
		return ns, true, nil
	case notHere(answer, err):
		return nil, false, nil
	}
	err = m.call.explain(answer, err)
	if r, ok := refusalOf(orEmpty(answer)); ok && r.Code == "resource_not_found" {
		m.unknown = err
		return nil, true, nil
	}
	return nil, true, err
}

func orEmpty(a *rest.Answer) *rest.Answer {
	if a == nil {
		return &rest.Answer{}
	}
	return a
}

// changed reads the mirror back after a change: what is shown is what is there.
func (m *mirrorWork) changed(ctx context.Context, err error) (MirrorView, error) {
	if err != nil {
		return m.end(MirrorView{}, err)
	}
	view, err := m.show(ctx, 0)
	if err == nil && !view.Mirror {
		err = &delivery.Fault{Summary: "no mirror", Cause: "Direktiv took the change, but the namespace is no mirror afterwards",
			Remedy: "look at the namespace in Direktiv; is somebody else changing it?", Request: "GET " + m.call.url(m.v2.namespacePath())}
	}
	return m.end(view, err)
}

// end adds the notes and takes out secrets.
func (m *mirrorWork) end(view MirrorView, err error) (MirrorView, error) {
	view.Notes = append(view.Notes, m.notes...)
	_, err = m.call.clean(delivery.Receipt{}, err)
	return view, err
}

func (m *mirrorWork) note(text string) { m.notes = append(m.notes, text) }

func (m *mirrorWork) exists(ns *namespaceV2) error {
	f := &delivery.Fault{Summary: "namespace exists", Cause: "the namespace is there already, as a mirror", Remedy: "change it with `remora mirror update`, or set DIREKTIV_NAMESPACE to another name",
		Request: "GET " + m.call.url(m.v2.namespacePath()) + " (200)"}
	if ns.Mirror == nil {
		f.Cause = "the namespace is there already, but is no mirror"
		f.Remedy = "make it one with `remora mirror update --url … --ref …`, which replaces its files at the next sync, or set DIREKTIV_NAMESPACE to another name"
	}
	return delivery.Permanent(f)
}

// notRef are characters that no ref can have.
const notRef = " ~^:?*[\\\t\r\n\x00\x7f"

var commitHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// Validate tells everything that is wrong at once, by flag or variable. A new
// mirror needs URL and ref.
func (s MirrorSpec) Validate(create bool) error {
	errs := []error{s.validateURL(create), s.validateAuth(create)}
	switch {
	case s.Ref == "" && create:
		errs = append(errs, errors.New("--ref: missing; set it to the branch that the mirror follows"))
	case strings.ContainsAny(s.Ref, notRef) || strings.Contains(s.Ref, ".."):
		errs = append(errs, fmt.Errorf("--ref: no branch can be called %q", s.Ref))
	case strings.HasPrefix(s.Ref, "refs/") || commitHash.MatchString(s.Ref):
		errs = append(errs, errors.New("--ref: want the plain name of a branch: Direktiv finds neither commits nor tags nor refs/heads/…"))
	}
	return errors.Join(errs...)
}

func (s MirrorSpec) validateURL(create bool) error {
	switch {
	case s.URL == "" && create:
		return errors.New("--url: missing; set it to the repository, such as https://gitlab.example.com/group/project.git")
	case s.URL == "":
		return nil
	}
	if u, err := url.Parse(s.URL); err == nil && u.User != nil && u.Scheme != "ssh" {
		return errors.New("--url: holds a user name or password, which Direktiv would show; put them into DIREKTIV_GIT_TOKEN as user:token")
	}
	if strings.ContainsAny(s.URL, " \t\r\n") {
		return errors.New("--url: holds a space or a line break")
	}
	switch auth := s.auth(); {
	case auth == AuthToken && !isHTTPS(s.URL):
		return errors.New("--url: a token needs an https URL: Direktiv builds a wrong address from any other")
	case auth == AuthSSH && isHTTP(s.URL):
		return errors.New("--url: an SSH key needs an SSH URL, such as git@gitlab.example.com:group/project.git")
	}
	return nil
}

func isHTTPS(raw string) bool { return strings.HasPrefix(strings.ToLower(raw), "https://") }

func isHTTP(raw string) bool {
	return isHTTPS(raw) || strings.HasPrefix(strings.ToLower(raw), "http://")
}

func (s MirrorSpec) validateAuth(create bool) error {
	var errs []error
	key := !s.PrivateKey.Empty() || s.PublicKey != ""
	switch s.Auth {
	case "", AuthNone, AuthToken, AuthSSH:
	default:
		errs = append(errs, fmt.Errorf("--auth: want none, token or ssh, not %q", s.Auth))
	}
	if !s.Token.Empty() && key {
		errs = append(errs, errors.New("DIREKTIV_GIT_TOKEN: set, and an SSH key too; a mirror has one of them"))
	}
	if s.Auth == AuthNone && (!s.Token.Empty() || key) {
		errs = append(errs, errors.New("--auth: none, but DIREKTIV_GIT_TOKEN or DIREKTIV_GIT_SSH_KEY is set"))
	}
	if s.auth() == AuthToken && s.Token.Empty() {
		errs = append(errs, errors.New("DIREKTIV_GIT_TOKEN: missing; set it to user:token, or to a token of GitLab with read_repository"))
	}
	if s.auth() == AuthSSH && (s.PrivateKey.Empty() || s.PublicKey == "") && (create || s.Auth == AuthSSH || key) {
		errs = append(errs, errors.New("DIREKTIV_GIT_SSH_KEY and DIREKTIV_GIT_PUBLIC_KEY: want both halves of the key pair"))
	}
	if !s.Passphrase.Empty() && s.PrivateKey.Empty() {
		errs = append(errs, errors.New("DIREKTIV_GIT_PASSPHRASE: set without DIREKTIV_GIT_SSH_KEY"))
	}
	return errors.Join(errs...)
}

// auth is the way to authenticate that the spec asks for; empty if it says
// nothing of it.
func (s MirrorSpec) auth() string {
	switch {
	case s.Auth != "":
		return s.Auth
	case !s.Token.Empty():
		return AuthToken
	case !s.PrivateKey.Empty() || s.PublicKey != "":
		return AuthSSH
	}
	return ""
}

// userToken is the token as Direktiv wants it: user and password in one. A token
// alone would be taken for a user name, and shown in the log.
func (s MirrorSpec) userToken() delivery.Secret {
	if strings.Contains(s.Token.Reveal(), ":") {
		return s.Token
	}
	return "nouser:" + s.Token
}
