package webhook_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/webhook"
)

// nowhere stores nothing.
type nowhere struct{}

func (nowhere) Append(context.Context, store.Event) (int64, bool, error) { return 1, false, nil }

// BenchmarkHandler is a push of 10 KB without its way through the network and
// into the store.
func BenchmarkHandler(b *testing.B) {
	v, err := auth.New(auth.Config{Secrets: secret}, nil)
	if err != nil {
		b.Fatal(err)
	}
	h := webhook.New(nowhere{}, v, webhook.Options{Instances: []string{"https://gitlab.example.com"}})
	body := push(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, request(body, "Idempotency-Key", strconv.Itoa(i))); w.Code != http.StatusAccepted {
			b.Fatal(w.Code)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	body := []byte(push(b))
	header := http.Header{"Idempotency-Key": {"k"}, "X-Gitlab-Instance": {"https://gitlab.example.com"}}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := webhook.Parse(header, body); err != nil {
			b.Fatal(err)
		}
	}
}
