package report

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"gitlab.com/remora-ci/remora/component/gitlab"
)

// FinishJournal ends as canceled what the journal at path says is open, and says
// how many statuses that were. No file, or one without open statuses, is the
// normal case. A status is read before it is ended: one that is final already
// would become a new job. What could not be ended stays in the journal, and is
// told in the error.
func FinishJournal(ctx context.Context, gl *gitlab.Client, path string) (n int, err error) {
	return finishJournal(ctx, gl, path, time.Second)
}

func finishJournal(ctx context.Context, gl *gitlab.Client, path string, pace time.Duration) (n int, err error) {
	left, err := readJournal(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	case len(left) == 0:
		return 0, os.Remove(path)
	case gl == nil:
		return 0, noToken()
	}
	j := &journal{path: path, open: map[entryKey]entry{}}
	for _, e := range left {
		j.open[e.key()] = e
	}
	s := &sender{gl: gl, o: Options{pace: pace}}
	var errs []error
	for _, e := range left {
		end := s.finishEntry(ctx, e)
		if end.ended {
			n++
		}
		if end.err != nil {
			errs = append(errs, fmt.Errorf("end status %q: %w", e.Name, end.err))
		}
		if end.settled {
			e.Op = opEnd
			errs = append(errs, j.add(e))
		}
	}
	return n, errors.Join(append(errs, j.close())...)
}

// ending is what became of a leftover: settled if there is nothing more to do,
// ended if that is our doing.
type ending struct {
	settled, ended bool
	err            error
}

func (s *sender) finishEntry(ctx context.Context, e entry) ending {
	p := &place{project: e.Project, sha: e.SHA, ref: e.Ref, pipeline: e.Pipeline}
	for try := 1; ; try++ {
		found, ok, err := p.newest(ctx, s.gl, e.Name)
		switch {
		case isNotFound(err), err == nil && (!ok || state(found.State).final()):
			return ending{settled: true}
		case err != nil:
			return ending{err: noteFault(err)}
		}
		p.pipeline = found.PipelineID
		m := message{state: canceled, description: "the job ended before there was a result"}
		got, err := s.gl.SetStatus(ctx, p.project, p.sha, p.status(e.Name, m))
		a, _ := answerOf(ctx, err, m.state)
		switch a {
		case accepted:
			return ending{settled: true, ended: true, err: sameAuthor(e, found, got)}
		case newer, unknown:
			return ending{settled: true}
		}
		if a != temporary || try == postTries || !s.pause(ctx, try) {
			return ending{err: faultOf(a, p, e.Name, err)}
		}
	}
}

// sameAuthor is an error if GitLab made a new status instead of ending the one
// that it found.
func sameAuthor(e entry, found, got gitlab.Status) error {
	for _, opener := range []int64{e.Author, found.AuthorID} {
		if opener != 0 && got.AuthorID != 0 && opener != got.AuthorID {
			return authorFault(e.Name)
		}
	}
	return nil
}
