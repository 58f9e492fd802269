package mirror

import (
	"context"
	"errors"
	"fmt"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Check implements [delivery.Checker]: it asks the remote for its refs as a push
// does, and sends none. Most servers answer that only to who may push somewhere;
// what their protected branches and hooks would refuse, a push alone shows.
func (t *Target) Check(ctx context.Context) []delivery.Finding {
	defer t.client.CloseIdleConnections()
	talk, err := t.there.open(ctx, receivePack)
	if err != nil {
		return t.checkReading(ctx, err)
	}
	n := len(talk.refs.References)
	talk.close()
	found := []delivery.Finding{
		{Subject: "address", Level: delivery.Pass, Text: fmt.Sprintf("%s answers, with %d refs", t.at.host, n)},
		{Subject: "push", Level: delivery.Pass, Text: "it is offered" + t.as() + "; what protected branches and hooks refuse, only a push shows"},
	}
	if t.at.plainText() && !t.config.Token.Empty() {
		found = append(found, delivery.Finding{Subject: "token", Level: delivery.Warn, Text: "it can be read on the way: the address begins with http://", Remedy: "set REMORA_MIRROR_URL to an https:// address"})
	}
	return found
}

// checkReading tells a remote that may be read but not pushed to from one that is
// not to be had at all.
func (t *Target) checkReading(ctx context.Context, refused error) []delivery.Finding {
	wrong := delivery.Wrong("address", delivery.Fail, t.explain(fmt.Errorf("list refs: %w", refused)))
	var status *rest.StatusError
	if !errors.As(refused, &status) || status.Code != 401 && status.Code != 403 {
		return []delivery.Finding{wrong}
	}
	talk, err := t.there.open(ctx, uploadPack)
	if err != nil {
		return []delivery.Finding{wrong}
	}
	talk.close()
	wrong.Subject = "push"
	return []delivery.Finding{{Subject: "address", Level: delivery.Pass, Text: t.at.host + " answers, and lets the repository be read"}, wrong}
}
