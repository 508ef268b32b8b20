package fakeforge

import (
	"context"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"millrace/clients/git"
	"millrace/clients/git/gitserver"
)

// Repo is a repository.
type Repo struct {
	ID            int64
	Path          string // "rpms/hello", or "forks/packit/rpms/hello" of packit's fork
	Description   string
	DefaultBranch string
	Parent        string // path of what it is a fork of, or empty
	Created       time.Time
	Access        Access
	// OpenPulls and OpenIssues say whether there can be new ones.
	OpenPulls, OpenIssues bool
	Notes                 map[string]string // of the API, which see to their meaning
}

// Access is who may do what to a repository, by level.
type Access struct {
	Owner         string
	Admins        []string
	Committers    []string
	Ticketers     []string
	Collaborators map[string]string // login, and patterns of branches with commas between

	AdminGroups        []string
	CommitterGroups    []string
	CollaboratorGroups map[string]string
}

// repo is kept in a file of its own.
type repo struct {
	Repo
	Refs       map[string]string // as last noticed
	LastNumber int               // of pull requests and issues
	Pulls      []*Pull
	Issues     []*Issue
	Flags      map[string][]Flag // by commit
}

// Name is the last part of the path.
func (r *Repo) Name() string { return path.Base(r.Path) }

// Namespace is what stands before the name and behind the fork's user.
func (r *Repo) Namespace() string {
	parts := strings.Split(r.Path, "/")
	if r.Parent != "" {
		parts = parts[2:]
	}
	return strings.Join(parts[:len(parts)-1], "/")
}

// ForkOwner is whose fork it is, or empty.
func (r *Repo) ForkOwner() string {
	if r.Parent == "" {
		return ""
	}
	return strings.Split(r.Path, "/")[1]
}

// ForkPath is the path of a login's fork of a repository.
func ForkPath(login, parent string) string { return "forks/" + login + "/" + parent }

var repoPath = regexp.MustCompile(`^(forks/[A-Za-z0-9_][A-Za-z0-9+._-]*/)?([A-Za-z0-9_][A-Za-z0-9+._-]*/)?[A-Za-z0-9_][A-Za-z0-9+._-]*$`)

func (f *Forge) gitDir(path string) string {
	return filepath.Join(f.config.Dir, "git", fileName(path)+".git")
}

// Dir is where a repository is on disk.
func (f *Forge) Dir(path string) string { return f.gitDir(path) }

// Bare is the repository itself.
func (f *Forge) Bare(path string) *git.Bare { return f.git.Bare(f.gitDir(path)) }

// repo finds a repository. The caller holds mu.
func (f *Forge) repo(path string) (*repo, error) {
	r, ok := f.repos[path]
	if !ok {
		return nil, fmt.Errorf("repository %s: %w", path, ErrNotFound)
	}
	return r, nil
}

// Repo returns a repository.
func (f *Forge) Repo(path string) (Repo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	if err != nil {
		return Repo{}, err
	}
	return r.clone(), nil
}

// Repos returns all repositories, by path.
func (f *Forge) Repos() []Repo {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Repo
	for _, path := range slices.Sorted(maps.Keys(f.repos)) {
		all = append(all, f.repos[path].clone())
	}
	return all
}

func (r *repo) clone() Repo {
	c := r.Repo
	c.Access, c.Notes = r.Access.clone(), maps.Clone(r.Notes)
	return c
}

func (a Access) clone() Access {
	for _, list := range []*[]string{&a.Admins, &a.Committers, &a.Ticketers, &a.AdminGroups, &a.CommitterGroups} {
		*list = slices.Clone(*list)
	}
	a.Collaborators, a.CollaboratorGroups = maps.Clone(a.Collaborators), maps.Clone(a.CollaboratorGroups)
	return a
}

// CreateRepo makes an empty repository with an owner. The default branch is
// "rawhide".
func (f *Forge) CreateRepo(ctx context.Context, path, owner string) error {
	if !repoPath.MatchString(path) || strings.HasPrefix(path, "forks/") {
		return fmt.Errorf("%.80q is not the path of a repository", path)
	}
	return f.create(ctx, Repo{Path: path, DefaultBranch: "rawhide", OpenPulls: true, Access: Access{Owner: owner}}, mainConfig)
}

func (f *Forge) create(ctx context.Context, made Repo, config string) error {
	f.pushing.Lock() // so that nobody makes the same one meanwhile
	defer f.pushing.Unlock()
	if _, err := f.Repo(made.Path); err == nil {
		return fmt.Errorf("repository %s: %w", made.Path, ErrExists)
	}
	if err := gitserver.Init(ctx, f.gitDir(made.Path), made.DefaultBranch, config); err != nil {
		return err
	}
	if err := f.protect(made.Path); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.person(made.Access.Owner)
	made.ID, made.Created = f.newID(), f.Now()
	r := &repo{Repo: made, Refs: make(map[string]string)}
	f.repos[made.Path] = r
	return f.save(r)
}

// mainConfig lets nobody rewrite or drop what is in dist-git.
const mainConfig = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
[http]
	receivepack = true
[receive]
	hideRefs = refs/pull
	denyNonFastForwards = true
	denyDeletes = true
	autogc = false
[uploadpack]
	allowAnySHA1InWant = true
	allowFilter = true
[gc]
	auto = 0
`

// SetNote keeps something about a repository.
func (f *Forge) SetNote(path, key, value string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	if err != nil {
		return err
	}
	if r.Notes == nil {
		r.Notes = make(map[string]string)
	}
	r.Notes[key] = value
	return f.save(r)
}

// SetAccess says who may do what to a repository from now on.
func (f *Forge) SetAccess(path string, access Access) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(path)
	if err != nil {
		return err
	}
	if access.Owner == "" {
		access.Owner = r.Access.Owner
	}
	r.Access = access.clone()
	for _, list := range [][]string{{access.Owner}, access.Admins, access.Committers, access.Ticketers, slices.Collect(maps.Keys(access.Collaborators))} {
		for _, login := range list {
			f.person(login)
		}
	}
	return f.save(r)
}
