package direktiv

import (
	"context"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Check implements [delivery.Checker]: it reads the namespace and its syncs, by
// whichever API is there, and starts none. A token that may read may still not be
// allowed to start a sync: Direktiv tells that only by refusing one.
func (t *Target) Check(ctx context.Context) []delivery.Finding {
	c := &check{Target: t}
	c.run(ctx)
	for i := range c.found {
		c.found[i].Text, c.found[i].Remedy = t.call.scrub.Text(c.found[i].Text), t.call.scrub.Text(c.found[i].Remedy)
	}
	return c.found
}

// check is one Check.
type check struct {
	*Target
	found []delivery.Finding
}

func (c *check) add(subject string, level delivery.Level, text, remedy string) {
	c.found = append(c.found, delivery.Finding{Subject: subject, Level: level, Text: text, Remedy: remedy})
}

func (c *check) run(ctx context.Context) {
	v2 := &apiV2{c.call, c.config.Namespace}
	ns, a, err := v2.get(ctx)
	switch {
	case err == nil:
		c.reached("v2 (v0.8.5 or later)")
		if ns.Mirror == nil {
			c.found = append(c.found, delivery.Wrong("mirror", delivery.Fail, noMirror(c.config.Namespace, a)))
			return
		}
		c.mirrored(mirrorState{ns.Mirror.URL, ns.Mirror.GitRef})
		c.syncs(ctx, v2)
		return
	case !notHere(a, err):
		c.found = append(c.found, delivery.Wrong("address", delivery.Fail, c.call.explain(a, err)))
		return
	}
	old := &apiLegacy{c.call, c.config.Namespace, c.config.directory()}
	info, b, oldErr := old.info(ctx)
	switch {
	case oldErr == nil:
		c.reached("legacy (v0.8.4 or earlier)")
		c.mirrored(*info.Info.state())
		c.syncs(ctx, old)
	case notHere(b, oldErr):
		c.found = append(c.found, delivery.Wrong("address", delivery.Fail, noAPI(a, b, oldErr)))
	default:
		c.found = append(c.found, delivery.Wrong("address", delivery.Fail, c.call.explain(b, oldErr)))
	}
}

// reached notes what an answer with the namespace in it proves.
func (c *check) reached(generation string) {
	c.add("address", delivery.Pass, c.call.base+" answers with the API "+generation, "")
	switch {
	case c.call.token.Empty():
		c.add("token", delivery.Pass, "none is sent, and none is asked for", "")
	case strings.HasPrefix(c.call.base, "http://") && !isLoopback(c.call.base):
		c.add("token", delivery.Warn, "it is accepted, and can be read on the way: the address begins with http://", "set DIREKTIV_URL to an https:// address")
	default:
		c.add("token", delivery.Pass, "it is accepted, as far as reading goes", "")
	}
	c.add("namespace", delivery.Pass, c.config.Namespace+" is there", "")
}

func isLoopback(base string) bool {
	host, _ := split(base)
	return host == "localhost" || strings.HasPrefix(host, "127.") || host == "::1"
}

func (c *check) mirrored(m mirrorState) {
	if m.url == "" || m.ref == "" {
		c.add("mirror", delivery.Warn, "which repository and ref it follows is not told", "look at it with: remora mirror show")
		return
	}
	c.add("mirror", delivery.Pass, "it follows "+clip(m.ref)+" of "+tidy(place(m.url)), "")
}

// syncs looks for a sync that blocks all others.
func (c *check) syncs(ctx context.Context, from api) {
	list, now, err := from.list(ctx)
	if err != nil {
		c.found = append(c.found, delivery.Wrong("syncs", delivery.Fail, c.call.explain(answerOf(err), err)))
		return
	}
	for _, p := range list {
		if p.running() && !p.created.IsZero() && now.Sub(p.created) > stuckAfter {
			c.add("syncs", delivery.Warn, "sync "+tidy(p.id)+" has been "+tidy(p.status)+" for "+delivery.Span(now.Sub(p.created).Round(time.Minute))+"; a crash of Direktiv leaves such ones, and they hold up every later sync",
				"if it does not end, delete the namespace and create it again with: remora mirror create")
			return
		}
	}
	if len(list) > 0 {
		c.add("syncs", delivery.Pass, "the last one is "+tidy(list[len(list)-1].status), "")
	}
}
