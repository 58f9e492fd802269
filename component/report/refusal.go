package report

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
)

// answer is what an answer to a posted status means for what comes next.
type answer int

const (
	accepted  answer = iota // GitLab shows what was wanted
	newer                   // GitLab shows something newer or final: stop
	unclear                 // a step was refused that the words do not explain: look
	unknown                 // GitLab does not know the commit (yet)
	stale                   // the pipeline is not one of this commit and ref
	taken                   // a CI job has this name
	full                    // the pipeline may hold no more jobs
	badURL                  // the target URL is not taken
	limited                 // too many requests, and a longer wait than is worth it
	refused                 // trying again cannot help
	temporary               // it may have been done or not: look, then try again
	stopped                 // our own time is over
)

// answerOf reads the error of a post that wanted a state. shows is the state that
// GitLab says it shows, where it says so.
func answerOf(ctx context.Context, err error, wanted state) (a answer, shows state) {
	var status *rest.StatusError
	switch {
	case err == nil:
		return accepted, wanted
	case ctx.Err() != nil:
		return stopped, none
	case !errors.As(err, &status):
		if delivery.StateOf(rest.Fault(err, names)) == delivery.Failed {
			return refused, none
		}
		return temporary, none
	}
	if from, ok := refusedFrom(status.Body); ok && status.Code == http.StatusBadRequest {
		return stepFrom(from, wanted), from
	}
	return answerOfWords(status.Code, strings.ToLower(status.Body)), none
}

// stepFrom reads a refused step: https://docs.gitlab.com/api/commits/#set-commit-pipeline-status.
func stepFrom(from, wanted state) answer {
	switch {
	case from == wanted:
		return accepted
	case from.final() || from.rank() > wanted.rank():
		return newer
	}
	return unclear
}

func answerOfWords(code int, words string) answer {
	has := func(text string) bool { return strings.Contains(words, text) }
	switch {
	case code == http.StatusNotFound && has("pipeline for pipeline_id"):
		return stale
	case code == http.StatusNotFound && has("commit not found") && !has("references for"):
		return unknown
	case has("number of jobs has exceeded"):
		return full
	case code == http.StatusBadRequest && has("has already been taken"):
		return taken
	case code == http.StatusBadRequest && (has("target_url") || has("target url")):
		return badURL
	case code == http.StatusTooManyRequests:
		return limited
	case code == http.StatusConflict, rest.Temporary(code):
		return temporary
	}
	return refused
}

// noAccess says whether err is the refusal of one project rather than of all.
func noAccess(err error) bool {
	var status *rest.StatusError
	if !errors.As(err, &status) || strings.Contains(status.Body, "scope") {
		return false
	}
	return status.Code == http.StatusForbidden || status.Code == http.StatusNotFound
}

// names are the settings that a person can change.
var names = rest.Names{URL: "REMORA_GITLAB_URL", Token: "REMORA_GITLAB_TOKEN"}

const notFailing = "the deliveries are not touched by this"

// faultOf explains to a person why a status is not shown.
func faultOf(a answer, p *place, name string, err error) *delivery.Fault {
	f := *delivery.Explain(rest.Fault(err, names))
	where := "commit " + delivery.ShortSHA(p.sha) + " of project " + string(p.project)
	switch a {
	case taken:
		f.Summary, f.Cause = "status name taken", fmt.Sprintf("a CI job of the pipeline is called %q, so no status of %s can have this name", name, where)
		f.Remedy = "set REMORA_NAME to another prefix, or rename the job"
	case full:
		f.Summary, f.Cause = "pipeline is full", "GitLab takes no more jobs and statuses in the pipeline of "+where
		f.Remedy = "ask an administrator for a higher limit of jobs in a pipeline, or set REMORA_REPORT=note"
	case unknown:
		f.Summary, f.Cause = "commit not found", "GitLab does not know "+where+" (any more): it was replaced by a force push, or the project is another"
		f.Remedy = "run the pipeline of the branch's newest commit"
	case stale:
		f.Summary, f.Cause = "no such pipeline", "GitLab finds no pipeline of "+where+" that takes a status: it is archived, or of another commit"
		f.Remedy = "run a new pipeline of this commit"
	case limited:
		f.Summary, f.Remedy = "rate limited", "run fewer jobs at once, or ask for a higher limit; "+notFailing
	case temporary:
		if f.Remedy == "" {
			f.Remedy = "run the job again when GitLab is well"
		}
		f.Remedy += "; " + notFailing
	case unclear:
		f.Summary, f.Cause = "status step refused", fmt.Sprintf("GitLab does not let the status %q of %s take this step: %s", name, where, err)
		f.Remedy = "look at the status in the pipeline; somebody else may have set it too"
	case stopped:
		f.Summary, f.Cause = "no time left", fmt.Sprintf("there was no time left to set the status %q of %s", name, where)
		f.Remedy = "`remora sync --finish` in after_script ends what is still open"
	case refused:
		refusal(&f, p, where, err)
	}
	if f.Remedy == "" {
		f.Remedy = "look at the words of the answer: sending it again would be refused again; " + notFailing
	}
	return &f
}

// refusal says what a refused post means for statuses.
func refusal(f *delivery.Fault, p *place, where string, err error) {
	var status *rest.StatusError
	if !errors.As(err, &status) {
		return
	}
	switch {
	case strings.Contains(status.Body, "scope"):
		f.Summary, f.Remedy = "token too weak", "give the token in REMORA_GITLAB_TOKEN the scope api"
	case status.Code == http.StatusForbidden:
		f.Summary, f.Cause = "status not allowed", "the bot may not set a status on "+where+" ("+status.Body+")"
		f.Remedy = "give the bot user of REMORA_GITLAB_TOKEN the role Developer there"
		if p.ref != "" {
			f.Remedy += "; if " + p.ref + " is protected, let the bot merge or push there too"
		}
		f.Remedy += "; or set REMORA_REPORT=note"
	case status.Code == http.StatusNotFound:
		f.Summary, f.Cause = "status not possible", where+" is not there for the bot ("+status.Body+")"
		f.Remedy = "add the bot user of REMORA_GITLAB_TOKEN to the project as Developer"
	}
}

// forkFault is the one hint for a merge request from a fork whose commit takes no
// statuses from us.
func forkFault(last *delivery.Fault, tried []string) *delivery.Fault {
	f := *last
	f.Summary = "no status in the fork"
	f.Cause = "the merge request comes from a fork, and neither " + strings.Join(tried, " nor ") + " takes a status for its commit; last: " + last.Cause
	f.Remedy = "add the bot user of REMORA_GITLAB_TOKEN to the fork as Developer, or let a member run the merge request's pipeline in the target project"
	return &f
}

// problems collects what a person should know, each once.
type problems struct {
	list []*delivery.Fault
	seen map[string]bool
}

func (p *problems) add(f *delivery.Fault) {
	key := f.Summary + "\x00" + f.Remedy
	if p.seen[key] {
		return
	}
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[key] = true
	p.list = append(p.list, f)
}
