package git

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace/clients/filelock"
)

// Cache keeps a bare mirror of each repository it was asked for, so that the
// next work tree needs only what is new. Several processes may share Dir. A
// mirror asks nobody for a password: that one may still read the remote is
// proved by a Fetch before the Clone.
type Cache struct {
	Git *Git
	Dir string // absolute; made if missing
}

// Mirror is a bare copy of a remote repository. Its branches and tags have
// the names that they have there.
type Mirror struct {
	objects
	remote Remote
	lock   string // file that whoever changes the mirror holds
}

// Mirror returns the mirror of a remote, empty until the first Fetch.
func (c *Cache) Mirror(ctx context.Context, remote Remote) (*Mirror, error) {
	if err := c.Git.checkRemote(remote); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the cache of mirrors: %w", err)
	}
	sum := sha256.Sum256([]byte(strings.TrimSuffix(strings.TrimSuffix(remote.URL, "/"), ".git")))
	base := filepath.Join(c.Dir, hex.EncodeToString(sum[:16]))
	m := &Mirror{objects: objects{git: c.Git, gitDir: base + ".git"}, remote: remote, lock: base + ".lock"}
	if whole(m.gitDir) {
		return m, nil
	}
	unlock, _, err := m.acquire(ctx, filelock.Exclusive)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if whole(m.gitDir) {
		return m, nil
	}
	if err := m.create(ctx); err != nil {
		return nil, fmt.Errorf("making a mirror of %s: %w", remote.URL, err)
	}
	return m, nil
}

// whole reports whether dir is a repository that was made to the end.
func whole(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "HEAD"))
	return err == nil
}

// create makes the repository under another name first, so that dying
// meanwhile leaves nothing that looks like one.
func (m *Mirror) create(ctx context.Context) error {
	fresh, err := os.MkdirTemp(filepath.Dir(m.gitDir), "new-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	if _, err := m.git.run(ctx, command{args: []string{"init", "--quiet", "--bare", "--", fresh}}); err != nil {
		return err
	}
	if err := os.RemoveAll(m.gitDir); err != nil {
		return err
	}
	return os.Rename(fresh, m.gitDir)
}

// acquire waits for the mirror's lock. The returned file holds the lock too:
// a command that is given it keeps the lock even if we die.
func (m *Mirror) acquire(ctx context.Context, how int) (unlock func(), held *os.File, err error) {
	lock, err := filelock.Open(m.lock)
	if err != nil {
		return nil, nil, fmt.Errorf("locking a mirror: %w", err)
	}
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		err := lock.Try(how)
		if err == nil {
			return func() { lock.Close() }, lock.File(), nil
		}
		if !errors.Is(err, filelock.ErrTaken) {
			lock.Close()
			return nil, nil, fmt.Errorf("locking a mirror: %w", err)
		}
		select {
		case <-ctx.Done():
			lock.Close()
			return nil, nil, fmt.Errorf("waiting for the lock of the mirror of %s: %w", m.remote.URL, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// Fetch brings all branches and tags up to date and forgets those that are
// gone. With refs it brings those instead: "refs/pull/7/head" is stored under
// the same name, a whole object name under KeepRef, "a:b" is what it is to git.
func (m *Mirror) Fetch(ctx context.Context, refs ...string) error {
	args := []string{"fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--no-auto-gc"}
	specs := []string{"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"}
	if len(refs) == 0 {
		args = append(args, "--prune")
	} else {
		specs = specs[:0]
		for _, ref := range refs {
			spec, err := refspec(ref)
			if err != nil {
				return err
			}
			specs = append(specs, spec)
		}
	}
	args = append(append(args, "--", m.remote.URL), specs...)

	unlock, held, err := m.acquire(ctx, filelock.Exclusive)
	if err != nil {
		return err
	}
	defer unlock()
	if !whole(m.gitDir) { // trimmed since
		if err := m.create(ctx); err != nil {
			return fmt.Errorf("making a mirror of %s: %w", m.remote.URL, err)
		}
	}
	m.sweep()
	_, err = m.git.run(ctx, command{args: args, gitDir: m.gitDir, remote: &m.remote, watch: m.gitDir, lock: held})
	if err != nil {
		m.sweep()
		if errors.Is(err, ErrTooLarge) {
			os.RemoveAll(m.gitDir) // or it would stay too large for ever
		}
		return fmt.Errorf("fetching from %s: %w", m.remote.URL, err)
	}
	if err := os.WriteFile(m.mark(), nil, 0o600); err != nil {
		return fmt.Errorf("noting a fetch: %w", err)
	}
	return m.tidy(ctx)
}

// mark is a file whose age is that of the last fetch.
func (m *Mirror) mark() string { return filepath.Join(m.gitDir, "fetched") }

// Fetched returns when the last Fetch ended well, or the zero time.
func (m *Mirror) Fetched() time.Time {
	info, err := os.Stat(m.mark())
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// sweep removes what commands that were killed left behind. The caller holds
// the lock, so nobody is using any of it.
func (m *Mirror) sweep() {
	filepath.WalkDir(m.gitDir, func(path string, d fs.DirEntry, err error) error {
		name := ""
		if err == nil && d.Type().IsRegular() {
			name = d.Name()
		}
		if strings.HasSuffix(name, ".lock") || strings.HasPrefix(name, "tmp_") {
			os.Remove(path) // a leftover costs only its space
		}
		return nil
	})
}

// tidy packs a mirror that many fetches have filled with small packs. Work
// trees share nothing with it, so they do not notice.
func (m *Mirror) tidy(ctx context.Context) error {
	packs, err := filepath.Glob(filepath.Join(m.gitDir, "objects", "pack", "*.pack"))
	if err != nil || len(packs) < 50 {
		return err
	}
	_, err = m.git.run(ctx, command{args: []string{"repack", "-q", "-a", "-d"}, gitDir: m.gitDir})
	if err != nil {
		return fmt.Errorf("packing the mirror of %s: %w", m.remote.URL, err)
	}
	return nil
}

// Clone makes a work tree in dir, which must not exist or be empty. It has
// the mirror's branches under refs/remotes/origin/, all tags, and the extra
// refs under their names (an object name under KeepRef). Nothing is checked
// out. It shares no file with the mirror, so either may be changed or removed.
func (m *Mirror) Clone(ctx context.Context, dir string, extra ...string) (*Repo, error) {
	specs := []string{"+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"}
	for _, ref := range extra {
		if IsSHA(ref) {
			ref = KeepRef(ref)
		}
		spec, err := refspec(ref)
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	repo, err := m.git.Init(ctx, dir, m.remote)
	if err != nil {
		return nil, err
	}
	unlock, _, err := m.acquire(ctx, filelock.Shared)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !whole(m.gitDir) {
		return nil, &Error{Op: "git clone", Said: "the mirror was trimmed meanwhile", temporary: true}
	}
	args := append([]string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc", "--", m.gitDir}, specs...)
	_, err = m.git.run(ctx, command{args: args, gitDir: repo.gitDir, local: true, watch: repo.gitDir})
	if err != nil {
		return nil, fmt.Errorf("cloning %s: %w", m.remote.URL, err)
	}
	return repo, nil
}

// Trim removes the mirrors that were fetched longest ago until the rest takes
// at most so many bytes. Mirrors in use stay.
func (c *Cache) Trim(ctx context.Context, most int64) error {
	locks, err := filepath.Glob(filepath.Join(c.Dir, "*.lock"))
	if err != nil {
		return err
	}
	type entry struct {
		m    *Mirror
		used time.Time
		size int64
	}
	var all []entry
	var sum int64
	for _, lock := range locks {
		m := &Mirror{objects: objects{git: c.Git, gitDir: strings.TrimSuffix(lock, ".lock") + ".git"}, lock: lock}
		size := treeSize(m.gitDir)
		all = append(all, entry{m, m.Fetched(), size})
		sum += size
	}
	slices.SortFunc(all, func(a, b entry) int { return a.used.Compare(b.used) })
	for _, e := range all {
		if sum <= most {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if e.m.discard() {
			sum -= e.size
		}
	}
	return nil
}

// discard removes the mirror unless somebody holds its lock. The lock file
// stays: removing it would let two processes hold "the" lock.
func (m *Mirror) discard() bool {
	now, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	unlock, _, err := m.acquire(now, filelock.Exclusive)
	if err != nil {
		return false
	}
	defer unlock()
	return os.RemoveAll(m.gitDir) == nil
}

// treeSize adds up the files below dir. What vanishes meanwhile counts nothing.
func treeSize(dir string) (sum int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil
	})
	return sum
}

// watchSize ends a command with ErrTooLarge when dir grows too large. The
// returned function ends the watching, after a last look.
func (g *Git) watchSize(ctx context.Context, dir string, stop context.CancelCauseFunc) func() {
	ended := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			if treeSize(dir) > g.maxRepository() {
				stop(ErrTooLarge)
				return
			}
			select {
			case <-ended:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(ended); <-done }
}
