// Package schedule says when work is due that nobody's event asks for, and has
// each firing done once, over all agents.
//
// A [Spec] is a set of slots, the same for everybody who asks: a cron expression
// in a time zone, or every so often. A [Runner] waits for the slots. A firing is a
// row (name, slot), written in the transaction that puts the work; whoever writes
// it puts the work, and all others find it there. So there is no leader, and an
// agent that dies leaves no gap.
//
// Slots that passed while no agent ran are made up for by one firing, for the
// newest of them.
//
// Cron has five fields: minute, hour, day of month, month, day of week, and the
// names @hourly, @daily, @weekly, @monthly, @yearly. Where both days are given,
// either will do, as cron has always had it. A zone that changes its clock:
//
//   - in spring, a time that the clock jumps over comes later by as much as the
//     clock jumps: 02:30 is 03:30 on that day;
//   - in autumn, a time that comes twice counts once, the first time; only an
//     expression for every hour counts both.
//
// UTC, the default, has neither.
//
// Every so often is an ISO 8601 duration of weeks, days and times, from one
// minute to 366 days. It is counted from a Monday at midnight UTC, so PT6H is at
// 0, 6, 12 and 18 o'clock and P1W is on Mondays.
package schedule
