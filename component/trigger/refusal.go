package trigger

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// maxSaid bounds what is repeated of the agent's own words, in bytes.
const maxSaid = 2 << 10

// refusal is a [rest.StatusError] whose reason the agent gave itself, as a
// [Problem]. What stands before an agent, such as an ingress whose backend is
// starting, gives codes of the same numbers and means something else.
type refusal struct{ *rest.StatusError }

func (r refusal) Unwrap() error { return r.StatusError }

// refused says whether the agent itself has said no, for good.
func refused(err error) bool {
	var r refusal
	return errors.As(err, &r) && !rest.Temporary(r.Code)
}

// explain makes a fault of what went wrong with a call: in the agent's own words
// where it gave some. A code that may pass is not permanent.
func (c *Client) explain(answer *rest.Answer, err error) error {
	var status *rest.StatusError
	var p Problem
	if !errors.As(err, &status) || answer == nil || answer.JSON(&p) != nil || strings.TrimSpace(p.Detail) == "" {
		return c.scrubbed(foreign(rest.Fault(err, names), status))
	}
	f := &delivery.Fault{Summary: p.Title, Cause: p.Detail, Remedy: p.Remedy, Request: answer.String(), Err: refusal{status}}
	if f.Summary == "" {
		f.Summary = fmt.Sprintf("refused with status %d", status.Code)
	}
	if f.Remedy == "" {
		f.Remedy = remedies[status.Code]
	}
	if rest.Temporary(status.Code) {
		return c.scrubbed(f)
	}
	return c.scrubbed(delivery.Permanent(f))
}

// foreign puts right what helps against a refusal that no agent has worded: somebody
// else answers at that address, and the token has nothing to do with it.
func foreign(err error, status *rest.StatusError) error {
	var f *delivery.Fault
	if status == nil || rest.Temporary(status.Code) || !errors.As(err, &f) {
		return err
	}
	f.Summary, f.Remedy = fmt.Sprintf("refused with status %d, not by an agent", status.Code), "check that "+names.URL+" is the base URL of the agent, and what stands before it: an agent says why it refuses"
	return err
}

// remedies are what helps against a refusal, by its code.
var remedies = map[int]string{
	http.StatusBadRequest: "use versions of remora that go together here and in the agent",
	http.StatusUnauthorized: "give the job id_tokens: {REMORA_ID_TOKEN: {aud: 'remora:$REMORA_AGENT_URL'}}, and have REMORA_AGENT_URL be the URL that the agent knows as its own; " +
		"a token ends with the job's timeout",
	http.StatusForbidden:           "ask who runs the agent for a route with on: [job] that takes this project and ref; a branch may have to be protected",
	http.StatusNotFound:            "check that REMORA_AGENT_URL is the base URL of the agent, and that it still has its database",
	http.StatusConflict:            "give each job, and each state that is reported, a key of its own",
	http.StatusUnprocessableEntity: "correct what is named",
}

// scrubbed is err with the token taken out of what was said about it: an agent, or
// what stands before it, might repeat what it was sent.
func (c *Client) scrubbed(err error) error {
	var status *rest.StatusError
	if errors.As(err, &status) {
		status.Body = c.scrub.Text(status.Body)
	}
	var f *delivery.Fault
	if errors.As(err, &f) {
		for _, text := range []*string{&f.Summary, &f.Cause, &f.Remedy, &f.Request} {
			*text = cut(c.scrub.Text(*text))
		}
	}
	return err
}

func cut(s string) string {
	if len(s) <= maxSaid {
		return s
	}
	return strings.ToValidUTF8(s[:maxSaid], "") + "…"
}
