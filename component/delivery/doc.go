// Package delivery says in one vocabulary what is brought where, and what
// became of it.
//
// An [Event] is a fact: in this project, this ref is at this commit. A [Target]
// is a place that is brought to the state an event describes. What a target
// answered is its [Receipt]; what became of one event at one target is an
// [Outcome], and its [State] is one of four: done, skipped, failed, retry.
//
// There are three kinds of error, and [StateOf] alone decides between them:
//
//	Skip       nothing to do: not a failure
//	Permanent  trying again cannot help
//	all else   may be tried again
//
// An error that a person must act on is a [Fault]: summary, cause, remedy,
// evidence, in the order in which they are shown everywhere.
//
// [Deliver] tries one target once; the agent's worker calls it. [Sync] tries all
// targets at once and again until the deadline; the one-shot component calls it.
//
// The package needs nothing but the standard library.
package delivery
