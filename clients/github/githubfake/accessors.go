package githubfake

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func equalFold(a, b string) bool { return strings.EqualFold(a, b) }

// Repos lists the repositories by name.
func (f *Fake) Repos() []Repo {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Repo
	for _, r := range f.repos {
		c := r.Repo
		c.Collaborators = maps.Clone(r.Collaborators)
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Repo) int { return cmp.Compare(a.FullName(), b.FullName()) })
	return all
}

// copies returns copies of what pick finds in a repository, nothing if there
// is no such repository.
func copies[T any](f *Fake, fullName string, pick func(r *repo) []T) []T {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(fullName)
	if err != nil {
		return nil
	}
	return pick(r)
}

// Branches returns the branches of a repository and their heads.
func (f *Fake) Branches(repo string) map[string]string { return f.refs(repo, "refs/heads/") }

// Tags returns the tags of a repository and what they name.
func (f *Fake) Tags(repo string) map[string]string { return f.refs(repo, "refs/tags/") }

func (f *Fake) refs(fullName, prefix string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	refs := make(map[string]string)
	if r, err := f.repo(fullName); err == nil {
		for name, sha := range r.Refs {
			if short, ok := strings.CutPrefix(name, prefix); ok {
				refs[short] = sha
			}
		}
	}
	return refs
}

// Pulls lists the pull requests of a repository, the oldest first.
func (f *Fake) Pulls(fullName string) []Pull {
	return copies(f, fullName, func(r *repo) (all []Pull) {
		for _, p := range r.Pulls {
			all = append(all, p.copy())
		}
		return all
	})
}

// Pull returns a pull request.
func (f *Fake) Pull(fullName string, number int) (Pull, error) {
	for _, p := range f.Pulls(fullName) {
		if p.Number == number {
			return p, nil
		}
	}
	return Pull{}, fmt.Errorf("pull request %d of %s: %w", number, fullName, ErrNotFound)
}

// Issues lists the issues of a repository, the oldest first.
func (f *Fake) Issues(fullName string) []Issue {
	return copies(f, fullName, func(r *repo) (all []Issue) {
		for _, i := range r.Issues {
			all = append(all, *i)
		}
		return all
	})
}

// CheckRuns lists the check runs of a commit, of all commits if sha is empty,
// the oldest first.
func (f *Fake) CheckRuns(fullName, sha string) []CheckRun {
	return copies(f, fullName, func(r *repo) (all []CheckRun) {
		for _, c := range r.CheckRuns {
			if sha == "" || c.SHA == sha {
				all = append(all, c.copy())
			}
		}
		return all
	})
}

// Statuses lists the statuses of a commit, of all commits if sha is empty, the
// oldest first; those that were replaced too.
func (f *Fake) Statuses(fullName, sha string) []Status {
	return copies(f, fullName, func(r *repo) (all []Status) {
		for _, s := range r.Statuses {
			if sha == "" || s.SHA == sha {
				all = append(all, *s)
			}
		}
		return all
	})
}

// Comments lists the comments below an issue or a pull request, the oldest
// first.
func (f *Fake) Comments(fullName string, number int) []Comment {
	return copies(f, fullName, func(r *repo) (all []Comment) {
		for _, c := range r.Comments {
			if c.Number == number {
				all = append(all, c.copy())
			}
		}
		return all
	})
}

// CommitComments lists the comments below commits, the oldest first.
func (f *Fake) CommitComments(fullName string) []CommitComment {
	return copies(f, fullName, func(r *repo) (all []CommitComment) {
		for _, c := range r.CommitComments {
			all = append(all, *c)
		}
		return all
	})
}

// Releases lists the releases, the oldest first.
func (f *Fake) Releases(fullName string) []Release {
	return copies(f, fullName, func(r *repo) (all []Release) {
		for _, c := range r.Releases {
			all = append(all, *c)
		}
		return all
	})
}

// Reports lists everything that was ever said about checks and statuses, in
// the order it was said.
func (f *Fake) Reports(fullName string) []Report {
	return copies(f, fullName, func(r *repo) []Report { return slices.Clone(r.Reports) })
}

// Installations lists where the App is installed.
func (f *Fake) Installations() []Installation {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Installation
	for _, i := range f.world.Installations {
		c := *i
		c.Repos = slices.Clone(i.Repos)
		all = append(all, c)
	}
	return all
}
