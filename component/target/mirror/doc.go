// Package mirror pushes the ref of an event to another Git remote, such as a
// copy of the project at a second forge.
//
// Its rules:
//
//   - What is pushed is exactly the commit of the event, fetched in full from
//     the project. The job's own clone, which is shallow, is never touched.
//   - Nothing rolls the remote back. A remote that already contains the commit
//     is done; a ref that the project has rewritten or deleted since is skipped,
//     for its own event follows.
//   - Commits that only the remote has are overwritten only where
//     REMORA_MIRROR_REFS allows it, and refs are deleted only where it says so.
//     The push names the commit that it replaces, so a change made by someone
//     else in between is refused by the server rather than lost.
//   - After the push the remote is asked what it has; the receipt says that.
//   - The server is trusted with its own token only: a redirect to another host
//     is refused, the project's token goes to the project's instance alone, and
//     an SSH host key is always checked.
//
// The cache of fetched objects belongs to one run at a time, which takes it away
// by renaming it and gives it back when all went well. A second run finds none
// and makes its own; a broken one is not given back.
//
// Of go-git the package uses the objects, the pack files and the messages of the
// protocol, but not its remotes: they hold the whole pack of a push in memory,
// walk the whole history for each, do not stop an SSH handshake at a deadline,
// and are configured through globals. The protocol is version 0 of
// https://git-scm.com/docs/gitprotocol-pack over
// https://git-scm.com/docs/gitprotocol-http or SSH.
package mirror
