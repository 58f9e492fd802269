package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestStateOf(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want delivery.State
	}{
		"no error is done":                  {nil, delivery.Done},
		"a skip, wrapped":                   {fmt.Errorf("x: %w", delivery.Skip("mirror follows main")), delivery.Skipped},
		"permanent, wrapped":                {fmt.Errorf("x: %w", delivery.Permanent(errors.New("no"))), delivery.Failed},
		"no result is never tried again":    {&delivery.Fault{Err: delivery.ErrNoResult}, delivery.Failed},
		"a cancellation may be tried again": {context.Canceled, delivery.Retry},
		"anything else may be tried again":  {errors.New("reset by peer"), delivery.Retry},
		"permanent of nothing is done":      {delivery.Permanent(nil), delivery.Done},
	} {
		if got := delivery.StateOf(tt.err); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

func TestFaultSaysNothingTwice(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault delivery.Fault
		want  string
	}{
		"three parts":                        {delivery.Fault{Summary: "a", Cause: "b", Err: errors.New("c")}, "a: b: c"},
		"a cause that is the error":          {delivery.Fault{Summary: "status 500", Cause: "GET x: oops", Err: errors.New("GET x: oops")}, "status 500: GET x: oops"},
		"a cause that the error leads up to": {delivery.Fault{Summary: "status 500", Cause: "GET x: oops", Err: errors.New("list: GET x: oops")}, "status 500: list: GET x: oops"},
		"a cause that says more":             {delivery.Fault{Cause: "GET x: oops; not sent again", Err: errors.New("GET x: oops")}, "GET x: oops; not sent again"},
		"a cause alone":                      {delivery.Fault{Cause: "b"}, "b"},
		"a summary alone":                    {delivery.Fault{Summary: "a"}, "a"},
	} {
		if got := tt.fault.Error(); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestFromFork(t *testing.T) {
	t.Parallel()
	project := delivery.Project{ID: 42}
	for name, tt := range map[string]struct {
		mr   *delivery.MergeRequest
		want bool
	}{
		"without a merge request":                         {nil, false},
		"a merge request within the project":              {&delivery.MergeRequest{ProjectID: 42, SourceProjectID: 42}, false},
		"a fork's, whose pipeline runs in the project":    {&delivery.MergeRequest{ProjectID: 42, SourceProjectID: 99}, true},
		"this project's own, that is shown in another":    {&delivery.MergeRequest{ProjectID: 1, SourceProjectID: 42}, false},
		"one whose source is not known counts as our own": {&delivery.MergeRequest{ProjectID: 42}, false},
	} {
		if got := (delivery.Event{Project: project, MergeRequest: tt.mr}).FromFork(); got != tt.want {
			t.Errorf("%s: got %t, want %t", name, got, tt.want)
		}
	}
}
