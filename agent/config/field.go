package config

import (
	"reflect"
	"slices"
	"strings"
	"sync"

	"gitlab.com/remora-ci/remora/agent/auth"
	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/gitlab"
	"gitlab.com/remora-ci/remora/component/report"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
	"gitlab.com/remora-ci/remora/component/target/httppost"
	"gitlab.com/remora-ci/remora/component/target/mirror"
)

// field is one key of a section.
type field struct {
	key       string
	env       string // variable that gives it too; empty: none
	byDefault string
	usage     string
	trim      string // of the section below it
	skip      string
	need      bool
	index     []int
	typ       reflect.Type
	extra
}

// extra is what a key takes beside one text.
type extra struct {
	kind      string   // what the text must be: one of the kinds, or anything
	enum      []string // the only texts that are good, for editors; the owner checks
	join      string   // a list is as good, joined with this
	pairs     bool     // and so are names with values, as "name: value"
	sensitive bool     // may hold a password, though it is no secret as a whole
	open      bool     // not set means all, so an empty value may be a mistake
}

// extras are those of the variables of other packages, whose tags do not say it.
var extras = map[string]extra{
	"DIREKTIV_AUTH":                {enum: []string{"auto", "direktiv-token", "direktiv-api-key", "apikey", "bearer"}},
	"DIREKTIV_ANY_REF":             {kind: kindBool},
	"DIREKTIV_FAIL_ON_WARN":        {kind: kindBool},
	"REMORA_HTTP_HEADERS":          {join: "\n", pairs: true},
	"REMORA_HTTP_METHOD":           {enum: []string{"POST", "PATCH", "PUT", "DELETE", "GET"}},
	"REMORA_HTTP_SUCCESS":          {join: ","},
	"REMORA_HTTP_FAILURE":          {join: ","},
	"REMORA_MIRROR_REFS":           {join: " "},
	"REMORA_MIRROR_KNOWN_HOSTS":    {join: "\n"},
	"REMORA_MIRROR_CACHE":          {kind: kindPath},
	"REMORA_PATHS":                 {join: "\n", open: true},
	"REMORA_REPORT":                {enum: []string{report.ReportAuto, report.ReportStatus, report.ReportNote, report.ReportOff}},
	"REMORA_NOTE":                  {enum: []string{report.NoteUpdate, report.NoteNew, report.NoteDeleteAndNew, report.NoteHideAndNew, report.NoteOnFailure, report.NoteThread, report.NoteOff}},
	"REMORA_STATUS_ON":             {enum: []string{report.OnPipeline, report.OnSource, report.OnBoth}},
	"REMORA_LOG":                   {enum: logLevels},
	"REMORA_WEBHOOK_SECRET":        {join: "\n"},
	"REMORA_WEBHOOK_SIGNING_TOKEN": {join: "\n"},
	"REMORA_TOKEN_KEY":             {join: "\n"},
	"REMORA_ADMIN_TOKEN":           {join: "\n"},
	"REMORA_WEBHOOK_ALLOW":         {join: ",", open: true},
	"REMORA_TRUSTED_PROXIES":       {join: ","},
	"REMORA_DATABASE_URL":          {sensitive: true},
}

// requestLimits are how many requests to GitLab there may be in a minute.
var requestLimits = []string{"600/min", "auto"}

var logLevels = []string{"error", "warn", "info", "debug"}

var (
	secretType = reflect.TypeFor[delivery.Secret]()
	textsType  = reflect.TypeFor[[]string]()
)

func (f field) secret() bool { return f.typ == secretType }

// hidden says whether the value may come from a file of its own.
func (f field) hidden() bool { return f.secret() || f.sensitive }

func (f field) leaf() bool { return f.typ.Kind() == reflect.String || f.typ == textsType }

// section is what a struct type says of its keys. cases are further keys, by the
// value of the key kind.
type section struct {
	fields []field
	kinds  []string // of cases, in order
	cases  map[string][]field
}

func sectionOf(t reflect.Type, trim, skip string) section {
	s := section{cases: map[string][]field{}}
	for sf := range t.Fields() {
		kind := sf.Tag.Get("case")
		if kind == "" {
			if f, ok := fieldOf(sf, trim, skip); ok {
				s.fields = append(s.fields, f)
			}
			continue
		}
		s.kinds = append(s.kinds, kind)
		for _, f := range sectionOf(sf.Type, sf.Tag.Get("trim"), sf.Tag.Get("skip")).fields {
			f.index = slices.Concat(sf.Index, f.index)
			s.cases[kind] = append(s.cases[kind], f)
		}
	}
	return s
}

// of are all keys of a section whose kind is that.
func (s section) of(kind string) []field { return slices.Concat(s.fields, s.cases[kind]) }

func fieldOf(sf reflect.StructField, trim, skip string) (field, bool) {
	env, byDefault := splitTag(sf.Tag.Get("env"))
	f := field{
		key: sf.Tag.Get("yaml"), env: env, byDefault: byDefault, usage: sf.Tag.Get("usage"),
		trim: sf.Tag.Get("trim"), skip: sf.Tag.Get("skip"), need: sf.Tag.Get("need") != "",
		index: sf.Index, typ: sf.Type, extra: extras[env],
	}
	if kind := sf.Tag.Get("kind"); kind != "" {
		f.kind = kind
	}
	f.open = f.open || sf.Tag.Get("open") != ""
	if enum := sf.Tag.Get("enum"); enum != "" {
		f.enum = strings.Fields(enum)
	}
	if f.key == "" {
		// A variable that GitLab sets in a job is not there in an agent.
		if env == "" || strings.HasPrefix(env, "CI_") || slices.Contains(strings.Fields(skip), env) {
			return f, false
		}
		f.key = keyOf(env, trim)
	}
	if owner, ok := owners()[env]; ok && env != "" {
		f.usage = firstOf(f.usage, owner.usage)
		f.byDefault = firstOf(f.byDefault, owner.byDefault)
	}
	return f, sf.IsExported()
}

// keyOf is DIREKTIV_ANY_REF as any_ref.
func keyOf(env, trim string) string {
	for prefix := range strings.FieldsSeq(trim) {
		if rest, ok := strings.CutPrefix(env, prefix); ok {
			return strings.ToLower(rest)
		}
	}
	return strings.ToLower(env)
}

// splitTag reads "NAME, default=value".
func splitTag(tag string) (env, byDefault string) {
	env, rest, _ := strings.Cut(tag, ",")
	byDefault, _ = strings.CutPrefix(strings.TrimSpace(rest), "default=")
	return env, byDefault
}

// owned is what the package that owns a variable says of it.
type owned struct{ usage, byDefault string }

// owners are the variables of all packages below.
var owners = sync.OnceValue(func() map[string]owned {
	all := map[string]owned{}
	for _, t := range []reflect.Type{
		reflect.TypeFor[direktiv.Config](), reflect.TypeFor[httppost.Config](), reflect.TypeFor[mirror.Config](),
		reflect.TypeFor[report.Config](), reflect.TypeFor[gitlab.Config](), reflect.TypeFor[auth.Config](), reflect.TypeFor[store.Config](),
	} {
		for sf := range t.Fields() {
			env, byDefault := splitTag(sf.Tag.Get("env"))
			all[env] = owned{sf.Tag.Get("usage"), byDefault}
		}
	}
	return all
})

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
