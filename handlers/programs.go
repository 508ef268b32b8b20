package handlers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

const (
	mostPrograms   = 4                   // that are kept, the running one among them
	programKeeping = 14 * 24 * time.Hour // after its last start
)

// Programs is a directory of the programs that ran here lately, by their hashes.
// A build that waited elsewhere while the service was upgraded asks for the one
// that made its script. An empty name keeps none.
type Programs string

var programName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Keep puts the running program of s among those that are kept, and removes what
// is too old or too many.
func (p Programs) Keep(s *Server, now time.Time) error {
	if p == "" {
		return nil
	}
	running, hash, err := s.programFile()
	if err != nil {
		return err
	}
	defer running.Close()
	if err := p.add(running, hash); err != nil {
		return fmt.Errorf("keeping this program for builds that begin now: %w", err)
	}
	if err := os.Chtimes(p.path(hash), now, now); err != nil {
		return fmt.Errorf("noting that a program is in use: %w", err)
	}
	return p.prune(now)
}

func (p Programs) path(hash string) string { return filepath.Join(string(p), hash) }

// add is whole or nothing: another process may do the same, or this one die.
func (p Programs) add(program io.Reader, hash string) error {
	if _, err := os.Stat(p.path(hash)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(string(p), 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(string(p), "new-")
	if err != nil {
		return err
	}
	_, err = io.Copy(file, program)
	if err = errors.Join(err, file.Chmod(0o444), file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), p.path(hash))
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

func (p Programs) prune(now time.Time) error {
	entries, err := os.ReadDir(string(p))
	if err != nil {
		return fmt.Errorf("listing kept programs: %w", err)
	}
	var kept []fs.FileInfo
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			continue // another process removed it
		}
		kept = append(kept, info)
	}
	slices.SortFunc(kept, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	whole := 0
	for _, info := range kept {
		old := now.Sub(info.ModTime())
		if programName.MatchString(info.Name()) {
			if whole++; whole <= mostPrograms && old < programKeeping {
				continue
			}
		} else if old < time.Hour { // being written
			continue
		}
		if err := os.Remove(filepath.Join(string(p), info.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing an old program: %w", err)
		}
	}
	return nil
}

// open opens a kept program. The error is fs.ErrNotExist if it is not there.
func (p Programs) open(hash string) (*os.File, error) {
	if p == "" || !programName.MatchString(hash) {
		return nil, fs.ErrNotExist
	}
	return os.Open(p.path(hash))
}
