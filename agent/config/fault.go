package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Origin is where a value comes from: a place in the file, a variable, or, with
// neither, the default.
type Origin struct {
	File         string
	Line, Column int // from 1; the column counts characters
	Variable     string
}

func (o Origin) String() string {
	switch {
	case o.Variable != "":
		return o.Variable
	case o.File == "":
		return "default"
	case o.Line == 0:
		return o.File
	}
	return fmt.Sprintf("%s:%d:%d", o.File, o.Line, o.Column)
}

// Fault is one thing that is wrong. Its text holds no secret.
type Fault struct {
	Origin
	Key  string // such as targets[0].namespace; empty for the file as a whole
	Text string
}

func (f *Fault) Error() string {
	switch {
	case f.Variable != "":
		return f.Variable + ": " + f.Text
	case f.File == "":
		return f.Text // the environment as a whole
	case f.Key == "":
		return f.Origin.String() + ": " + f.Text
	}
	return f.Origin.String() + ": " + f.Key + ": " + f.Text
}

// Warning is what works and should be mended. It reads like a [Fault].
type Warning struct{ Fault }

func (w Warning) String() string { return w.Error() }

// fault notes what is wrong with the value at path, once: what follows from it
// would only distract.
func (l *loader) fault(path, format string, args ...any) {
	l.faultAt(l.origin(path), path, format, args...)
}

func (l *loader) faultAt(at Origin, path, format string, args ...any) {
	if !l.isBad(path) {
		l.bad[path] = true
		l.add(&Fault{at, path, fmt.Sprintf(format, args...)})
	}
}

func (l *loader) add(f *Fault) {
	if len(l.faults) >= maxFaults {
		l.more++
		return
	}
	l.faults = append(l.faults, f)
}

// isBad says whether there is a fault at path or at a section around it.
func (l *loader) isBad(path string) bool {
	for p := path; p != ""; p = parent(p) {
		if l.bad[p] {
			return true
		}
	}
	return false
}

func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

func (l *loader) warn(path, format string, args ...any) {
	w := Warning{Fault{l.origin(path), path, fmt.Sprintf(format, args...)}}
	if len(l.warnings) < maxFaults && !l.isBad(path) && !slices.Contains(l.warnings, w) {
		l.warnings = append(l.warnings, w)
	}
}

// origin is where the value at path comes from, or where it is missing: at the
// nearest section around it.
func (l *loader) origin(path string) Origin {
	for p := path; p != ""; p = parent(p) {
		if o, ok := l.origins[p]; ok && (p == path || o.Variable == "") {
			return o
		}
	}
	return l.origins[""]
}

// err joins the faults, those of the file in its order and then the others.
func (l *loader) err() error {
	sortFaults(l.faults, func(f *Fault) *Fault { return f })
	sortFaults(l.warnings, func(w Warning) *Fault { return &w.Fault })
	errs := make([]error, 0, len(l.faults)+1)
	for _, f := range l.faults {
		errs = append(errs, f)
	}
	if l.more > 0 {
		errs = append(errs, &Fault{Origin{File: l.file, Line: 1, Column: 1}, "", fmt.Sprintf("and %d faults more", l.more)})
	}
	return errors.Join(errs...)
}

func sortFaults[T any](list []T, fault func(T) *Fault) {
	slices.SortStableFunc(list, func(a, b T) int {
		x, y := fault(a), fault(b)
		return cmp.Or(cmp.Compare(x.Variable, y.Variable), cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
	})
}

// variable finds the names of variables in the messages of other packages.
var variable = regexp.MustCompile(`\b[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]\b`)

// blame notes what another package says is wrong in the section at path. Its
// messages name variables: they become keys, unless the value is a variable's.
func (l *loader) blame(path string, fields []field, err error) {
	for _, e := range leaves(err) {
		key, text := l.translate(path, fields, e.Error())
		l.fault(key, "%s", text)
	}
}

// translate makes of "VARIABLE: text" the path of the key and the text.
func (l *loader) translate(path string, fields []field, message string) (key, text string) {
	keys := map[string]string{}
	for _, f := range fields {
		if f.env != "" {
			keys[f.env] = f.key
			keys[f.env+"_FILE"] = f.key + "_file"
		}
	}
	first, text, ok := strings.Cut(message, ": ")
	if !ok || keys[first] == "" {
		return path, l.inKeys(keys, message)
	}
	key = join(path, strings.TrimSuffix(keys[first], "_file"))
	if o, known := l.origins[key]; known && o.Variable != "" || l.file == "" {
		l.origins[key] = Origin{Variable: firstOf(o.Variable, first)}
		return key, text
	}
	return key, l.inKeys(keys, text)
}

// inKeys is text with keys for variables.
func (l *loader) inKeys(keys map[string]string, text string) string {
	if l.file == "" {
		return text
	}
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		if key := keys[name]; key != "" {
			return "`" + key + "`"
		}
		return name
	})
}

// leaves are the errors that err joins.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, leaves(e)...)
		}
		return all
	}
	return []error{err}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// nearest is the one of names that text was most likely meant to be, or "".
func nearest(text string, names []string) string {
	best, least := "", 1+min(3, len(text)/2)
	for _, name := range names {
		if d := distance(strings.ToLower(text), strings.ToLower(name), least); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is how many letters to change, add, drop or swap with the next one
// make b of a; limit if that many or more.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) >= limit || len(a) > 64 {
		return limit
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			switch {
			case i == 0:
				rows[i][j] = j
			case j == 0:
				rows[i][j] = i
			default:
				same := 1
				if a[i-1] == b[j-1] {
					same = 0
				}
				rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+same)
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
				}
			}
		}
	}
	return min(limit, rows[len(a)][len(b)])
}
