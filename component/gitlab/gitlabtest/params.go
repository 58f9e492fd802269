package gitlabtest

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// params are those of a request: of the query for GET and DELETE, of the body
// for POST and PUT.
type params map[string]any

// parse reads the parameters. One that the route does not know is refused, also
// where GitLab would ignore it: it is a mistake of ours.
func parse(r Request, known []string) (params, *reply) {
	p := params{}
	for name, values := range r.Query {
		p[strings.TrimSuffix(name, "[]")] = values[len(values)-1]
		if strings.HasSuffix(name, "[]") {
			p[strings.TrimSuffix(name, "[]")] = values
		}
	}
	if r.Method == "POST" || r.Method == "PUT" {
		if len(p) > 0 {
			return nil, refuse(invalid("parameters of a " + r.Method + " in the query"))
		}
		if refused := p.body(r.Body); refused != nil {
			return nil, refused
		}
	}
	var unknown []string
	for name := range p {
		if !has(known, name) {
			unknown = append(unknown, name+" is invalid")
		}
	}
	if slices.Sort(unknown); unknown != nil {
		return nil, refuse(invalid(strings.Join(unknown, ", ")))
	}
	return p, nil
}

func refuse(r reply) *reply { return &r }

func (p params) body(body string) *reply {
	switch {
	case body == "":
		return nil
	case !utf8.ValidString(body) || strings.ContainsRune(body, 0) || strings.Contains(strings.ToLower(body), `\u0000`):
		return refuse(reply{code: 400, body: "400 Bad Request"})
	case strings.HasPrefix(strings.TrimSpace(body), "{"):
		if json.Unmarshal([]byte(body), (*map[string]any)(&p)) != nil {
			return refuse(invalid("The request body is not valid JSON"))
		}
		return nil
	}
	form, err := url.ParseQuery(body)
	if err != nil {
		return refuse(invalid("The request body is not valid"))
	}
	for name, values := range form {
		p[name] = values[len(values)-1]
	}
	return nil
}

// text is a parameter as text, empty if it is missing.
func (p params) text(name string) string {
	switch v := p[name].(type) {
	case nil:
		return ""
	case string:
		return v
	case []string:
		return strings.Join(v, ",")
	default:
		return fmt.Sprint(v)
	}
}

func (p params) texts(name string) []string {
	list, _ := p[name].([]string)
	return list
}

// number is a parameter as a whole number, 0 if it is missing; ok is false if it
// is something else.
func (p params) number(name string) (n int64, ok bool) {
	switch v := p[name].(type) {
	case nil:
		return 0, true
	case float64:
		return int64(v), v == math.Trunc(v)
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	}
	return 0, false
}

func (p params) given(name string) bool { return p[name] != nil }
