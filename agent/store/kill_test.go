package store_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

// childVariable holds the Config of the store that this binary, run as a child,
// fills until it is killed.
const childVariable = "REMORA_TEST_APPEND_TO"

// appendUntilKilled is the child: it stores events from many goroutines and says
// each key on stdout when it is acknowledged. It says whether this process is one.
func appendUntilKilled() bool {
	text := os.Getenv(childVariable)
	if text == "" {
		return false
	}
	var c store.Config
	err := json.Unmarshal([]byte(text), &c)
	var s *store.Store
	if err == nil {
		s, err = store.Open(context.Background(), c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for w := range 16 {
		all.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				if _, _, err := s.Append(context.Background(), push(key)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				mu.Lock()
				_, _ = fmt.Println(key)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return true
}

func TestWhatIsAcknowledgedSurvivesAKill(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		acked := map[string]bool{}
		for range 5 {
			for _, key := range killOneAtWork(t, c) {
				acked[key] = true
			}
		}
		s := storetest.Open(t, c)
		stored := map[string]bool{}
		for e, err := range s.Events(t.Context(), store.EventFilter{Bodies: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if stored[e.IdempotencyKey] || string(e.Body) != string(push(e.IdempotencyKey).Body) {
				t.Errorf("%s is stored twice or with another body", e.IdempotencyKey)
			}
			stored[e.IdempotencyKey] = true
		}
		for key := range acked {
			if !stored[key] {
				t.Errorf("%s was acknowledged and is not stored", key)
			}
		}
		t.Logf("acknowledged %d, stored %d", len(acked), len(stored))
		// What was stored and not heard of is what was under way: one each writer.
		if len(acked) < 100 || len(stored) < len(acked) || len(stored) > len(acked)+5*16 {
			t.Errorf("acknowledged %d, stored %d", len(acked), len(stored))
		}
	})
}

// killOneAtWork starts a child, kills it at a point that chance chooses, and
// returns what it acknowledged.
func killOneAtWork(t *testing.T, c store.Config) (acked []string) {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	least := 30 + rand.IntN(300)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if acked = append(acked, lines.Text()); len(acked) == least {
			time.AfterFunc(rand.N(20*time.Millisecond), func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil || len(acked) < least {
		t.Fatalf("the child ended by itself after %d events: %v", len(acked), err)
	}
	return acked
}
