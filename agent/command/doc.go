// Package command reads the commands that people write in notes of merge requests,
// and words the answers.
//
// It is pure: it reads no clock, no database and no network.
//
//   - A command is the first line of a note: the prefix, a verb, and what belongs to
//     it. Whatever stands before the prefix on that line, be it a space, the mark of a
//     quote or a fence, makes it text.
//   - A line with the prefix always gets an answer: one that is not understood is a
//     [Command] with an error, for the usage.
//   - Nothing that people wrote is in an answer as they wrote it. Names of branches
//     and texts of targets are inert, and what was not understood is not repeated.
package command
