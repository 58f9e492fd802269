// Command stand serves stand-ins of GitLab and Direktiv on loopback, for the
// demo, the end-to-end test and the benchmark. It is never released.
//
//	stand demo                       a real sync as a merge-request job would run it, and what a person sees
//	stand serve --env FILE           the stand-ins until killed; FILE gets the variables of a job
//	stand bench --remora FILE        curl beside remora, side by side
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
		return errors.New("which? demo, serve or bench")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	remora := flags.String("remora", "", "binary to run; built from this folder's module if empty")
	env := flags.String("env", "", "serve: file to write the variables of a job to")
	gitlab := flags.String("gitlab", "127.0.0.1:0", "serve: address of the GitLab")
	direktiv := flags.String("direktiv", "127.0.0.1:0", "serve: address of the Direktiv")
	runs := flags.Int("runs", 20, "bench: runs of each command")
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
	}
	return fmt.Errorf("unknown command %q: demo, serve or bench", args[0])
}
