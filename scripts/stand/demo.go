package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

// demo runs the job of one merge request three times: one that works, one whose sync
// fails, one that mends it; then it shows what the agent does with two pushes.
func demo(ctx context.Context, binary string) error {
	dir, err := os.MkdirTemp("", "remora-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	say("Building remora, and starting a GitLab and a Direktiv on loopback …")
	if binary, err = build(ctx, binary, dir); err != nil {
		return err
	}
	w, err := open("127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer w.close()
	scenes := []struct {
		title string
		sync  direktivtest.Script
		code  int
	}{
		{"1. A merge request whose commit Direktiv takes", direktivtest.Script{}, 0},
		{"2. The same pipeline again, but Direktiv cannot find the branch", direktivtest.Script{Failure: "reference not found"}, 1},
		{"3. Mended, and run again: the same note, edited in place", direktivtest.Script{}, 0},
	}
	for i, s := range scenes {
		say("\n━━ " + s.title + " ━━")
		w.direktiv.Next(s.sync)
		if err := w.play(ctx, binary, dir, fmt.Sprint(7001+i), s.code); err != nil {
			return err
		}
	}
	if err := w.demoAgent(ctx, binary, dir); err != nil {
		return err
	}
	say(fmt.Sprintf("\n%d requests to GitLab, %d triggers of Direktiv; on the merge request one note about them all.", len(w.gitlab.Requests()), w.direktiv.Asked("POST ")))
	if leaks := w.gitlab.Leaks(); len(leaks) > 0 {
		return fmt.Errorf("a secret went where it must not: %v", leaks)
	}
	return nil
}

// play runs one job and shows its log, the statuses and the note.
func (w *world) play(ctx context.Context, binary, dir, job string, want int) error {
	vars := w.job()
	vars["CI_JOB_ID"], vars["CI_PROJECT_DIR"], vars["HOME"] = job, dir, dir
	cmd := exec.CommandContext(ctx, binary, "sync")
	cmd.Env = environ(vars, w.settings())
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	say("$ remora sync")
	say(indent(string(out)))
	if got := cmd.ProcessState.ExitCode(); got != want {
		return fmt.Errorf("remora sync exited with %d, not %d", got, want)
	}
	say("   exit code " + fmt.Sprint(want))
	statuses := shown(w.gitlab.Statuses(w.scene.Project.ID, w.scene.SHA))
	if len(statuses) == 0 {
		return errors.New("no status on the commit")
	}
	say("\nOn the commit:")
	for _, s := range statuses {
		say(fmt.Sprintf("   %-8s %s  %s", s.State, s.Name, s.Description))
	}
	notes := w.gitlab.Notes(w.scene.Project.ID, w.scene.MergeRequest.IID)
	if len(notes) != 1 {
		return fmt.Errorf("%d notes on the merge request, not one", len(notes))
	}
	say("\nOn the merge request:")
	say(frame(render(notes[0].Body)))
	return nil
}

func say(text string) { fmt.Println(strings.TrimRight(text, "\n")) }

func indent(text string) string {
	return "   " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n   ")
}
