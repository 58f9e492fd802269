// Package component is the one-shot CI job: it reads CI variables, brings every
// configured target to the state of the commit, reports, and is done.
//
//	Load       variables and flags -> Config     everything wrong at once; nothing sent
//	Run        Event -> Outcomes -> report       all targets at once, one deadline
//	Finish     journal -> canceled statuses      what a killed job left open
//	Post       one status and note of any job    build systems use the bot
//
// With REMORA_AGENT_URL an agent delivers and reports instead: Run asks it with the
// job's ID token ([trigger.Client]) and waits for its result. Then nothing is opened,
// and a deadline or a signal ends the waiting alone.
//
// Rules:
//   - Misuse ([Misuse]) is found before anything is sent.
//   - A report that fails never fails the job; it is told.
//   - What Run opened is ended, also after a signal.
//   - Nothing that it prints or writes holds a secret: outcomes are scrubbed as
//     they come in, and all output passes the scrubber once more.
package component
