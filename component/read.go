package component

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Setting is one variable that a job can be given.
type Setting struct {
	Env     string // REMORA_NOTE
	Flag    string // note; empty for a secret, which is never a flag
	Usage   string
	Default string
}

// Settings lists every variable of [Config] once, in order, from its struct tags.
func Settings() []Setting {
	var out []Setting
	seen := map[string]bool{}
	walk(reflect.TypeFor[Config](), func(f reflect.StructField) {
		name, rest, _ := strings.Cut(f.Tag.Get("env"), ",")
		if seen[name] {
			return // two packages may read one variable
		}
		seen[name] = true
		s := Setting{Env: name, Usage: f.Tag.Get("usage")}
		if d, ok := strings.CutPrefix(strings.TrimSpace(rest), "default="); ok {
			s.Default = d
		}
		if f.Type != secretType && s.Usage != "" {
			s.Flag = flagName(name)
		}
		out = append(out, s)
	})
	return out
}

var secretType = reflect.TypeFor[delivery.Secret]()

// walk visits the tagged fields of a struct type and of the structs in it.
func walk(t reflect.Type, visit func(reflect.StructField)) {
	for f := range t.Fields() {
		switch {
		case !f.IsExported():
		case f.Tag.Get("env") != "":
			visit(f)
		case f.Type.Kind() == reflect.Struct:
			walk(f.Type, visit)
		}
	}
}

// flagName is REMORA_NOTE as note, CI_COMMIT_SHA as commit-sha, DIREKTIV_URL as
// direktiv-url.
func flagName(env string) string {
	env = strings.TrimPrefix(strings.TrimPrefix(env, "REMORA_"), "CI_")
	return strings.ReplaceAll(strings.ToLower(env), "_", "-")
}

// aliases are other names that variables are known by.
var aliases = map[string]string{"REMORA_GITLAB_TOKEN": "GITLAB_TOKEN"}

// maxSecretFile bounds what is read from a NAME_FILE, in bytes.
const maxSecretFile = 64 << 10

// reader finds the value of a variable: flag, variable, alias, and for secrets
// also the file that NAME_FILE names. It collects faults and secrets on the way.
type reader struct {
	flags, env envconfig.Lookuper
	isSecret   map[string]bool
	secrets    []delivery.Secret
	errs       []error
}

func newReader(flags map[string]string, env envconfig.Lookuper) *reader {
	r := &reader{flags: envconfig.MapLookuper(flags), env: env, isSecret: map[string]bool{}}
	walk(reflect.TypeFor[Config](), func(f reflect.StructField) {
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		r.isSecret[name] = f.Type == secretType
	})
	return r
}

// Lookup implements [envconfig.Lookuper]. An empty value counts as unset.
func (r *reader) Lookup(key string) (string, bool) {
	if !r.isSecret[key] {
		if v, ok := r.flags.Lookup(key); ok && v != "" {
			return v, true
		}
		v, ok := r.env.Lookup(key)
		return v, ok && v != ""
	}
	for _, name := range []string{key, aliases[key]} {
		if name == "" {
			continue
		}
		s, err := ReadSecret(r.env, name)
		if err != nil {
			r.errs = append(r.errs, err)
		}
		if !s.Empty() {
			r.secrets = append(r.secrets, s)
			return s.Reveal(), true
		}
	}
	return "", false
}

// ReadSecret is the variable called name, or the content of the file that NAME_FILE
// names; empty if neither is set. Its errors begin with the variable's name.
func ReadSecret(env envconfig.Lookuper, name string) (delivery.Secret, error) {
	value, _ := env.Lookup(name)
	file, _ := env.Lookup(name + "_FILE")
	switch {
	case value != "" && file != "":
		return "", fmt.Errorf("%s: set, and %s_FILE too; set one of them", name, name)
	case file != "":
		content, err := readFile(file)
		if err != nil {
			return "", fmt.Errorf("%s_FILE: %w", name, err)
		}
		return delivery.Secret(content), nil
	case isFile(value):
		return "", fmt.Errorf("%s: is the path of a file, as GitLab gives a variable of type File; name that variable %s_FILE", name, name)
	}
	return delivery.Secret(value), nil
}

func isFile(path string) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func readFile(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	switch {
	case err != nil:
		return "", err
	case len(content) > maxSecretFile:
		return "", fmt.Errorf("%s is larger than %d KiB", file, maxSecretFile>>10)
	case strings.TrimSpace(string(content)) == "":
		return "", fmt.Errorf("%s is empty", file)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}
