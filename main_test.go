package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"remora": main})
}

// ci are the variables of a branch pipeline.
var ci = map[string]string{
	"CI_SERVER_URL": "https://gitlab.example.com", "CI_PROJECT_ID": "42", "CI_PROJECT_PATH": "acme/app",
	"CI_PROJECT_URL": "https://gitlab.example.com/acme/app", "CI_DEFAULT_BRANCH": "main", "CI_COMMIT_REF_NAME": "main",
	"CI_COMMIT_SHA": "c0ffee12c0ffee12c0ffee12c0ffee12c0ffee12", "CI_PIPELINE_ID": "1001", "CI_PIPELINE_SOURCE": "push", "CI_JOB_ID": "7001",
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "HOME="+e.WorkDir, "NO_PROXY=*")
			for k, v := range ci {
				e.Setenv(k, v)
			}
			return nil
		},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}
