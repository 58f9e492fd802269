// Package work keeps what is still to be done: one row per key, however often it
// is asked for.
//
// A key such as sync:<target>:<project>:<ref> is idle, later, ready, running or
// dead:
//
//	         Put                 due              claim
//	idle ──────────▶ later ──────────▶ ready ──────────▶ running
//	 ▲                 ▲                  ▲                 │
//	 │                 │ retry: backoff   │ lease ran out,  │
//	 │                 └──────────────────┼─────────────────┤
//	 │                                    │ or asked again  │
//	 └────────────────────────────────────┴── done ─────────┤
//	                  Put, Retry ◀── dead ◀── given up ─────┘
//
// Its rules:
//
//   - A key runs once at a time, over all agents. Asked for again while it runs,
//     it becomes ready again when the run ends; nothing asked is forgotten.
//   - A lane is the first part of a key and a project. At most PerProject keys of
//     a lane run at a time over all agents, lanes take turns, and within a lane
//     the oldest goes first. Reports never wait for deliveries of their project.
//   - A pool is what may be slow: a target, or GitLab for the reports. Each pool has
//     Workers of its own in every agent, so that what hangs holds up nothing else.
//   - A run has a lease and a fence. An agent that lost the lease cannot write
//     the outcome: [Result].Finish is part of the transaction that checks it.
//   - A run counts as an attempt from its claim on, so that work which kills its
//     agent is given up one day, too. A run that a drain stopped does not count.
//   - Leases are told in the time of the agents, whose clocks agree to well within
//     a sixth of a lease.
package work
