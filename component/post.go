package component

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"gitlab.com/remora-ci/remora/component/report"
)

// maxNoteFile bounds a note that is read from a file, in bytes.
const maxNoteFile = 1 << 20

// Single is one status, and perhaps a note, of a job that is not a sync.
type Single struct {
	Name, State, Description, URL string
	NoteFile                      string // markdown; "" for no note, "-" for standard input
	Key                           string // for an agent: the same key is the same report; "" for a new one
}

// PostResult is what [Post] did; its JSON form is printed.
type PostResult struct {
	Status string   `json:"status"` // the name that was reported
	State  string   `json:"state"`
	Report Reported `json:"report"`

	Skipped string `json:"skipped,omitempty"` // why the agent had nothing to show: a newer report was there
	Agent   *Asked `json:"agent,omitempty"`   // if one was asked to report
}

// Post reports the state of any job as the bot. The error is a [Misuse] if
// nothing was tried; what GitLab refused is in the Result. Where an agent is asked, it
// reports.
func Post(ctx context.Context, c Config, s Single, stdin io.Reader, version string) (PostResult, error) {
	if c.Agent.Enabled() {
		return postByAgent(ctx, c, s, stdin, version)
	}
	if c.GitLab.Token.Empty() {
		return PostResult{}, &Misuse{errors.New("REMORA_GITLAB_TOKEN: missing; a bot's token with the api scope is needed to report, CI_JOB_TOKEN cannot")}
	}
	scrub := c.Scrubber()
	note, err := readNote(s.NoteFile, stdin)
	single := report.Single{Name: s.Name, State: s.State, Description: scrub.Text(s.Description), URL: s.URL, NoteText: scrub.Text(note)}
	if err := errors.Join(c.CI.validate(), c.Job.Validate(), c.validateReport(), err, single.Validate()); err != nil {
		return PostResult{}, &Misuse{err}
	}
	gl, err := c.gitlabClient(outbound(c, version, maxGitLabAnswer, *zerolog.Ctx(ctx), scrub))
	if err != nil {
		return PostResult{}, &Misuse{err}
	}
	ev := c.CI.event(time.Now())
	if note != "" {
		if told := findMergeRequest(ctx, gl, c.CI, &ev); told != "" {
			zerolog.Ctx(ctx).Info().Msg(clean(scrub.Text(told)))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	told := report.Post(ctx, c.Report, gl, ev, report.Options{Version: version, Now: time.Now}, single)
	return PostResult{Status: s.Name, State: s.State, Report: reportedOf(told, scrub)}, nil
}

func readNote(file string, stdin io.Reader) (string, error) {
	if file == "" {
		return "", nil
	}
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("--note-file: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, maxNoteFile+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("--note-file: %w", err)
	case len(content) > maxNoteFile:
		return "", fmt.Errorf("--note-file: %s is larger than %d KiB", file, maxNoteFile>>10)
	case strings.TrimSpace(string(content)) == "":
		return "", fmt.Errorf("--note-file: %s is empty", file)
	case !utf8.Valid(content):
		return strings.ToValidUTF8(string(content), "\uFFFD"), nil
	}
	return string(content), nil
}

// Print writes what was reported, and each problem with its remedy.
func (r PostResult) Print(w io.Writer, s Style) error {
	if s.JSON {
		return printJSON(w, r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "remora report  %s  %s  %s\n", clean(r.Status), s.paint(r.State), r.Report.String())
	line(&b, "not shown", r.Skipped)
	r.Report.problems(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// ExitCode is 1 if GitLab was not told everything: reporting is all that this
// command does.
func (r PostResult) ExitCode() int {
	if len(r.Report.Problems) > 0 {
		return ExitFailed
	}
	return ExitDone
}
