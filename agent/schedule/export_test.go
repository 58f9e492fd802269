package schedule

import "time"

// Often replaces a schedule's slots by those of an interval that no
// configuration may have.
func (r *Runner) Often(name string, every time.Duration) {
	for _, e := range r.entries {
		if e.Name == name {
			e.spec = Spec{every: every}
		}
	}
}
