package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// vault encrypts what is stored, bound to the place it is stored in.
type vault struct{ aead tink.AEAD }

var errKey = errors.New("no base64 of 32 bytes or of a tink AEAD keyset; make one with: openssl rand -base64 32")

// newVault makes a vault from base64 of 32 bytes, or of a tink keyset in its
// binary or JSON form. An error never repeats the key.
func newVault(key delivery.Secret) (*vault, error) {
	raw, err := decodeBase64(strings.TrimSpace(key.Reveal()))
	if err != nil {
		return nil, errKey
	}
	var handle *keyset.Handle
	if len(raw) == 32 {
		handle, err = bareKey(raw)
	} else {
		var reader keyset.Reader = keyset.NewBinaryReader(bytes.NewReader(raw))
		if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
			reader = keyset.NewJSONReader(bytes.NewReader(raw))
		}
		handle, err = insecurecleartextkeyset.Read(reader)
	}
	if err != nil {
		return nil, errKey
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, errKey
	}
	return &vault{primitive}, nil
}

func decodeBase64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "-_") {
		return base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	}
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
}

// bareKey makes a keyset of one AES-256-GCM key. Its id is drawn from the key, so
// that the same key is the same keyset tomorrow.
func bareKey(raw []byte) (*keyset.Handle, error) {
	params, err := aesgcm.NewParameters(aesgcm.ParametersOpts{KeySizeInBytes: 32, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantTink})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte("remora key id\x00"), raw...))
	id := max(binary.BigEndian.Uint32(sum[:4]), 1)
	key, err := aesgcm.NewKey(secretdata.NewBytesFromData(raw, insecuresecretdataaccess.Token{}), id, params)
	if err != nil {
		return nil, err
	}
	m := keyset.NewManager()
	if _, err := m.AddKey(key); err != nil {
		return nil, err
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, err
	}
	return m.Handle()
}

// place is what a ciphertext is bound to: table, row and column.
func place(name string) []byte { return []byte("secret\x00" + name + "\x00value") }

func (v *vault) open(name string, sealed []byte) (delivery.Secret, error) {
	plain, err := v.aead.Decrypt(sealed, place(name))
	if err != nil {
		return "", fmt.Errorf("decrypt secret %q: REMORA_ENCRYPTION_KEY does not open it", name)
	}
	return delivery.Secret(plain), nil
}

func (v *vault) seal(name string, value delivery.Secret) ([]byte, error) {
	sealed, err := v.aead.Encrypt([]byte(value.Reveal()), place(name))
	if err != nil {
		return nil, fmt.Errorf("encrypt secret %q: %w", name, err)
	}
	return sealed, nil
}

// PutSecret stores a secret, encrypted, in place of the one it had. Without a key
// the error is [ErrNoKey].
func (tx *Tx) PutSecret(name string, value delivery.Secret) error {
	if tx.vault == nil {
		return fmt.Errorf("store secret %q: %w", name, ErrNoKey)
	}
	sealed, err := tx.vault.seal(name, value)
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO secret (name, value, changed_at) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at", name, sealed, micros(time.Now()))
	if err != nil {
		return fmt.Errorf("store secret %q: %w", name, err)
	}
	return nil
}

// DeleteSecret removes a secret; that there is none is no error.
func (tx *Tx) DeleteSecret(name string) error {
	if _, err := tx.Exec("DELETE FROM secret WHERE name = ?", name); err != nil {
		return fmt.Errorf("delete secret %q: %w", name, err)
	}
	return nil
}

// Secret is a stored secret, or [ErrNotFound], or [ErrNoKey].
func (s *Store) Secret(ctx context.Context, name string) (delivery.Secret, error) {
	if s.vault == nil {
		return "", fmt.Errorf("read secret %q: %w", name, ErrNoKey)
	}
	var sealed []byte
	err := s.Query(ctx, func(r Row) error { return r.Scan(&sealed) }, "SELECT value FROM secret WHERE name = ?", name)
	if err == nil && sealed == nil {
		err = ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("read secret %q: %w", name, err)
	}
	return s.vault.open(name, sealed)
}

// RotateKeys encrypts every secret anew, from the key old to the key next, all or
// none, and says how many. The store goes on with its own key: open it again.
func (s *Store) RotateKeys(ctx context.Context, old, next delivery.Secret) (n int, err error) {
	from, err := newVault(old)
	if err != nil {
		return 0, fmt.Errorf("old key: %w", err)
	}
	to, err := newVault(next)
	if err != nil {
		return 0, fmt.Errorf("new key: %w", err)
	}
	err = s.Write(ctx, func(tx *Tx) error {
		sealed := map[string][]byte{}
		err := tx.Query(func(r Row) error {
			var name string
			var value []byte
			err := r.Scan(&name, &value)
			sealed[name] = value
			return err
		}, "SELECT name, value FROM secret ORDER BY name FOR UPDATE")
		if err != nil {
			return err
		}
		n = len(sealed)
		for name, value := range sealed {
			plain, err := from.open(name, value)
			if err != nil {
				return err
			}
			if value, err = to.seal(name, plain); err != nil {
				return err
			}
			if _, err := tx.Exec("UPDATE secret SET value = ?, changed_at = ? WHERE name = ?", value, micros(time.Now()), name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("rotate keys: %w", err)
	}
	return n, nil
}

// checkKey refuses a key that does not open what is stored: better now than when
// a token is needed.
func (s *Store) checkKey(ctx context.Context) error {
	if s.vault == nil {
		return nil
	}
	var name string
	var sealed []byte
	err := s.Query(ctx, func(r Row) error { return r.Scan(&name, &sealed) }, "SELECT name, value FROM secret ORDER BY name LIMIT 1")
	if err != nil || sealed == nil {
		return err
	}
	if _, err := s.vault.open(name, sealed); err != nil {
		return delivery.Permanent(&delivery.Fault{
			Summary: "wrong encryption key", Cause: "the key does not open the secrets that are stored",
			Remedy: "set REMORA_ENCRYPTION_KEY to the key they were stored with, or rotate from it with: remora keys rotate", Err: err,
		})
	}
	return nil
}
