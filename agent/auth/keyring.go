package auth

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"sync"
	"time"
)

const (
	maxKeys     = 64
	maxKeysBody = 256 << 10        // bytes of the answer with the keys
	keysTime    = 5 * time.Second  // to read them
	keysPause   = 10 * time.Second // between two tries, whatever strangers send
	keysFresh   = time.Hour        // then they are read again
	keysStale   = 24 * time.Hour   // for so long they are good while they cannot be read
)

// keyring is the public keys of an issuer, read when they are needed.
type keyring struct {
	address string
	client  *http.Client
	now     func() time.Time

	mu    sync.Mutex
	keys  map[string]*rsa.PublicKey
	read  time.Time // last success
	tried time.Time
	err   error // of the last try
}

// key is the key with that id. A key that is not known is looked for, but not more
// often than once in ten seconds.
func (k *keyring) key(ctx context.Context, id string) (*rsa.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	known := k.keys[id]
	if (known == nil || now.Sub(k.read) > keysFresh) && (k.tried.IsZero() || now.Sub(k.tried) >= keysPause) {
		k.tried = now
		var keys map[string]*rsa.PublicKey
		if keys, k.err = k.load(ctx); k.err == nil {
			k.keys, k.read = keys, now
		}
		known = k.keys[id]
	}
	switch {
	case known != nil && now.Sub(k.read) <= keysStale:
		return known, nil
	case k.err != nil:
		return nil, fmt.Errorf("read keys of %s: %w", k.address, k.err)
	}
	return nil, refuseClaim("kid", "key %.60q is none of the %d keys of %s", id, len(k.keys), k.address)
}

// load reads the keys where discovery says that they are.
//
// https://openid.net/specs/openid-connect-discovery-1_0.html
func (k *keyring) load(ctx context.Context) (map[string]*rsa.PublicKey, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTime) // others wait for them too
	defer cancel()
	var discovery struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := k.get(ctx, k.address+"/.well-known/openid-configuration", &discovery); err != nil {
		return nil, err
	}
	if discovery.Issuer != k.address && discovery.Issuer != k.address+"/" {
		return nil, fmt.Errorf("it calls itself %.100q", discovery.Issuer)
	}
	var set struct {
		Keys []struct{ Kty, Kid, Use, Alg, N, E string } `json:"keys"`
	}
	if err := k.get(ctx, discovery.Keys, &set); err != nil {
		return nil, err
	}
	keys := map[string]*rsa.PublicKey{}
	for _, j := range set.Keys {
		if j.Kty != "RSA" || j.Use != "" && j.Use != "sig" || len(keys) >= maxKeys {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(j.N)
		e, err2 := base64.RawURLEncoding.DecodeString(j.E)
		if err != nil || err2 != nil || len(n) < 256 || len(e) == 0 || len(e) > 4 {
			continue
		}
		keys[j.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("there is no RSA key among %d", len(set.Keys))
	}
	return keys, nil
}

func (k *keyring) get(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	res, err := k.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: status %d", address, res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxKeysBody))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s: the answer is no JSON that can be read", address)
	}
	return nil
}
