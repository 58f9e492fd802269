package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
)

// This file evaluates rules as GitLab does, for the tests of templates/.
// https://docs.gitlab.com/ci/jobs/job_rules/

// when says what becomes of a job in a pipeline with these variables: the `when`
// of the first rule that matches, on_success if it names none, never if none does.
func when(rules []any, variables map[string]string) (string, error) {
	for _, r := range rules {
		rule, ok := r.(map[string]any)
		if !ok {
			return "", fmt.Errorf("a rule is a %T", r)
		}
		for key := range rule {
			if key != "if" && key != "when" {
				return "", fmt.Errorf("rules:%s is not evaluated here", key)
			}
		}
		matches, err := holds(fmt.Sprint(rule["if"]), variables)
		if err != nil {
			return "", fmt.Errorf("%v: %w", rule["if"], err)
		}
		if matches {
			if w, ok := rule["when"].(string); ok {
				return w, nil
			}
			return "on_success", nil
		}
	}
	return "never", nil
}

// holds evaluates an expression of variables, strings, null, ==, !=, &&, || and
// parentheses. && binds closer than ||.
func holds(expression string, variables map[string]string) (bool, error) {
	e := &expr{variables: variables}
	for rest := expression; rest != ""; {
		token := lexeme.FindString(rest)
		if token == "" {
			return false, fmt.Errorf("cannot read %q", rest)
		}
		rest = rest[len(token):]
		if token = strings.TrimSpace(token); token != "" {
			e.tokens = append(e.tokens, token)
		}
	}
	v, err := e.or()
	if err == nil && len(e.tokens) > 0 {
		err = fmt.Errorf("%q is left over", e.tokens)
	}
	return truth(v), err
}

var lexeme = regexp.MustCompile(`^(\s+|\$\w+|"[^"]*"|'[^']*'|null|==|!=|&&|\|\||\(|\))`)

// expr holds the tokens that are not yet read. A value is nil (null), a string or
// a bool.
type expr struct {
	tokens    []string
	variables map[string]string
}

func truth(v any) bool { return v != nil && v != "" && v != false }

func (e *expr) next(token string) bool {
	if len(e.tokens) == 0 || e.tokens[0] != token {
		return false
	}
	e.tokens = e.tokens[1:]
	return true
}

func (e *expr) or() (any, error) {
	left, err := e.and()
	for err == nil && e.next("||") {
		var right any
		right, err = e.and()
		left = truth(left) || truth(right)
	}
	return left, err
}

func (e *expr) and() (any, error) {
	left, err := e.comparison()
	for err == nil && e.next("&&") {
		var right any
		right, err = e.comparison()
		left = truth(left) && truth(right)
	}
	return left, err
}

func (e *expr) comparison() (any, error) {
	left, err := e.value()
	if err != nil {
		return nil, err
	}
	switch {
	case e.next("=="):
		right, err := e.value()
		return left == right, err
	case e.next("!="):
		right, err := e.value()
		return left != right, err
	}
	return left, nil
}

func (e *expr) value() (any, error) {
	if len(e.tokens) == 0 {
		return nil, errors.New("a value is missing")
	}
	token := e.tokens[0]
	e.tokens = e.tokens[1:]
	switch {
	case token == "(":
		v, err := e.or()
		if err == nil && !e.next(")") {
			err = errors.New("a parenthesis is not closed")
		}
		return v, err
	case token == "null":
		return nil, nil
	case token[0] == '$':
		if v, ok := e.variables[token[1:]]; ok {
			return v, nil
		}
		return nil, nil
	case token[0] == '"' || token[0] == '\'':
		return token[1 : len(token)-1], nil
	}
	return nil, fmt.Errorf("%q is no value", token)
}

func TestRuleExpressions(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"A": "a", "EMPTY": "", "ALSO_A": "a"}
	for expression, want := range map[string]string{
		`$A`:                           "true",
		`$EMPTY`:                       "false",
		`$UNSET`:                       "false",
		`$UNSET == null`:               "true",
		`$EMPTY == null`:               "false",
		`$EMPTY == ""`:                 "true",
		`$UNSET == ""`:                 "false",
		`$A == $ALSO_A`:                "true",
		`$UNSET != $A`:                 "true",
		`"push" == "push" && $A`:       "true",
		`"" != "" && $A`:               "false",
		`$A || $UNSET && $EMPTY`:       "true",
		`($A || $UNSET) && $EMPTY`:     "false",
		`$A == 'a'`:                    "true",
		`$A =~ /a/`:                    "error",
		`$A ==`:                        "error",
		`($A`:                          "error",
		`$A $A`:                        "error",
		`production == "production"`:   "error",
		`"a" == "a" == "a" trailing x`: "error",
	} {
		got, err := holds(expression, variables)
		said := fmt.Sprint(got)
		if err != nil {
			said = "error"
		}
		if said != want {
			t.Errorf("%s: got %s (%v), want %s", expression, said, err, want)
		}
	}
}

// job is the one job of an interpolated body.
func job(t *testing.T, tmpl template, args map[string]any) (string, map[string]any) {
	t.Helper()
	body, err := tmpl.interpolate(args)
	if err != nil {
		t.Fatal(err)
	}
	if len(body) != 1 {
		t.Fatalf("got %d keys at the top of the body, want one job", len(body))
	}
	for name, content := range body {
		return name, content.(map[string]any)
	}
	return "", nil
}

// variablesIn is what rules see: predefined ones, over them the job's own, over
// them those of the project's settings.
func variablesIn(job map[string]any, predefined, settings map[string]string) map[string]string {
	all := maps.Clone(predefined)
	for name, value := range job["variables"].(map[string]any) {
		if v, ok := value.(map[string]any); ok {
			value = v["value"]
		}
		all[name] = fmt.Sprint(value)
	}
	maps.Copy(all, settings)
	return all
}
