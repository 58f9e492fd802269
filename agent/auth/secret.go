package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"strconv"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// secrets are the digests of shared secrets: digests have one length, so a
// comparison does not tell how long a secret is.
type secrets [][sha256.Size]byte

func digestAll(list []delivery.Secret) secrets {
	digests := make(secrets, 0, len(list))
	for _, s := range list {
		digests = append(digests, sha256.Sum256([]byte(s.Reveal())))
	}
	return digests
}

// match is the name of the secret that equals given: "1" for the first.
func (s secrets) match(given string) (name string, ok bool) {
	i, ok := s.find(given)
	return strconv.Itoa(i + 1), ok
}

// find is the index of the secret that equals given. It compares all of them,
// always.
func (s secrets) find(given string) (i int, ok bool) {
	digest := sha256.Sum256([]byte(given))
	found := -1
	for i := range s {
		equal := subtle.ConstantTimeCompare(digest[:], s[i][:])
		found = subtle.ConstantTimeSelect(equal, i, found)
	}
	return found, found >= 0
}
