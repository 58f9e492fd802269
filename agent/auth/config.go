package auth

import (
	"errors"
	"fmt"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Config are the secrets and rules of who may call, as text. Where a setting
// takes several secrets, space or new lines stand between them: a new one is
// added, GitLab is told, the old one is taken out.
type Config struct {
	Secrets        delivery.Secret `env:"REMORA_WEBHOOK_SECRET" usage:"secret token of the hooks in GitLab (X-Gitlab-Token), two during a rotation; one that starts with whsec_ is taken as a signing token"`
	SigningTokens  delivery.Secret `env:"REMORA_WEBHOOK_SIGNING_TOKEN" usage:"signing tokens of the hooks in GitLab (whsec_…), two during a rotation"`
	TokenKeys      delivery.Secret `env:"REMORA_TOKEN_KEY" usage:"key of the project tokens that remora token issue makes: base64 of 32 bytes; two during a rotation, the first signs"`
	PackitSecret   delivery.Secret `env:"REMORA_PACKIT_SECRET" usage:"gitlab_token_secret of a Packit service whose tokens stay good here"`
	AdminToken     delivery.Secret `env:"REMORA_ADMIN_TOKEN" usage:"bearer token of who may see and replay everything, two during a rotation"`
	Allow          string          `env:"REMORA_WEBHOOK_ALLOW" usage:"addresses and networks that may send webhooks, by comma; default: all"`
	TrustedProxies string          `env:"REMORA_TRUSTED_PROXIES" usage:"addresses and networks of proxies whose X-Forwarded-For is believed, by comma"`
}

const (
	maxSecrets = 16
	goodSecret = 16 // characters; what is shorter can be guessed
)

// Validate tells everything that is wrong at once.
func (c Config) Validate() error {
	_, err := c.parse()
	return err
}

// Warnings are what works and should be mended.
func (c Config) Warnings() []string {
	var list []string
	if c.Secrets.Empty() && c.SigningTokens.Empty() && c.TokenKeys.Empty() && c.PackitSecret.Empty() {
		list = append(list, "REMORA_WEBHOOK_SECRET: missing, so every webhook is refused; REMORA_WEBHOOK_SIGNING_TOKEN or REMORA_TOKEN_KEY would do too")
	}
	for _, f := range c.shared() {
		for _, s := range fields(f.value) {
			if len(s.Reveal()) < goodSecret {
				list = append(list, fmt.Sprintf("%s: shorter than %d characters, which can be guessed", f.name, goodSecret))
			}
		}
	}
	return list
}

// All are the secrets each by itself, to be scrubbed from logs.
func (c Config) All() []delivery.Secret {
	var all []delivery.Secret
	for _, text := range []delivery.Secret{c.Secrets, c.SigningTokens, c.TokenKeys, c.PackitSecret, c.AdminToken} {
		all = append(all, fields(text)...)
	}
	return all
}

type named struct {
	name  string
	value delivery.Secret
}

func (c Config) shared() []named {
	return []named{{"REMORA_WEBHOOK_SECRET", c.Secrets}, {"REMORA_PACKIT_SECRET", c.PackitSecret}, {"REMORA_ADMIN_TOKEN", c.AdminToken}}
}

// settings is a Config that was read.
type settings struct {
	plain, packit, admin []delivery.Secret
	signing              [][]byte
	tokenKeys            []tokenKey
	allow, proxies       networks
}

func (c Config) parse() (settings, error) {
	var s settings
	var errs []error
	wrong := func(name string, err error) { errs = append(errs, fmt.Errorf("%s: %w", name, err)) }
	for _, f := range append(c.shared(), named{"REMORA_WEBHOOK_SIGNING_TOKEN", c.SigningTokens}, named{"REMORA_TOKEN_KEY", c.TokenKeys}) {
		words := fields(f.value)
		if len(words) == 0 && !f.value.Empty() {
			wrong(f.name, errors.New("nothing but white space"))
		}
		if len(words) > maxSecrets {
			wrong(f.name, fmt.Errorf("%d secrets, over %d", len(words), maxSecrets))
		}
		for _, w := range words {
			if err := s.add(f.name, w); err != nil {
				wrong(f.name, err)
			}
		}
	}
	var err error
	if s.allow, err = parseNetworks(c.Allow); err != nil {
		wrong("REMORA_WEBHOOK_ALLOW", err)
	}
	if s.proxies, err = parseNetworks(c.TrustedProxies); err != nil {
		wrong("REMORA_TRUSTED_PROXIES", err)
	}
	return s, errors.Join(errs...)
}

// add reads one secret of the setting called name.
func (s *settings) add(name string, word delivery.Secret) error {
	switch {
	case name == "REMORA_PACKIT_SECRET":
		s.packit = append(s.packit, word)
	case name == "REMORA_ADMIN_TOKEN":
		s.admin = append(s.admin, word)
	case name == "REMORA_TOKEN_KEY":
		key, err := parseTokenKey(word)
		s.tokenKeys = append(s.tokenKeys, key)
		return err
	case name == "REMORA_WEBHOOK_SIGNING_TOKEN", strings.HasPrefix(word.Reveal(), signingPrefix):
		key, err := parseSigningToken(word)
		s.signing = append(s.signing, key)
		return err
	default:
		s.plain = append(s.plain, word)
	}
	return nil
}

// fields are the secrets in a text of several.
func fields(text delivery.Secret) []delivery.Secret {
	var list []delivery.Secret
	for word := range strings.FieldsSeq(text.Reveal()) {
		list = append(list, delivery.Secret(word))
	}
	return list
}
