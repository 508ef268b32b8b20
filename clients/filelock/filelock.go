// Package filelock makes one process, or one part of it, the only one that has
// a thing on the disk. The kernel drops a lock when its process dies, however
// it dies.
package filelock

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrTaken says that another has the lock.
var ErrTaken = errors.New("another process has it open")

// Lock is a file that can be locked. Close gives it back.
type Lock struct{ file *os.File }

// Kinds of locks: one holder, or many.
const (
	Exclusive = syscall.LOCK_EX
	Shared    = syscall.LOCK_SH
)

// Open opens the file, which is made if need be, and takes no lock yet.
func Open(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &Lock{f}, nil
}

// Take opens the file and has it alone, or is ErrTaken.
func Take(path string) (*Lock, error) {
	l, err := Open(path)
	if err != nil {
		return nil, err
	}
	if err := l.Try(Exclusive); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Try takes the lock if it is free, and is ErrTaken if not.
func (l *Lock) Try(kind int) error {
	for {
		switch err := syscall.Flock(int(l.file.Fd()), kind|syscall.LOCK_NB); {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrTaken
		default:
			return fmt.Errorf("locking %s: %w", l.file.Name(), err)
		}
	}
}

// File is what a program that is started can be given, which then holds the
// lock too, even if we die.
func (l *Lock) File() *os.File { return l.file }

// Close gives the lock back. Closing the file alone would not: a process that
// is being started elsewhere in this program has the file open too, until it
// becomes its program.
func (l *Lock) Close() error {
	return errors.Join(syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN), l.file.Close())
}
