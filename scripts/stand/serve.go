package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

// serve runs until ctx ends.
func serve(ctx context.Context, gitlabAddr, direktivAddr, envFile string) error {
	w, err := open(gitlabAddr, direktivAddr)
	if err != nil {
		return err
	}
	defer w.close()
	text := strings.Join(environ(w.job(), w.settings()), "\n") + "\n"
	if envFile != "" {
		if err := os.WriteFile(envFile, []byte(text), 0o600); err != nil {
			return err
		}
	}
	fmt.Printf("GitLab    %s\nDirektiv  %s\nstate     %s/_stand/state\n", w.gitlab.URL, w.direkURL, w.gitlab.URL)
	<-ctx.Done()
	return nil
}

// state tells what a person would see, for scripts to check.
func (w *world) state(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	p := w.scene.Project.ID
	_ = json.NewEncoder(rw).Encode(map[string]any{
		"statuses": shown(w.gitlab.Statuses(p, w.scene.SHA)), "notes": w.gitlab.Notes(p, w.scene.MergeRequest.IID), "syncs": w.direktiv.Asked("POST /api/v2/namespaces/demo/syncs"),
	})
}

// fail has the next sync of the Direktiv fail.
func (w *world) fail(http.ResponseWriter, *http.Request) {
	w.direktiv.Next(direktivtest.Script{Failure: "reference not found"})
}

// shown are the statuses that a person sees: not those that newer ones replaced.
func shown(all []gitlabtest.Status) []gitlabtest.Status {
	out := []gitlabtest.Status{}
	for _, s := range all {
		if !s.Retried {
			out = append(out, s)
		}
	}
	return out
}
