package command

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Verb is what a command asks for.
type Verb string

// The verbs.
const (
	Sync   Verb = "sync"   // deliver the head of the merge request
	Status Verb = "status" // tell what is known of it
	Allow  Verb = "allow"  // let the head commit of a fork be delivered
	Help   Verb = "help"
)

// Command is what the first line of a note asks for. With Err it was not
// understood, and the rest is empty.
type Command struct {
	Verb    Verb
	Targets []string // of sync: their names, each once; empty for all
	SHA     string   // of allow: how the commit begins; empty for the head, whatever it is
	Err     error    // a few words that repeat nothing of the line
}

const (
	maxLine    = 1000 // bytes
	maxTargets = 20
)

var (
	targetName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$`)
	commitForm = regexp.MustCompile(`^[0-9a-f]{8,64}$`)
)

// Parse reads a note, and says whether it is a command: whether its first line
// begins with prefix, and goes on with a space, a tab or nothing.
func Parse(prefix, note string) (Command, bool) {
	line, _, _ := strings.Cut(note, "\n")
	rest, ok := strings.CutPrefix(strings.TrimRight(line, "\r"), prefix)
	if prefix == "" || !ok || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return Command{}, false
	}
	c, err := parse(rest)
	if err != nil {
		return Command{Err: err}, true
	}
	return c, true
}

func parse(line string) (Command, error) {
	if len(line) > maxLine {
		return Command{}, errors.New("the line is too long")
	}
	words := strings.Fields(line)
	if len(words) == 0 {
		return Command{}, errors.New("there is nothing behind the first word")
	}
	args := words[1:]
	switch verb := Verb(strings.ToLower(words[0])); verb {
	case Sync:
		return parseSync(args)
	case Allow:
		return parseAllow(args)
	case Status, Help:
		if len(args) > 0 {
			return Command{}, fmt.Errorf("nothing may follow `%s`", verb)
		}
		return Command{Verb: verb}, nil
	}
	return Command{}, errors.New("there is no such command")
}

func parseSync(args []string) (Command, error) {
	c := Command{Verb: Sync}
	for _, name := range args {
		switch {
		case !targetName.MatchString(name):
			return Command{}, errors.New("only names of targets may follow `sync`")
		case len(c.Targets) == maxTargets:
			return Command{}, fmt.Errorf("`sync` takes at most %d targets", maxTargets)
		case !slices.ContainsFunc(c.Targets, func(t string) bool { return strings.EqualFold(t, name) }):
			c.Targets = append(c.Targets, name)
		}
	}
	return c, nil
}

func parseAllow(args []string) (Command, error) {
	c := Command{Verb: Allow}
	if len(args) == 1 {
		c.SHA = strings.ToLower(args[0])
	}
	if len(args) > 1 || c.SHA != "" && !commitForm.MatchString(c.SHA) {
		return Command{}, errors.New("only the id of a commit may follow `allow`, of which eight digits or more")
	}
	return c, nil
}
