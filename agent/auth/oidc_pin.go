package auth

import _ "github.com/coreos/go-oidc/v3/oidc" // placeholder until the verifier stands
