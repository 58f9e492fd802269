package mirror

import (
	"errors"
	"fmt"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// rule is one entry of REMORA_MIRROR_REFS.
type rule struct {
	pattern string // of the full ref; * stands for any text, slashes too
	except  bool
	force   bool
	remove  bool
}

// rules decide what may be done with a ref:
//
//	all            every branch and tag (the default)
//	branches tags  every branch; every tag
//	main           the branch main
//	release/*      branches by pattern; * is any text, slashes too, as in GitLab
//	tags/v*        tags by pattern; refs/tags/v* and refs/heads/… work as well
//	+main          main, and commits that only the remote has may be overwritten
//	main:delete    main, and when it is deleted the remote's is deleted
//	!wip/*         never these, whatever else is said
//
// Entries are separated by spaces or commas. Of several that match, what any of
// them allows is allowed.
type rules []rule

// maxRules bounds the work per event.
const maxRules = 200

func parseRules(text string) (rules, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
	if len(words) == 0 {
		words = []string{"all"}
	}
	if len(words) > maxRules {
		return nil, fmt.Errorf("has %d entries, at most %d are taken", len(words), maxRules)
	}
	var rs rules
	var wrong []error
	for _, w := range words {
		r, err := parseRule(w)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%q %w", w, err))
		}
		rs = append(rs, r)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	if rs.onlyExcept() {
		rs = append(rs, rule{pattern: "refs/*"})
	}
	return rs, nil
}

func parseRule(word string) (rule, error) {
	var r rule
	name := word
	switch {
	case strings.HasPrefix(name, "-"):
		return r, errors.New("begins with a dash; write ! before a pattern to leave it out, :delete after it to let deletions follow")
	case strings.HasPrefix(name, "!"):
		r.except, name = true, name[1:]
	case strings.HasPrefix(name, "+"):
		r.force, name = true, name[1:]
	}
	if before, option, ok := strings.Cut(name, ":"); ok {
		if option != "delete" {
			return r, errors.New("has an unknown option; only :delete is known")
		}
		r.remove, name = true, before
	}
	switch {
	case r.except && r.remove:
		return r, errors.New("leaves refs out and deletes them; choose one")
	case name == "":
		return r, errors.New("names no ref")
	case strings.ContainsAny(name, "~^?[]\\{}") || strings.Contains(name, ".."):
		return r, errors.New("has a character that no ref has; only * is special")
	}
	r.pattern = fullPattern(name)
	return r, nil
}

func fullPattern(name string) string {
	switch {
	case name == "all" || name == "*":
		return "refs/*"
	case name == "branches":
		return "refs/heads/*"
	case name == "tags":
		return "refs/tags/*"
	case strings.HasPrefix(name, "refs/"):
		return name
	case strings.HasPrefix(name, "tags/") || strings.HasPrefix(name, "heads/"):
		return "refs/" + name
	}
	return "refs/heads/" + name
}

func (rs rules) onlyExcept() bool {
	for _, r := range rs {
		if !r.except {
			return false
		}
	}
	return true
}

// grant is what the rules allow for one ref.
type grant struct{ push, force, remove bool }

func (rs rules) grant(fullRef string) grant {
	var g grant
	for _, r := range rs {
		if !glob(r.pattern, fullRef) {
			continue
		}
		if r.except {
			return grant{}
		}
		g = grant{push: true, force: g.force || r.force, remove: g.remove || r.remove}
	}
	return g
}

// glob says whether name matches pattern, in which * stands for any text.
func glob(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(name, first) || len(name) < len(first)+len(last) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(name, p)
		if i < 0 {
			return false
		}
		name = name[i+len(p):]
	}
	return true
}

// admit decides from the event alone: nil, a skip, or a permanent fault.
func (rs rules) admit(ev delivery.Event) error {
	g := rs.grant(ev.FullRef())
	switch {
	case ev.Ref == "" || !wellFormed(ev.FullRef()):
		return delivery.Permanent(&delivery.Fault{Summary: "no such ref", Cause: "the event names no ref that git accepts"})
	case ev.FromFork():
		return delivery.Skip("the branch of a fork is not mirrored")
	case !g.push:
		return delivery.Skip(ev.Ref + " is not in REMORA_MIRROR_REFS")
	case ev.Deleted && !g.remove:
		return delivery.Skip("deletion of " + ev.Ref + " is not asked for")
	case ev.Deleted:
		return nil
	case len(ev.SHA) == 64:
		return delivery.Permanent(sha256Fault("the project"))
	case delivery.ZeroSHA(ev.SHA) || !isSHA1(ev.SHA):
		return delivery.Permanent(&delivery.Fault{Summary: "no commit", Cause: "the event names no commit to push"})
	}
	return nil
}

// wellFormed says whether git would take the name as that of a ref, so far as it
// matters here: it goes on the wire and into file names.
// https://git-scm.com/docs/git-check-ref-format
func wellFormed(ref string) bool {
	if len(ref) > 1000 || strings.ContainsAny(ref, " ~^:?*[\\\x7f") || strings.Contains(ref, "..") || strings.Contains(ref, "@{") {
		return false
	}
	for part := range strings.SplitSeq(ref, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") || strings.HasSuffix(part, ".") {
			return false
		}
	}
	return !strings.ContainsFunc(ref, func(r rune) bool { return r < ' ' })
}

func isSHA1(s string) bool {
	return len(s) == 40 && strings.Trim(s, "0123456789abcdef") == ""
}
