package models

import (
	"errors"
	"fmt"
	"strings"
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

// ConfigError says why a package config cannot be used, in words for people.
type ConfigError struct {
	File     string // empty: none was found
	SHA      string // commit at which it was looked for; may be empty
	Problems []string
}

func (e *ConfigError) Error() string {
	return "the package config cannot be used: " + strings.Join(e.Problems, "; ")
}

// NotAllowedError says that a project may not use the service, in words for
// people.
type NotAllowedError struct{ Reason string }

func (e *NotAllowedError) Error() string { return e.Reason }
