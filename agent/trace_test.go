package agent_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"gitlab.com/remora-ci/remora/agent"
)

const traceID = "0af7651916cd43dd8448eb211c80319c"

// traced sends a push within a trace.
func (s *stage) traced() {
	s.Helper()
	s.header = http.Header{"Traceparent": {"00-" + traceID + "-b7ad6b7169203331-01"}}
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.untilShown(s.scene.SHA, "sync/site success")
}

func TestTraceOfTheCallerIsInTheLog(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.start()
	s.traced()
	for _, message := range []string{"webhook stored", "delivered"} {
		found := false
		for line := range strings.SplitSeq(s.logs.String(), "\n") {
			found = found || strings.Contains(line, `"message":"`+message+`"`) && strings.Contains(line, `"trace_id":"`+traceID+`"`)
		}
		if !found {
			t.Errorf("no line %q with the trace: %s", message, s.logs)
		}
	}
}

// Where there is no trace, the log does not speak of one.
func TestWithoutATraceTheLogNamesNone(t *testing.T) {
	t.Parallel()
	s := newStage(t, sqlite(t))
	s.start()
	s.hook(s.push(s.scene.Base, s.scene.SHA))
	s.untilShown(s.scene.SHA, "sync/site success")
	s.until("line", func() bool { return strings.Contains(s.logs.String(), `"message":"delivered"`) })
	if strings.Contains(s.logs.String(), "trace_id") {
		t.Errorf("the log speaks of a trace: %s", s.logs)
	}
}

// Not parallel: the exporter reads the environment of the process.
func TestTracesAreSent(t *testing.T) {
	var mu sync.Mutex
	var got bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/v1/traces" {
			_, _ = io.Copy(&got, r.Body)
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	s := newStage(t, sqlite(t))
	_, stop := s.start(func(o *agent.Options) { o.Tracing = true })
	s.traced()
	stop()
	mu.Lock()
	defer mu.Unlock()
	raw := got.String()
	for _, want := range []string{"deliver", "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"} {
		if !strings.Contains(raw, want) {
			t.Errorf("the collector did not get %q", want)
		}
	}
	if strings.Contains(raw, hookSecret) || strings.Contains(raw, s.scene.Token) {
		t.Error("the collector got a secret")
	}
}
