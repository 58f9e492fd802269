package auth

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	maxKeys     = 64
	maxKeyID    = 255
	maxKeysBody = 256 << 10        // bytes of an answer of the issuer
	keysTime    = 5 * time.Second  // to read them, retries included
	keysPause   = 10 * time.Second // between two tries, whatever strangers send
	keysFresh   = time.Hour        // then they are read again
	keysStale   = 24 * time.Hour   // so long they are good where they cannot be read again
)

// KeysError says that the public keys of an issuer cannot be read, so that nothing
// can be told of its tokens now.
type KeysError struct {
	Issuer string // URL
	Err    error
}

func (e *KeysError) Error() string {
	return fmt.Sprintf("keys of the issuer cannot be read: %s: %v", e.Issuer, e.Err)
}

// Unwrap is the cause.
func (e *KeysError) Unwrap() error { return e.Err }

// keyring is the public keys of an issuer, read when they are needed.
type keyring struct {
	issuer string // URL without a slash at its end
	client *http.Client
	now    func() time.Time

	mu      sync.Mutex // guards all below
	address string     // of the keys, as discovery says; "" if it is not known
	keys    map[string]*rsa.PublicKey
	read    time.Time     // when keys were last read
	tried   time.Time     // when they were last asked for
	err     error         // of that try
	loading chan struct{} // closed when the try that is under way ends; nil: none is
}

// key is the key with that id. A key that is not known is looked for, but not more
// often than once in ten seconds. Who needs a key that is known does not wait for
// another's look, so that an issuer that is away slows nobody.
func (k *keyring) key(ctx context.Context, id string) (*rsa.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	known := k.good(id, now)
	if known != nil && (now.Sub(k.read) < keysFresh || k.loading != nil) {
		return known, nil
	}
	if loading := k.loading; loading != nil {
		if err := k.await(ctx, loading); err != nil {
			return nil, &KeysError{k.issuer, err}
		}
	} else if k.tried.IsZero() || now.Sub(k.tried) >= keysPause {
		k.reload(ctx, now)
	}
	switch known = k.good(id, now); {
	case known != nil:
		return known, nil
	case k.err != nil:
		return nil, &KeysError{k.issuer, k.err}
	}
	return nil, refuseClaim("kid", "key %.100q is none of the %d of %s, which were read %s ago", id, len(k.keys), k.issuer, now.Sub(k.read).Round(time.Second))
}

// good is a key that may still be used.
func (k *keyring) good(id string, now time.Time) *rsa.PublicKey {
	if now.Sub(k.read) > keysStale {
		return nil
	}
	return k.keys[id]
}

// await waits without the lock for another's try to end.
func (k *keyring) await(ctx context.Context, loading <-chan struct{}) error {
	k.mu.Unlock()
	defer k.mu.Lock()
	select {
	case <-loading:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reload reads the keys without the lock. Others wait for it too, so it does not end
// with the call that began it.
func (k *keyring) reload(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTime)
	defer cancel()
	k.loading, k.tried = make(chan struct{}), now
	k.err = errors.New("the try did not end") // unless it does
	address := k.address
	var keys map[string]*rsa.PublicKey
	var err error
	defer func() {
		close(k.loading)
		k.loading = nil
	}()
	func() {
		k.mu.Unlock()
		defer k.mu.Lock()
		keys, address, err = k.load(ctx, address)
	}()
	if k.err = err; err != nil {
		k.address = "" // it may have moved
		return
	}
	k.keys, k.address, k.read = keys, address, now
}

// load reads the keys; where they are is asked first if address is "".
func (k *keyring) load(ctx context.Context, address string) (keys map[string]*rsa.PublicKey, at string, err error) {
	if address == "" {
		if address, err = k.discover(ctx); err != nil {
			return nil, "", err
		}
	}
	body, err := k.get(ctx, address)
	if err != nil {
		return nil, "", err
	}
	keys, err = parseKeys(body)
	return keys, address, err
}

// discover asks the issuer where its keys are: at the same origin, as a way to them
// that is less safe would be a way around all else.
//
// https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig
func (k *keyring) discover(ctx context.Context) (string, error) {
	body, err := k.get(ctx, k.issuer+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	var says struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if json.Unmarshal(body, &says) != nil {
		return "", errors.New("its discovery document is no JSON that can be read")
	}
	if says.Issuer != k.issuer && says.Issuer != k.issuer+"/" {
		return "", fmt.Errorf("it calls itself %.200q", says.Issuer)
	}
	own, err := url.Parse(k.issuer)
	if err != nil {
		return "", errors.New("its URL makes no sense")
	}
	keys, err := url.Parse(says.Keys)
	if err != nil || keys.Scheme != own.Scheme || keys.Host != own.Host || keys.User != nil {
		return "", fmt.Errorf("it says that its keys are at %.200q, which is not its own origin", says.Keys)
	}
	return says.Keys, nil
}

// get reads a small page.
func (k *keyring) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: status %d", address, res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxKeysBody+1))
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", address, err)
	}
	if len(body) > maxKeysBody {
		return nil, fmt.Errorf("GET %s: the answer has more than %d bytes", address, maxKeysBody)
	}
	return body, nil
}

// publicKey is a key of a set: https://www.rfc-editor.org/rfc/rfc7517#section-4.
type publicKey struct {
	Type      string `json:"kty"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	Modulus   string `json:"n"`
	Exponent  string `json:"e"`
}

// parseKeys takes the keys of a set that may sign with RS256; it passes over others.
func parseKeys(body []byte) (map[string]*rsa.PublicKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil {
		return nil, errors.New("the key set is no JSON that can be read")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys, over %d", len(set.Keys), maxKeys)
	}
	keys := map[string]*rsa.PublicKey{}
	for _, text := range set.Keys {
		var p publicKey
		if json.Unmarshal(text, &p) != nil || p.ID == "" || len(p.ID) > maxKeyID {
			continue
		}
		if key := p.rsa(); key != nil {
			keys[p.ID] = key
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("none of the %d keys in the set is good for RS256", len(set.Keys))
	}
	return keys, nil
}

// rsa is the key, if it is one for RS256 of 2,048 to 8,192 bits.
func (p publicKey) rsa() *rsa.PublicKey {
	if p.Type != "RSA" || p.Use != "" && p.Use != "sig" || p.Algorithm != "" && p.Algorithm != "RS256" {
		return nil
	}
	n, err := base64.RawURLEncoding.DecodeString(p.Modulus)
	if err != nil {
		return nil
	}
	e, err := base64.RawURLEncoding.DecodeString(p.Exponent)
	if err != nil || len(e) == 0 || len(e) > 4 {
		return nil
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if bits := key.N.BitLen(); bits < 2048 || bits > 8192 || key.E < 3 || key.E%2 == 0 {
		return nil
	}
	return key
}
