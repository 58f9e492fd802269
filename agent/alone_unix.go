//go:build unix

package agent

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lockFolder takes the lock of a data folder, which the system lets go when the
// process ends, in whatever way. It is false if another agent has it.
func lockFolder(dir string) (release func() error, mine bool, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "agent.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f.Close, true, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = nil
	}
	return nil, false, errors.Join(err, f.Close())
}
