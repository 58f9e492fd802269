package auth

import (
	"errors"
	"fmt"
	"strconv"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// maxExtra is enough for the new and the old of 32 instances.
const maxExtra = 64

// hookSecrets are what webhooks prove themselves with.
type hookSecrets struct {
	plain   secrets
	signing [][]byte
}

// name is how a log calls the secret at index i, of which the first few were
// configured: "secret 1", or "secret 1 of our own hooks".
func (hookSecrets) name(what string, i, configured int) string {
	if i < configured {
		return what + " " + strconv.Itoa(i+1)
	}
	return what + " " + strconv.Itoa(i-configured+1) + " of our own hooks"
}

// Extra sets the hook secrets and signing tokens (whsec_…) that are good besides the
// configured ones: those that the agent itself gave its hooks, the new and the old.
// They take the place, all at once, of those that were set before. What is no secret
// is left out, and the error names it by its number, from 1.
func (v *Verifier) Extra(plain, signing []delivery.Secret) error {
	all := hookSecrets{plain: v.configured.plain[:len(v.configured.plain):len(v.configured.plain)], signing: v.configured.signing[:len(v.configured.signing):len(v.configured.signing)]}
	var errs []error
	for i, s := range plain {
		switch {
		case len(s.Reveal()) < goodSecret:
			errs = append(errs, fmt.Errorf("hook secret %d: shorter than %d characters", i+1, goodSecret))
		case i >= maxExtra:
			errs = append(errs, fmt.Errorf("hook secret %d: over %d", i+1, maxExtra))
		default:
			all.plain = append(all.plain, digestAll([]delivery.Secret{s})...)
		}
	}
	for i, s := range signing {
		key, err := parseSigningToken(s)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("signing token %d: %w", i+1, err))
		case i >= maxExtra:
			errs = append(errs, fmt.Errorf("signing token %d: over %d", i+1, maxExtra))
		default:
			all.signing = append(all.signing, key)
		}
	}
	v.hooks.Store(&all)
	return errors.Join(errs...)
}
