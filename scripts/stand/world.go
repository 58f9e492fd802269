package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"time"

	"gitlab.com/remora-ci/remora/component/gitlab/gitlabtest"
	"gitlab.com/remora-ci/remora/component/target/direktiv/direktivtest"
)

const direktivToken = "direktiv-token-0123456789"

// world is a GitLab with a merge request and a Direktiv whose namespace mirrors
// its branch.
type world struct {
	gitlab   *gitlabtest.Server
	direktiv *direktivtest.Server
	scene    gitlabtest.Scene
	direkURL string
	servers  []*http.Server
}

// open serves both on the given addresses; port 0 takes a free one.
func open(gitlabAddr, direktivAddr string) (*world, error) {
	w := &world{}
	gl, err := net.Listen("tcp", gitlabAddr)
	if err != nil {
		return nil, err
	}
	dk, err := net.Listen("tcp", direktivAddr)
	if err != nil {
		_ = gl.Close()
		return nil, err
	}
	w.gitlab = gitlabtest.NewHandler("http://" + gl.Addr().String())
	w.scene = w.gitlab.Populate()
	w.direkURL = "http://" + dk.Addr().String()
	w.direktiv = direktivtest.New(direktivtest.Options{
		Generation: direktivtest.V0810, Key: direktivToken, Polls: 2,
		Mirror: &direktivtest.Mirror{URL: w.gitlab.URL + "/acme/app.git", GitRef: "feature", AuthType: "public"},
	})
	mux := http.NewServeMux()
	mux.Handle("/", w.gitlab.Handler())
	mux.HandleFunc("GET /_stand/state", w.state)
	mux.HandleFunc("POST /_stand/direktiv/fail", w.fail)
	mux.HandleFunc("POST /_stand/id_token", w.mint)
	w.serve(gl, mux)
	w.serve(dk, w.direktiv.Handler())
	return w, nil
}

func (w *world) serve(l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	w.servers = append(w.servers, s)
	go func() { _ = s.Serve(l) }() // ends with close
}

func (w *world) close() {
	for _, s := range w.servers {
		_ = s.Close()
	}
}

// job is the environment of a merge-request pipeline's job, without secrets.
func (w *world) job() map[string]string {
	p, mr := w.scene.Project, w.scene.MergeRequest
	project := w.gitlab.URL + "/" + p.Path
	return map[string]string{
		"CI": "true", "CI_SERVER_URL": w.gitlab.URL, "CI_API_V4_URL": w.gitlab.URL + "/api/v4",
		"CI_PROJECT_ID": strconv.FormatInt(p.ID, 10), "CI_PROJECT_PATH": p.Path, "CI_PROJECT_URL": project, "CI_DEFAULT_BRANCH": "main",
		"CI_COMMIT_SHA": w.scene.SHA, "CI_COMMIT_REF_NAME": mr.SourceBranch, "CI_PIPELINE_ID": strconv.FormatInt(w.scene.Pipeline.ID, 10),
		"CI_PIPELINE_SOURCE": "merge_request_event", "CI_PIPELINE_URL": fmt.Sprintf("%s/-/pipelines/%d", project, w.scene.Pipeline.ID),
		"CI_JOB_ID": "7001", "CI_JOB_NAME": "sync", "CI_JOB_URL": project + "/-/jobs/7001",
		"CI_MERGE_REQUEST_IID": strconv.FormatInt(mr.IID, 10), "CI_MERGE_REQUEST_PROJECT_ID": strconv.FormatInt(p.ID, 10),
		"CI_MERGE_REQUEST_PROJECT_PATH": p.Path, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": strconv.FormatInt(p.ID, 10),
		"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": mr.SourceBranch, "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
		"CI_MERGE_REQUEST_DIFF_BASE_SHA": w.scene.Base, "CI_MERGE_REQUEST_EVENT_TYPE": "detached",
	}
}

// settings switch the Direktiv target on, and name the bot's token.
func (w *world) settings() map[string]string {
	return map[string]string{
		"DIREKTIV_URL": w.direkURL, "DIREKTIV_NAMESPACE": "demo", "DIREKTIV_TOKEN": direktivToken, "REMORA_GITLAB_TOKEN": w.scene.Token,
	}
}

// environ merges variables into what a process is given.
func environ(sets ...map[string]string) []string {
	all := map[string]string{}
	for _, set := range sets {
		for k, v := range set {
			all[k] = v
		}
	}
	out := make([]string, 0, len(all))
	for k, v := range all {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	return out
}

// build builds the program into dir, as it is released, unless it is there already.
func build(ctx context.Context, binary, dir string) (string, error) {
	if binary != "" {
		return filepath.Abs(binary)
	}
	binary = filepath.Join(dir, "remora")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build remora: %w\n%s", err, out)
	}
	return binary, nil
}
