package direktiv_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"gitlab.com/remora-ci/remora/component/target/direktiv"
)

func TestALogLineIsReadInEveryShape(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ raw, level, text, cause string }{
		"v0.8 with its formatting fault": {`{"level":"ERROR","msg":"Mirroring process failed initializing source: reference not found%!(EXTRA string=process_id, uuid.UUID=8c1f)","error":null}`,
			"ERROR", "Mirroring process failed initializing source: reference not found", "reference not found"},
		"v0.10 with the cause in error": {`{"level":"ERROR","msg":"mirror processing failed","error":"initializing source: reference not found"}`,
			"ERROR", "mirror processing failed: initializing source: reference not found", "reference not found"},
		"main with the cause in msg": {`{"level":"ERROR","msg":"mirroring failed 'pullSourceIntoTempDirectory: mirroring source pull: reference not found'"}`,
			"ERROR", "mirroring failed 'pullSourceIntoTempDirectory: mirroring source pull: reference not found'", "reference not found"},
		"main with the cause in error": {`{"level":"ERROR","msg":"mirroring failed","error":"reference not found"}`,
			"ERROR", "mirroring failed: reference not found", "reference not found"},
		"v0.7 with the cause in a tag": {`{"level":"error","msg":"mirroring process failed","tags":{"err":"authentication required"}}`,
			"ERROR", "mirroring process failed: authentication required", "authentication required"},
		"tags of another shape":       {`{"level":"info","msg":"x","tags":[1,{"err":2}]}`, "INFO", "x", "x"},
		"an error that is an object":  {`{"level":"ERROR","msg":"failed","error":{"a":1}}`, "ERROR", `failed: {"a":1}`, `{"a":1}`},
		"a warning by its other name": {`{"level":"warning","msg":"x"}`, "WARN", "x", "x"},
		"a bare token in a URL":       {`{"level":"ERROR","msg":"Get \"https://glpat-123456@gitlab.example.com/a.git\": x509: bad"}`, "ERROR", `Get "https://gitlab.example.com/a.git": x509: bad`, `Get "https://gitlab.example.com/a.git": x509: bad`},
		"user and token in a URL":     {`{"level":"ERROR","msg":"https://nouser:glpat@h/a: no"}`, "ERROR", "https://h/a: no", "https://h/a: no"},
		"our own token":               {`{"level":"INFO","msg":"with ` + canary + `"}`, "INFO", "with [secret]", "with [secret]"},
		"control characters":          {`{"level":"INFO","msg":"a\u0000b\u001b[31m\r\nc\u202e"}`, "INFO", "ab[31m c", "ab[31m c"},
		"a token torn apart":          {`{"level":"INFO","msg":"with ` + canary[:9] + `\u0000` + canary[9:] + `"}`, "INFO", "with [secret]", "with [secret]"},
		"nothing at all":              {`{}`, "", "", ""},
	} {
		level, text, cause, err := direktiv.ParseLog([]byte(c.raw), canary)
		if err != nil || level != c.level || text != c.text || cause != c.cause {
			t.Errorf("%s: got %q, %q, %q, %v; want %q, %q, %q", name, level, text, cause, err, c.level, c.text, c.cause)
		}
	}
}

func TestALongLogLineIsCut(t *testing.T) {
	t.Parallel()
	_, text, _, err := direktiv.ParseLog([]byte(`{"msg":"` + strings.Repeat("ä", 3000) + `"}`))
	if err != nil || len(text) > 510 || !utf8.ValidString(text) || !strings.HasSuffix(text, "…") {
		t.Errorf("%d bytes, %v; want at most 510, whole characters and an ellipsis", len(text), err)
	}
}

func FuzzLogLine(f *testing.F) {
	f.Add([]byte(`{"level":"ERROR","msg":"Mirroring process failed initializing source: x%!(EXTRA string=a)","error":null}`))
	f.Add([]byte(`{"level":"ERROR","msg":"mirroring failed '` + canary + `'","error":"https://a:b@c"}`))
	f.Add([]byte(`{"msg":"\ud800\u0000","error":[[[1e999]]],"tags":{"err":null,"error":{"x":[]}}}`))
	f.Add([]byte("{\"msg\":\"\xff\xfe::''\"}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		level, text, cause, err := direktiv.ParseLog(raw, canary)
		if err != nil {
			return
		}
		for _, s := range []string{level, text, cause} {
			if strings.Contains(s, canary) || !utf8.ValidString(s) || len(s) > 1100 {
				t.Errorf("%q is not fit to be shown", s)
			}
			if i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }); i >= 0 {
				t.Errorf("%q holds a control character", s)
			}
		}
	})
}
