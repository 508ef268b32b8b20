// Package forge has the shapes that the clients of dist-git's forges share, so
// that who uses them need not know whether a package lives on Pagure or on
// Forgejo.
package forge

import (
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Repository is a repository of a forge.
type Repository struct {
	Path          string // by which the forge knows it, such as "rpms/hello"
	URL           string // for people
	CloneURL      string // for git over HTTP
	DefaultBranch string // empty if the repository is empty
	Owner         string
	Parent        string // path of what it is a fork of, or empty
}

// PullRequest is a request to merge Head into a branch.
type PullRequest struct {
	Number int
	URL    string // for people
	Title  string
	Body   string
	Author string
	Open   bool
	Merged bool

	Target     string // branch
	Source     string // branch
	SourceRepo string // path; empty if the fork is gone
	First      string // the oldest commit of it; empty if it has none or the forge does not say
	Head       string // the newest commit; empty if it has none
	Merge      string // the commit that Target got by its merge; empty if it is not merged or the forge does not say
	Labels     []string
	Updated    time.Time
}

// NewPull is what a pull request is made of.
type NewPull struct {
	Title, Body string
	Target      string // branch
	SourceRepo  string // path; empty means the repository itself
	Source      string // branch
}

// Filter says which pull requests are looked for: open ones, or all. Empty fields
// do not count.
type Filter struct {
	Ended      bool // those that were merged or closed, too
	Target     string
	Source     string
	SourceRepo string
	Author     string
}

// Matches reports whether p is looked for.
func (f Filter) Matches(p PullRequest) bool {
	is := func(wanted, got string) bool { return wanted == "" || wanted == got }
	return is(f.Target, p.Target) && is(f.Source, p.Source) && is(f.SourceRepo, p.SourceRepo) && is(f.Author, p.Author)
}

// Stat is how much of a file a pull request changes.
type Stat struct {
	Path    string
	Status  string // A, M, D, R
	Added   int    // lines
	Removed int
}

// Comment is something said about a pull request or an issue.
type Comment struct {
	ID      int64
	Author  string
	Text    string
	Created time.Time
}

// State is what a check says.
type State string

// The states that both forges know. Neither has one for a check that runs.
const (
	Pending State = "pending"
	Success State = "success"
	Failure State = "failure"
	Error   State = "error"
)

// Status is a check on a commit or a pull request.
type Status struct {
	Name  string // what is told apart by: a later status of the same name replaces this one
	State State
	Text  string
	URL   string // must not be empty
}

// Issue is an open question to a repository.
type Issue struct {
	Number int
	Title  string
	Author string
	Text   string
	URL    string // for people
}

var part = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9+._-]{0,199}$`)

// Name reports whether s may be the name of a user, a group, a repository, or
// part of its path.
func Name(s string) bool { return part.MatchString(s) }

// Ref writes a branch, tag or commit into the path of an address; its slashes
// stay.
func Ref(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}
