package store

import "errors"

var (
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("not found")

	// ErrNotReceived says that an event is not in the state received (any more):
	// another agent has routed it. Leave its work to that one.
	ErrNotReceived = errors.New("event is routed already")

	// ErrNoKey says that a secret was to be stored or read without
	// REMORA_ENCRYPTION_KEY.
	ErrNoKey = errors.New("no encryption key: set REMORA_ENCRYPTION_KEY")

	// ErrClosed says that the store is closed.
	ErrClosed = errors.New("store is closed")
)
