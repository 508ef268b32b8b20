package fakeforge

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// Flag is what a check says about a commit. Pagure has them on pull requests
// too: those are the flags of its newest commit.
type Flag struct {
	ID      int64
	UID     string
	Commit  string
	Name    string // of the check
	Status  string // in the words of the forge that it was set through
	Text    string
	URL     string
	Percent string // empty if unknown
	Author  string
	Created time.Time
	Updated time.Time
}

// SetFlag sets a flag on a commit, or changes the one of its UID; without a UID
// it gets one. number is the pull request that it was set on, or 0. It returns
// the flag and whether it is new.
func (f *Forge) SetFlag(path string, number int, flag Flag) (Flag, bool, error) {
	f.mu.Lock()
	r, err := f.repo(path)
	var pull *Pull
	if err == nil && number != 0 {
		if pull, err = r.pull(number); err == nil {
			flag.Commit = pull.Head
		}
	}
	if err == nil && flag.Commit == "" {
		err = fmt.Errorf("%w: there is no commit to flag", ErrInvalid)
	}
	if err != nil {
		f.mu.Unlock()
		return Flag{}, false, err
	}
	if flag.UID == "" {
		id := make([]byte, 16)
		rand.Read(id) // never fails
		flag.UID = hex.EncodeToString(id)
	}
	f.person(flag.Author)
	flag.ID, flag.Created, flag.Updated = f.newID(), f.Now(), f.Now()
	all := r.Flags[flag.Commit]
	kind, i := Flagged, slices.IndexFunc(all, func(o Flag) bool { return o.UID == flag.UID })
	if i < 0 {
		all = append(all, flag)
	} else {
		flag.ID, flag.Created = all[i].ID, all[i].Created
		kind, all[i] = Reflagged, flag
	}
	if r.Flags == nil {
		r.Flags = make(map[string][]Flag)
	}
	r.Flags[flag.Commit] = all
	e := Event{Kind: kind, Actor: flag.Author, Repo: r.clone(), Flag: &flag}
	if pull != nil {
		pull.Updated = f.Now()
		e.Pull = pull.clone()
	}
	err = f.save(r)
	f.mu.Unlock()
	if err != nil {
		return Flag{}, false, err
	}
	f.tell(e)
	return flag, kind == Flagged, nil
}

// Flags are those of a commit, the newest first.
func (f *Forge) Flags(path, commit string) ([]Flag, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(r.Flags[commit])
	slices.Reverse(all)
	return all, nil
}
