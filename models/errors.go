package models

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound says that what was asked for does not exist, or not for the asker.
	ErrNotFound = errors.New("not found")
	// ErrUnproven says that a message does not prove where it comes from.
	ErrUnproven = errors.New("the signature does not match")
	// ErrLost says that a worker no longer holds what it works on: its lease
	// lapsed and another worker took over, or a person canceled.
	ErrLost = errors.New("no longer held")
)

// InputError is a mistake in what somebody sent, in words for them.
type InputError struct {
	Field   string // what it is about; may be empty
	Message string
}

func (e *InputError) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return fmt.Sprintf("%s: %s", e.Field, e.Message)
}
