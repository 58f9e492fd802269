package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/component"
)

// categories group the flags in the help, by the start of their variable.
var categories = []struct{ prefix, name string }{
	{"DIREKTIV_", "Direktiv"},
	{"REMORA_HTTP_", "HTTP system"},
	{"REMORA_MIRROR_", "Git mirror"},
	{"REMORA_AGENT_", "Agent"},
	{"CI_", "Set by GitLab"},
	{"REMORA_", "Job and report"},
}

func categoryOf(env string) string {
	for _, c := range categories {
		if strings.HasPrefix(env, c.prefix) {
			return c.name
		}
	}
	return ""
}

// settingFlags are the flags of the settings that keep accepts. Their values go
// by name of the variable, so flag, variable and default meet in one place.
func settingFlags(keep func(component.Setting) bool) []cli.Flag {
	var flags []cli.Flag
	for _, s := range component.Settings() {
		if s.Flag == "" || !keep(s) {
			continue
		}
		flags = append(flags, &cli.StringFlag{
			Name: s.Flag, Usage: s.Usage + " ($" + s.Env + ")", DefaultText: s.Default, Category: categoryOf(s.Env),
		})
	}
	return flags
}

// given are the settings that were given as flags, by variable.
func given(c *cli.Context) map[string]string {
	values := map[string]string{}
	for _, s := range component.Settings() {
		if s.Flag != "" && c.IsSet(s.Flag) {
			values[s.Env] = c.String(s.Flag)
		}
	}
	return values
}

// secretNames lists the variables that are never flags.
func secretNames() string {
	var names []string
	for _, s := range component.Settings() {
		if s.Flag == "" && s.Usage != "" {
			names = append(names, "   "+s.Env+strings.Repeat(" ", max(1, 30-len(s.Env)))+s.Usage)
		}
	}
	return strings.Join(names, "\n")
}
