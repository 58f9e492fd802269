package agent

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// tracer makes spans: of each webhook and, as part of the same trace, of the
// deliveries that it leads to. Without an exporter it only carries the id of the
// caller's trace from the webhook to the log.
type tracer struct {
	provider *sdk.TracerProvider // nil without an exporter
	tracer   trace.Tracer
}

var w3c = propagation.TraceContext{}

// newTracer reads OTEL_EXPORTER_OTLP_* where traces are on:
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
func newTracer(ctx context.Context, o Options) (*tracer, error) {
	if !o.Tracing {
		return &tracer{tracer: noop.NewTracerProvider().Tracer("remora")}, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	p := sdk.NewTracerProvider(sdk.WithBatcher(exporter))
	return &tracer{provider: p, tracer: p.Tracer("remora")}, nil
}

// close sends what is left, in little time: a collector that is away must not
// hold up the end.
func (t *tracer) close() error {
	if t.provider == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // traces that are lost are no failure of the agent
	return nil
}

// handler makes a span of each call, where there is an exporter.
func (t *tracer) handler(next http.Handler) http.Handler {
	if t.provider == nil {
		return next
	}
	return otelhttp.NewHandler(next, "http", otelhttp.WithTracerProvider(t.provider), otelhttp.WithPropagators(w3c),
		otelhttp.WithFilter(func(r *http.Request) bool { return r.Method == http.MethodPost }))
}

// parent is how the trace of a call is stored with its event; nil for the header
// of the call itself.
func (t *tracer) parent() func(*http.Request) string {
	if t.provider == nil {
		return nil
	}
	return func(r *http.Request) string {
		carrier := propagation.MapCarrier{}
		w3c.Inject(r.Context(), carrier)
		return carrier.Get("traceparent")
	}
}

// idOf is the id of the trace of a call: of its span, else of its caller.
func (t *tracer) idOf(r *http.Request) string {
	ctx := r.Context()
	if t.provider == nil {
		if r.Header.Get("Traceparent") == "" {
			return ""
		}
		ctx = w3c.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	return t.id(ctx)
}

// start begins a span of the trace that parent tells.
func (t *tracer) start(ctx context.Context, name, parent string) (context.Context, func()) {
	ctx = w3c.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
	ctx, span := t.tracer.Start(ctx, name)
	return ctx, func() { span.End() }
}

// id is that of the trace in ctx; empty if there is none.
func (t *tracer) id(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		return sc.TraceID().String()
	}
	return ""
}

// named is a logger with the id of the trace in ctx, if there is one.
func (t *tracer) named(ctx context.Context, log zerolog.Logger) zerolog.Logger {
	if id := t.id(ctx); id != "" {
		return log.With().Str("trace_id", id).Logger()
	}
	return log
}
