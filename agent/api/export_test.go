package api

import "time"

// ParseCursor is the parser of a query, for fuzzing.
var ParseCursor = parseCursor

// Pace has streams and bodies take other times than they usually do.
func (o Options) Pace(heartbeat, recheck, writeTime, bodyTime time.Duration) Options {
	o.heartbeat, o.recheck, o.writeTime, o.bodyTime = heartbeat, recheck, writeTime, bodyTime
	return o
}

// Streams allows so many streams, and so many of one caller.
func (o Options) Streams(all, each int) Options {
	o.streams, o.perCaller = all, each
	return o
}
