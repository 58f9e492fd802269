package report

import (
	"fmt"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// tally counts outcomes by what the heading says of them. Each counts once.
type tally struct {
	all, failed, canceled, optional, skipped, started, warned int
}

func count(outcomes []delivery.Outcome) tally {
	t := tally{all: len(outcomes)}
	for _, o := range outcomes {
		bad := o.State == delivery.Failed || o.State == delivery.Retry
		switch {
		case bad && o.Optional:
			t.optional++
		case o.Canceled():
			t.canceled++
		case bad:
			t.failed++
		case o.State == delivery.Skipped:
			t.skipped++
		case o.Receipt.Started:
			t.started++
		case len(o.Receipt.Warnings) > 0:
			t.warned++
		}
	}
	return t
}

// verdict is the word for all of them: the worst that counts.
func (t tally) verdict() string {
	switch {
	case t.failed > 0:
		return "failed"
	case t.canceled > 0:
		return "canceled"
	case t.all == 0:
		return "had nothing to do"
	case t.optional == t.all:
		return "failed, but is optional"
	case t.skipped == t.all:
		return "skipped"
	case t.started > 0 && t.started+t.skipped == t.all:
		return "started"
	case t.warned > 0:
		return "done with warnings"
	}
	return "done"
}

// heading says what happened, then where: "Sync failed: 1 of 2 targets · `feature`
// at `c0ffee12`". Of one target it says what happened to it.
func heading(ev delivery.Event, name string, outcomes []delivery.Outcome) string {
	t := count(outcomes)
	text := "Sync "
	if name != "" && name != "sync" {
		text += "(" + inline(name) + ") "
	}
	text += t.verdict()
	switch {
	case t.all == 1:
		text += ": " + single(outcomes[0])
	case t.failed > 0:
		text += fmt.Sprintf(": %d of %d targets", t.failed, t.all)
	case t.canceled > 0:
		text += fmt.Sprintf(": %d of %d targets", t.canceled, t.all)
	case t.all > 0:
		text += fmt.Sprintf(": %d targets", t.all) + t.others()
	}
	return text + " · " + where(ev)
}

// single is the one target and what happened to it, unless the verdict says that
// already.
func single(o delivery.Outcome) string {
	text := target(o)
	said := o.Canceled() || o.State == delivery.Done && (o.Receipt.Result == "" || o.Receipt.Started)
	if summary := cell(o.Summary()); !said && summary != "" && summary != string(o.State) {
		text += ", " + summary
	}
	return text
}

// others are the targets that fared otherwise than the verdict says.
func (t tally) others() string {
	text := ""
	for _, one := range []struct {
		n    int
		what string
	}{{t.skipped, "skipped"}, {t.started, "not awaited"}, {t.optional, "optional failed"}} {
		if one.n > 0 && one.n < t.all {
			text += fmt.Sprintf(", %d %s", one.n, one.what)
		}
	}
	return text
}

// where is the ref and the commit.
func where(ev delivery.Event) string {
	text := ""
	if ev.RefType == delivery.Tag {
		text = "tag "
	}
	text += code(cut(oneLine(ev.Ref), 100))
	if ev.Deleted {
		return text + " deleted"
	}
	if !delivery.ZeroSHA(ev.SHA) {
		text += " at " + code(delivery.ShortSHA(ev.SHA))
	}
	return text
}
