package webhook

import "strings"

// readCommit finds ref and commit, which each kind keeps elsewhere.
func (r *raw) readCommit(e *Envelope) {
	switch e.Kind {
	case "merge_request":
		r.readMergeRequest(e, r.attributes)
	case "note":
		r.readNote(e)
	case "pipeline":
		_ = members(r.attributes, func(key, value []byte) {
			switch string(key) {
			case "ref":
				e.setRef(text(value, maxRef))
			case "sha":
				e.SHA = commitID(value)
			case "tag":
				e.Tag = string(value) == "true"
			}
		})
	case "release":
		e.Ref, e.Tag = text(r.tag, maxRef), true
		e.SHA = commitID(member(r.commit, "id"))
	case "deployment":
		e.setRef(text(r.ref, maxRef))
		url := text(r.commitURL, maxURL)
		e.SHA = commitText(url[strings.LastIndex(url, "/")+1:])
	default: // pushes, jobs (whose commit.id is the pipeline's), and whatever comes
		e.setRef(text(r.ref, maxRef))
		e.Tag = e.Tag || string(r.tag) == "true"
		for _, value := range [][]byte{r.sha, r.checkoutSHA, r.after} {
			if e.SHA == "" {
				e.SHA = commitID(value)
			}
		}
	}
}

// readMergeRequest reads the attributes of a merge request. Its head is a branch
// of the source project; the event is the target project's.
func (r *raw) readMergeRequest(e *Envelope, attributes []byte) {
	_ = members(attributes, func(key, value []byte) {
		switch string(key) {
		case "source_branch":
			e.setRef(text(value, maxRef))
		case "last_commit":
			e.SHA = commitID(member(value, "id"))
		}
	})
}

// readNote reads a note: on a merge request, or on a commit.
func (r *raw) readNote(e *Envelope) {
	if len(r.mergeRequest) > 0 && r.mergeRequest[0] == '{' {
		r.readMergeRequest(e, r.mergeRequest)
		return
	}
	e.SHA = commitID(member(r.attributes, "commit_id"))
	if e.SHA == "" {
		e.SHA = commitID(member(r.commit, "id"))
	}
}

// setRef takes a full or short name.
func (e *Envelope) setRef(ref string) {
	if branch, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		e.Ref = branch
		return
	}
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		e.Ref, e.Tag = tag, true
		return
	}
	e.Ref = ref
}

func commitID(value []byte) string { return commitText(text(value, maxSHA)) }

const maxSHA = 64 // SHA-256 in hex

// commitText is s if it is a commit id; all zeros are none.
func commitText(s string) string {
	if len(s) < 7 || len(s) > maxSHA || strings.Trim(s, "0") == "" {
		return ""
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return ""
		}
	}
	return s
}
