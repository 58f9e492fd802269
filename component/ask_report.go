package component

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/trigger"
)

// postByAgent has the agent report the state of any job, and waits until GitLab shows
// it. The error is a [Misuse]; what was refused is in the Result.
func postByAgent(ctx context.Context, c Config, s Single, stdin io.Reader, version string) (PostResult, error) {
	scrub := c.Scrubber()
	note, err := readNote(s.NoteFile, stdin)
	single := report.Single{Name: s.Name, State: s.State, Description: scrub.Text(s.Description), URL: s.URL, NoteText: scrub.Text(note)}
	if err := errors.Join(c.validateReporting(s.Key), err, single.Validate()); err != nil {
		return PostResult{}, &Misuse{err}
	}
	log := *zerolog.Ctx(ctx)
	if told := c.Agent.inTheClear(); told != "" {
		log.Info().Msg(told)
	}
	token := c.Agent.IDToken
	if token.Empty() {
		token = c.Agent.Token
	}
	client, err := trigger.New(c.Agent.URL, token, outbound(c, version, 0, log, scrub))
	if err != nil {
		return PostResult{}, &Misuse{fmt.Errorf("CI_SERVER_TLS_CA_FILE: %w", err)}
	}
	ctx, cancel := context.WithTimeout(ctx, c.Job.Deadline())
	defer cancel()
	r := PostResult{Status: s.Name, State: s.State}
	for _, one := range c.reports(single) {
		r.post(ctx, c, client, s.Key, one, scrub)
	}
	return r, nil
}

// post has one report shown, and adds what became of it.
func (r *PostResult) post(ctx context.Context, c Config, client *trigger.Client, key string, one trigger.Report, scrub *delivery.Scrubber) {
	if key == "" {
		// A new one for each call: a build that runs again reports the same state of
		// the same commit once more, and that must be shown.
		key = "report-" + rand.Text()
	} else if one.SHA != c.CI.CommitSHA {
		key += "-" + delivery.ShortSHA(one.SHA) // the second of both
	}
	known, err := client.Report(ctx, key, one)
	if err == nil && !known.Done {
		known, err = client.Follow(ctx, known.ID, nil)
	}
	if known.ID != 0 {
		r.Report.By = agentName
		r.Agent = &Asked{URL: client.Where(known.ID), Event: known.ID}
	}
	var status *rest.StatusError
	switch {
	case known.ID == 0 && c.CI.ownNamespace() && errors.As(err, &status) && status.Code == http.StatusForbidden:
		r.Skipped = clean(scrub.Text("the agent does not take it, as is right for a fork: " + delivery.Explain(err).Cause))
		return
	case err != nil:
		r.problem(unreported(err, known), scrub)
		return
	case len(known.Targets) == 0 && known.State == string(delivery.Failed):
		r.problem(&delivery.Fault{Summary: "nothing was reported", Cause: known.Reason, Remedy: "see what the agent says of it: remora events show " + fmt.Sprint(known.ID)}, scrub)
	case len(known.Targets) == 0:
		r.Skipped = clean(scrub.Text(known.Reason))
	}
	for _, t := range known.Targets {
		switch o := t.Outcome(); o.State {
		case delivery.Done:
		case delivery.Skipped:
			r.Skipped = clean(scrub.Text(o.Summary()))
		default:
			r.problem(delivery.Explain(o.Err), scrub)
		}
	}
}

func (r *PostResult) problem(f *delivery.Fault, scrub *delivery.Scrubber) {
	if p := problemOf(f, scrub); !slices.ContainsFunc(r.Report.Problems, p.same) {
		r.Report.Problems = append(r.Report.Problems, p)
	}
}

// unreported is why it is not known whether a report is shown.
func unreported(err error, known trigger.Delivery) *delivery.Fault {
	f := *delivery.Explain(err)
	switch {
	case errors.Is(err, context.Canceled):
		f.Summary = "stopped before the end"
	case errors.Is(err, context.DeadlineExceeded):
		f.Summary = "no result in time"
	}
	if known.ID != 0 {
		f.Cause = join("the agent goes on with it", f.Cause)
		f.Remedy = fmt.Sprintf("see what becomes of it where the agent runs: remora events show %d", known.ID)
	} else if f.Remedy == "" {
		f.Remedy = "look whether the agent runs, or give it longer with REMORA_TIMEOUT"
	}
	return &f
}

var visible = regexp.MustCompile(`^[!-~]{1,150}$`)

// validateReporting tells everything that keeps an agent from being asked to report.
func (c Config) validateReporting(key string) error {
	errs := []error{c.Agent.validate(), c.Job.Validate(), c.Report.Validate()}
	if c.Agent.IDToken.Empty() && c.Agent.Token.Empty() {
		errs = append(errs, errors.New("REMORA_ID_TOKEN: missing, and REMORA_AGENT_TOKEN too; a GitLab CI job needs the line "+IDTokenLines+
			", any other build system a project token of the agent: remora token issue"))
	}
	if key != "" && !visible.MatchString(key) {
		errs = append(errs, errors.New("--idempotency-key: want 1 to 150 characters without space"))
	}
	for _, v := range []pair{{"CI_COMMIT_SHA", c.CI.CommitSHA}, {"CI_PROJECT_PATH", c.CI.ProjectPath}} {
		if v.value == "" {
			errs = append(errs, fmt.Errorf("%s: missing; run in a GitLab CI job, or give --%s", v.name, flagName(v.name)))
		}
	}
	for _, sha := range []pair{{"CI_COMMIT_SHA", c.CI.CommitSHA}, {"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", c.CI.MRSourceSHA}} {
		if sha.value != "" && !commitID.MatchString(sha.value) {
			errs = append(errs, fmt.Errorf("%s: want a full commit id, not %.80q", sha.name, sha.value))
		}
	}
	if iid := c.CI.MRIID; iid != "" && number(iid) <= 0 {
		errs = append(errs, fmt.Errorf("CI_MERGE_REQUEST_IID: want a number, not %.80q", iid))
	}
	return errors.Join(errs...)
}

// reports are what the agent is asked to show: on the pipeline's commit, the source's
// or both. The note comes with the last.
func (c Config) reports(s report.Single) []trigger.Report {
	j := &job{config: c, event: c.CI.event(time.Now())}
	findMergeRequest(context.Background(), nil, c.CI, &j.event)
	var out []trigger.Report
	for _, sha := range j.statusCommits() {
		out = append(out, trigger.Report{
			Project: c.CI.ProjectPath, SHA: sha, Ref: j.event.Ref, Name: s.Name, State: s.State,
			Description: strings.TrimSpace(s.Description), URL: s.URL,
		})
	}
	last := &out[len(out)-1]
	last.Note = s.NoteText
	if mr := j.event.MergeRequest; mr != nil && s.NoteText != "" && mr.ProjectPath == c.CI.ProjectPath {
		last.MergeRequest = mr.IID
	}
	return out
}
