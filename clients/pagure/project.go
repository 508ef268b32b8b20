package pagure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"millrace/clients/forge"
	"millrace/clients/httpx"
)

// projectJSON is a project as Pagure writes it, also inside of other things.
type projectJSON struct {
	FullName string `json:"fullname"`
	URLPath  string `json:"url_path"`
	User     struct {
		Name string `json:"name"`
	} `json:"user"`
	Parent *struct {
		FullName string `json:"fullname"`
	} `json:"parent"`
}

// Repository returns a project. It takes two calls.
func (c *Client) Repository(ctx context.Context, repo string) (forge.Repository, error) {
	at, err := address(repo)
	if err != nil {
		return forge.Repository{}, err
	}
	var in projectJSON
	if err := c.get(ctx, "project.get", at, nil, &in); err != nil {
		return forge.Repository{}, fmt.Errorf("asking for %s: %w", repo, err)
	}
	_, standard, err := c.branches(ctx, repo)
	if err != nil {
		return forge.Repository{}, err
	}
	out := forge.Repository{
		Path: in.FullName, URL: c.base() + "/" + in.URLPath, CloneURL: c.base() + "/" + in.FullName + ".git",
		DefaultBranch: standard, Owner: in.User.Name,
	}
	if in.Parent != nil {
		out.Parent = in.Parent.FullName
	}
	return out, nil
}

// Branches returns the branches of a project and the commits they are at.
func (c *Client) Branches(ctx context.Context, repo string) (map[string]string, error) {
	all, _, err := c.branches(ctx, repo)
	return all, err
}

func (c *Client) branches(ctx context.Context, repo string) (all map[string]string, standard string, err error) {
	at, err := address(repo)
	if err != nil {
		return nil, "", err
	}
	var in struct {
		Branches map[string]string `json:"branches"`
		Default  string            `json:"default"` // null in an empty project
	}
	if err := c.get(ctx, "project.branches", at+"/git/branches", url.Values{"with_commits": {"true"}}, &in); err != nil {
		return nil, "", fmt.Errorf("asking for the branches of %s: %w", repo, err)
	}
	return in.Branches, in.Default, nil
}

// PushURL is where a user pushes to over SSH, as Pagure says it.
func (c *Client) PushURL(ctx context.Context, repo, user string) (string, error) {
	at, err := address(repo)
	if err != nil {
		return "", err
	}
	if !forge.Name(user) {
		return "", fmt.Errorf("%.80q is not the name of a user", user)
	}
	var in struct {
		URLs map[string]string `json:"urls"`
	}
	if err := c.get(ctx, "project.urls", at+"/git/urls", nil, &in); err != nil {
		return "", fmt.Errorf("asking where to push to %s: %w", repo, err)
	}
	address := strings.ReplaceAll(in.URLs["ssh"], "{username}", user)
	if address == "" {
		return "", fmt.Errorf("%s cannot be pushed to over SSH", repo)
	}
	return address, nil
}

// CommitURL is the web page of a commit.
func (c *Client) CommitURL(repo, sha string) string {
	at, err := address(repo)
	if err != nil {
		return ""
	}
	return c.base() + at + "/c/" + url.PathEscape(sha)
}

// FileURL is the web page of a file at a commit.
func (c *Client) FileURL(repo, sha, path string) string {
	at, err := address(repo)
	if err != nil {
		return ""
	}
	return c.base() + at + "/blob/" + url.PathEscape(sha) + "/f/" + forge.Ref(path)
}

// MergedBy is not known: messages say which pull request a push was made by, and
// the API does not.
func (c *Client) MergedBy(context.Context, string, string, string) (int, error) { return 0, nil }

// Version is that of the Pagure, by which it is told from other forges.
func (c *Client) Version(ctx context.Context) (string, error) {
	var in struct {
		Version string `json:"version"`
	}
	if err := c.get(ctx, "version.get", "/-/version", nil, &in); err != nil {
		return "", fmt.Errorf("asking for its version: %w", err)
	}
	return httpx.Clean(in.Version, 100), nil
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
	// Not of the API, whose answers about files are in JSON and lose bytes that
	// are not text.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base()+at+"/raw/"+forge.Ref(ref)+"/f/"+forge.Ref(path), nil)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	res, err := httpx.Caller{Service: "pagure", HTTP: c.HTTP}.Open(ctx, "file.get", req)
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", path, repo, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s of %s: %w", path, repo, &Error{Service: "pagure", Method: http.MethodGet, URL: req.URL.Path, Err: err})
	case int64(len(text)) > limit:
		return nil, fmt.Errorf("reading %s of %s: %w", path, repo, ErrTooLarge)
	}
	return text, nil
}

// deadPackage is the file that says on a branch that the package is retired
// there. https://docs.fedoraproject.org/en-US/package-maintainers/Package_Retirement_Process/
const deadPackage = "dead.package"

// Retired reports whether a package is retired on a branch, and why, in the
// words of who did it.
func (c *Client) Retired(ctx context.Context, repo, branch string) (retired bool, why string, err error) {
	text, err := c.File(ctx, repo, branch, deadPackage, 64<<10)
	switch {
	case IsNotFound(err):
		return false, "", nil
	case errors.Is(err, ErrTooLarge):
		return true, "", nil
	}
	return err == nil, httpx.Clean(string(text), 1000), err
}

// Orphaned reports whether nobody looks after a package, and why. Pagures but
// Fedora's do not know.
func (c *Client) Orphaned(ctx context.Context, repo string) (orphaned bool, why string, err error) {
	var in struct {
		Orphan bool   `json:"orphan"`
		Reason string `json:"reason"`
		Info   string `json:"reason_info"`
	}
	if err := c.extra(ctx, "orphan", repo, &in); err != nil {
		return false, "", fmt.Errorf("asking whether %s is orphaned: %w", repo, err)
	}
	return in.Orphan, httpx.Clean(strings.TrimSpace(in.Reason+" "+in.Info), 1000), nil
}

// Monitoring says in Fedora's words whether release monitoring looks after a
// package: "no-monitoring", "monitoring", "monitoring-with-scratch",
// "monitoring-all", "monitoring-stable" and the like.
func (c *Client) Monitoring(ctx context.Context, repo string) (string, error) {
	var in struct {
		Monitoring string `json:"monitoring"`
	}
	if err := c.extra(ctx, "anitya", repo, &in); err != nil {
		return "", fmt.Errorf("asking whether %s is monitored: %w", repo, err)
	}
	return in.Monitoring, nil
}

// extra asks for what Fedora adds to Pagure.
func (c *Client) extra(ctx context.Context, what, repo string, out any) error {
	at, err := address(repo)
	if err != nil {
		return err
	}
	req, err := httpx.NewRequest(ctx, http.MethodGet, c.base()+"/_dg/"+what+at, nil)
	if err != nil {
		return err
	}
	return c.do(ctx, "extra."+what, req, out)
}

// RepositoriesOf lists the names of the repositories in a namespace that a user
// may do anything with, in person or as a member of a group, sorted. Forks do not
// count.
func (c *Client) RepositoriesOf(ctx context.Context, user, namespace string) ([]string, error) {
	if !forge.Name(user) {
		return nil, fmt.Errorf("%.80q is not the name of a user", user)
	}
	query := url.Values{"username": {user}, "namespace": {namespace}, "fork": {"false"}, "short": {"true"}}
	var names []string
	err := c.pages(ctx, "project.list", "/projects", query, func() (page any, take func()) {
		var in struct {
			Projects []struct {
				Name      string `json:"name"`
				Namespace string `json:"namespace"`
			} `json:"projects"`
		}
		return &in, func() {
			for _, p := range in.Projects {
				if p.Namespace == namespace && forge.Name(p.Name) {
					names = append(names, p.Name)
				}
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listing the repositories of %s: %w", user, err)
	}
	slices.Sort(names)
	return slices.Compact(names), nil // one may come twice if another was made meanwhile
}

// User returns the name of the user that the token belongs to.
func (c *Client) User(ctx context.Context) (string, error) {
	var in struct {
		Name string `json:"username"`
	}
	if err := c.post(ctx, "user.whoami", "/-/whoami", nil, &in); err != nil {
		return "", fmt.Errorf("asking whose token it is: %w", err)
	}
	return in.Name, nil
}
