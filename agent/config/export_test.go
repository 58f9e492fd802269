package config

import "slices"

// UnknownExtras are variables that extras tells about and nobody owns.
func UnknownExtras() []string {
	var list []string
	for env := range extras {
		if _, ok := owners()[env]; !ok && env != "REMORA_PATHS" && env != "REMORA_LOG" {
			list = append(list, env)
		}
	}
	slices.Sort(list)
	return list
}
