package api

import (
	"context"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
)

// auditRow is one request that the agent made.
type auditRow struct {
	ID       int64     `json:"id"`
	At       time.Time `json:"at"`
	Token    string    `json:"token" doc:"name of the token"`
	Instance string    `json:"instance"`
	Method   string    `json:"method"`
	Route    string    `json:"route"`
	Status   int       `json:"status" doc:"HTTP status; 0 without an answer"`
	TookMS   int64     `json:"took_ms"`
	Error    string    `json:"error,omitempty"`
}

func auditRowOf(a store.Audit) auditRow {
	return auditRow{
		ID: a.ID, At: a.At.UTC(), Token: a.Token, Instance: a.Instance, Method: a.Method, Route: a.Route,
		Status: a.Status, TookMS: a.Took.Milliseconds(), Error: a.Error,
	}
}

type listAuditInput struct {
	Page
	Token    string `query:"token" maxLength:"255" doc:"name of a token"`
	Instance string `query:"instance" maxLength:"1024" doc:"scheme and host"`
	Method   string `query:"method" maxLength:"16"`
	Route    string `query:"route" maxLength:"1024" doc:"as the list shows it"`
	Status   int    `query:"status" minimum:"100" maximum:"599" doc:"HTTP status"`
	Failed   bool   `query:"failed" doc:"only those without an answer, or with a status of 400 and above"`
}

type listAuditOutput struct {
	Body struct {
		Calls []auditRow `json:"calls" nullable:"false"`
		Next  string     `json:"next_cursor,omitempty" doc:"cursor of the next page; none on the last"`
	} `nameHint:"AuditList"`
}

func (s *server) listAudit(ctx context.Context, in *listAuditInput) (*listAuditOutput, error) {
	f := store.AuditFilter{Token: in.Token, Instance: in.Instance, Method: in.Method, Route: in.Route, Status: in.Status, Failed: in.Failed, Limit: in.Limit + 1}
	var err error
	if f.Since, f.Before, err = in.read(s.o.Now().UTC()); err != nil {
		return nil, fail(ctx, err)
	}
	rows, err := gather(s.o.Store.Audits(ctx, f), auditRowOf)
	if err != nil {
		return nil, fail(ctx, err)
	}
	out := &listAuditOutput{}
	out.Body.Calls, out.Body.Next = nextCursor(rows, in.Limit, func(a auditRow) int64 { return a.ID })
	return out, nil
}
