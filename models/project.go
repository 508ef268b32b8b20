package models

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
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

// projectName is what forges allow in the parts of a project's path. A part may
// not begin with a dash: GitLab's pages are below "/-/".
var projectName = regexp.MustCompile(`^[A-Za-z0-9._~+][A-Za-z0-9._~+-]*$`)

// Longest addresses and parts of them that are read. GitLab allows 255 bytes and
// 20 groups in each other.
const (
	maxProjectURL  = 2000
	maxProjectPart = 255
	maxGroups      = 21
)

// ParseProjectURL reads the web or clone address of a repository.
func ParseProjectURL(raw string) (*Project, error) {
	if len(raw) > maxProjectURL {
		return nil, fmt.Errorf("project address %.80q...: longer than %d bytes", raw, maxProjectURL)
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return nil, fmt.Errorf("project address %q: %w", raw, err)
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("project address %q: want http or https", raw)
	}
	host, err := forgeHost(u)
	if err != nil {
		return nil, fmt.Errorf("project address %q: %w", raw, err)
	}
	path := strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
	namespace, name, ok := cutLast(path, "/")
	if !ok {
		return nil, fmt.Errorf("project address %q: want https://forge/namespace/name", raw)
	}
	parts := strings.Split(path, "/")
	if len(parts) > maxGroups {
		return nil, fmt.Errorf("project address %q: more than %d names", raw, maxGroups)
	}
	for _, part := range parts {
		if len(part) > maxProjectPart || part == "." || part == ".." || !projectName.MatchString(part) {
			return nil, fmt.Errorf("project address %q: %q is no name of a namespace or project", raw, part)
		}
	}
	return &Project{Forge: host, Namespace: namespace, Name: name, URL: u.Scheme + "://" + host + "/" + path}, nil
}

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

// forgeHost is the host of an address, with the port if it is not the default.
func forgeHost(u *url.URL) (string, error) {
	name, port := strings.ToLower(u.Hostname()), u.Port()
	if !hostName.MatchString(name) || len(name) > 253 || strings.Contains(name, "..") {
		if ip, err := netip.ParseAddr(name); err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", fmt.Errorf("%q is no host", u.Host)
		}
		name = "[" + name + "]"
	}
	if port == "" || (u.Scheme == "https" && port == "443") || (u.Scheme == "http" && port == "80") {
		return name, nil
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("%q is no port", port)
	}
	return name + ":" + port, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// TreeURL is the forge's page of the files at a tag, as GitHub and most others
// have it.
func (p *Project) TreeURL(tag string) string { return p.page("tree", tag) }

// CommitURL is the forge's page of a commit.
func (p *Project) CommitURL(sha string) string { return p.page("commit", sha) }

func (p *Project) page(kind, ref string) string {
	base := p.URL
	if strings.Contains(p.Forge, "gitlab") {
		base += "/-"
	}
	return base + "/" + kind + "/" + strings.ReplaceAll(url.PathEscape(ref), "%2F", "/")
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
