package gitlabtest

import (
	"maps"
	"slices"
)

func (c *call) getCommit() reply {
	if !c.mayReadCode() {
		return forbidden()
	}
	sha, known := c.project.resolve(c.req.PathValue("sha"))
	if !known {
		return notFound("Commit")
	}
	commit := c.showCommit(sha)
	commit["last_pipeline"] = c.showPipeline(c.project, c.project.lastPipeline(sha))
	return ok(commit)
}

func (c *call) showCommit(sha string) fields {
	parents := c.project.commits[sha].Parents
	if parents == nil {
		parents = []string{}
	}
	return fields{
		"id": sha, "short_id": sha[:min(len(sha), 8)], "title": "Commit " + sha[:min(len(sha), 8)], "parent_ids": parents,
		"web_url": c.URL + "/" + c.project.Path + "/-/commit/" + sha, "project_id": c.project.ID,
	}
}

func (c *call) commitMergeRequests() reply {
	if !c.mayReadCode() {
		return forbidden()
	}
	sha, known := c.project.resolve(c.req.PathValue("sha"))
	if !known {
		return notFound("Commit")
	}
	var found []*mergeRequest
	for _, iid := range slices.Backward(slices.Sorted(maps.Keys(c.project.mrs))) {
		m := c.project.mrs[iid]
		if state := c.params.text("state"); state != "" && state != m.State {
			continue
		}
		if c.project.ancestors(m.SHA)[sha] && !c.project.ancestors(c.project.branches[m.TargetBranch])[sha] {
			found = append(found, m)
		}
	}
	return paged(c, found, func(m *mergeRequest) any { return c.showMR(m) })
}

func (c *call) mergeBase() reply {
	refs := c.params.texts("refs")
	switch {
	case !c.mayReadCode():
		return forbidden()
	case !c.params.given("refs"):
		return invalid("refs is missing")
	case len(refs) < 2:
		return message(400, "Provide at least 2 refs")
	}
	var shas []string
	for _, ref := range refs {
		sha, known := c.project.resolve(ref)
		if !known {
			return message(400, "Could not find ref: "+ref)
		}
		shas = append(shas, sha)
	}
	base := shas[0]
	for _, sha := range shas[1:] {
		if base = c.project.base(base, sha); base == "" {
			return notFound("Merge Base")
		}
	}
	return ok(c.showCommit(base))
}

// base is the nearest common ancestor of two commits: the one that no other
// common ancestor comes after.
func (p *project) base(a, b string) string {
	ofB := p.ancestors(b)
	for todo := []string{a}; len(todo) > 0; todo = todo[1:] {
		if ofB[todo[0]] {
			return todo[0]
		}
		todo = append(todo, p.commits[todo[0]].Parents...)
	}
	return ""
}

func (c *call) compare() reply {
	for _, name := range []string{"from", "to"} {
		if !c.params.given(name) {
			return invalid(name + " is missing")
		}
	}
	if !c.mayReadCode() {
		return forbidden()
	}
	from, known := c.project.resolve(c.params.text("from"))
	to, alsoKnown := c.project.resolve(c.params.text("to"))
	if !known || !alsoKnown {
		return notFound("Ref")
	}
	base := from
	if c.params.text("straight") != "true" {
		if base = c.project.base(from, to); base == "" {
			return notFound("Ref")
		}
	}
	diffs := c.project.changed(base, to)
	overflow := len(diffs) > c.limits.diff
	if overflow {
		diffs = diffs[:c.limits.diff]
	}
	return ok(fields{
		"commit": c.showCommit(to), "commits": []any{}, "diffs": diffs,
		"compare_timeout": overflow && !c.limits.silent, "compare_same_ref": from == to,
		"web_url": c.URL + "/" + c.project.Path + "/-/compare/" + from + "..." + to,
	})
}

// changed are the files that the commits between a and b changed, on both sides.
func (p *project) changed(a, b string) []fields {
	ofA, ofB := p.ancestors(a), p.ancestors(b)
	files := map[[2]string]bool{}
	for sha, commit := range p.commits {
		if ofA[sha] == ofB[sha] {
			continue
		}
		for _, path := range commit.Paths {
			files[[2]string{path, path}] = true
		}
		for _, rename := range commit.Renames {
			files[rename] = true
		}
	}
	diffs := []fields{}
	for _, f := range slices.SortedFunc(maps.Keys(files), func(x, y [2]string) int { return slices.Compare(x[:], y[:]) }) {
		diffs = append(diffs, fields{
			"old_path": f[0], "new_path": f[1], "a_mode": "100644", "b_mode": "100644",
			"new_file": false, "deleted_file": false, "renamed_file": f[0] != f[1], "diff": "@@ -1 +1 @@\n-a\n+b\n",
		})
	}
	return diffs
}
