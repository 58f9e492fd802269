//go:build !unix

package agent

// lockFolder takes no lock where there is none to take: an agent that follows one
// that was killed waits for its leases to end.
func lockFolder(string) (release func() error, mine bool, err error) { return nil, false, nil }
