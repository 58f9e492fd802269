package config
func checkSpec(spec, zone string) error { return nil }
