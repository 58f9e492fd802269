package mirror_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// stores are the repositories that rest in the cache folder.
func (w *world) stores() []string {
	w.t.Helper()
	all, err := filepath.Glob(filepath.Join(w.caches, "*.git"))
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) wantNoLeftovers() {
	w.t.Helper()
	left, err := filepath.Glob(filepath.Join(w.caches, "run-*"))
	if err != nil || len(left) != 0 {
		w.t.Errorf("left over: %q, %v", left, err)
	}
}

// history makes n commits with files, quickly.
func (w *world) history(n, size int) {
	w.t.Helper()
	var b strings.Builder
	for i := range n {
		text := strings.Repeat(fmt.Sprintf("%d-%x ", i, i*7919), size/8)
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter a <a@example.com> %d +0000\ndata 1\nx\n", 1_600_000_000+i)
		if i == 0 {
			b.WriteString("deleteall\n")
		}
		fmt.Fprintf(&b, "M 644 inline d%d/f%d\ndata %d\n%s\n", i%7, i, len(text), text)
	}
	file := filepath.Join(w.root, "history")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.git(w.work, "-c", "alias.load=!git fast-import --quiet --force < "+file, "load")
	w.git(w.work, "checkout", "-q", "-f", "main")
}

func TestASecondPushFetchesAndSendsLittle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.history(350, 2000)
	w.publish("main")
	w.wantDone(w.apply(w.config(), w.event("main", w.git(w.work, "rev-parse", "HEAD"))), "created")
	first, _ := w.there.traffic()
	_, fetched := w.home.traffic()
	if first < 20_000 || fetched < 20_000 {
		t.Fatalf("first push: sent %d, fetched %d bytes, want a whole history", first, fetched)
	}
	sha := w.commit("d1/f1", "changed\n")
	w.publish("main")
	w.wantDone(w.apply(w.config(), w.event("main", sha)), "pushed")
	sent, _ := w.there.traffic()
	_, fetched = w.home.traffic()
	if sent > 3000 || fetched > 3000 {
		t.Errorf("second push: sent %d, fetched %d bytes, want less than 3000 each", sent, fetched)
	}
	w.git(w.copy, "fsck", "--full", "--strict")
	w.wantNoLeftovers()
}

func TestALargePushIsWrittenObjectByObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.history(5, 100)
	old := w.git(w.work, "rev-parse", "HEAD")
	w.git(w.work, "push", "-q", w.copy, "main")
	for i := range 1200 {
		path := filepath.Join(w.work, fmt.Sprintf("many/%d/f%d", i%9, i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat(fmt.Sprint(i), i%400)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sha := w.commit("big", strings.Repeat("0123456789abcdef", 40_000)) // over the size that is streamed
	w.publish("main")
	o := w.apply(w.config(), w.event("main", sha))
	w.wantDone(o, "pushed")
	w.wantAt("refs/heads/main", sha)
	w.git(w.copy, "fsck", "--full", "--strict")
	if got := w.git(w.copy, "rev-list", "--count", old+".."+sha); got != "1" {
		t.Errorf("%s commits pushed, want 1", got)
	}
}

func TestABranchyHistoryArrivesWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := w.seed()
	w.git(w.work, "checkout", "-q", "-b", "side")
	w.commit("side/a", "1")
	w.commit("side/b", "2")
	w.git(w.work, "checkout", "-q", "main")
	w.commit("x", "1")
	w.git(w.work, "merge", "-q", "--no-ff", "-m", "merge", "side")
	w.git(w.work, "mv", "x", "moved")
	w.git(w.work, "rm", "-q", "-r", "side/a")
	// What an old commit had comes back, at another place.
	w.git(w.work, "commit", "-q", "-m", "move")
	sha := w.commit("back/README.md", "hello\n")
	w.publish("main")
	w.wantDone(w.apply(w.config(), w.event("main", sha)), "pushed")
	if got, want := w.git(w.copy, "rev-list", base+".."+sha), w.git(w.work, "rev-list", base+".."+sha); got != want {
		t.Errorf("mirror has %q, want %q", got, want)
	}
	w.git(w.copy, "fsck", "--full", "--strict")
}

func TestABrokenCacheIsMadeAnewOnce(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, store string){
		"packs cut short": func(t *testing.T, store string) {
			each(t, store, func(path string) error { return os.Truncate(path, 40) }, ".pack")
		},
		"packs full of nonsense": func(t *testing.T, store string) {
			each(t, store, func(path string) error {
				_ = os.Chmod(path, 0o600)
				return os.WriteFile(path, []byte(strings.Repeat("nonsense", 1000)), 0o600)
			}, ".pack", ".idx")
		},
		"packs lost": func(t *testing.T, store string) { each(t, store, os.Remove, ".pack") },
		"a file in its place": func(t *testing.T, store string) {
			if err := os.RemoveAll(store); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(store, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"gone": func(t *testing.T, store string) {
			if err := os.RemoveAll(store); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.history(20, 500)
			w.publish("main")
			w.wantDone(w.apply(w.config(), w.event("main", w.git(w.work, "rev-parse", "HEAD"))), "created")
			stores := w.stores()
			if len(stores) != 1 {
				t.Fatalf("stores = %q, want one", stores)
			}
			spoil(t, stores[0])
			sha := w.commit("x", "1")
			w.publish("main")
			w.wantDone(w.apply(w.config(), w.event("main", sha)), "pushed")
			w.wantAt("refs/heads/main", sha)
			w.wantNoLeftovers()
			sha = w.commit("x", "2")
			w.publish("main")
			w.wantDone(w.apply(w.config(), w.event("main", sha)), "pushed")
			if got := w.stores(); len(got) != 1 {
				t.Errorf("stores = %q, want one", got)
			}
		})
	}
}

func TestAPackThatTheServerCannotReadIsMadeFromANewCacheOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	sha := w.commit("x", "1")
	w.publish("main")
	times := 1
	w.there.tame(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || times == 0 {
			return false
		}
		times--
		_, _ = io.Copy(io.Discard, r.Body)
		rw.Header().Set("Content-Type", "application/x-git-receive-pack-result")
		report := packet("unpack index-pack abnormal exit\n") + packet("ng refs/heads/main unpacker error\n") + "0000"
		_, _ = io.WriteString(rw, packet("\x01"+report)+"0000")
		return true
	})
	w.wantDone(w.apply(w.config(), w.event("main", sha)), "pushed")
	fetches := 0
	for _, r := range w.home.requests() {
		if strings.HasPrefix(r, "POST") {
			fetches++
		}
	}
	if fetches != 2 {
		t.Errorf("fetched %d times, want 2: %q", fetches, w.home.requests())
	}

	times = 1000
	sha = w.commit("x", "2")
	w.publish("main")
	f := w.wantFault(w.apply(w.config(), w.event("main", sha)), "refused by the remote")
	if !strings.Contains(f.Cause, "unpacker error") || times != 998 {
		t.Errorf("cause = %q after %d pushes, want the server's words after 2", f.Cause, 1000-times)
	}
}

// packet is a line as the protocol has it.
func packet(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }

func each(t *testing.T, store string, do func(string) error, ends ...string) {
	t.Helper()
	n := 0
	for _, end := range ends {
		files, _ := filepath.Glob(filepath.Join(store, "objects", "pack", "*"+end))
		for _, f := range files {
			_ = os.Chmod(f, 0o600)
			if err := do(f); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	if n == 0 {
		t.Fatal("the cache has no packs to spoil")
	}
}

func TestACacheThatVanishesMidwayIsMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	sha := w.commit("x", "1")
	w.publish("main")
	var once sync.Once
	w.home.tame(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			once.Do(func() {
				_ = os.RemoveAll(w.caches)
			})
		}
		return false
	})
	w.wantDone(w.apply(w.config(), w.event("main", sha)), "pushed")
	w.wantAt("refs/heads/main", sha)
}

func TestWithoutARoomForTheCacheATemporaryOneServes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	sha := w.commit("x", "1")
	w.publish("main")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := w.config()
	c.Cache = filepath.Join(file, "below")
	w.wantDone(w.apply(c, w.event("main", sha)), "pushed")
}

func TestTheCacheHoldsNoSecretAndIsItsOwnersOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	sha := w.commit("x", "1")
	w.publish("main")
	c := w.config()
	c.Cache = filepath.Join(w.caches, "deep", "er")
	w.wantDone(w.apply(c, w.event("main", sha)), "pushed")
	err := filepath.Walk(w.caches, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if all := path + string(text); strings.Contains(all, jobToken) || strings.Contains(all, mirrorToken) {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(c.Cache)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("cache folder: %v, %v; want mode 0700", info.Mode(), err)
	}
}

func TestLeftoversOfKilledRunsAreSwept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed()
	sha := w.commit("x", "1")
	w.publish("main")
	old, young := filepath.Join(w.caches, "run-old"), filepath.Join(w.caches, "run-young")
	for _, dir := range []string{old, young} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	w.wantDone(w.apply(w.config(), w.event("main", sha)), "pushed")
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the old leftover is still there: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("the young one, which may be in use, is gone: %v", err)
	}
}
