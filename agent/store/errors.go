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

	// ErrAbsent says that there is no store yet where one was to be opened as it is.
	ErrAbsent = errors.New("no store yet")

	// ErrClosed says that the store is closed.
	ErrClosed = errors.New("store is closed")
)

// absent is an error that is [ErrAbsent], in its own words.
type absent struct{ error }

func (a absent) Unwrap() error { return a.error }

// Is is for [errors.Is].
func (absent) Is(target error) bool { return target == ErrAbsent }
