//go:build linux || darwin || freebsd

package store

import "syscall"

// freeBytes is what a user who is not root may still write in a folder.
func freeBytes(dir string) (free uint64, ok bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return uint64(st.Bavail) * uint64(st.Bsize), true //nolint:unconvert // the types differ from system to system
}
