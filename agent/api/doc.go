// Package api is /api/v1: jobs ask for deliveries, build systems report, and
// operators look and replay.
//
// Its rules:
//
//   - Every call proves who it is: an ID token of a CI job, a project token or the
//     admin token, as a bearer. What an operation takes is its security in the
//     OpenAPI document, and that is what is enforced.
//   - Nothing of a call is read before its caller is known; then bodies are bounded
//     in size and in time.
//   - A caller learns nothing of what is not its own: a delivery of another job is
//     as absent as one that was never made.
//   - Every refusal is an RFC 9457 problem with one sentence, one line in the log in
//     full, and one observation. No token is in any of them, and nothing of ours in
//     what goes with 500 and above.
//   - Streams are bounded in number, by caller too, and each write has its deadline.
//     A draining agent ends them; the caller goes on with another.
package api
