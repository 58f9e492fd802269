package direktiv

import (
	"encoding/json"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Quick makes every wait of t one of milliseconds.
func Quick(t *Target) *Target {
	t.pace = pace{first: time.Millisecond, last: 5 * time.Millisecond, success: 300 * time.Millisecond, failure: 100 * time.Millisecond, quiet: 10 * time.Millisecond, gateway: 30 * time.Millisecond}
	return t
}

// ParseLog reads one line of a log on the wire as level, text and cause.
func ParseLog(raw []byte, secrets ...delivery.Secret) (level, text, cause string, err error) {
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		return "", "", "", err
	}
	l := e.line(delivery.NewScrubber(secrets...))
	return l.level, l.text, l.cause, nil
}

// SameRepository compares a mirror's URL with a project.
func SameRepository(mirror string, p delivery.Project) bool { return sameRepository(mirror, p) }

// QuickAdmin makes every wait of a one of milliseconds.
func QuickAdmin(a *Admin) *Admin {
	a.pace = Quick(&Target{}).pace
	return a
}
