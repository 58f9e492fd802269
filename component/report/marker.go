package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// markerPrefix is how the line that makes a note ours begins.
const markerPrefix = "<!-- remora:note "

const (
	markerSuffix = " -->"
	maxMarker    = 4096 // bytes
)

// kind keeps what different modes and commands write apart from each other.
type kind string

const (
	kindNote   kind = "note"
	kindThread kind = "thread"
	kindText   kind = "text"
)

// key says whose note it is. A note with another key is somebody else's, even if
// the same bot wrote it.
type key struct {
	Kind    kind   `json:"k"`
	Name    string `json:"n"`
	Project int64  `json:"p"`
}

// marker is the hidden first line of a note: whose it is, which run wrote it, and
// what it says. It holds nothing that the note does not show. Its names are short,
// for a mail in plain text begins with it.
type marker struct {
	key
	Pipeline int64     `json:"pl,omitempty"`
	Job      int64     `json:"j,omitempty"`
	SHA      string    `json:"sha,omitempty"`
	At       time.Time `json:"at,omitzero"` // when what it says was true
	Digest   string    `json:"d"`           // of the facts in the visible text
	Failed   bool      `json:"f,omitempty"`
	Hidden   bool      `json:"h,omitempty"` // folded away, newer ones follow
	Series   bool      `json:"s,omitempty"` // one of many, never edited by a later run
}

// inComment writes the characters that end a comment or begin a reference as
// JSON escapes: a name cannot break out of the marker.
var inComment = strings.NewReplacer("@", `\u0040`, "!", `\u0021`, "#", `\u0023`, "~", `\u007e`, "%", `\u0025`,
	"$", `\u0024`, "`", `\u0060`, "/", `\u002f`, "*", `\u002a`, "--", `\u002d\u002d`)

// String is the marker as a line of a note, without its end.
func (m marker) String() string {
	raw, err := json.Marshal(m) // escapes <, > and &
	if err != nil {             // only a time beyond the year 9999 can do that
		m.At = time.Time{}
		raw, _ = json.Marshal(m)
	}
	return markerPrefix + inComment.Replace(string(raw)) + markerSuffix
}

// parseMarker reads a line of a note; false for anything that String did not
// write.
func parseMarker(line string) (marker, bool) {
	line = strings.TrimRight(line, "\r\n")
	if len(line) > maxMarker {
		return marker{}, false
	}
	raw, ok := strings.CutPrefix(line, markerPrefix)
	if !ok {
		return marker{}, false
	}
	raw, ok = strings.CutSuffix(raw, markerSuffix)
	if !ok {
		return marker{}, false
	}
	var m marker
	if err := json.Unmarshal([]byte(raw), &m); err != nil {
		return marker{}, false
	}
	return m, m.Kind != "" && m.Name != "" && m.Digest != ""
}

// newer says whether m was written by a later run than other. Pipelines are
// ordered by id, and so are the jobs of one: a job of an old pipeline that is
// tried again reports on an old commit and is not newer. Without pipelines, as in
// the agent, time decides.
func (m marker) newer(other marker) bool {
	if m.Pipeline != 0 && other.Pipeline != 0 {
		if m.Pipeline != other.Pipeline {
			return m.Pipeline > other.Pipeline
		}
		if m.Job != 0 && other.Job != 0 {
			return m.Job > other.Job
		}
	}
	return m.At.After(other.At)
}

// digest is a short fingerprint of text.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
