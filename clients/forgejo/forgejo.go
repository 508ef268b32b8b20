package forgejo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/clients/forge"
	"millrace/clients/httpx"
)

// DefaultURL is Fedora's Forgejo.
const DefaultURL = "https://forge.fedoraproject.org"

// Client calls one Forgejo instance (its API is described at /api/swagger of
// each). A repository is named by its owner and name: "rpms/hello". No method
// repeats a call.
type Client struct {
	BaseURL string       // without "/api/v1"; empty means DefaultURL
	Token   string       // of the API; empty for reading only
	HTTP    *http.Client // nil means one with a timeout
	// Pause is how long to wait before looking again at a fork that is being
	// made; zero means two seconds.
	Pause time.Duration
}

// Error is a call that did not work, and whether it may work later.
type Error = httpx.Error

func (c *Client) base() string {
	if c.BaseURL == "" {
		return DefaultURL
	}
	return strings.TrimSuffix(c.BaseURL, "/")
}

// address is where the API has a repository.
func address(repo string) (string, error) {
	owner, name, ok := strings.Cut(repo, "/")
	if !ok || !forge.Name(owner) || !forge.Name(name) {
		return "", fmt.Errorf("%.80q is not the name of a repository", repo)
	}
	return "/repos/" + owner + "/" + name, nil
}

func (c *Client) call(ctx context.Context, operation, method, path string, query url.Values, in, out any) error {
	at := c.base() + "/api/v1" + path
	if len(query) > 0 {
		at += "?" + query.Encode()
	}
	req, err := httpx.NewRequest(ctx, method, at, in)
	if err != nil {
		return err
	}
	c.authorize(req)
	return httpx.Caller{Service: "forgejo", HTTP: c.HTTP}.Do(ctx, operation, req, out)
}

func (c *Client) authorize(req *http.Request) {
	if c.Token != "" {
		req.Header.Set("Authorization", "token "+c.Token)
	}
}

const (
	perPage  = 50
	maxPages = 100
)

// list reads a list page by page, until one is empty: instances cap the size
// of pages as they like.
func list[T any](ctx context.Context, c *Client, operation, path string, query url.Values, take func(T)) error {
	if query == nil {
		query = make(url.Values)
	}
	query.Set("limit", strconv.Itoa(perPage))
	for page := 1; page <= maxPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var in []T
		if err := c.call(ctx, operation, http.MethodGet, path, query, nil, &in); err != nil {
			return err
		}
		if len(in) == 0 {
			return nil
		}
		for _, one := range in {
			take(one)
		}
	}
	return fmt.Errorf("there are more than %d pages", maxPages)
}

// IsNotFound reports whether there is no such thing, or none that we may see.
func IsNotFound(err error) bool { return httpx.Status(err) == http.StatusNotFound }

// IsToken reports whether Forgejo refused the token itself: a matter for the
// operator.
func IsToken(err error) bool { return httpx.Status(err) == http.StatusUnauthorized }

// IsForbidden reports whether whose token it is may not do this here, or the
// token has not the scope for it.
func IsForbidden(err error) bool {
	return httpx.Status(err) == http.StatusForbidden && !httpx.Temporary(err)
}

// IsConflict reports whether there is such a thing already.
func IsConflict(err error) bool { return httpx.Status(err) == http.StatusConflict }

// Words says in a sentence what stands in the way and who can do something
// about it, for refusals that people can do something about; otherwise it
// returns "".
func Words(err error) string {
	switch {
	case IsToken(err):
		return "Dist-git does not accept the API token: its owner has to make a new one."
	case IsForbidden(err):
		return "The owner of the API token may not do this, or the token lacks a scope for it."
	}
	return ""
}

type userJSON struct {
	ID    int64  `json:"id"`
	Login string `json:"login"`
}

type repoJSON struct {
	Name          string    `json:"name"`
	FullName      string    `json:"full_name"`
	Owner         userJSON  `json:"owner"`
	DefaultBranch string    `json:"default_branch"`
	CloneURL      string    `json:"clone_url"`
	SSHURL        string    `json:"ssh_url"`
	HTMLURL       string    `json:"html_url"`
	Empty         bool      `json:"empty"`
	Parent        *repoJSON `json:"parent"`
}

func (in repoJSON) repository() forge.Repository {
	out := forge.Repository{Path: in.FullName, URL: in.HTMLURL, CloneURL: in.CloneURL, DefaultBranch: in.DefaultBranch, Owner: in.Owner.Login}
	if in.Empty { // which has the name of a branch that is not there
		out.DefaultBranch = ""
	}
	if in.Parent != nil {
		out.Parent = in.Parent.FullName
	}
	return out
}

// Repository returns a repository.
func (c *Client) Repository(ctx context.Context, repo string) (forge.Repository, error) {
	at, err := address(repo)
	if err != nil {
		return forge.Repository{}, err
	}
	var in repoJSON
	if err := c.call(ctx, "repo.get", http.MethodGet, at, nil, nil, &in); err != nil {
		return forge.Repository{}, fmt.Errorf("asking for %s: %w", repo, err)
	}
	return in.repository(), nil
}

// PushURL is where is pushed to over SSH, as Forgejo says it. There all users are
// one to SSH, and told apart by their keys.
func (c *Client) PushURL(ctx context.Context, repo, _ string) (string, error) {
	at, err := address(repo)
	if err != nil {
		return "", err
	}
	var in repoJSON
	if err := c.call(ctx, "repo.get", http.MethodGet, at, nil, nil, &in); err != nil {
		return "", fmt.Errorf("asking where to push to %s: %w", repo, err)
	}
	if in.SSHURL == "" {
		return "", fmt.Errorf("%s cannot be pushed to over SSH", repo)
	}
	return in.SSHURL, nil
}

// CommitURL is the web page of a commit.
func (c *Client) CommitURL(repo, sha string) string {
	return c.base() + "/" + repo + "/commit/" + url.PathEscape(sha)
}

// FileURL is the web page of a file at a commit.
func (c *Client) FileURL(repo, sha, path string) string {
	return c.base() + "/" + repo + "/src/commit/" + url.PathEscape(sha) + "/" + forge.Ref(path)
}

// Version is that of the Forgejo, by which it is told from other forges.
func (c *Client) Version(ctx context.Context) (string, error) {
	var in struct {
		Version string `json:"version"`
	}
	if err := c.call(ctx, "version.get", http.MethodGet, "/version", nil, nil, &in); err != nil {
		return "", fmt.Errorf("asking for its version: %w", err)
	}
	return httpx.Clean(in.Version, 100), nil
}

// Branches returns the branches of a repository and the commits they are at.
func (c *Client) Branches(ctx context.Context, repo string) (map[string]string, error) {
	at, err := address(repo)
	if err != nil {
		return nil, err
	}
	type branch struct {
		Name   string `json:"name"`
		Commit struct {
			ID string `json:"id"`
		} `json:"commit"`
	}
	all := make(map[string]string)
	err = list(ctx, c, "repo.branches", at+"/branches", nil, func(b branch) { all[b.Name] = b.Commit.ID })
	if err != nil {
		return nil, fmt.Errorf("asking for the branches of %s: %w", repo, err)
	}
	return all, nil
}

// ErrTooLarge is in the chain of the error about a file that is larger than the
// caller wants.
var ErrTooLarge = httpx.ErrTooLarge

// File returns a file at a branch, tag or commit, of at most limit bytes.
func (c *Client) File(ctx context.Context, repo, ref, path string, limit int64) ([]byte, error) {
	at, err := address(repo)
	if err != nil {
		return nil, err
	}
	where := c.base() + "/api/v1" + at + "/raw/" + forge.Ref(path) + "?" + url.Values{"ref": {ref}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	c.authorize(req)
	res, err := httpx.Caller{Service: "forgejo", HTTP: c.HTTP}.Open(ctx, "file.get", req)
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", path, repo, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s of %s: %w", path, repo, &Error{Service: "forgejo", Method: http.MethodGet, URL: req.URL.Path, Err: err})
	case int64(len(text)) > limit:
		return nil, fmt.Errorf("reading %s of %s: %w", path, repo, ErrTooLarge)
	}
	return text, nil
}

// Retired reports whether a package is retired on a branch, which a file called
// dead.package says, and why, in the words of who did it.
func (c *Client) Retired(ctx context.Context, repo, branch string) (retired bool, why string, err error) {
	text, err := c.File(ctx, repo, branch, "dead.package", 64<<10)
	switch {
	case IsNotFound(err):
		return false, "", nil
	case errors.Is(err, ErrTooLarge):
		return true, "", nil
	}
	return err == nil, httpx.Clean(string(text), 1000), err
}

// RepositoriesOf lists the names of the repositories of an owner that a user may
// do anything with, in person or as a member of a team, sorted.
func (c *Client) RepositoriesOf(ctx context.Context, user, owner string) ([]string, error) {
	if !forge.Name(user) {
		return nil, fmt.Errorf("%.80q is not the name of a user", user)
	}
	var about userJSON
	err := c.call(ctx, "user.find", http.MethodGet, "/users/"+user, nil, nil, &about)
	if IsNotFound(err) { // nobody has ever logged in as user
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", user, err)
	}
	var names []string
	query := url.Values{"uid": {strconv.FormatInt(about.ID, 10)}, "limit": {strconv.Itoa(perPage)}, "sort": {"alpha"}}
	for page := 1; page <= maxPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var in struct {
			Data []repoJSON `json:"data"`
		}
		if err := c.call(ctx, "repo.search", http.MethodGet, "/repos/search", query, nil, &in); err != nil {
			return nil, fmt.Errorf("listing the repositories of %s: %w", user, err)
		}
		if len(in.Data) == 0 {
			slices.Sort(names)
			return slices.Compact(names), nil // one may come twice if another was made meanwhile
		}
		for _, r := range in.Data {
			if name, ok := strings.CutPrefix(r.FullName, owner+"/"); ok && forge.Name(name) {
				names = append(names, name)
			}
		}
	}
	return nil, fmt.Errorf("listing the repositories of %s: there are more than %d pages", user, maxPages)
}

// User returns the name of the user that the token belongs to.
func (c *Client) User(ctx context.Context) (string, error) {
	var in userJSON
	if err := c.call(ctx, "user.get", http.MethodGet, "/user", nil, nil, &in); err != nil {
		return "", fmt.Errorf("asking whose token it is: %w", err)
	}
	return in.Login, nil
}

// Fork returns the fork of a repository that belongs to user, whose token it
// must be. If there is none it is made. It returns when the fork has branches,
// or with an error when ctx ends; Fork can then be called again.
func (c *Client) Fork(ctx context.Context, repo, user string) (forge.Repository, error) {
	at, err := address(repo)
	if err != nil {
		return forge.Repository{}, err
	}
	name := repo[strings.Index(repo, "/")+1:]
	path := user + "/" + name
	switch found, err := c.Repository(ctx, path); {
	case err == nil && found.Parent != repo:
		return forge.Repository{}, fmt.Errorf("%s is no fork of %s", path, repo)
	case err == nil && found.DefaultBranch != "":
		return found, nil
	case err != nil && !IsNotFound(err):
		return forge.Repository{}, err
	case err != nil:
		if err := c.call(ctx, "repo.fork", http.MethodPost, at+"/forks", nil, map[string]string{}, nil); err != nil && !IsConflict(err) {
			return forge.Repository{}, fmt.Errorf("forking %s: %w", repo, err)
		}
	}
	for {
		found, err := c.Repository(ctx, path)
		switch {
		case err == nil && found.DefaultBranch != "":
			return found, nil
		case err != nil && !IsNotFound(err):
			return forge.Repository{}, err
		}
		select {
		case <-time.After(c.pause()):
		case <-ctx.Done():
			return forge.Repository{}, fmt.Errorf("waiting for %s: %w", path, &Error{Service: "forgejo", Method: http.MethodGet, URL: "/" + path, Err: ctx.Err()})
		}
	}
}

func (c *Client) pause() time.Duration {
	if c.Pause == 0 {
		return 2 * time.Second
	}
	return c.Pause
}
