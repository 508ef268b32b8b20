package github

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	gh "github.com/google/go-github/v92/github"

	"millrace/clients/httpx"
)

// Repository is what GitHub knows about a repository.
type Repository struct {
	Repo
	ID            int64
	DefaultBranch string
	CloneURL      string
	HTMLURL       string
	Description   string
	Private       bool
	Archived      bool
	Fork          bool
}

// Repository returns a repository. Its name may differ from the one asked for,
// if it was renamed.
func (c *Client) Repository(ctx context.Context, repo Repo) (Repository, error) {
	r, err := call(ctx, c, "repos.get", repo, func(ctx context.Context, g *gh.Client) (*gh.Repository, *gh.Response, error) {
		return g.Repositories.Get(ctx, repo.Owner, repo.Name)
	})
	if err != nil {
		return Repository{}, err
	}
	return Repository{
		Repo: repoOf(r), ID: r.GetID(), DefaultBranch: r.GetDefaultBranch(), CloneURL: r.GetCloneURL(), HTMLURL: r.GetHTMLURL(),
		Description: r.GetDescription(), Private: r.GetPrivate(), Archived: r.GetArchived(), Fork: r.GetFork(),
	}, nil
}

func repoOf(r *gh.Repository) Repo {
	return Repo{Owner: r.GetOwner().GetLogin(), Name: r.GetName()}
}

// checkPath refuses paths that would lead to another address.
func checkPath(p string) error {
	if p != "" && (path.Clean("/"+p) != "/"+p || strings.ContainsAny(p, "\x00\n")) {
		return fmt.Errorf("path %q: %w", p, ErrBadName)
	}
	return nil
}

// checkRef refuses refs that would lead to another address.
func checkRef(ref string) error {
	if ref == "" || len(ref) > 250 || strings.Contains(ref, "..") || strings.HasPrefix(ref, "/") || strings.HasPrefix(ref, "-") ||
		strings.ContainsFunc(ref, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) }) {
		return fmt.Errorf("ref %q: %w", ref, ErrBadName)
	}
	return nil
}

// File returns a file at a ref (a branch, tag or commit), of at most limit
// bytes. GitHub does not serve files of more than 1 MB this way. A larger file
// is an error that matches httpx.ErrTooLarge.
func (c *Client) File(ctx context.Context, repo Repo, ref, name string, limit int64) ([]byte, error) {
	if err := errors.Join(checkRef(ref), checkPath(name)); err != nil {
		return nil, err
	}
	f, err := call(ctx, c, "contents.get", repo, func(ctx context.Context, g *gh.Client) (*gh.RepositoryContent, *gh.Response, error) {
		file, _, response, err := g.Repositories.GetContents(ctx, repo.Owner, repo.Name, name, &gh.RepositoryContentGetOptions{Ref: ref})
		return file, response, err
	})
	if err != nil {
		return nil, err
	}
	if f == nil || f.GetType() != "file" {
		return nil, fmt.Errorf("reading %s of %s: %w", name, repo, &httpx.Error{Service: "github", Status: 404, Message: "not a file"})
	}
	if int64(f.GetSize()) > limit || f.GetEncoding() == "none" {
		return nil, fmt.Errorf("reading %s of %s: %w", name, repo, tooLarge(f.GetSize()))
	}
	text, err := f.GetContent()
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", name, repo, err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("reading %s of %s: %w", name, repo, tooLarge(len(text)))
	}
	return []byte(text), nil
}

func tooLarge(size int) error {
	return &httpx.Error{Service: "github", Status: 200, Message: fmt.Sprintf("%d bytes", size), Err: httpx.ErrTooLarge}
}

// Entry is a member of a directory.
type Entry struct {
	Path string
	Type string // file, dir, symlink or submodule
	Size int
}

var entryTypes = map[string]string{
	"100644": "file", "100755": "file", "040000": "dir", "120000": "symlink", "160000": "submodule",
}

// Tree lists the top directory of a ref or, with recursive, everything in it.
// whole is false if GitHub left some out.
func (c *Client) Tree(ctx context.Context, repo Repo, ref string, recursive bool) (entries []Entry, whole bool, err error) {
	if err := checkRef(ref); err != nil {
		return nil, false, err
	}
	tree, err := call(ctx, c, "trees.get", repo, func(ctx context.Context, g *gh.Client) (*gh.Tree, *gh.Response, error) {
		return g.Git.GetTree(ctx, repo.Owner, repo.Name, url.PathEscape(ref), recursive)
	})
	if err != nil {
		return nil, false, err
	}
	for _, e := range tree.Entries {
		entries = append(entries, Entry{Path: e.GetPath(), Type: entryTypes[e.GetMode()], Size: e.GetSize()})
	}
	return entries, !tree.GetTruncated(), nil
}

// Dir lists a directory at a ref, "" being the top, up to 1,000 entries.
func (c *Client) Dir(ctx context.Context, repo Repo, ref, name string) ([]Entry, error) {
	if err := errors.Join(checkRef(ref), checkPath(name)); err != nil {
		return nil, err
	}
	found, err := call(ctx, c, "contents.list", repo, func(ctx context.Context, g *gh.Client) ([]*gh.RepositoryContent, *gh.Response, error) {
		_, dir, response, err := g.Repositories.GetContents(ctx, repo.Owner, repo.Name, name, &gh.RepositoryContentGetOptions{Ref: ref})
		return dir, response, err
	})
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, e := range found {
		entries = append(entries, Entry{Path: e.GetPath(), Type: e.GetType(), Size: e.GetSize()})
	}
	return entries, nil
}

// BranchSHA returns the head of a branch.
func (c *Client) BranchSHA(ctx context.Context, repo Repo, branch string) (string, error) {
	r, err := c.ref(ctx, repo, "heads/"+branch)
	return r.GetObject().GetSHA(), err
}

func (c *Client) ref(ctx context.Context, repo Repo, name string) (*gh.Reference, error) {
	if err := checkRef(name); err != nil {
		return nil, err
	}
	return call(ctx, c, "git.ref", repo, func(ctx context.Context, g *gh.Client) (*gh.Reference, *gh.Response, error) {
		return g.Git.GetRef(ctx, repo.Owner, repo.Name, name)
	})
}

// TagSHA returns the commit of a tag, through annotated tags.
func (c *Client) TagSHA(ctx context.Context, repo Repo, tag string) (string, error) {
	r, err := c.ref(ctx, repo, "tags/"+tag)
	if err != nil {
		return "", err
	}
	object := r.GetObject()
	for range 5 { // tags of tags are legal, and may form any chain
		if object.GetType() != "tag" {
			return object.GetSHA(), nil
		}
		annotated, err := call(ctx, c, "git.tag", repo, func(ctx context.Context, g *gh.Client) (*gh.Tag, *gh.Response, error) {
			return g.Git.GetTag(ctx, repo.Owner, repo.Name, object.GetSHA())
		})
		if err != nil {
			return "", err
		}
		object = annotated.GetObject()
	}
	return "", fmt.Errorf("following tag %s of %s: too many tags of tags", tag, repo)
}

// Release is a published version.
type Release struct {
	ID         int64
	Tag        string
	Name       string
	Body       string
	URL        string // for people
	Author     string
	Target     string // branch or commit that the tag was made of
	Draft      bool
	Prerelease bool
	Published  time.Time
}

func releaseOf(r *gh.RepositoryRelease) Release {
	return Release{
		ID: r.GetID(), Tag: r.GetTagName(), Name: r.GetName(), Body: r.GetBody(), URL: r.GetHTMLURL(), Author: r.GetAuthor().GetLogin(),
		Target: r.GetTargetCommitish(), Draft: r.GetDraft(), Prerelease: r.GetPrerelease(), Published: r.GetPublishedAt().Time,
	}
}

// LatestRelease returns the newest release that is neither draft nor prerelease.
func (c *Client) LatestRelease(ctx context.Context, repo Repo) (Release, error) {
	r, err := call(ctx, c, "releases.latest", repo, func(ctx context.Context, g *gh.Client) (*gh.RepositoryRelease, *gh.Response, error) {
		return g.Repositories.GetLatestRelease(ctx, repo.Owner, repo.Name)
	})
	return releaseOf(r), err
}

// Release returns the release of a tag.
func (c *Client) Release(ctx context.Context, repo Repo, tag string) (Release, error) {
	if err := checkRef(tag); err != nil {
		return Release{}, err
	}
	r, err := call(ctx, c, "releases.get", repo, func(ctx context.Context, g *gh.Client) (*gh.RepositoryRelease, *gh.Response, error) {
		return g.Repositories.GetReleaseByTag(ctx, repo.Owner, repo.Name, url.PathEscape(tag))
	})
	return releaseOf(r), err
}

// Releases lists the newest releases, up to 100, drafts only if we may see them.
func (c *Client) Releases(ctx context.Context, repo Repo) ([]Release, error) {
	found, err := call(ctx, c, "releases.list", repo, func(ctx context.Context, g *gh.Client) ([]*gh.RepositoryRelease, *gh.Response, error) {
		return g.Repositories.ListReleases(ctx, repo.Owner, repo.Name, &gh.ListOptions{PerPage: perPage})
	})
	var all []Release
	for _, r := range found {
		all = append(all, releaseOf(r))
	}
	return all, err
}

// AccountID is the number that an account keeps whatever it is called, 0 if none
// is called so.
func (c *Client) AccountID(ctx context.Context, login string) (int64, error) {
	if !namePattern.MatchString(login) {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ctx = httpx.WithOperation(ctx, "user.get")
	s, err := c.anySeat()
	if err != nil {
		return 0, err
	}
	user, response, err := s.client.Users.Get(ctx, login)
	s.note(response)
	if err == nil {
		return user.GetID(), nil
	}
	if err = explain(err); IsNotFound(err) {
		return 0, nil
	}
	return 0, fmt.Errorf("looking for the account %s: %w", login, err)
}

// Permission returns what a user may do with a repository: admin, write, read
// or none. GitHub says 404 of users that do not exist.
func (c *Client) Permission(ctx context.Context, repo Repo, user string) (string, error) {
	// The names of Apps end in [bot].
	if !namePattern.MatchString(strings.TrimSuffix(user, "[bot]")) {
		return "", fmt.Errorf("user %q: %w", user, ErrBadName)
	}
	p, err := call(ctx, c, "permission.get", repo, func(ctx context.Context, g *gh.Client) (*gh.RepositoryPermissionLevel, *gh.Response, error) {
		return g.Repositories.GetPermissionLevel(ctx, repo.Owner, repo.Name, user)
	})
	return p.GetPermission(), err
}
