package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/agent"
	"gitlab.com/remora-ci/remora/agent/config"
	"gitlab.com/remora-ci/remora/component"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func (p *program) agentCommand() *cli.Command {
	return &cli.Command{
		Name:  "agent",
		Usage: "receive webhooks and keep every target in step with GitLab, for ever",
		Description: `Receives the webhooks of GitLab at /hooks/gitlab, stores each before it answers,
delivers it to the targets of its route, and shows the true result as commit
statuses and as one note on the merge request. What was stored is not lost,
however the agent ends.

Without a file it is configured by variables: REMORA_GITLAB_URL,
REMORA_GITLAB_TOKEN, REMORA_WEBHOOK_SECRET, REMORA_LISTEN, REMORA_DATA_DIR or
REMORA_DATABASE_URL, REMORA_PROJECTS, REMORA_REFS, and those of the targets that
remora sync has. Traces are sent where OTEL_EXPORTER_OTLP_ENDPOINT is set.

SIGHUP reads the configuration again; one with a fault changes nothing. SIGTERM
ends the agent when work in hand is done, after REMORA_SHUTDOWN_TIMEOUT at most.

EXAMPLES:
   remora agent
   remora agent --config /etc/remora/remora.yaml

EXIT CODES:
   0 ended by a signal, 1 it could not go on, 2 misuse (nothing was started)`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "configuration file; without it the variables are all ($REMORA_CONFIG)", TakesFile: true},
		},
		Action: p.agent,
	}
}

func (p *program) agent(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1) // first of all: the signal would end the process
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	file := p.configFile(c)
	read := func(ctx context.Context) (*config.Config, []config.Warning, error) {
		return config.Load(ctx, file, p.env)
	}
	settings, warnings, err := read(c.Context)
	if err != nil {
		return &component.Misuse{Err: err}
	}
	log := p.agentLogger(settings.Log)
	for _, w := range warnings {
		log.Warn().Msg(w.String())
	}
	ctx := log.WithContext(c.Context)
	a, err := agent.New(ctx, settings, agent.Options{Version: version(), Tracing: p.tracing(), Reload: read, Hangup: hangup})
	if err == nil {
		err = a.Run(ctx)
	}
	if err != nil {
		return errors.New(delivery.NewScrubber(settings.Secrets()...).Text(err.Error()))
	}
	return nil
}

// tracing says whether the variables of OpenTelemetry ask for traces:
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
func (p *program) tracing() bool {
	get := func(name string) string { v, _ := p.env.Lookup(name); return v }
	if get("OTEL_SDK_DISABLED") == "true" || get("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return get("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" || get("OTEL_TRACES_EXPORTER") == "otlp"
}

// agentLogger writes one JSON object per line to stderr.
func (p *program) agentLogger(level string) zerolog.Logger {
	l, err := zerolog.ParseLevel(level)
	if err != nil {
		l = zerolog.InfoLevel
	}
	return zerolog.New(zerolog.SyncWriter(p.stderr)).Level(l).With().Timestamp().Logger()
}
