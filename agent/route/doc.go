// Package route turns a stored event into the work that it asks for, or into the
// reason why it asks for none.
//
// It is pure: it reads no clock, no database and no network, so that an event can
// be routed again and gives the same.
//
// [Decode] reads the body of a webhook with small structs of its own. A field of
// an odd type is a field that is missing; only a body that is no JSON object is
// an error. Nothing of a body is taken for an address: the URLs of an event are
// made of the instance that is configured.
//
// [Table.Decide] asks, in this order, and the first "no" is the reason:
//
//   - does the body come from an instance that is configured?
//   - is it somebody else's doing than the bot's own, by user id?
//   - does its kind, with its action and status, move a ref? A push of a branch or
//     tag does; a merge request does when it is opened, reopened, gets commits or
//     is made ready; a pipeline and a deployment do when they succeed; a release
//     does when it is created.
//   - does a route match kind, project and ref, and take forks if it is one, or
//     commits of it that somebody has allowed? Does it take the ref of a job?
//   - does a target of that route act on a deleted ref, if it is deleted?
//
// [Table.Command] asks of a note whether it is a command: somebody's first word, on
// an open merge request. It moves no ref; who may give it, and what it leads to, is
// the agent's.
//
// Work is named by what is to be brought in step, never by what happened:
//
//	sync:<target>:<host>/<project id>:<full ref>
//
// The id outlives a rename of the project. The full ref keeps a branch and a tag
// of one name apart. Where several routes lead one event to one target, the
// first of them counts.
//
// A push names at most twenty of its commits and a merge request none of its
// files, so the files of a body are never looked at: the paths of a route travel
// with the work, and the worker decides them on proof.
package route
