package agent

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"gitlab.com/remora-ci/remora/agent/hooks"
	"gitlab.com/remora-ci/remora/agent/store"
)

// hookStates counts the hooks in each state when it is asked for.
type hookStates struct {
	store *store.Store
	desc  *prometheus.Desc
}

func newHookStates(s *store.Store) *hookStates {
	return &hookStates{s, prometheus.NewDesc("remora_hook_state", "Webhooks in GitLab that are kept, by what they were last found to be.", []string{"state"}, nil)}
}

// Describe is part of [prometheus.Collector].
func (h *hookStates) Describe(to chan<- *prometheus.Desc) { to <- h.desc }

// Collect is part of [prometheus.Collector]. While the database is away, the numbers
// are missing.
func (h *hookStates) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	states, err := h.store.HookStates(ctx)
	if err != nil {
		return
	}
	for _, state := range []string{hooks.StateRight, hooks.StateBehind, hooks.StateDisabled, hooks.StateFailed, hooks.StateUnlicensed} {
		to <- prometheus.MustNewConstMetric(h.desc, prometheus.GaugeValue, float64(states[state]), state)
	}
}
