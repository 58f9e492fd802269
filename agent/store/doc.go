// Package store keeps what has happened and what became of it, in SQLite inside
// the process or in PostgreSQL that several agents share.
//
// Its rules:
//
//   - Stored before answered: [Store.Append] and [Store.Write] return after the
//     commit is on disk. Many callers share one commit.
//   - One set of statements, in the words of PostgreSQL; dialect.go says them to
//     SQLite. The two files that differ are sqlite.go and postgres.go.
//   - Times are integers, microseconds since 1970 in UTC; 0 is "never".
//   - Bodies lie in a table of their own, compressed (S2), so that changing the
//     state of an event does not write its body again.
//   - Secrets are encrypted and bound to their row; without a key none is taken.
//   - Nothing is deleted before its end: an event that is not routed yet and a
//     delivery that has not ended outlive every retention.
//
// SQLite has one writer: a goroutine that takes what waits, up to 512 requests
// or 32 MB, into one transaction with one sync. Each function given to Write is
// a savepoint in it: its error undoes its own work and nobody else's.
package store
