package httppost

import (
	"context"
	"net/http"
	"net/netip"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// Check implements [delivery.Checker]. Calling the trigger would trigger, so only
// its host is asked, by OPTIONS for the path /, without token and headers: that
// proves name, route, TLS and that a web server answers, and no more.
func (t *Target) Check(ctx context.Context) []delivery.Finding {
	root := *t.url
	root.Path, root.RawPath, root.RawQuery = "/", "", ""
	a, err := t.out.Do(ctx, rest.Call{Method: http.MethodOptions, URL: root.String()})
	if a == nil {
		return []delivery.Finding{t.clean(delivery.Wrong("address", delivery.Fail, t.explain(err, trigger)))}
	}
	found := []delivery.Finding{{Subject: "address", Level: delivery.Pass, Text: "a web server answers at " + t.url.Scheme + "://" + t.url.Host}}
	if a.Code == http.StatusBadGateway || a.Code == http.StatusServiceUnavailable || a.Code == http.StatusGatewayTimeout {
		found[0].Level, found[0].Text = delivery.Warn, "only a gateway answers: "+a.String()
		found[0].Remedy = "look whether the system behind REMORA_HTTP_URL runs"
	}
	for i := range found {
		found[i] = t.clean(found[i])
	}
	return append(found, t.checkToken())
}

// checkToken says what is known of the secrets without sending them.
func (t *Target) checkToken() delivery.Finding {
	token := delivery.Finding{Subject: "token", Level: delivery.Pass, Text: "whether it is accepted, a delivery shows: it cannot be tried without triggering"}
	switch hasSecret := !t.token.Empty() || len(t.header) > 0; {
	case !hasSecret:
		token.Text = "none is sent"
	case t.url.Scheme == "http" && !isLoopback(t.url.Hostname()):
		token.Level, token.Text = delivery.Warn, "it can be read on the way: the address begins with http://"
		token.Remedy = "set REMORA_HTTP_URL to an https:// address"
	}
	return token
}

func (t *Target) clean(f delivery.Finding) delivery.Finding {
	f.Text, f.Remedy = t.scrub.Text(f.Text), t.scrub.Text(f.Remedy)
	return f
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
