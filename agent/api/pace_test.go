package api_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/api"
	"gitlab.com/remora-ci/remora/component/trigger"
)

func TestACallerAsksWithinItsPace(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newRig(t, func(o *api.Options) { o.Now = func() time.Time { return now } })
	r.desk.put(12, "running")
	ask := func(i int, token string) *http.Response {
		return r.send(t, http.MethodPost, "/api/v1/deliveries", token, request(nil), "Content-Type", "application/json", "Idempotency-Key", fmt.Sprint("key-", i))
	}
	for i := range 200 {
		decoded[trigger.Delivery](t, ask(i, idToken("good")), http.StatusAccepted)
	}
	resp := ask(200, idToken("good"))
	if p := refusal(t, r, resp, http.StatusTooManyRequests); resp.Header.Get("Retry-After") == "" || p.Remedy == "" {
		t.Errorf("got %+v without Retry-After or remedy", p)
	}
	if code := r.send(t, http.MethodPost, "/api/v1/reports", project, reported).StatusCode; code == http.StatusTooManyRequests {
		t.Error("another caller is refused too")
	}
	decoded[trigger.Delivery](t, r.send(t, http.MethodGet, "/api/v1/deliveries/12", idToken("good"), ""), http.StatusOK) // following goes on
	now = now.Add(time.Second)
	for i := range 5 {
		decoded[trigger.Delivery](t, ask(300+i, idToken("good")), http.StatusAccepted)
	}
	refusal(t, r, ask(400, idToken("good")), http.StatusTooManyRequests)
}
