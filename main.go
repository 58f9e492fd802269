// Command remora brings targets to the state of a GitLab project and reports the
// true result on its commits and merge requests.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/sethvargo/go-envconfig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	// Whoever reads our output may go away, as head does: that must not end us in
	// the middle, with statuses open. The write says so instead.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args, envconfig.OsLookuper(), os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, env envconfig.Lookuper, stdout, stderr io.Writer) int {
	p := &program{env: env, stdout: stdout, stderr: stderr, json: wantsJSON(args, env)}
	err := p.app().RunContext(ctx, args)
	return p.exitCode(ctx, err)
}

// wantsJSON says whether --output, else REMORA_OUTPUT, asks for JSON. It is for the
// errors that come before the settings are read.
func wantsJSON(args []string, env envconfig.Lookuper) bool {
	form, _ := env.Lookup("REMORA_OUTPUT")
	for i, arg := range args {
		switch value, ok := strings.CutPrefix(strings.TrimLeft(arg, "-"), "output="); {
		case ok:
			form = value
		case arg == "--output" || arg == "-output":
			form = strings.Join(args[i+1:min(i+2, len(args))], "")
		}
	}
	return form == "json"
}
