package api

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"gitlab.com/remora-ci/remora/component/trigger"
)

// Bounds of bodies, in bytes: one that is as large is refused.
const (
	maxRequest = 64 << 10
	maxReport  = 1 << 20
)

const about = `What CI jobs, build systems and operators ask of a Remora agent.

Every call has a token as ` + "`Authorization: Bearer`" + `: the ID token of a CI job, a project token
(` + "`remora token issue`" + `) or the agent's admin token; each operation says which. Refusals are
RFC 9457 problems. Fields are added, never renamed: pass over what you do not know.`

// register makes the operations, and with them the document.
func (s *server) register() {
	c := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Remora agent", Version: "1.0.0", Description: about, License: &huma.License{Name: "MIT", Identifier: "MIT"}},
			Servers: []*huma.Server{{URL: "/", Description: "the agent"}},
			Tags: []*huma.Tag{
				{Name: "deliveries", Description: "jobs ask, and wait for the result"}, {Name: "reports", Description: "commit statuses and notes, as the bot"},
				{Name: "operations", Description: "what was received, what was sent, once more"}, {Name: "document", Description: "this document"},
			},
			Components: &huma.Components{
				Schemas:   huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				Responses: map[string]*huma.Response{},
				SecuritySchemes: map[string]*huma.SecurityScheme{
					idToken: {Type: "http", Scheme: "bearer", BearerFormat: "JWT",
						Description: "ID token of a CI job, with the audience remora:<URL of the agent>: https://docs.gitlab.com/ci/secrets/id_token_authentication/"},
					projectToken: {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "made by remora token issue, good for a project or a group"},
					adminToken:   {Type: "http", Scheme: "bearer", Description: "REMORA_ADMIN_TOKEN of the agent"},
				},
			},
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{s.shape},
	}
	c.AllowAdditionalPropertiesByDefault = true // newer components know more fields
	c.RejectUnknownQueryParameters = true       // a filter that is passed over would choose too much
	s.api = humago.New(s.mux, c)
	s.api.UseMiddleware(s.admit)

	huma.Register(s.api, s.deliverOperation(), s.deliver)
	huma.Register(s.api, s.followOperation(), s.follow)
	huma.Register(s.api, s.reportOperation(), s.report)
	huma.Register(s.api, s.adminOperation(http.MethodGet, "events", "list-events", "List what was received, newest first"), s.listEvents)
	huma.Register(s.api, s.adminOperation(http.MethodGet, "events/{id}", "show-event", "Show an event and its deliveries"), s.showEvent)
	huma.Register(s.api, s.adminOperation(http.MethodPost, "events/{id}/replay", "replay-event", "Route an event again, as if it came now"), s.replayEvent)
	huma.Register(s.api, s.adminOperation(http.MethodPost, "events/replay", "replay-events", "Route the chosen events again, as if they came now"), s.replayEvents)
	huma.Register(s.api, s.adminOperation(http.MethodGet, "audit", "list-audit", "List the requests that the agent made, newest first"), s.listAudit)
	for _, kind := range []string{"json", "yaml"} {
		huma.Register(s.api, s.documentOperation(kind), s.document(kind))
	}
	// Problems are ours, and nothing refers to huma's.
	schemas := s.api.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	schemas["Delivery"].Properties["targets"].Nullable = false // see whole
}

// operation is what all operations have: who may call, and which refusals there are.
func (s *server) operation(op huma.Operation, takes []string, refusals ...int) huma.Operation {
	op.Path = Prefix + op.Path
	for _, scheme := range takes {
		op.Security = append(op.Security, map[string][]string{scheme: {}})
	}
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	for _, code := range append(refusals, http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError, http.StatusServiceUnavailable) {
		op.Responses[strconv.Itoa(code)] = s.refusal(code)
	}
	return op
}

// refusal is the reference to how a status is answered.
func (s *server) refusal(code int) *huma.Response {
	all := s.api.OpenAPI().Components.Responses
	name := strings.ReplaceAll(http.StatusText(code), " ", "")
	if all[name] == nil {
		schema := s.schema(reflect.TypeFor[trigger.Problem](), "Problem")
		r := &huma.Response{Description: http.StatusText(code), Content: map[string]*huma.MediaType{problemType: {Schema: schema}}}
		switch code {
		case http.StatusUnauthorized:
			r.Headers = map[string]*huma.Param{"WWW-Authenticate": {Schema: &huma.Schema{Type: huma.TypeString}}}
		case http.StatusServiceUnavailable, http.StatusTooManyRequests:
			r.Headers = map[string]*huma.Param{"Retry-After": {Description: "seconds", Schema: &huma.Schema{Type: huma.TypeInteger}}}
		}
		all[name] = r
	}
	return &huma.Response{Ref: "#/components/responses/" + name}
}

// schema is the reference to the schema of a type.
func (s *server) schema(t reflect.Type, hint string) *huma.Schema {
	return s.api.OpenAPI().Components.Schemas.Schema(t, true, hint)
}

// bodyRefusals are those of operations with a body.
var bodyRefusals = []int{
	http.StatusBadRequest, http.StatusRequestTimeout, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
	http.StatusTooManyRequests,
}

func (s *server) deliverOperation() huma.Operation {
	return s.operation(huma.Operation{
		Method: http.MethodPost, Path: "deliveries", OperationID: "deliver", Tags: []string{"deliveries"}, DefaultStatus: http.StatusAccepted,
		Summary: "Bring targets in step with the commit of the job",
		Description: "Project, ref, pipeline and job are those of the ID token. The delivery is on disk when the answer comes; follow it at Location. " +
			"The same Idempotency-Key of the same job is the same delivery.",
		MaxBodyBytes: maxRequest, BodyReadTimeout: -1,
	}, []string{idToken}, bodyRefusals...)
}

func (s *server) reportOperation() huma.Operation {
	done := &huma.Response{
		Description: "GitLab has taken it, or it is known why not",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: s.schema(reflect.TypeFor[trigger.Delivery](), "Delivery")}},
	}
	return s.operation(huma.Operation{
		Method: http.MethodPost, Path: "reports", OperationID: "report", Tags: []string{"reports"}, DefaultStatus: http.StatusAccepted,
		Summary: "Show a commit status, and perhaps a note, as the bot",
		Description: "The same Idempotency-Key of the same project is the same report. 202 means that it is on disk and GitLab has not taken it yet: " +
			"it will, and asking again with the same key says so. An older report never overwrites a newer one.",
		MaxBodyBytes: maxReport, BodyReadTimeout: -1, Responses: map[string]*huma.Response{"200": done},
	}, []string{idToken, projectToken}, bodyRefusals...)
}

func (s *server) followOperation() huma.Operation {
	return s.operation(huma.Operation{
		Method: http.MethodGet, Path: "deliveries/{id}", OperationID: "follow", Tags: []string{"deliveries"},
		Summary: "What became of a delivery",
		Description: "For the job that asked, for the admin token, and of a report for the jobs and project tokens of its project. With Accept: text/event-stream the delivery comes at once and after each change, " +
			"as data of an event of the name delivery; the stream ends after the one with done true, or when the agent stops: ask again then.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The delivery, or a stream of its changes",
			Content: map[string]*huma.MediaType{
				"application/json":  {Schema: s.schema(reflect.TypeFor[trigger.Delivery](), "Delivery")},
				"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString, Description: "server-sent events; a comment every 15 seconds keeps the connection open"}},
			},
		}},
	}, []string{idToken, projectToken, adminToken}, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusTooManyRequests)
}

func (s *server) adminOperation(method, path, id, summary string) huma.Operation {
	refusals := []int{http.StatusUnprocessableEntity}
	if strings.Contains(path, "{id}") {
		refusals = append(refusals, http.StatusNotFound)
	}
	return s.operation(huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary, Tags: []string{"operations"},
	}, []string{adminToken}, refusals...)
}

func (s *server) documentOperation(kind string) huma.Operation {
	return s.operation(huma.Operation{
		Method: http.MethodGet, Path: "openapi." + kind, OperationID: "openapi-" + kind, Tags: []string{"document"},
		Summary:   "This document, as " + map[string]string{"json": "JSON", "yaml": "YAML"}[kind],
		Responses: map[string]*huma.Response{"200": {Description: "OpenAPI 3.1", Content: map[string]*huma.MediaType{documentType + kind: {Schema: &huma.Schema{Type: huma.TypeObject}}}}},
	}, []string{idToken, projectToken, adminToken})
}
