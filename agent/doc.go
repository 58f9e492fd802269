// Package agent is the component in a loop: it takes webhooks in, keeps every
// target in step with GitLab, and shows the true result there, for ever.
//
//	webhook ──▶ event: received ──▶ routed ──────▶ delivery: waiting ◀── schedule
//	(stored,          │    router     work asked       │
//	 then 2xx)        └▶ ignored      for, one         │ run: head of the ref is
//	                     and why      transaction      ▼ read from GitLab
//	                                                running ──▶ done, skipped
//	     status, note ◀── asked for with every ──────  │ ╲
//	     (work too)       change of a delivery         ▼  ╲──▶ failed, dead ─┐
//	                                                 retry ─▶ running        │
//	                                                   ▲    a person, or     │
//	                                                   └──── a newer event ──┘
//
// Its rules:
//
//   - Every arrow is one transaction, and each step can be done again: an agent
//     that is killed anywhere leaves rows, and whoever starts next goes on there.
//   - A run brings a target to what the ref is now. Of the deliveries that wait,
//     the one of that commit gets the outcome, and all others end as skipped,
//     "overtaken by <sha>", with the outcome as their result. Where GitLab cannot be
//     read, the newest stored event stands for it, and never one that is older than
//     what was delivered.
//   - The report is level-triggered work of its own: it reads the rows, reads what
//     GitLab shows, and sends the difference. It never repeats a delivery.
//   - A command in a note is obeyed once and answered once: what it leads to is
//     stored together with the answer, and only then is that written, after a look at
//     the thread. Who gave it is asked of GitLab, each time.
//   - A fork's commit is delivered when somebody allowed that commit. When its branch
//     has moved on, nothing of it is, for a target might look at the branch itself.
//   - A token goes to the instance that it is configured for, chosen by our own
//     configuration and by nothing that a body says.
//   - What is configured is one immutable value, a setup. Reading it again makes a
//     new one; runs in hand end with theirs.
package agent
