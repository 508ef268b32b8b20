package models

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// Project is a git repository on a forge: upstream or dist-git.
type Project struct {
	bun.BaseModel `bun:"table:projects,alias:project"`

	ID            int64  `bun:",pk,autoincrement"`
	Forge         string // host, with the port if it is not the default: github.com
	Namespace     string // may contain slashes on forges with nested groups
	Name          string
	URL           string // of its page, without a trailing slash
	DefaultBranch string
	CreatedAt     time.Time
	ActiveAt      time.Time // of its newest event
}

// FullName is namespace/name, the way people speak of a project.
func (p *Project) FullName() string { return p.Namespace + "/" + p.Name }

// Path is forge/namespace/name, which names the project uniquely.
func (p *Project) Path() string { return p.Forge + "/" + p.Namespace + "/" + p.Name }

// ParseProjectURL reads the web or clone address of a repository.
func ParseProjectURL(raw string) (*Project, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return nil, fmt.Errorf("project address %q: %w", raw, err)
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("project address %q: want http or https", raw)
	}
	path := strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
	namespace, name, ok := cutLast(path, "/")
	if u.Host == "" || !ok || namespace == "" || name == "" || strings.Contains(path, "//") {
		return nil, fmt.Errorf("project address %q: want https://forge/namespace/name", raw)
	}
	return &Project{
		Forge: strings.ToLower(u.Host), Namespace: namespace, Name: name,
		URL: u.Scheme + "://" + strings.ToLower(u.Host) + "/" + path,
	}, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// RefKind says what kind of git reference a commit was seen at.
type RefKind string

const (
	PullRequestRef RefKind = "pr"
	BranchRef      RefKind = "push"
	ReleaseRef     RefKind = "release"
	IssueRef       RefKind = "issue"
	UpstreamRef    RefKind = "upstream" // a version announced by release monitoring
)

// Commit is a git object of a project at which an event happened.
type Commit struct {
	bun.BaseModel `bun:"table:commits,alias:git_commit"`

	ID        int64 `bun:",pk,autoincrement"`
	ProjectID int64
	Kind      RefKind
	Ref       string // number of the pull request or issue, name of the branch or tag
	SHA       string // full hash; empty where there is none (issue, version)
	Title     string // of the pull request, release or commit
	TargetRef string // branch that a pull request wants to go to
	SourceURL string // repository that a pull request comes from
	Author    string
	CreatedAt time.Time

	Project *Project `bun:"rel:belongs-to,join:project_id=id"`
}

// RefName is what people call the reference: "PR 42", "branch main", "1.2".
func (c *Commit) RefName() string { return RefName(c.Kind, c.Ref) }

// RefName is what people call a reference of that kind.
func RefName(kind RefKind, ref string) string {
	switch kind {
	case PullRequestRef:
		return "PR " + ref
	case IssueRef:
		return "issue " + ref
	case BranchRef:
		return "branch " + ref
	case ReleaseRef:
		return "release " + ref
	}
	return ref
}
