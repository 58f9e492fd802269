package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// release is set by the linker in a release build: -X main.release=1.0.0.
var release string

// version is the release, or what the Go tool recorded of the build.
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

func (p *program) versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version, the commit and the Go release it was built with",
		Flags: []cli.Flag{&cli.StringFlag{Name: "output", Value: "table", Usage: "table or json"}},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			form := c.String("output")
			if p.json = form == "json"; !p.json && form != "table" {
				return misuse("--output: want table or json, not %q", form)
			}
			p.printVersion()
			return nil
		},
	}
}

func (p *program) printVersion() {
	commit, date := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				commit = s.Value
			case "vcs.time":
				date = s.Value
			}
		}
	}
	if p.json {
		_ = json.NewEncoder(p.stdout).Encode(map[string]string{"version": version(), "commit": commit, "date": date, "go": runtime.Version()})
		return
	}
	_, _ = fmt.Fprintf(p.stdout, "remora %s (commit %s, %s, %s)\n", version(), commit, date, runtime.Version())
}
