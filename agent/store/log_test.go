package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"gitlab.com/remora-ci/remora/agent/store/storetest"
)

func TestTheLogDoesNotGrowUnderLoad(t *testing.T) {
	t.Parallel()
	c := storetest.SQLite(t)
	s := storetest.Open(t, c)
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			chance := rand.NewChaCha8([32]byte{byte(w)})
			for i := range 100 {
				e := push(fmt.Sprint(w, " ", i))
				e.Body = make([]byte, 128<<10)
				_, _ = chance.Read(e.Body) // does not compress
				if _, _, err := s.Append(context.Background(), e); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	all.Wait()
	log, err := os.Stat(filepath.Join(c.Dir, "remora.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the log has %d MB after 100 MB", log.Size()>>20)
	if log.Size() > 48<<20 {
		t.Errorf("the log has %d bytes after 100 MB, want it begun anew on the way", log.Size())
	}
}
