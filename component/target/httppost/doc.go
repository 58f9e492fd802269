// Package httppost brings any system that has an HTTP trigger to the state of an
// event: it makes one call, and polls an address for the result if it is told
// one.
//
// What is sent, where the result is found and what it means are jq expressions
// of the operator:
//
//	REMORA_HTTP_BODY        event                     -> body; the event itself if unset
//	REMORA_HTTP_STATUS_URL  {event, answer, location} -> address to poll
//	REMORA_HTTP_STATE       answer of that address    -> state
//
// answer is JSON as a value, any other text as a string, nothing as null;
// location is the Location header as a whole address, or null. An expression
// may give one value. A body expression that gives none (select(…)) skips the
// event, a status expression that gives none means that there is nothing to
// wait for. Expressions are trusted like code: they run for two seconds at most,
// without environment, input and modules, but nothing bounds their memory.
//
// # What is sent twice
//
// A trigger must not run twice because an answer was lost. GET, PUT and DELETE
// say of themselves that repeating them is harmless; they are repeated after any
// fault that may pass. POST and PATCH are sent again only when the first cannot
// have been acted on: no connection, status 408, 425 or 429, or 503 with a
// Retry-After. After 500, 502, 504, a 503 without Retry-After, or a lost answer
// nobody knows; the target has then failed and says so. Every call but GET
// carries an Idempotency-Key that is the same for the same event, for systems
// that know it; as nobody can tell whether a system does, it changes none of
// these rules. Once triggered, only the polling is repeated.
//
// # Where secrets go
//
// REMORA_HTTP_TOKEN and REMORA_HTTP_HEADERS go to the scheme, host and port of
// REMORA_HTTP_URL and nowhere else. A status address elsewhere is polled without
// them. Addresses are shown without their query; a secret in the path of
// REMORA_HTTP_URL would be seen, so it belongs in a header.
//
// # What the result is
//
// With a status address: the state that is polled, once REMORA_HTTP_SUCCESS or
// REMORA_HTTP_FAILURE names it; any other state is waited on until the deadline.
// Polling begins after 50 ms, slows down to every 2 s, obeys Retry-After, and
// bears faults that may pass and, for some seconds, a 404.
// Without one: a 2xx is "accepted", unless the answer itself holds a state that
// is known. A web page with status 200 is never a success.
package httppost
