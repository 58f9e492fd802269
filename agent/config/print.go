package config

import (
	"reflect"
	"strings"

	"gitlab.com/remora-ci/remora/component/delivery"
)

// Setting is one value that is in force.
type Setting struct {
	Key    string // targets[0].url
	Value  any    // string or []string; a secret is masked
	Origin Origin
}

// Settings are all values in force, in the order of the sections, without those
// that are not set. No secret is in them.
func (c *Config) Settings() []Setting { return c.settings }

func (l *loader) settings(scrub *delivery.Scrubber) []Setting {
	var list []Setting
	visit(reflect.ValueOf(&l.doc).Elem(), true, func(path string, f field, v reflect.Value) {
		s := Setting{Key: path, Origin: l.origins[path]}
		switch {
		case v.Len() == 0:
			return
		case f.secret():
			s.Value = delivery.Secret(v.String()).String()
		case f.typ == textsType:
			texts := []string{}
			for _, text := range v.Interface().([]string) {
				texts = append(texts, scrub.Text(text))
			}
			s.Value = texts
		case f.join != "" && strings.Contains(v.String(), f.join):
			s.Value = strings.Split(scrub.Text(v.String()), f.join)
		default:
			s.Value = scrub.Text(v.String())
		}
		list = append(list, s)
	})
	return list
}
