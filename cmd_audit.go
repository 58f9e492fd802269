package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/agent/store"
)

func (p *program) auditCommand() *cli.Command {
	return &cli.Command{
		Name:  "audit",
		Usage: "show the requests that the agent made to GitLab and to targets",
		Description: "Every attempt is written down: when, with which token (its name, never its value),\n" +
			"what was asked, what was answered and how long that took. A route has :id where\n" +
			"requests differ. Requests of Git itself, by mirrors, are not among them.\n\n" + storeHelp +
			`   remora audit --since 1h --token bot
   remora audit --since 2026-11-20 --output json | jq 'select(.status >= 400)'` + storeExits,
		Flags: storeFlags(
			&cli.StringFlag{Name: "since", Usage: "that old or younger: 90m, 2h, 7d, or a time such as 2026-11-20T14:00:00Z"},
			&cli.StringFlag{Name: "token", Usage: "only those with this token, or target/NAME for a target"},
			&cli.StringFlag{Name: "limit", Usage: "how many, the newest; 0: all", DefaultText: "50; with json all"},
		),
		Action: p.audit,
	}
}

// auditLine is a request as JSON: what scripts read.
type auditLine struct {
	ID       int64     `json:"id"`
	At       time.Time `json:"at"`
	Token    string    `json:"token"`
	Instance string    `json:"instance"`
	Method   string    `json:"method"`
	Route    string    `json:"route"`
	Status   int       `json:"status"` // 0: no answer
	TookMS   float64   `json:"took_ms"`
	Error    string    `json:"error,omitempty"`
}

func (p *program) audit(c *cli.Context) error {
	if err := errors.Join(noArguments(c), p.format(c)); err != nil {
		return err
	}
	got, err := p.chosen(c, shownRows)
	if err != nil {
		return err
	}
	filter := store.AuditFilter{Since: got.since, Limit: got.limit, Token: c.String("token")}
	return p.withStore(c, func(s *store.Store) error {
		put, end := p.auditPrinter()
		return list(p, c, s.Audits(c.Context, filter), put, end)
	})
}

// auditPrinter writes requests, one by one.
func (p *program) auditPrinter() (put func(store.Audit) error, end func() error) {
	if p.json {
		return func(a store.Audit) error {
			return p.printLine(auditLine{
				ID: a.ID, At: a.At, Token: a.Token, Instance: a.Instance, Method: a.Method, Route: a.Route,
				Status: a.Status, TookMS: float64(a.Took.Microseconds()) / 1000, Error: a.Error,
			})
		}, func() error { return nil }
	}
	t := p.table("AT", "TOKEN", "METHOD", "ROUTE", "STATUS", "TOOK", "INSTANCE", "ERROR")
	return func(a store.Audit) error {
		status := ""
		if a.Status != 0 {
			status = strconv.Itoa(a.Status)
		}
		return t.row(local(a.At), a.Token, a.Method, a.Route, status, fmt.Sprintf("%dms", a.Took.Milliseconds()), a.Instance, a.Error)
	}, t.w.Flush
}
