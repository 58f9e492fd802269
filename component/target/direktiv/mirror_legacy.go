package direktiv

import (
	"context"
	"net/http"
	"net/url"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// kept tells the legacy API to leave a field as it is; a secret that is set is
// shown as the same sign.
const kept = "-"

// createLegacy makes the namespace, which starts a first sync by itself.
func (m *mirrorWork) createLegacy(ctx context.Context) error {
	body := oldMirror{URL: m.spec.URL, Ref: m.spec.Ref}
	m.onto(&body)
	a, err := m.call.do(ctx, http.MethodPut, "/api/namespaces/"+url.PathEscape(m.legacy.namespace), body)
	if a != nil && a.Code == http.StatusConflict {
		return m.isThere(a)
	}
	if err != nil {
		return m.explainLegacy(m.call.explain(a, err), notHere(a, err), err)
	}
	m.note("this version of Direktiv has started a first sync by itself")
	return nil
}

// isThere is the error of a namespace that was to be made and exists.
func (m *mirrorWork) isThere(a *rest.Answer) error {
	return delivery.Permanent(&delivery.Fault{Summary: "namespace exists", Cause: "the namespace is there already", Request: a.String(),
		Remedy: "if it is a mirror, change it with `remora mirror update`; if not, delete it first, or set DIREKTIV_NAMESPACE to another name"})
}

// updateLegacy sends the whole mirror, for this API replaces it; what it does
// not show is sent as [kept].
func (m *mirrorWork) updateLegacy(ctx context.Context) error {
	info, a, err := m.legacy.info(ctx)
	if err != nil {
		return m.explainLegacy(m.call.explain(a, err), notHere(a, err), err)
	}
	body := *info.Info
	body.PrivateKey, body.Passphrase = kept, kept
	if m.spec.URL != "" {
		body.URL = m.spec.URL
	}
	if m.spec.Ref != "" {
		body.Ref = m.spec.Ref
	}
	m.onto(&body)
	if same := *info.Info; m.spec.auth() == "" && body.URL == same.URL && body.Ref == same.Ref && body.Cron == same.Cron && body.Insecure == same.Insecure {
		m.note("nothing to change")
		return nil
	}
	a, err = m.call.do(ctx, http.MethodPost, m.legacy.treePath("update-mirror"), body)
	if err != nil {
		return m.call.explain(a, err)
	}
	m.note("this version of Direktiv has started a sync by itself")
	return nil
}

// onto puts credentials, schedule and TLS checks of the spec into a request. For
// https the token stands in the field of the passphrase.
func (m *mirrorWork) onto(body *oldMirror) {
	s := m.spec
	switch s.auth() {
	case AuthToken:
		body.PublicKey, body.PrivateKey, body.Passphrase = "", "", s.userToken().Reveal()
	case AuthSSH:
		body.PublicKey, body.PrivateKey, body.Passphrase = s.PublicKey, s.PrivateKey.Reveal(), s.Passphrase.Reveal()
	case AuthNone:
		body.PublicKey, body.PrivateKey, body.Passphrase = "", "", ""
	}
	if s.Cron != nil {
		body.Cron = *s.Cron
	}
	if s.Insecure != nil {
		body.Insecure = *s.Insecure
	}
}

// explainLegacy names both APIs where neither is there.
func (m *mirrorWork) explainLegacy(explained error, nowhere bool, err error) error {
	if !nowhere {
		return explained
	}
	return noAPI(nil, answerOf(err), err)
}
