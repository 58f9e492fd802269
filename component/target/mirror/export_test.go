package mirror

import "time"

// SetStall makes a target lose patience with a silent server sooner.
func SetStall(t *Target, after time.Duration) error {
	client, err := newHTTPClient(t.config.CAFile, after)
	if err != nil {
		return err
	}
	t.client = client
	switch r := t.there.(type) {
	case *httpRemote:
		r.client = client
	case *sshRemote:
		r.after = after
	}
	return nil
}

// Glob and the like are tested on their own, for they parse outside text.
var (
	Glob         = glob
	ParseAddress = func(s string) (string, error) { a, err := parseAddress(s); return a.String(), err }
)

// Grant is what REMORA_MIRROR_REFS allows for a full ref.
func Grant(refs, full string) (push, force, remove bool, err error) {
	rs, err := parseRules(refs)
	if err != nil {
		return false, false, false, err
	}
	g := rs.grant(full)
	return g.push, g.force, g.remove, nil
}

// Said is what progress makes of a server's words.
func Said(text []byte) []string {
	var p progress
	_, _ = p.Write(text)
	var out []string
	for _, l := range p.said(nil) {
		out = append(out, l.Text)
	}
	return out
}
