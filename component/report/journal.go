package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"gitlab.com/remora-ci/remora/component/gitlab"
)

// entry is one line of a journal: a status that was opened, or its end. A later
// line about the same status replaces an earlier one. It holds no secret.
type entry struct {
	Op       string         `json:"op"` // open, end
	Project  gitlab.Project `json:"project"`
	SHA      string         `json:"sha"`
	Ref      string         `json:"ref,omitempty"`
	Name     string         `json:"name"`
	Pipeline int64          `json:"pipeline,omitempty"` // 0 until GitLab has named it
	Author   int64          `json:"author,omitempty"`   // user that GitLab says opened it
}

type entryKey struct {
	project   gitlab.Project
	sha, name string
}

func (e entry) key() entryKey { return entryKey{e.Project, e.SHA, e.Name} }

const (
	opOpen = "open"
	opEnd  = "end"

	maxJournal = 8 << 20  // bytes read
	maxEntry   = 64 << 10 // bytes of one line
)

// journal is the file of what is open. A line is written before the request that
// it announces, so that a killed process leaves nothing unknown. It is not
// synced: it must outlive the process, not the machine.
type journal struct {
	path string
	file *os.File
	open map[entryKey]entry
}

// openJournal continues the journal at path; with an empty path it keeps none.
// The file is made when the first line is written.
func openJournal(path string) (*journal, error) {
	j := &journal{path: path, open: map[entryKey]entry{}}
	if path == "" {
		return j, nil
	}
	left, err := readJournal(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.path = "" // not to be written to, nor removed
		return j, err
	}
	for _, e := range left {
		j.open[e.key()] = e
	}
	return j, nil
}

func (j *journal) add(e entry) error {
	switch {
	case e.Op == opEnd:
		if _, known := j.open[e.key()]; !known {
			return nil
		}
		delete(j.open, e.key())
	case j.open[e.key()] == e:
		return nil
	default:
		j.open[e.key()] = e
	}
	if j.path == "" {
		return nil
	}
	line, err := json.Marshal(e)
	if err == nil {
		err = j.write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

func (j *journal) write(line []byte) error {
	if j.file == nil {
		file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		j.file = file
		// An earlier process may have died in the middle of a line.
		line = append([]byte("\n"), line...)
	}
	_, err := j.file.Write(line)
	return err
}

// close closes the file, and removes it when nothing is open.
func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	if len(j.open) == 0 {
		err = errors.Join(err, os.Remove(j.path))
	}
	if err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}

// readJournal is what the journal at path says is open, in the order in which it
// was opened. Lines that are no entries are passed over: the last may be torn.
func readJournal(path string) ([]entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer func() { _ = file.Close() }()
	open := map[entryKey]entry{}
	var order []entryKey
	lines := bufio.NewScanner(io.LimitReader(file, maxJournal))
	lines.Buffer(nil, maxEntry)
	var ours, others bool
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		ours = ours || bytes.HasPrefix(line, []byte(`{"op":`))
		others = others || len(line) > 0
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Project == "" || e.SHA == "" || e.Name == "" {
			continue
		}
		switch e.Op {
		case opEnd:
			delete(open, e.key())
		case opOpen:
			if _, known := open[e.key()]; !known {
				order = append(order, e.key())
			}
			open[e.key()] = e
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	if others && !ours { // a file of the user's, which must not be removed
		return nil, fmt.Errorf("read journal: %s lists no open statuses; name another file with REMORA_JOURNAL", path)
	}
	var left []entry
	for _, k := range order {
		if e, still := open[k]; still {
			left = append(left, e)
			delete(open, k)
		}
	}
	return left, nil
}
