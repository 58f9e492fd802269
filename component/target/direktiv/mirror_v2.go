package direktiv

import (
	"context"
	"net/http"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// fields are the mirror fields of a request: what is absent stays as it is.
type fields map[string]any

// authTypes are the words of the v2 API.
var authTypes = map[string]string{AuthNone: "public", AuthToken: "token", AuthSSH: "ssh"}

// authFields are the credentials. The token goes into two fields: releases up to
// v0.10 read authToken, the one after them reads privateKeyPassphrase.
func (s MirrorSpec) authFields() fields {
	switch s.auth() {
	case AuthToken:
		token := s.userToken().Reveal()
		return fields{"authType": "token", "authToken": token, "privateKeyPassphrase": token, "publicKey": "", "privateKey": ""}
	case AuthSSH:
		return fields{"authType": "ssh", "publicKey": s.PublicKey, "privateKey": s.PrivateKey.Reveal(), "privateKeyPassphrase": s.Passphrase.Reveal(), "authToken": ""}
	case AuthNone:
		return fields{"authType": "public", "authToken": "", "privateKeyPassphrase": "", "publicKey": "", "privateKey": ""}
	}
	return fields{}
}

// createV2 makes the namespace.
//
// https://docs.direktiv.io/api/ (POST /api/v2/namespaces)
func (m *mirrorWork) createV2(ctx context.Context) error {
	if err := m.noCron(); err != nil {
		return err
	}
	mirror := fields{"authType": "public"}
	for name, v := range m.spec.authFields() {
		if v != "" {
			mirror[name] = v
		}
	}
	mirror["url"], mirror["gitRef"] = m.spec.URL, m.spec.Ref
	if m.spec.Insecure != nil {
		mirror["insecure"] = *m.spec.Insecure
	}
	a, err := m.call.do(ctx, http.MethodPost, "/api/v2/namespaces", fields{"name": m.v2.namespace, "mirror": mirror})
	if err != nil {
		return m.call.explain(a, err)
	}
	m.noteUnlessSync("Direktiv does not sync a new mirror by itself: start it with --sync, or by the next `remora sync`")
	return nil
}

// updateV2 sends only what changes, always inside a mirror object: without one,
// Direktiv deletes the mirror and answers 200.
//
// https://docs.direktiv.io/api/ (PATCH /api/v2/namespaces/{namespace})
func (m *mirrorWork) updateV2(ctx context.Context, ns *namespaceV2) error {
	if err := m.noCron(); err != nil {
		return err
	}
	if ns.Mirror == nil {
		if err := m.spec.Validate(true); err != nil {
			return delivery.Permanent(&delivery.Fault{Summary: "no mirror", Cause: "the namespace is no mirror yet, and to become one it needs a URL and a ref",
				Remedy: "remora mirror update --url … --ref …", Request: "GET " + m.call.url(m.v2.namespacePath()) + " (200)", Err: err})
		}
		ns.Mirror = &mirrorV2{}
	}
	change := m.difference(*ns.Mirror)
	if len(change) == 0 {
		m.note("nothing to change")
		return nil
	}
	if err := m.fits(*ns.Mirror); err != nil {
		return err
	}
	a, err := m.call.do(ctx, http.MethodPatch, m.v2.namespacePath(), fields{"mirror": change})
	if err != nil {
		return m.call.explain(a, err)
	}
	m.noteUnlessSync("the change acts at the next sync: start it with --sync, or by the next `remora sync`")
	return nil
}

func (m *mirrorWork) noteUnlessSync(text string) {
	if !m.spec.Sync {
		m.note(text)
	}
}

// difference is what the spec wants changed. Secrets cannot be compared and are
// sent whenever they are given.
func (m *mirrorWork) difference(is mirrorV2) fields {
	change := fields{}
	if m.spec.URL != "" && m.spec.URL != is.URL {
		change["url"] = m.spec.URL
	}
	if m.spec.Ref != "" && m.spec.Ref != is.GitRef {
		change["gitRef"] = m.spec.Ref
	}
	if m.spec.Insecure != nil && *m.spec.Insecure != is.Insecure {
		change["insecure"] = *m.spec.Insecure
	}
	want := m.spec.auth()
	if want == AuthNone && is.AuthType == authTypes[AuthNone] && is.URL != "" {
		return change
	}
	for name, v := range m.spec.authFields() {
		change[name] = v
	}
	if want != "" && is.URL != "" && is.AuthType != "" && is.AuthType != authTypes[want] {
		m.note("the mirror's authentication was " + authName(is.AuthType) + " and is to be " + want + ": Direktiv newer than v0.10 keeps the way that a mirror was created with; " +
			"if the next sync says \"authentication required\", delete the namespace and use `remora mirror create`")
	}
	return change
}

// fits checks the new credentials against the URL that stays.
func (m *mirrorWork) fits(is mirrorV2) error {
	if m.spec.URL != "" || is.URL == "" {
		return nil
	}
	kept := m.spec
	kept.URL = is.URL
	if err := kept.validateURL(false); err != nil && m.spec.auth() != "" {
		return delivery.Permanent(&delivery.Fault{Summary: "URL does not fit", Cause: "the mirror's URL stays " + tidy(m.call.scrub.Text(is.URL)),
			Remedy: "give the URL too: `remora mirror update --url …`", Request: "GET " + m.call.url(m.v2.namespacePath()) + " (200)", Err: err})
	}
	return nil
}

// noCron refuses a schedule: v2 has no place for it.
func (m *mirrorWork) noCron() error {
	if m.spec.Cron == nil || *m.spec.Cron == "" {
		return nil
	}
	return delivery.Permanent(&delivery.Fault{Summary: "no schedules", Cause: "this Direktiv has no schedules for mirrors any more",
		Remedy:  "leave --cron away; run `remora sync` from a GitLab pipeline schedule, or let the schedules of Remora's agent do this",
		Request: "GET " + m.call.url(m.v2.namespacePath())})
}

// authName is one of our words for a word of the API's.
func authName(authType string) string {
	for ours, theirs := range authTypes {
		if theirs == authType {
			return ours
		}
	}
	return tidy(authType)
}
