package store_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

func BenchmarkAppendSQLite(b *testing.B) { benchmarkAppend(b, storetest.SQLite) }

func BenchmarkAppendPostgres(b *testing.B) { benchmarkAppend(b, storetest.Postgres) }

// benchmarkAppend stores events of 10 KB from 64 goroutines.
func benchmarkAppend(b *testing.B, config func(testing.TB) store.Config) {
	s := storetest.Open(b, config(b))
	body := payload()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	before := s.Stats()
	var next atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for range 64 {
		all.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				e := push(fmt.Sprintf("%s-%d-%d", b.Name(), os.Getpid(), i))
				e.Body = body
				if _, _, err := s.Append(context.Background(), e); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	after := s.Stats()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(after.Commits-before.Commits)/float64(b.N), "commits/event")
}

// payload is about as long and as repetitive as the hook of a push.
func payload() []byte {
	var b bytes.Buffer
	b.WriteString(`{"object_kind":"push","ref":"refs/heads/main","commits":[`)
	for i := range 20 {
		fmt.Fprintf(&b, `{"id":"%040x","message":"%s","timestamp":"2026-11-20T14:%02d:00+00:00","url":"https://gitlab.example.com/acme/app/-/commit/%040x","added":["src/%x.go"],"modified":[],"removed":[],"author":{"name":"N","email":"n@example.com"}},`,
			i*7919*7919, strings.Repeat("a word or ", 10+i), i, i*7919*7919, i*104729)
	}
	b.WriteString(`{}]}`)
	return append(b.Bytes(), bytes.Repeat([]byte(" "), max(0, 10<<10-b.Len()))...)
}
