// Package hooks keeps the webhooks in GitLab as they are wanted: it compares,
// shows a plan, and puts right what has drifted.
//
// Its rules:
//
//   - A hook of ours is known by its id, which is kept in the store. It is made
//     anew only where GitLab answers 404 for that id and no other hook sends to
//     us; any other error stops its scope, is told, and the others go on.
//   - Hooks of others are never touched. Those that send to another path of the same
//     host, as an integration before us did, go only when a person sees the plan.
//   - A plan writes nothing. A scope is stored when it is done, so that one who was
//     stopped in the middle goes on there.
//   - Where the licence has no group hooks, the projects of the group get hooks of
//     their own; that is remembered, and asked again after a day, and by every plan.
//   - All hooks of an instance have one pair of secrets. A new pair is stored, taken
//     by every agent, and only then told to GitLab; the old one is taken for a day
//     more.
//   - GitLab does not repeat a call that failed. What it remembers of those is sent
//     again, each call once; where it cannot be, the caller is told to read what is
//     now: see [Keeper.Resend].
package hooks
