// Package gitlabtest is a GitLab in memory, as strict as the real one where that
// hurts: commit statuses and their state machine, the pipeline a status lands
// in, notes whose quick actions execute, threads, paging, limits and refusals.
//
// Where GitLab is lenient towards mistakes, the fake is not: a token or a body in
// a query, and a parameter that no route knows, are refused and recorded.
//
//	s := gitlabtest.New(t)
//	scene := s.Populate() // a project, a bot, a merge request with its pipeline
//	…
//	s.Fail("POST /statuses/", gitlabtest.Answer{Code: 502, After: true})
//	…
//	s.Statuses(scene.Project.ID, scene.SHA)
//
// It does not know internal notes, positions in a diff, keyset paging, or any
// route that Remora does not call.
//
// Nothing waits, and no answer but the reset of a rate limit depends on the time
// of day: limits are reached by count, and a post is in flight for as long as a hook given to
// [Server.WhileLeased] takes.
package gitlabtest
