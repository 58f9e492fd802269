package direktiv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// stuckAfter is the age from which a running sync is taken for one that a crash
// left behind: Direktiv means to end them after 5 minutes, but does not.
const stuckAfter = 10 * time.Minute

// start begins a sync and finds its id, whatever becomes of the answer.
func (r *run) start(ctx context.Context) (process, error) {
	known, err := r.firstList(ctx)
	if err != nil {
		return process{}, err
	}
	for again := false; ; again = true {
		id, a, err := r.api.start(ctx)
		if a != nil {
			r.receipt.Request = a.String()
		}
		var p process
		switch {
		case err == nil && id != "":
			return process{id: id, status: pending}, nil
		case err == nil:
			return r.appears(ctx, known, nil, 0)
		case isBusy(a):
			p, known, err = r.busy(ctx, known, again, err)
			if err != nil || p.id != "" {
				return p, err
			}
		case isLost(a, err):
			return r.appears(ctx, known, err, r.patience(err))
		default:
			return process{}, r.call.explain(a, err)
		}
	}
}

// firstList lists the syncs before one is started, and learns from the answer
// which API is spoken.
func (r *run) firstList(ctx context.Context) ([]process, error) {
	v2 := &apiV2{r.call, r.config.Namespace}
	r.api = v2
	list, _, err := v2.list(ctx)
	if err == nil {
		if r.config.directory() != "" {
			r.warn("DIREKTIV_DIRECTORY is ignored: Direktiv since v0.8 mirrors whole namespaces")
		}
		return list, nil
	}
	first := answerOf(err)
	if !notHere(first, err) {
		return nil, r.call.explain(first, err)
	}
	legacy := &apiLegacy{r.call, r.config.Namespace, r.config.directory()}
	r.api = legacy
	info, second, errOld := legacy.info(ctx)
	if errOld != nil {
		if notHere(second, errOld) {
			return nil, noAPI(first, second, errors.Join(err, errOld))
		}
		return nil, r.call.explain(second, errOld)
	}
	r.mirror = info.Info.state()
	if err := r.concerns(); err != nil {
		return nil, err
	}
	list, err = info.processes(second)
	return list, r.call.explain(second, err)
}

// isBusy says whether an answer may mean "already running": v2 says it by a bare
// internal error, the legacy API in words.
func isBusy(a *rest.Answer) bool {
	if a == nil || a.Code != http.StatusInternalServerError {
		return false
	}
	f, ok := refusalOf(a)
	return ok && (f.Code == "internal" || strings.Contains(f.Message, "already"))
}

// isLost says whether a sync may have been started although we have no id of it.
func isLost(a *rest.Answer, err error) bool {
	var conn *rest.ConnError
	if errors.As(err, &conn) {
		return conn.Sent()
	}
	if a == nil {
		return false
	}
	switch a.Code {
	case http.StatusInternalServerError: // in Direktiv's own words it is a refusal
		_, told := refusalOf(a)
		return !told
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return a.Code < 300 && !notHere(a, err)
}

// patience is how long to look for a sync whose answer was lost: 0, until the
// deadline, unless something did answer, if only a gateway: then a sync that was
// started is in the list already.
func (r *run) patience(err error) time.Duration {
	var large *rest.TooLargeError
	if _, silent := asConn(err); silent && !errors.As(err, &large) {
		return 0
	}
	return r.pace.gateway
}

// busy finds out what an internal error meant. It gives a sync that was started
// after our listing, or waits for the one that runs; then there is none to
// follow, and another one is to be started.
func (r *run) busy(ctx context.Context, known []process, again bool, cause error) (process, []process, error) {
	list, now, err := r.api.list(ctx)
	if err != nil {
		return process{}, nil, r.call.explain(answerOf(err), err)
	}
	if p, ok := fresh(known, list); ok {
		return p, list, nil
	}
	i := slices.IndexFunc(list, process.running)
	if i < 0 && strings.Contains(cause.Error(), "already") {
		// v0.7 also waits for work that is not a sync, and says so in words.
		err := delivery.Wait(ctx, r.pace.last)
		return process{}, list, wrapEnd(err, "Direktiv says that other work on the mirror is under way", r.evidence())
	}
	if i < 0 && again {
		return process{}, nil, realFault(r.call.explain(answerOf(cause), cause))
	}
	if i < 0 {
		return process{}, list, nil // it ended between the two requests
	}
	if err := r.stuck(list[i], now); err != nil {
		return process{}, nil, err
	}
	if _, err := r.follow(ctx, list[i], r.stuck); err != nil {
		return process{}, nil, err
	}
	list, _, err = r.api.list(ctx)
	return process{}, list, r.call.explain(answerOf(err), err)
}

// wrapEnd explains the end of the time; nil stays nil.
func wrapEnd(err error, cause, request string) error {
	if err == nil {
		return nil
	}
	return &delivery.Fault{Summary: "mirror is busy", Cause: cause, Request: request, Err: err,
		Remedy: "give it longer with REMORA_TIMEOUT, or look at the mirror with `remora mirror show`"}
}

// realFault adds what the list has shown.
func realFault(err error) error {
	f := *delivery.Explain(err)
	f.Cause += "; no sync is running that would explain it"
	return &f
}

// fresh is a sync in list that is not among the known ones.
func fresh(known, list []process) (process, bool) {
	for _, p := range list {
		if _, old := find(known, p.id); !old {
			return p, true
		}
	}
	return process{}, false
}

// appears waits for a sync that was not known before. lost is why there is no
// id; nil where the API tells none. It looks for as long as patience, or until
// the deadline: to start another one would be to sync twice.
func (r *run) appears(ctx context.Context, known []process, lost error, patience time.Duration) (process, error) {
	begin, pause, strange := time.Now(), r.pace.first, 0
	for {
		list, _, err := r.api.list(ctx)
		if p, ok := fresh(known, list); err == nil && ok {
			return p, nil
		}
		if f := r.call.explain(answerOf(err), err); err != nil && delivery.StateOf(f) == delivery.Failed {
			if strange++; strange >= glitches || refused(answerOf(err)) {
				return process{}, f
			}
		}
		if patience > 0 && time.Since(begin) > patience {
			return process{}, r.call.explain(answerOf(lost), lost)
		}
		if err := delivery.Wait(ctx, pause); err != nil {
			return process{}, r.vanished(lost, err)
		}
		pause = min(pause*3/2, r.pace.last)
	}
}

func (r *run) vanished(lost, err error) error {
	cause := "Direktiv took the order but no new sync has appeared in its list"
	if lost != nil {
		cause = "the answer to the trigger was lost and no new sync has appeared since: " + lost.Error()
	}
	return &delivery.Fault{Summary: "no sync appeared", Cause: cause, Request: r.evidence(),
		Remedy: "look at the mirror with `remora mirror show`; if the line is slow, give it longer with REMORA_TIMEOUT", Err: err}
}

func (r *run) evidence() string {
	if r.receipt.Request != "" {
		return r.receipt.Request
	}
	return http.MethodPost + " " + rest.Plain(r.call.url((&apiV2{r.call, r.config.Namespace}).syncsPath()))
}

// stuck is the error of a sync that runs for too long to be true, by the clock of
// the server. It is asked of syncs that are in our way, not of our own: those are
// waited for as long as the user said.
func (r *run) stuck(p process, now time.Time) error {
	age := now.Sub(p.created)
	if p.created.IsZero() || age < stuckAfter {
		return nil
	}
	return delivery.Permanent(&delivery.Fault{
		Summary: "an old sync is stuck",
		Cause: fmt.Sprintf("sync %s is %s since %s, %s ago: a crash of Direktiv leaves that behind, and Direktiv up to v0.10 then refuses every later sync",
			p.id, clip(p.status), p.created.UTC().Format(time.RFC3339), age.Round(time.Minute)),
		Remedy:  "delete the namespace " + r.config.Namespace + " in Direktiv and create it again with `remora mirror create`, or end the row in the table mirror_processes of its database",
		Request: r.evidence(),
	})
}
