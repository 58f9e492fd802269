package auth

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// claimSet are the claims of an ID token. GitLab writes ids and booleans as texts;
// what else would do is taken too. What is null counts as absent. The first claim
// that makes no sense is kept as the fault.
type claimSet struct {
	all   map[string]json.RawMessage
	fault *Refusal
}

func readClaims(payload []byte) *claimSet {
	c := &claimSet{}
	if json.Unmarshal(payload, &c.all) != nil {
		c.wrong("format", "the claims are no JSON object")
	}
	return c
}

func (c *claimSet) wrong(name, reason string, args ...any) {
	if c.fault == nil {
		c.fault = refuseClaim(name, reason, args...)
	}
}

// raw is a claim as it stands in the token; nil if it is absent.
func (c *claimSet) raw(name string) json.RawMessage {
	if v := c.all[name]; string(v) != "null" {
		return v
	}
	return nil
}

// text is a text; "" if it is absent.
func (c *claimSet) text(name string) (s string) {
	v := c.raw(name)
	if v == nil {
		return ""
	}
	if json.Unmarshal(v, &s) != nil || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		c.wrong(name, "it is no text")
		return ""
	}
	return s
}

// id is a number above 0, also as text; 0 if it is absent.
func (c *claimSet) id(name string) int64 {
	v := c.raw(name)
	if v == nil {
		return 0
	}
	text := string(v)
	if v[0] == '"' {
		text = c.text(name)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || text[0] == '+' {
		c.wrong(name, "%.40q is no id", text)
		return 0
	}
	return n
}

// needed is an id that must be there.
func (c *claimSet) needed(name string) int64 {
	n := c.id(name)
	if n == 0 {
		c.wrong(name, "it is missing")
	}
	return n
}

// yes is a boolean, also as text; false if it is absent.
func (c *claimSet) yes(name string) bool {
	switch v := string(c.raw(name)); v {
	case "true", `"true"`:
		return true
	case "", "false", `"false"`:
	default:
		c.wrong(name, "%.40q is neither true nor false", v)
	}
	return false
}

// moment is a number of seconds since 1970; the zero time if it is absent.
//
// https://www.rfc-editor.org/rfc/rfc7519#section-2
func (c *claimSet) moment(name string) time.Time {
	v := c.raw(name)
	if v == nil {
		return time.Time{}
	}
	var seconds float64
	if json.Unmarshal(v, &seconds) != nil || seconds < 1 || seconds > math.MaxUint32 {
		c.wrong(name, "%.40q is no number of seconds since 1970", v)
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// texts is a text or a list of them.
func (c *claimSet) texts(name string) (list []string) {
	v := c.raw(name)
	if v == nil {
		return nil
	}
	if v[0] == '"' {
		return []string{c.text(name)}
	}
	if json.Unmarshal(v, &list) != nil {
		c.wrong(name, "it is neither a text nor a list of texts")
		return nil
	}
	return list
}

// path is the full path of a project that has an id.
func (c *claimSet) path(name string) string {
	path := c.text(name)
	if !validPath(path) || !strings.Contains(path, "/") {
		c.wrong(name, "%.200q is no path of a project", path)
	}
	return path
}

// job is what the claims say about the job.
func (c *claimSet) job() Job {
	j := Job{
		TokenID: c.text("jti"), SourceID: c.needed("project_id"), SourcePath: c.path("project_path"),
		PipelineID: c.needed("pipeline_id"), PipelineSource: c.text("pipeline_source"), JobID: c.needed("job_id"),
		SHA: c.text("sha"), Ref: c.text("ref"), RefType: delivery.RefType(c.text("ref_type")), RefProtected: c.yes("ref_protected"),
		UserID: c.id("user_id"), UserLogin: c.text("user_login"),
	}
	j.ProjectID, j.ProjectPath = j.SourceID, j.SourcePath
	if c.raw("job_project_id") != nil || c.raw("job_project_path") != nil {
		j.ProjectID, j.ProjectPath, j.Exact = c.needed("job_project_id"), c.path("job_project_path"), true
	}
	switch {
	case j.TokenID == "" || len(j.TokenID) > maxTokenID:
		c.wrong("jti", "it is missing, or longer than %d bytes", maxTokenID)
	case !isSHA(j.SHA):
		c.wrong("sha", "%.100q is no commit", j.SHA)
	case j.Ref == "" || len(j.Ref) > maxRef:
		c.wrong("ref", "it is missing, or longer than %d bytes", maxRef)
	case j.RefType != delivery.Branch && j.RefType != delivery.Tag:
		c.wrong("ref_type", "%.40q is neither branch nor tag", j.RefType)
	}
	return j
}

const (
	maxTokenID = 255
	maxRef     = 1024
)

// isSHA says whether s is a whole commit id: SHA-1 or SHA-256 in hex.
func isSHA(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// refuseClaim is the refusal of an ID token whose claim, or whose part of that name,
// does not hold.
func refuseClaim(claim, reason string, args ...any) *Refusal {
	public := publicClaim[claim]
	if public == "" {
		public = "The ID token has no " + claim + " that makes sense."
	}
	return &Refusal{Code: CodeClaim, Claim: claim, Reason: claim + ": " + fmt.Sprintf(reason, args...), Public: public}
}

// publicClaim tells the job what to mend.
var publicClaim = map[string]string{
	"size":      "The ID token is too long (size).",
	"format":    "The ID token cannot be read (format).",
	"alg":       "The ID token is not signed with RS256 (alg).",
	"iss":       "The ID token is not from a GitLab that is configured here (iss).",
	"crit":      "The ID token demands an extension that is not known here (crit).",
	"kid":       "The ID token is signed by a key that its GitLab does not have (kid).",
	"signature": "The signature of the ID token does not hold (signature).",
	"aud":       "The ID token is for another audience (aud).",
	"exp":       "The ID token has expired (exp).",
	"nbf":       "The ID token is not good yet (nbf).",
}
