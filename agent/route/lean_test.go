package route

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"commits":[{"id":"a]}"},["\"]"]],"ref":"x"}`: `{"commits":null,"ref":"x"}`,
		`{"ref":"x" , "commits" : [ ] }`:               `{"ref":"x" , "commits" : null }`,
		`{"a":{"commits":[1]},"ref":"commits"}`:        `{"a":{"commits":[1]},"ref":"commits"}`,
		`{"commits":"[","ref":"x"}`:                    `{"commits":"[","ref":"x"}`,
		`{"x":"\\","commits":[1]}`:                     `{"x":"\\","commits":null}`,
		`{"commits":[1`:                                `{"commits":null`,
		`{"commits"`:                                   `{"commits"`,
		`{"a":"commits`:                                `{"a":"commits`,
		``:                                             ``,
	} {
		if got := string(lean([]byte(in), "commits")); got != want {
			t.Errorf("lean(%s) = %s, want %s", in, got, want)
		}
	}
}

// FuzzLean checks that a body reads the same with and without its commits.
func FuzzLean(f *testing.F) {
	for _, s := range []string{`{"commits":[{"a":"]"}],"ref":"x"}`, `{"a":[{}],"commits":[[]]}`, `{"commits":[1],"commits":[2]}`, `[{"commits":[1]}]`, `{"\"":"\\","commits":[]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		body := []byte(text)
		kept := strings.Clone(text)
		got := lean(body, "commits")
		if string(body) != kept {
			t.Fatal("the body was changed")
		}
		var want, lean map[string]any
		if json.Unmarshal(body, &want) != nil {
			return
		}
		if err := json.Unmarshal(got, &lean); err != nil {
			t.Fatalf("no JSON any more: %s: %v", got, err)
		}
		if !strings.Contains(text, `\u00`) && strings.Count(text, `"commits"`) < 2 {
			delete(want, "commits")
			delete(lean, "commits")
			if diff := cmp.Diff(want, lean); diff != "" {
				t.Error(diff)
			}
		}
	})
}

func BenchmarkDecodePush(b *testing.B) {
	commit := `{"id":"da1560886d4f094c3e6c9ef40349f7d38b5d27d7","message":"a commit\n\nwith some words in it","author":{"name":"a","email":"a@example.com"},"added":["a/b/c.go"],"modified":["x/y/z.go"],"removed":[]}`
	body := []byte(`{"object_kind":"push","ref":"refs/heads/main","before":"95790bf891e76fee5e1747ab589903a6a1f80f22","after":"da1560886d4f094c3e6c9ef40349f7d38b5d27d7","project":{"id":15,"path_with_namespace":"a/b","web_url":"https://h/a/b"},"commits":[` + strings.Repeat(commit+",", 39) + commit + `]}`)
	b.SetBytes(int64(len(body)))
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			var e envelope
			if err := read(body, &e); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("lean", func(b *testing.B) {
		for b.Loop() {
			if _, err := Decode("push", body); err != nil {
				b.Fatal(err)
			}
		}
	})
}
