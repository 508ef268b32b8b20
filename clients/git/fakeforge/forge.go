// Package fakeforge is the inside of a small forge for packages: people, groups
// and tokens, repositories that are real ones of git, forks, pull requests,
// comments and flags, all kept in a directory. It has no API of its own:
// pagurefake and forgejofake put Pagure's and Forgejo's on it, also both on one.
package fakeforge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/clients/git"
)

// Config says what a forge is. Dir is needed; the rest has defaults.
type Config struct {
	Dir string // of the repositories and everything else that survives a restart
	Now func() time.Time
	Log *slog.Logger // nil discards
}

// Forge is a small forge. Its methods may be called at any time, from anywhere.
type Forge struct {
	config Config
	git    *git.Git

	ctx     context.Context // of forks that take long; ends in Close
	stop    context.CancelFunc
	working sync.WaitGroup

	// pushing is held while refs change and while it is found out what
	// changed. It is taken before mu.
	pushing sync.Mutex

	mu        sync.Mutex
	world     world
	repos     map[string]*repo // by path
	listeners []func(Event)
}

// world is kept in world.json.
type world struct {
	People map[string]*Person
	Groups map[string][]string
	Tokens map[string]Token
	LastID int64
}

// Person has an account.
type Person struct {
	ID    int64
	Login string
	Name  string // for people
}

// Token lets a program do something in the name of a person.
type Token struct {
	Login   string
	Rights  []string  // Pagure's ACLs, such as "fork_project"; all if empty
	Expires time.Time // zero: never
}

// May reports whether the token gives a right.
func (t Token) May(right string) bool { return len(t.Rights) == 0 || slices.Contains(t.Rights, right) }

// ErrNotFound is matched when an action names what does not exist.
var ErrNotFound = errors.New("not found")

// ErrExists is matched when what shall be made is there already.
var ErrExists = errors.New("already exists")

// New opens the forge that is kept in config.Dir, or begins one.
func New(config Config) (*Forge, error) {
	if config.Dir == "" {
		return nil, errors.New("a forge needs a directory")
	}
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening a forge: %w", err)
	}
	config.Dir = dir
	if config.Now == nil {
		config.Now = time.Now
	}
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	f := &Forge{config: config, git: &git.Git{}, repos: make(map[string]*repo)}
	if err := f.load(); err != nil {
		return nil, fmt.Errorf("opening a forge: %w", err)
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f, nil
}

// Close waits for what goes on in the background. Forks that were not made yet
// are made by CatchUp of the next process.
func (f *Forge) Close() {
	f.stop()
	f.working.Wait()
}

// Now is the forge's time, in whole seconds.
func (f *Forge) Now() time.Time { return f.config.Now().UTC().Truncate(time.Second) }

// newID returns a number that was not given out before. The caller holds mu and
// saves.
func (f *Forge) newID() int64 {
	f.world.LastID++
	return f.world.LastID
}

// AddPerson gives somebody an account, or an account another name. Accounts
// come to be, too, by being named.
func (f *Forge) AddPerson(login, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.person(login).Name = name
	return f.save(nil)
}

// person returns an account. The caller holds mu and saves.
func (f *Forge) person(login string) *Person {
	p, ok := f.world.People[login]
	if !ok {
		p = &Person{ID: f.newID(), Login: login, Name: login}
		f.world.People[login] = p
	}
	return p
}

// Person returns the account of that login.
func (f *Forge) Person(login string) (Person, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.world.People[login]
	if !ok {
		return Person{ID: 0, Login: login, Name: login}, false
	}
	return *p, true
}

// Persons are all who are known, by login.
func (f *Forge) Persons() []Person {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Person
	for _, login := range slices.Sorted(maps.Keys(f.world.People)) {
		all = append(all, *f.world.People[login])
	}
	return all
}

// SetGroup makes a group of these members, and nobody else.
func (f *Forge) SetGroup(name string, members ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, login := range members {
		f.person(login)
	}
	f.world.Groups[name] = slices.Clone(members)
	return f.save(nil)
}

// Group returns the members of a group, sorted.
func (f *Forge) Group(name string) (members []string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	members, ok = f.world.Groups[name]
	return slices.Sorted(slices.Values(members)), ok
}

// Groups are the names of all groups, sorted.
func (f *Forge) Groups() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.world.Groups))
}

// SetToken makes a token valid. One without a login is removed.
func (f *Forge) SetToken(secret string, t Token) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.Login == "" {
		delete(f.world.Tokens, secret)
	} else {
		f.person(t.Login)
		f.world.Tokens[secret] = t
	}
	return f.save(nil)
}

// Token returns what a secret stands for, expired or not.
func (f *Forge) Token(secret string) (t Token, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok = f.world.Tokens[secret]
	return t, ok
}

func (f *Forge) load() error {
	f.world = world{People: make(map[string]*Person), Groups: make(map[string][]string), Tokens: make(map[string]Token)}
	for _, dir := range []string{"repos", "git"} {
		if err := os.MkdirAll(filepath.Join(f.config.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	if err := readJSON(filepath.Join(f.config.Dir, "world.json"), &f.world); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	files, err := filepath.Glob(filepath.Join(f.config.Dir, "repos", "*.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		r := new(repo)
		if err := readJSON(file, r); err != nil {
			return err
		}
		f.repos[r.Path] = r
	}
	return nil
}

// save keeps the world and, if there is one, a repository. The caller holds mu.
func (f *Forge) save(r *repo) error {
	if err := writeJSON(filepath.Join(f.config.Dir, "world.json"), &f.world); err != nil || r == nil {
		return err
	}
	return writeJSON(filepath.Join(f.config.Dir, "repos", fileName(r.Path)+".json"), r)
}

// fileName is a path in one piece; no part of one has an "=".
func fileName(path string) string { return strings.ReplaceAll(path, "/", "=") }

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file as a whole, so that dying leaves the old or the
// new one.
func writeJSON(path string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
