package direktiv

import (
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

var (
	errNoNamespace = errors.New("no namespace in the answer")

	names = rest.Names{URL: "DIREKTIV_URL", Token: "DIREKTIV_TOKEN"}
)

func asConn(err error) (*rest.ConnError, bool) {
	var conn *rest.ConnError
	ok := errors.As(err, &conn)
	return conn, ok
}

// explain makes of any error of a request one that a person can act on: each
// kind of 401, 403 and 404 has its own cause. a may be nil; nil stays nil.
func (c *caller) explain(a *rest.Answer, err error) error {
	if err == nil {
		return nil
	}
	var content *rest.ContentError
	var b *broken
	switch {
	case errors.As(err, &content):
		return delivery.Permanent(&delivery.Fault{Summary: "not an API", Request: content.Answer.String(), Err: err,
			Cause:  "the answer is " + kind(content.Answer) + ", not JSON: a start page or another server, not Direktiv's API",
			Remedy: "set DIREKTIV_URL to the base address of Direktiv, without /api, and DIREKTIV_NAMESPACE to the name alone"})
	case errors.As(err, &b):
		return delivery.Permanent(&delivery.Fault{Summary: "broken answer", Request: b.answer.String(), Err: err,
			Cause:  "the answer is not what Direktiv's API sends",
			Remedy: "check that DIREKTIV_URL leads to Direktiv and that no proxy between changes its answers"})
	case a != nil:
		return c.status(a, err)
	}
	return withRemedy(rest.Fault(err, names))
}

func kind(a *rest.Answer) string {
	if t := a.Header.Get("Content-Type"); t != "" {
		return tidy(t)
	}
	return "without content type"
}

// withRemedy sees to it that no fault leaves a person without a next step.
func withRemedy(err error) error {
	f := *delivery.Explain(err)
	if f.Remedy != "" {
		return err
	}
	f.Remedy = "try again later, and look at the log of the Direktiv at DIREKTIV_URL"
	if delivery.StateOf(err) == delivery.Failed {
		f.Remedy = "look at the words of the answer, and at the log of the Direktiv at DIREKTIV_URL: sending it again would be refused again"
		return delivery.Permanent(&f)
	}
	return &f
}

// status explains an answer outside 2xx.
func (c *caller) status(a *rest.Answer, err error) error {
	f := &delivery.Fault{Request: a.String(), Err: err}
	r, told := refusalOf(a)
	r.Message = tidy(c.scrub.Text(r.Message))
	switch {
	case a.Code == http.StatusUnauthorized:
		c.refusedToken(f)
	case a.Code == http.StatusForbidden:
		c.forbidden(f, r)
	case a.Code == http.StatusNotFound && r.Code == "resource_not_found" && strings.Contains(r.Message, "(namespace)"):
		f.Summary, f.Cause = "namespace not found", "this Direktiv has no such namespace"
		f.Remedy = "set DIREKTIV_NAMESPACE to one of its namespaces, or create it with `remora mirror create`"
	case a.Code == http.StatusNotFound && (r.Code == "resource_not_found" || r.Message == "ErrNotFound"):
		f.Summary, f.Cause = "no mirror", "the namespace is no mirror of a repository"
		f.Remedy = "set DIREKTIV_NAMESPACE to one that is, or make it a mirror with `remora mirror update --url … --ref …`"
		if r.Code == "" { // the legacy API makes no mirror of a namespace that is none
			f.Cause = "there is no such namespace, or it is no mirror of a repository: this version of Direktiv does not tell which"
			f.Remedy = "check DIREKTIV_NAMESPACE, or make a mirror under a new name with `remora mirror create`"
		}
	case a.Code == http.StatusNotFound:
		f.Summary, f.Cause = "no such API", "this address has no such path"
		f.Remedy = "set DIREKTIV_URL to the base address of Direktiv, without /api"
	case told && a.Code == http.StatusBadRequest:
		f.Summary, f.Cause = "refused by Direktiv", r.text()
		f.Remedy = "correct what it names; the namespace is set with DIREKTIV_NAMESPACE"
	case told && strings.Contains(r.Message, "locked"):
		f.Summary, f.Cause = "mirror is unlocked for editing", r.text()
		f.Remedy = "lock the mirror again in Direktiv's interface; while somebody edits in it, it does not sync"
	case told && a.Code >= 500:
		f.Summary, f.Cause = "server error", "Direktiv reports "+r.text()
		f.Remedy = "look at the log of the Direktiv at DIREKTIV_URL"
		return f
	default:
		return withRemedy(rest.Fault(err, names))
	}
	return delivery.Permanent(f)
}

func (r refusal) text() string {
	text := strings.Trim(tidy(r.Code)+": "+r.Message, ": ")
	var fields []string
	for field, problem := range r.Validation {
		fields = append(fields, tidy(field)+" "+tidy(problem))
	}
	sort.Strings(fields)
	if len(fields) > 0 {
		text += " (" + strings.Join(fields, "; ") + ")"
	}
	return text
}

func (c *caller) refusedToken(f *delivery.Fault) {
	f.Summary, f.Cause = "token refused", "Direktiv answers so to a wrong key, and up to v0.8 also to one in the wrong header"
	f.Remedy = "set DIREKTIV_TOKEN to the API key of this Direktiv"
	if c.auth != authAuto {
		f.Remedy += ", or DIREKTIV_AUTH, which is " + c.auth + ", back to auto"
	}
	if c.token.Empty() {
		f.Summary, f.Cause = "token missing", "this Direktiv wants an API key and none was sent"
		f.Remedy = "set DIREKTIV_TOKEN; a protected variable is empty on unprotected refs"
	}
}

func (c *caller) forbidden(f *delivery.Fault, r refusal) {
	f.Summary, f.Cause = "not allowed", "the token is known but may not do this"
	f.Remedy = "give the token in DIREKTIV_TOKEN the right to manage syncs and to read logs and namespaces"
	switch r.Code {
	case "access_token_missing":
		f.Summary, f.Cause = "token missing", "this Direktiv found no token where it looks for one"
		f.Remedy = "set DIREKTIV_TOKEN, or DIREKTIV_AUTH to the way this Direktiv wants it, such as bearer"
	case "access_token_invalid":
		f.Summary, f.Cause = "token refused", "the token is wrong or has expired"
		f.Remedy = "set DIREKTIV_TOKEN to a valid token, or DIREKTIV_AUTH to the way this Direktiv wants it, such as bearer"
	}
}

// noAPI is the error of an address where neither API answers. a and b may be nil.
func noAPI(a, b *rest.Answer, err error) error {
	f := &delivery.Fault{Summary: "no Direktiv API", Err: err,
		Remedy: "set DIREKTIV_URL to the base address of Direktiv, without /api"}
	var tried []string
	for _, x := range []*rest.Answer{a, b} {
		if x != nil {
			tried = append(tried, x.String()+" "+kind(x))
			f.Request = x.String()
		}
	}
	f.Cause = fmt.Sprintf("neither the v2 API nor the one before it answers at this address: %s", strings.Join(tried, ", then "))
	return delivery.Permanent(f)
}

func noMirror(namespace string, a *rest.Answer) error {
	return delivery.Permanent(&delivery.Fault{Summary: "no mirror", Request: a.String(),
		Cause:  "the namespace " + namespace + " is no mirror of a repository, so there is nothing to sync",
		Remedy: "set DIREKTIV_NAMESPACE to a namespace that is, or make this one a mirror with `remora mirror update --url …`"})
}
