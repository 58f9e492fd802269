package command_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitlab.com/remora-ci/remora/agent/command"
)

func TestParse(t *testing.T) {
	t.Parallel()
	type Command = command.Command
	wrong := Command{Err: cmpopts.AnyError}
	many := "/remora sync" + strings.Repeat(" a", 3)
	tests := []struct {
		name string
		note string
		want Command
		ok   bool
	}{
		{"sync", "/remora sync", Command{Verb: command.Sync}, true},
		{"sync of one target", "/remora sync site", Command{Verb: command.Sync, Targets: []string{"site"}}, true},
		{"sync of two targets, one named twice", "/remora sync site docs Site", Command{Verb: command.Sync, Targets: []string{"site", "docs"}}, true},
		{"the same target often", many, Command{Verb: command.Sync, Targets: []string{"a"}}, true},
		{"a verb in capitals", "/remora SYNC site", Command{Verb: command.Sync, Targets: []string{"site"}}, true},
		{"status", "/remora status", Command{Verb: command.Status}, true},
		{"help", "/remora help", Command{Verb: command.Help}, true},
		{"allow", "/remora allow", Command{Verb: command.Allow}, true},
		{"allow of a commit", "/remora allow C0FFEE12", Command{Verb: command.Allow, SHA: "c0ffee12"}, true},
		{"spaces and tabs between and behind", "/remora \t sync\t site  ", Command{Verb: command.Sync, Targets: []string{"site"}}, true},
		{"W28 a line end of two", "/remora sync site\r\nplease\r\n", Command{Verb: command.Sync, Targets: []string{"site"}}, true},
		{"what follows the first line does not matter", "/remora status\n/remora sync\n> quote\n```\ncode", Command{Verb: command.Status}, true},

		{"the prefix alone", "/remora", wrong, true},
		{"the prefix and a space", "/remora ", wrong, true},
		{"an unknown verb", "/remora explode", wrong, true},
		{"status with more behind it", "/remora status site", wrong, true},
		{"help with more behind it", "/remora help me", wrong, true},
		{"allow of what is no commit", "/remora allow main", wrong, true},
		{"allow of too few digits", "/remora allow c0ffee1", wrong, true},
		{"allow of two commits", "/remora allow c0ffee12 c0ffee13", wrong, true},
		{"a name that no target has", "/remora sync @all", wrong, true},
		{"a name that is a quick action", "/remora sync /close", wrong, true},
		{"too many targets", "/remora sync a b c d e f g h i j k l m n o p q r s t u", wrong, true},
		{"a line that is too long", "/remora sync " + strings.Repeat("a", 2000), wrong, true},

		{"W28 in a quote", "> /remora sync", Command{}, false},
		{"W28 in a fence", "```\n/remora sync\n```", Command{}, false},
		{"W28 in another fence", "~~~\n/remora sync\n~~~", Command{}, false},
		{"W28 on the second line", "hello\n/remora sync", Command{}, false},
		{"W28 on the second line, the first being empty", "\n/remora sync", Command{}, false},
		{"within a line", "please /remora sync", Command{}, false},
		{"as code", "`/remora sync`", Command{}, false},
		{"indented, which may be code", "    /remora sync", Command{}, false},
		{"behind one space", " /remora sync", Command{}, false},
		{"a longer word", "/remorasync", Command{}, false},
		{"another bot's", "/remora-stg sync", Command{}, false},
		{"the prefix and a space that is none", "/remora\u00a0sync", Command{}, false},
		{"nothing", "", Command{}, false},
		{"a note", "looks good", Command{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := command.Parse("/remora", tt.note)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateErrors()); diff != "" || ok != tt.ok {
				t.Errorf("got %v, want %v (-want +got):\n%s", ok, tt.ok, diff)
			}
		})
	}
	if _, ok := command.Parse("", "sync"); ok {
		t.Error("without a prefix a note is a command")
	}
}

func FuzzParse(f *testing.F) {
	for _, note := range []string{"/remora sync site docs", "/remora status\r\n", "/remora allow c0ffee12", "> /remora sync", "/remora \x00\xff", "/remora sync @all /close `x`", "/remora\t"} {
		f.Add("/remora", note)
	}
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, prefix, note string) {
		c, ok := command.Parse(prefix, note)
		switch {
		case !ok:
			if c.Verb != "" || c.Err != nil || len(c.Targets) > 0 || c.SHA != "" {
				t.Errorf("no command is %+v", c)
			}
			return
		case prefix == "" || !strings.HasPrefix(note, prefix):
			t.Errorf("%q does not begin with %q", note, prefix)
		case (c.Verb == "") == (c.Err == nil):
			t.Errorf("got %+v, want a verb or an error", c)
		case len(c.Targets) > 20 || len(c.SHA) > 64:
			t.Errorf("got %+v, want bounds", c)
		}
		if again, ok := command.Parse(prefix, strings.SplitN(note, "\n", 2)[0]); !ok || !cmp.Equal(c, again, cmp.Comparer(func(a, b error) bool { return (a == nil) == (b == nil) })) {
			t.Errorf("the first line alone is %+v, want %+v", again, c)
		}
		if c.Err != nil {
			answer := command.Config{Prefix: "/remora", AccessLevel: 30}.Usage(c.Err)
			if !utf8.ValidString(answer) || len(answer) > 2000 {
				t.Errorf("got an answer of %d bytes", len(answer))
			}
		}
	})
}
