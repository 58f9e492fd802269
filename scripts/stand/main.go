// Command stand serves stand-ins of GitLab and Direktiv on loopback, for the
// demo, the end-to-end test and the benchmark. It is never released.
//
//	stand demo                       a real sync as a merge-request job would run it, and what a person sees
//	stand serve --env FILE           the stand-ins until killed; FILE gets the variables of a job
//	stand bench --remora FILE        curl beside remora, side by side
//	stand load --remora FILE         webhooks at the agent, beside handlers that do less
//	stand handler --kind KIND        one of those handlers, in a process of its own
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stand:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("which? demo, serve, bench or load")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	remora := flags.String("remora", "", "binary to run; built from this folder's module if empty")
	env := flags.String("env", "", "serve: file to write the variables of a job to")
	gitlab := flags.String("gitlab", "127.0.0.1:0", "serve: address of the GitLab")
	direktiv := flags.String("direktiv", "127.0.0.1:0", "serve: address of the Direktiv")
	runs := flags.Int("runs", 20, "bench: runs of each command")
	seconds := flags.Int("seconds", 3, "load: how long each row is loaded")
	stored := flags.Int("stored", 100_000, "load: events in the database that is not empty; 0 leaves that out")
	kind := flags.String("kind", "nothing", "handler: nothing or row")
	listen := flags.String("listen", "127.0.0.1:0", "handler: address")
	dir := flags.String("data-dir", "", "handler: folder of its SQLite")
	database := flags.String("database-url", "", "handler: its PostgreSQL")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "demo":
		return demo(ctx, *remora)
	case "serve":
		return serve(ctx, *gitlab, *direktiv, *env)
	case "bench":
		return bench(ctx, *remora, *runs)
	case "load":
		return benchAgent(ctx, *remora, *seconds, *stored)
	case "handler":
		return handler(ctx, *kind, *listen, *dir, *database)
	}
	return fmt.Errorf("unknown command %q: demo, serve, bench, load or handler", args[0])
}
