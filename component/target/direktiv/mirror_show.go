package direktiv

import (
	"context"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// maxShown is how many syncs are shown at most: each costs a request.
const maxShown = 50

func (m *mirrorWork) show(ctx context.Context, limit int) (MirrorView, error) {
	ns, v2, err := m.find(ctx)
	if err != nil {
		return MirrorView{}, err
	}
	view := MirrorView{Namespace: m.v2.namespace, API: "v2"}
	if !v2 {
		return m.showLegacy(ctx, view, limit)
	}
	if ns == nil {
		return view, m.unknown
	}
	if ns.Mirror == nil {
		return view, nil
	}
	view.Mirror, view.Insecure = true, ns.Mirror.Insecure
	view.URL, view.Ref = m.text(ns.Mirror.URL), m.text(ns.Mirror.GitRef)
	view.Auth, view.PublicKey = authName(ns.Mirror.AuthType), m.text(ns.Mirror.PublicKey)
	view.Syncs, err = m.syncs(ctx, m.v2, limit)
	return view, err
}

func (m *mirrorWork) showLegacy(ctx context.Context, view MirrorView, limit int) (MirrorView, error) {
	info, a, err := m.legacy.info(ctx)
	if err != nil {
		return view, m.explainLegacy(m.call.explain(a, err), notHere(a, err), err)
	}
	i := info.Info
	view.API, view.Mirror, view.Insecure = "legacy", true, i.Insecure
	view.URL, view.Ref, view.Cron, view.PublicKey = m.text(i.URL), m.text(i.Ref), m.text(i.Cron), m.text(i.PublicKey)
	switch {
	case i.PublicKey != "" || i.PrivateKey != "":
		view.Auth = AuthSSH
	case i.Passphrase != "":
		view.Auth = AuthToken
	default:
		view.Auth = AuthNone
	}
	view.Syncs, err = m.syncs(ctx, m.legacy, limit)
	return view, err
}

// text is a setting as it may be shown: old mirrors hold a token in their URL.
func (m *mirrorWork) text(s string) string { return tidy(m.call.scrub.Text(s)) }

// syncs are the last ones, newest first. A log that cannot be read is noted
// once, for it decides nothing.
func (m *mirrorWork) syncs(ctx context.Context, from api, limit int) ([]SyncView, error) {
	if limit <= 0 {
		return nil, nil
	}
	list, _, err := from.list(ctx)
	if err != nil {
		return nil, m.call.explain(answerOf(err), err)
	}
	var views []SyncView
	noted := false
	for i := len(list) - 1; i >= 0 && len(views) < min(limit, maxShown); i-- {
		p := list[i]
		v := SyncView{ID: tidy(p.id), Status: tidy(p.status), Started: p.created}
		lines, err := from.logs(ctx, p.id)
		if ctx.Err() != nil {
			return views, m.call.explain(answerOf(err), err)
		}
		if err != nil && !noted {
			noted = true
			m.note("a log could not be read: " + delivery.Explain(m.call.explain(answerOf(err), err)).Summary)
		}
		for _, l := range lines[max(len(lines)-maxTail, 0):] {
			v.Log = append(v.Log, delivery.LogLine{Level: l.level, Text: l.text})
		}
		views = append(views, v)
	}
	return views, nil
}
