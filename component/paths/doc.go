// Package paths says whether a change touches the files that a target cares
// about.
//
// A sync is skipped only on proof that nothing in the change matches. Whatever
// cannot be known, from a base commit that is gone to an answer that was cut,
// means that the sync runs, with one line saying why.
//
// What the change is depends on how it came about:
//
//	merge request pipeline  base of the merge request's diff .. head of its source
//	push to a branch        commit before the push .. commit after it, also when forced
//	push of a new branch    merge base with the default branch .. commit
//	all else                unknown: tags, deleted refs, the first push of the default
//	                        branch, schedules, pipelines started by hand or by API
//
// The two trees are read from the job's clone if it holds both, else GitLab
// compares them; which commit is the merge base, GitLab alone can tell, for a
// clone may hold an old state of the other branch. The clone is only read. A
// file that was renamed counts under both its names; a change of mode and
// another commit of a submodule count as changes.
//
// # Patterns
//
// Patterns stand on lines of their own or between commas and follow
// https://pkg.go.dev/github.com/bmatcuk/doublestar/v4#Match, from the root of the
// repository, in the case as written: *.md is a file at the top, **/*.md one
// anywhere. A pattern without wildcards and one that ends in / also name all
// that lies below. The last pattern that fits a path decides; one that begins
// with ! says no. If the first pattern says no, all other paths are a yes.
package paths
