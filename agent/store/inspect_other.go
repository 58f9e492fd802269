//go:build !linux && !darwin && !freebsd

package store

func freeBytes(string) (free uint64, ok bool) { return 0, false }
