package direktiv

import (
	"regexp"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// explained is what a cause in Direktiv's log means for a person.
type explained struct {
	words           []string // any of them, in lower case, in the cause
	summary, remedy string
	passing         bool // trying again may help
}

// causes are in the order of their weight: the first that fits explains. Most
// are the words of the git library that Direktiv clones with.
var causes = []explained{
	{words: []string{"reference not found", "couldn't find remote ref"}, summary: "reference not found"},
	{words: []string{"lookup http"}, summary: "token needs an https URL",
		remedy: "Direktiv puts a token only into https URLs: `remora mirror update --url https://…`"},
	{words: []string{"repository not found"}, summary: "repository not found",
		remedy: "check the mirror's URL, or give it credentials: GitLab hides private projects so; `remora mirror update --url …` with DIREKTIV_GIT_TOKEN"},
	{words: []string{"authentication required", "authorization failed", "invalid auth", "unable to authenticate", "status code: 401", "status code: 403", "access denied"},
		summary: "repository refused the mirror",
		remedy:  "give the mirror credentials that may read the repository: `remora mirror update` with DIREKTIV_GIT_TOKEN or DIREKTIV_GIT_SSH_KEY"},
	{words: []string{"repository is empty"}, summary: "repository is empty", remedy: "push a commit to the repository that the mirror reads"},
	{words: []string{"no such host", "lookup "}, summary: "host not found by Direktiv",
		remedy: "Direktiv's own network must know the host of the mirror's URL; correct it with `remora mirror update --url …`"},
	{words: []string{"x509", "certificate", "tls:"}, summary: "certificate refused by Direktiv",
		remedy: "let Direktiv trust the authority that signed the git server's certificate, or accept any with `remora mirror update --insecure`"},
	{words: []string{"connection refused", "connection reset", "i/o timeout", "timed out", "deadline exceeded", "unexpected eof", "no route to host", "status code: 5"},
		summary: "repository out of reach of Direktiv", remedy: "Direktiv's own network must reach the git server", passing: true},
}

// failure explains a sync that failed. why says what became of the log if it
// has no lines.
func (r *run) failure(p process, lines []line, why string) error {
	f := &delivery.Fault{Summary: "sync failed", Request: r.receipt.Request,
		Cause:  "Direktiv says only that sync " + p.id + " failed; " + why,
		Remedy: "look at the mirror's log in Direktiv, or with `remora mirror show`"}
	cause := causeOf(lines)
	if cause == "" {
		return delivery.Permanent(f)
	}
	f.Cause = "Direktiv's log says: " + cause
	for _, e := range causes {
		if !e.fits(cause) {
			continue
		}
		f.Summary = e.summary
		if e.remedy != "" {
			f.Remedy = e.remedy
		} else {
			r.noReference(f)
		}
		if e.passing {
			return f
		}
		break
	}
	return delivery.Permanent(f)
}

func (e explained) fits(cause string) bool {
	cause = strings.ToLower(cause)
	for _, w := range e.words {
		if strings.Contains(cause, w) {
			return true
		}
	}
	return false
}

// causeOf is the last error in a log: the earlier ones led to it.
func causeOf(lines []line) string {
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i].level == "ERROR" && lines[i].cause != "" {
			return lines[i].cause
		}
	}
	return ""
}

// noReference tells the two reasons for a missing ref apart: the wrong
// repository, or a ref that is no plain branch name.
func (r *run) noReference(f *delivery.Fault) {
	if r.mirror == nil {
		f.Cause = "the mirror's ref does not exist in the repository that it reads; it must be the plain name of a branch"
		f.Remedy = "see both with `remora mirror show`, then `remora mirror update --ref …` or `--url …`"
		return
	}
	f.Cause = "the mirror's ref " + clip(r.mirror.ref) + " does not exist in the repository that it reads, " + tidy(place(r.mirror.url))
	if !sameRepository(r.mirror.url, r.ev.Project) {
		f.Remedy = "point the mirror at this project: `remora mirror update --url " + shellWord(strings.TrimSuffix(r.ev.Project.URL, "/")+".git") + "`"
		return
	}
	ref, advice := r.ev.Ref, "a mirror follows a branch by its plain name, no tag, no commit: "
	if ref == r.mirror.ref {
		ref, advice = r.ev.Project.DefaultBranch, "was the branch deleted meanwhile? Let the mirror follow one that exists: "
	}
	word := shellWord(ref)
	if ref == "" || r.ev.RefType == delivery.Tag {
		word = "…"
	}
	f.Remedy = advice + "`remora mirror update --ref " + word + "`"
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./:@+-]*$`)

// shellWord is s as one word of a command that a person may copy: a branch can
// be called $(rm).
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.NewReplacer("'", `'\''`, "`", "").Replace(tidy(s)) + "'"
}
