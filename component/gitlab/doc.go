// Package gitlab makes the calls to GitLab that Remora needs, and no others.
//
// It stands on the official client, which runs on rest's HTTP client with its
// own retries and limiter off: one place bounds, repeats and audits.
//
//   - A write is sent once, unless GitLab said that nothing was done (409, 429).
//     After any other fault the caller reads back before it sends again.
//   - Every error is a [rest.StatusError] with GitLab's own words as Body, a
//     [rest.ContentError] (a page where an API was expected) or a
//     [rest.ConnError] (no answer, or a broken one), and says the deed.
//   - Lists are read page by page; of a note only its ids, its author and its
//     marker line are kept, for a page of notes may hold 100 MB of text.
//   - The token goes to the configured origin only.
package gitlab
