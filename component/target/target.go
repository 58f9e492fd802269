// Package target makes the targets that a configuration asks for.
//
// A target is switched on by the presence of its URL. Any number of kinds may be
// on at once; they know nothing of each other.
package target

import (
	"errors"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
	"gitlab.com/remora-ci/remora/component/rest"
	"gitlab.com/remora-ci/remora/component/target/direktiv"
	"gitlab.com/remora-ci/remora/component/target/httppost"
	"gitlab.com/remora-ci/remora/component/target/mirror"
)

// ErrNone says that no target is configured.
var ErrNone = errors.New("no target is configured: set DIREKTIV_URL, REMORA_HTTP_URL or REMORA_MIRROR_URL; " +
	"if it is set in the project's CI/CD variables, it may be a protected variable, which GitLab hides from unprotected branches, tags and merge requests")

// Config holds the settings of every kind of target.
type Config struct {
	Direktiv direktiv.Config
	HTTP     httppost.Config
	Mirror   mirror.Config
}

// Validate tells everything that is wrong with the targets that are switched on,
// or [ErrNone].
func (c Config) Validate() error {
	var errs []error
	none := true
	for _, kind := range []struct {
		on       bool
		validate func() error
	}{
		{c.Direktiv.Enabled(), c.Direktiv.Validate},
		{c.HTTP.Enabled(), c.HTTP.Validate},
		{c.Mirror.Enabled(), c.Mirror.Validate},
	} {
		if kind.on {
			none = false
			errs = append(errs, kind.validate())
		}
	}
	if none {
		return ErrNone
	}
	return errors.Join(errs...)
}

// Secrets are those that stand inside other settings, such as a header's value.
func (c Config) Secrets() []delivery.Secret { return c.HTTP.Secrets() }

// Build makes the targets that are switched on, in a fixed order. way bounds
// their calls; a system that answers a trigger only when its work is done is
// given all of budget for that. noWait has them start their work and not await it.
func Build(c Config, way rest.Config, budget time.Duration, noWait bool) ([]delivery.Target, error) {
	var targets []delivery.Target
	var errs []error
	add := func(t delivery.Target, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		targets = append(targets, t)
	}
	if c.Direktiv.Enabled() {
		c.Direktiv.NoWait = noWait
		add(client(way, func(out *rest.Client) (delivery.Target, error) { return direktiv.New(c.Direktiv, out) }))
	}
	if c.HTTP.Enabled() {
		c.HTTP.NoWait = noWait
		patient := way
		patient.Timeout = budget
		add(client(patient, func(out *rest.Client) (delivery.Target, error) { return httppost.New(c.HTTP, out) }))
	}
	if c.Mirror.Enabled() {
		t, err := mirror.New(c.Mirror)
		add(t, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(targets) == 0 {
		return nil, ErrNone
	}
	return targets, nil
}

func client(way rest.Config, make func(*rest.Client) (delivery.Target, error)) (delivery.Target, error) {
	out, err := rest.New(way)
	if err != nil {
		return nil, err
	}
	return make(out)
}
