// Package githubfake is a small GitHub: its REST API, its webhooks, and git
// over HTTP with real repositories, kept in a directory.
//
// The API is below /api/v3/, as on GitHub Enterprise; git is at
// /owner/name.git.
package githubfake

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/clients/git"
	"millrace/clients/git/gitserver"
)

// Config says what a fake is. Dir is needed; the rest has defaults.
type Config struct {
	Dir string // of the repositories and everything else that survives a restart
	URL string // where people and programs reach the fake; see SetURL

	AppID     int64          // 1 if zero
	AppSlug   string         // "millrace" if empty
	PublicKey *rsa.PublicKey // of the App; without one nobody can speak as the App

	WebhookURL    string // nothing is sent if empty; see SetWebhook
	WebhookSecret string

	Tokens    map[string]string // personal tokens and whose they are
	OpenPush  bool              // pushes without a password are the owner's
	TokenLife time.Duration     // of installation tokens; an hour if zero
	RateLimit int               // calls an hour for each token; 5000 if zero

	Now  func() time.Time // time.Now if nil
	HTTP *http.Client     // delivers webhooks; one with GitHub's ten seconds if nil
	Log  *slog.Logger     // discarded if nil
}

// Fake is a GitHub. Its methods may be called at any time, from anywhere.
type Fake struct {
	config Config
	git    *git.Git
	mux    *http.ServeMux

	// pushing is held while refs change and while it is found out what
	// changed. It is taken before mu.
	pushing sync.Mutex

	mu     sync.Mutex
	world  world
	repos  map[string]*repo // by lower case full name
	faults Faults
	calls  map[string]*window // by credential: how many calls in this hour
	nth    counters
	lastID int64

	hooks hooks
}

// world is kept in world.json.
type world struct {
	Users         map[string]*User // by login
	Installations []*Installation
	Tokens        map[string]*installationToken
}

// User is a person or an organization.
type User struct {
	ID    int64
	Login string
	Type  string // User, Organization or Bot
}

// Installation is an account that has the App.
type Installation struct {
	ID      int64
	Account string
	Repos   []string // full names; all of the account's if empty
	Created time.Time
}

type installationToken struct {
	Installation int64
	Expires      time.Time
}

// repo is kept in a file of its own.
type repo struct {
	Repo
	Refs           map[string]string // as last noticed
	Suites         map[string]int64  // check suite of a commit
	Pulls          []*Pull
	Issues         []*Issue
	Comments       []*Comment
	CommitComments []*CommitComment
	Statuses       []*Status
	CheckRuns      []*CheckRun
	Releases       []*Release
	Reports        []Report
}

// New opens the fake that is kept in config.Dir, or begins one.
func New(config Config) (*Fake, error) {
	if config.Dir == "" {
		return nil, errors.New("a fake GitHub needs a directory")
	}
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening a fake GitHub: %w", err)
	}
	config.Dir = dir
	if config.AppID == 0 {
		config.AppID = 1
	}
	if config.AppSlug == "" {
		config.AppSlug = "millrace"
	}
	if config.TokenLife == 0 {
		config.TokenLife = time.Hour
	}
	if config.RateLimit == 0 {
		config.RateLimit = 5000
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.HTTP == nil {
		config.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	config.URL = strings.TrimSuffix(config.URL, "/")
	f := &Fake{config: config, git: &git.Git{}, repos: make(map[string]*repo), calls: make(map[string]*window)}
	if err := f.load(); err != nil {
		return nil, fmt.Errorf("opening a fake GitHub: %w", err)
	}
	f.mux = f.routes()
	f.hooks.start(f)
	// Pushes that were made just before the last process died.
	for _, r := range f.Repos() {
		if err := f.notice(context.Background(), r.FullName(), r.Owner); err != nil {
			f.Close()
			return nil, fmt.Errorf("opening a fake GitHub: %w", err)
		}
	}
	return f, nil
}

// Close stops delivering webhooks. What was not delivered can be redelivered
// by the next process.
func (f *Fake) Close() { f.hooks.stop() }

// SetURL tells the fake where it can be reached, for the links it gives out.
func (f *Fake) SetURL(url string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.config.URL = strings.TrimSuffix(url, "/")
}

// SetWebhook changes where webhooks go; nowhere if url is empty.
func (f *Fake) SetWebhook(url, secret string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.config.WebhookURL, f.config.WebhookSecret = url, secret
}

func (f *Fake) now() time.Time { return f.config.Now().UTC().Truncate(time.Second) }

// newID returns a number that no process before us gave out. The caller
// holds mu.
func (f *Fake) newID() int64 {
	f.lastID = max(f.lastID+1, time.Now().UnixMicro())
	return f.lastID
}

func key(fullName string) string { return strings.ToLower(fullName) }

// repo finds a repository by its full name. The caller holds mu.
func (f *Fake) repo(fullName string) (*repo, error) {
	r, ok := f.repos[key(fullName)]
	if !ok {
		return nil, fmt.Errorf("repository %s: %w", fullName, ErrNotFound)
	}
	return r, nil
}

// ErrNotFound is matched when an action names what does not exist.
var ErrNotFound = errors.New("not found")

// user returns an account, which comes to be by being named. The caller
// holds mu.
func (f *Fake) user(login string) *User {
	u, ok := f.world.Users[strings.ToLower(login)]
	if !ok {
		kind := "User"
		if strings.HasSuffix(login, "[bot]") {
			kind = "Bot"
		}
		u = &User{ID: f.newID(), Login: login, Type: kind}
		f.world.Users[strings.ToLower(login)] = u
	}
	return u
}

// bot is who the App is. The caller holds mu.
func (f *Fake) bot() *User { return f.user(f.config.AppSlug + "[bot]") }

// installation returns the App's installation for a repository, or nil. The
// caller holds mu.
func (f *Fake) installation(r *repo) *Installation {
	for _, i := range f.world.Installations {
		if strings.EqualFold(i.Account, r.Owner) && (len(i.Repos) == 0 || slices.ContainsFunc(i.Repos, func(name string) bool {
			return strings.EqualFold(name, r.FullName())
		})) {
			return i
		}
	}
	return nil
}

func (f *Fake) load() error {
	f.world = world{Users: make(map[string]*User), Tokens: make(map[string]*installationToken)}
	for _, dir := range []string{"repos", "git", "deliveries"} {
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
		f.repos[key(r.FullName())] = r
	}
	return nil
}

// save keeps the world and, if there is one, a repository. The caller holds mu.
func (f *Fake) save(r *repo) error {
	if err := writeJSON(filepath.Join(f.config.Dir, "world.json"), &f.world); err != nil {
		return err
	}
	if r == nil {
		return nil
	}
	name := strings.ReplaceAll(key(r.FullName()), "/", "+") + ".json" // no name has a plus
	return writeJSON(filepath.Join(f.config.Dir, "repos", name), r)
}

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

// Serves reports whether a request is for the API or for git. The rest of the
// addresses is free for pages.
func Serves(r *http.Request) bool {
	_, isGit := gitserver.Parse(r)
	return isAPI(r) || isGit
}

func isAPI(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/v3/") || r.URL.Path == "/api/v3"
}

// ServeHTTP answers the API and git.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isAPI(r) {
		f.mux.ServeHTTP(w, r)
		return
	}
	f.serveGit(w, r)
}
