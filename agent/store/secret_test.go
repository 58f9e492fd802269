package store_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/agent/store/storetest"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func bareKey(b byte) delivery.Secret {
	return delivery.Secret(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)))
}

// tinkKey is a keyset as tinkey writes it in JSON, in base64.
func tinkKey(t *testing.T) delivery.Secret {
	t.Helper()
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&b)); err != nil {
		t.Fatal(err)
	}
	return delivery.Secret(base64.StdEncoding.EncodeToString(b.Bytes()))
}

func putSecret(t *testing.T, s *store.Store, name string, value delivery.Secret) {
	t.Helper()
	if err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.PutSecret(name, value) }); err != nil {
		t.Fatal(err)
	}
}

func TestASecretIsEncryptedAndBoundToItsRow(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		for name, key := range map[string]delivery.Secret{"a bare key": bareKey(1), "a tink keyset": tinkKey(t)} {
			if !c.Key.Empty() {
				c.Key = ""
				s := storetest.Open(t, c)
				if err := s.Write(t.Context(), func(tx *store.Tx) error { return errors.Join(tx.DeleteSecret("hook"), tx.DeleteSecret("other")) }); err != nil {
					t.Fatal(err)
				}
			}
			c.Key = key
			s := storetest.Open(t, c)
			putSecret(t, s, "hook", "correct horse")
			putSecret(t, s, "hook", "battery staple")
			putSecret(t, s, "other", "something else")
			got, err := s.Secret(t.Context(), "hook")
			if err != nil || got.Reveal() != "battery staple" {
				t.Errorf("%s: got %q, %v", name, got.Reveal(), err)
			}
			if _, err := s.Secret(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: unknown: got %v, want ErrNotFound", name, err)
			}
			var sealed []byte
			if err := s.Query(t.Context(), func(r store.Row) error { return r.Scan(&sealed) }, "SELECT value FROM secret WHERE name = 'hook'"); err != nil || bytes.Contains(sealed, []byte("battery")) || len(sealed) == 0 {
				t.Errorf("%s: stored as %q, %v", name, sealed, err)
			}
			err = s.Write(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec("UPDATE secret SET value = (SELECT o.value FROM secret o WHERE o.name = 'other') WHERE name = 'hook'")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.Secret(t.Context(), "hook"); err == nil {
				t.Errorf("%s: a value from another row was opened: %q", name, got.Reveal())
			}
		}
	})
}

func TestWithoutAKeyNoSecretIsStored(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		if err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.PutSecret("hook", "x") }); !errors.Is(err, store.ErrNoKey) {
			t.Errorf("put: got %v, want ErrNoKey", err)
		}
		if _, err := s.Secret(t.Context(), "hook"); !errors.Is(err, store.ErrNoKey) {
			t.Errorf("get: got %v, want ErrNoKey", err)
		}
	})
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	storetest.Databases(t, func(t *testing.T, c store.Config) {
		c.Key = bareKey(1)
		s := storetest.Open(t, c)
		putSecret(t, s, "a", "first")
		putSecret(t, s, "b", "second")
		next := tinkKey(t)
		if _, err := s.RotateKeys(t.Context(), bareKey(9), next); err == nil {
			t.Error("a wrong old key rotated")
		}
		if n, err := s.RotateKeys(t.Context(), c.Key, next); err != nil || n != 2 {
			t.Fatalf("rotate: got %d, %v; want 2", n, err)
		}
		if _, err := store.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "wrong encryption key") {
			t.Errorf("open with the old key: got %v, want a refusal", err)
		}
		c.Key = next
		s = storetest.Open(t, c)
		if got, err := s.Secret(t.Context(), "b"); err != nil || got.Reveal() != "second" {
			t.Errorf("got %q, %v", got.Reveal(), err)
		}
	})
}

func TestTheFileIsForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	c := store.Config{Dir: filepath.Join(t.TempDir(), "new", "remora")}
	s := storetest.Open(t, c)
	mustAppend(t, s, push("one"))
	files, err := os.ReadDir(c.Dir)
	if err != nil || len(files) < 2 {
		t.Fatalf("got %v, %v; want the database and its log", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestConfigTellsAllThatIsWrong(t *testing.T) {
	t.Parallel()
	c := store.Config{URL: "mysql://user:hunter22@host/db", Key: "c2hvcnQ=", Retention: "P1M"}
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"REMORA_DATABASE_URL: ", "REMORA_ENCRYPTION_KEY: ", "REMORA_RETENTION: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter22") || strings.Contains(err.Error(), "c2hvcnQ") {
		t.Errorf("a secret is in: %v", err)
	}
	for _, ok := range []store.Config{{Dir: "/x"}, {URL: "postgres://u@h/d", Retention: "P2W"}, {Dir: "/x", Retention: "PT36H", Key: bareKey(1)}} {
		if err := ok.Validate(); err != nil {
			t.Errorf("%+v: %v", ok, err)
		}
	}
}
