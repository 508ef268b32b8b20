package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// pool is a range of user ids that belong to nobody. As root, commands run as
// one of them, a different one for each tree of directories, because limits
// on processes count by user.
type pool struct {
	first, size uint32
}

var (
	// 1,879,048,192 to 2,147,483,647 is a range that systemd's table of user
	// ids leaves unused.
	widePool = pool{1_900_000_000, 100_000}
	// narrowPool is for containers that know 65,536 ids; also unused there.
	narrowPool = pool{65_520, 14}

	hostPool = sync.OnceValue(func() pool {
		b, err := os.ReadFile("/proc/self/uid_map")
		if err != nil || maps(string(b), widePool) {
			return widePool
		}
		return narrowPool
	})

	nextID atomic.Uint32
)

func init() { nextID.Store(rand.Uint32()) }

// maps reports whether a user namespace with this uid_map knows all of p.
func maps(uidMap string, p pool) bool {
	for line := range strings.Lines(uidMap) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(fields[0], 10, 32)
		size, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err1 == nil && err2 == nil && first <= uint64(p.first) && first+size >= uint64(p.first+p.size) {
			return true
		}
	}
	return false
}

func (p pool) has(id uint32) bool { return id >= p.first && id-p.first < p.size }

func (p pool) pick() uint32 { return p.first + nextID.Add(1)%p.size }

// userFor is the user that a command runs as whose first writable directory
// is dir. Without root's powers it is our own.
func userFor(dir string) uint32 {
	if os.Geteuid() != 0 {
		return uint32(os.Geteuid())
	}
	if owner, err := ownerOf(dir); dir != "" && err == nil && hostPool().has(owner) {
		return owner
	}
	return hostPool().pick()
}

func ownerOf(path string) (uint32, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid, nil
	}
	return 0, fmt.Errorf("reading the owner of %s: %w", path, errors.ErrUnsupported)
}

// Own gives everything below dirs to the user that their commands run as, so
// that they can change what we wrote. No command may run in dirs meanwhile. A
// file that has another name, perhaps outside, is refused.
func Own(dirs ...string) error {
	if len(dirs) == 0 || os.Geteuid() != 0 {
		return nil
	}
	user := userFor(dirs[0])
	for _, dir := range dirs {
		if err := own(dir, user); err != nil {
			return fmt.Errorf("giving %s to the sandbox: %w", dir, err)
		}
	}
	return nil
}

func own(dir string, user uint32) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case !ok:
			return errors.ErrUnsupported
		case st.Uid == user:
			return nil
		case info.Mode().IsRegular() && st.Nlink > 1 && !hostPool().has(st.Uid):
			return fmt.Errorf("%s has %d names: %w", path, st.Nlink, fs.ErrInvalid)
		}
		return os.Lchown(path, int(user), int(user))
	})
}

// RemoveAll removes dir, also where a command took away the right to do so.
func RemoveAll(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	// Errors of the walk come back from the second attempt.
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing %s: %w", dir, err)
	}
	return nil
}
