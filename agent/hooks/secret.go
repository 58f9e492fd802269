package hooks

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
)

const (
	// previousFor is how long replaced secrets are taken at least: GitLab may still
	// send what it signed with them.
	previousFor = 24 * time.Hour

	// previousMost is how long they are taken where a hook cannot be told the new.
	previousMost = 7 * 24 * time.Hour

	// Settle is how long new secrets lie in the store before GitLab is told: by then
	// every agent takes them. Agents look more often than that.
	Settle = 15 * time.Second
)

const signingPrefix = "whsec_"

// Channel is notified when stored secrets of hooks have changed.
const Channel = "remora_hook_secrets"

// Pair is what a hook proves itself with. Either may be empty, not both.
type Pair struct {
	Token   delivery.Secret // sent as X-Gitlab-Token
	Signing delivery.Secret // whsec_…, for webhook-signature
	Version string          // says which pair it is, and nothing about it
	Own     bool            // made by an agent
	Since   time.Time       // when it was stored; zero if it was configured
}

// Vault has the secrets of one instance's hooks: those that were configured, or a
// pair of its own that it makes and keeps encrypted in the store.
type Vault struct {
	Store      *store.Store
	Instance   string      // URL
	Configured auth.Config // what callers may prove themselves with
	Now        func() time.Time
}

func (v Vault) name(which string) string {
	_, host, _ := strings.Cut(strings.TrimRight(v.Instance, "/"), "://")
	return "hook/" + strings.ToLower(host) + "/" + which
}

const (
	nameToken, nameSigning = "token", "signing"
	previously             = "/previous"
)

// configured is the pair that the operator chose: of several secrets the first,
// which is the one to come during a rotation.
func (v Vault) configured() Pair {
	var p Pair
	for _, word := range strings.Fields(v.Configured.SigningTokens.Reveal() + " " + v.Configured.Secrets.Reveal()) {
		switch signing := strings.HasPrefix(word, signingPrefix); {
		case signing && p.Signing.Empty():
			p.Signing = delivery.Secret(word)
		case !signing && p.Token.Empty():
			p.Token = delivery.Secret(word)
		}
	}
	p.Version = v.version(p)
	return p
}

// version is the same for the same pair, and costs whoever would guess a secret
// by it as much as a password does.
func (v Vault) version(p Pair) string {
	if p.Token.Empty() && p.Signing.Empty() {
		return ""
	}
	const rounds, size = 20_000, 8
	key, err := pbkdf2.Key(sha256.New, p.Token.Reveal()+" "+p.Signing.Reveal(), []byte(v.name("version")), rounds, size)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(key)
}

// Current is the pair that hooks are to have. It makes one if there is none.
func (v Vault) Current(ctx context.Context) (Pair, error) {
	return v.current(ctx, func() (Pair, error) {
		if err := v.put(ctx, false); err != nil {
			return Pair{}, err
		}
		return v.stored(ctx, "")
	})
}

// Peek is [Vault.Current] for a plan: where that would make a pair, and where the
// pair is about to be replaced, this returns one that no hook has.
func (v Vault) Peek(ctx context.Context, replace bool) (Pair, error) {
	none := Pair{Token: "to be made", Signing: "to be made", Version: "to be made", Own: true}
	p, err := v.current(ctx, func() (Pair, error) { return none, nil })
	switch {
	case err != nil || !replace:
		return p, err
	case !p.Own:
		return Pair{}, notReplaced()
	}
	return none, nil
}

func (v Vault) current(ctx context.Context, absent func() (Pair, error)) (Pair, error) {
	if p := v.configured(); p.Version != "" {
		return p, nil
	}
	p, err := v.stored(ctx, "")
	if errors.Is(err, store.ErrNotFound) {
		p, err = absent()
	}
	if errors.Is(err, store.ErrNoKey) {
		return Pair{}, delivery.Permanent(&delivery.Fault{
			Summary: "no secret for the hooks", Cause: "hooks need a secret; none is configured, and without a key none can be made and kept",
			Remedy: "set REMORA_ENCRYPTION_KEY (openssl rand -base64 32), or REMORA_WEBHOOK_SECRET to a secret of your own", Err: err,
		})
	}
	return p, err
}

// stored reads a pair of ours; which is "" or [previously].
func (v Vault) stored(ctx context.Context, which string) (Pair, error) {
	p, err := v.read(ctx, which)
	if err != nil {
		return Pair{}, err
	}
	p.Since, err = v.Store.SecretChanged(ctx, v.name(nameToken+which))
	p.Version = v.version(p)
	return p, err
}

// read is the quick part of stored.
func (v Vault) read(ctx context.Context, which string) (Pair, error) {
	token, err := v.Store.Secret(ctx, v.name(nameToken+which))
	if err != nil {
		return Pair{}, err
	}
	signing, err := v.Store.Secret(ctx, v.name(nameSigning+which))
	return Pair{Token: token, Signing: signing, Own: true}, err
}

// put stores a new pair in one transaction, all of it or none: over the one there
// is, which becomes the previous one, or only where there is none.
func (v Vault) put(ctx context.Context, over bool) error {
	token, signing := newToken(), newSigning()
	var old Pair
	if over {
		var err error
		if old, err = v.read(ctx, ""); err != nil {
			return err
		}
	}
	return v.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.Serialize(serial); err != nil {
			return err
		}
		there := false
		if err := tx.Query(func(r store.Row) error { there = true; var n int; return r.Scan(&n) }, "SELECT 1 FROM secret WHERE name = ?", v.name(nameToken)); err != nil {
			return err
		}
		if there && !over {
			return nil // another agent was first
		}
		if over {
			if err := errors.Join(tx.PutSecret(v.name(nameToken+previously), old.Token), tx.PutSecret(v.name(nameSigning+previously), old.Signing)); err != nil {
				return err
			}
		}
		if err := errors.Join(tx.PutSecret(v.name(nameToken), token), tx.PutSecret(v.name(nameSigning), signing)); err != nil {
			return err
		}
		return tx.Notify(Channel)
	})
}

// serial is the number that transactions about hooks' secrets take turns by.
const serial = 4_700_301

// newToken is a secret of 32 random bytes that every header can hold.
func newToken() delivery.Secret {
	return delivery.Secret(base64.RawURLEncoding.EncodeToString(random()))
}

// newSigning is a signing token: https://www.standardwebhooks.com.
func newSigning() delivery.Secret {
	return delivery.Secret(signingPrefix + base64.StdEncoding.EncodeToString(random()))
}

func random() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails
	return b
}

// Rotate makes a new pair. The one it replaces is taken for a day more, and until
// every hook has the new one. A rotation that is not ended yet is left alone.
func (v Vault) Rotate(ctx context.Context) error {
	if v.configured().Version != "" {
		return notReplaced()
	}
	now, err := v.Current(ctx)
	if err != nil {
		return err
	}
	hooks, err := v.Store.Hooks(ctx, v.Instance)
	if err != nil {
		return err
	}
	if _, err := v.read(ctx, previously); err == nil && lacking(hooks, now.Version) {
		return nil
	} else if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := v.put(ctx, true); err != nil {
		return fmt.Errorf("rotate secrets of hooks: %w", err)
	}
	return nil
}

func notReplaced() error {
	return delivery.Permanent(&delivery.Fault{
		Summary: "secrets not replaced", Cause: "the hooks have the secret that is configured",
		Remedy: "put the new one in front of the old one in REMORA_WEBHOOK_SECRET, a space between them, and run: remora hooks apply",
	})
}

// lacking says whether a hook has another pair than that.
func lacking(hooks []store.Hook, version string) bool {
	for _, h := range hooks {
		if h.Hook != 0 && h.Secret != "" && h.Secret != version {
			return true
		}
	}
	return false
}

// Forget ends the time of a replaced pair, if it has come.
func (v Vault) Forget(ctx context.Context) error {
	at, err := v.Store.SecretChanged(ctx, v.name(nameToken+previously))
	if err != nil || at.IsZero() || v.Now().Sub(at) < previousFor {
		return err
	}
	now, err := v.stored(ctx, "")
	if err != nil {
		return err
	}
	hooks, err := v.Store.Hooks(ctx, v.Instance)
	if err != nil || lacking(hooks, now.Version) && v.Now().Sub(at) < previousMost {
		return err
	}
	return v.Store.Write(ctx, func(tx *store.Tx) error {
		if err := errors.Join(tx.DeleteSecret(v.name(nameToken+previously)), tx.DeleteSecret(v.name(nameSigning+previously))); err != nil {
			return err
		}
		return tx.Notify(Channel)
	})
}

// Accepted are the stored secrets of an instance's hooks, those in use and the
// replaced ones. Without a key there are none.
func (v Vault) Accepted(ctx context.Context) (tokens, signing []delivery.Secret, err error) {
	for _, which := range []string{"", previously} {
		p, err := v.read(ctx, which)
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrNoKey):
			continue
		case err != nil:
			return nil, nil, err
		}
		tokens, signing = append(tokens, p.Token), append(signing, p.Signing)
	}
	return tokens, signing, nil
}
