package command

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The levels of access that matter here, by GitLab's numbers.
const (
	Developer  = 30
	Maintainer = 40
)

// Defaults of a [Config].
const (
	DefaultPrefix = "/remora"
	DefaultLevel  = Developer
)

// Config says who may command the agent in notes, and how.
type Config struct {
	Enabled     bool
	Prefix      string // first word of a command: /remora
	AccessLevel int    // GitLab's number of the role that a person needs: 30 is Developer, 40 Maintainer
}

// WithDefaults is c with what is empty set.
func (c Config) WithDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.AccessLevel == 0 {
		c.AccessLevel = DefaultLevel
	}
	return c
}

// LevelFor is the level that a person needs for a verb: to let a stranger's commit
// be delivered, never less than Maintainer.
func (c Config) LevelFor(v Verb) int {
	if v == Allow {
		return max(c.AccessLevel, Maintainer)
	}
	return c.AccessLevel
}

var prefixForm = regexp.MustCompile(`^/[A-Za-z][A-Za-z0-9_-]{0,49}$`)

// quickActions are the words that GitLab takes out of a note and executes, so that
// they never reach us: https://docs.gitlab.com/user/project/quick_actions/.
var quickActions = strings.Fields(`
	add_child add_contacts add_email approve assign assign_reviewer award blocked_by blocks board_move cc
	checkin_reminder child_epic clear_health_status clear_weight clone close confidential convert_to_ticket
	copy_metadata create_merge_request done draft due duplicate epic estimate estimate_time health_status
	invite_email iteration label labels link lock merge milestone move page parent_epic promote promote_to
	promote_to_incident publish react ready reassign reassign_reviewer rebase relabel relate remove_child
	remove_child_epic remove_contacts remove_due_date remove_email remove_epic remove_estimate remove_iteration
	remove_label remove_milestone remove_parent remove_parent_epic remove_reviewer remove_time_estimate
	remove_time_spent remove_zoom reopen request_changes request_review reviewer set_parent severity ship shrug
	spend spend_time spent status submit_review subscribe tableflip target_branch timeline title todo type
	unapprove unassign unassign_reviewer unblock unlabel unlink unlock unrelate unsubscribe weight wip zoom`)

// Validate tells everything that is wrong, one line each, the key first.
func (c Config) Validate() error {
	var errs []error
	switch {
	case !prefixForm.MatchString(c.Prefix):
		errs = append(errs, errors.New("prefix: want a slash and a word of at most 50 letters, digits, - and _, such as "+DefaultPrefix))
	case slices.Contains(quickActions, strings.ToLower(c.Prefix[1:])):
		errs = append(errs, fmt.Errorf("prefix: %s is a quick action of GitLab, which takes it out of the note; choose another word", c.Prefix))
	}
	if LevelName(c.AccessLevel) == "" {
		errs = append(errs, errors.New("access_level: want "+levelNames()))
	}
	return errors.Join(errs...)
}

// levels are the roles of GitLab, lowest first:
// https://docs.gitlab.com/api/access_requests/#valid-access-levels.
var levels = []struct {
	level int
	name  string
}{{10, "Guest"}, {15, "Planner"}, {20, "Reporter"}, {30, "Developer"}, {40, "Maintainer"}, {50, "Owner"}}

// LevelName is the name of a role by GitLab's number of it; empty if there is none
// of that number.
func LevelName(level int) string {
	for _, l := range levels {
		if l.level == level {
			return l.name
		}
	}
	return ""
}

// ParseLevel reads a role, by its name in any case or by its number.
func ParseLevel(text string) (int, error) {
	for _, l := range levels {
		if strings.EqualFold(text, l.name) || text == strconv.Itoa(l.level) {
			return l.level, nil
		}
	}
	return 0, errors.New("want " + levelNames())
}

func levelNames() string {
	var names []string
	for _, l := range levels {
		names = append(names, fmt.Sprintf("%s (%d)", strings.ToLower(l.name), l.level))
	}
	return "one of " + strings.Join(names, ", ")
}
