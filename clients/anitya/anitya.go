// Package anitya speaks to Anitya, which watches upstream projects for new
// versions, by version 2 of its API (https://release-monitoring.org/static/docs/api.html).
package anitya

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"millrace/clients/httpx"
)

// DefaultURL is Fedora's instance.
const DefaultURL = "https://release-monitoring.org"

// Distributions that packages are mapped to.
const (
	Fedora = "Fedora"
	CentOS = "CentOS"
)

// Client calls one Anitya instance. Reading needs no account.
type Client struct {
	BaseURL string       // empty means DefaultURL
	HTTP    *http.Client // nil means one with httpx.DefaultTimeout
}

// Error is a call that did not work, and whether it may work later.
type Error = httpx.Error

// IsNotFound reports whether what was asked for does not exist.
func IsNotFound(err error) bool { return httpx.Status(err) == http.StatusNotFound }

// Mapping says which project a distribution's package is made of.
type Mapping struct {
	Distribution string `json:"distribution"`
	Package      string `json:"name"`
	Project      string `json:"project"`
	Ecosystem    string `json:"ecosystem"`
}

// Project is an upstream project that is watched.
type Project struct {
	ID             int64    `json:"id"`
	Name           string   `json:"name"`
	Homepage       string   `json:"homepage"`
	Backend        string   `json:"backend"` // where versions are looked for, such as GitHub
	Ecosystem      string   `json:"ecosystem"`
	Version        string   `json:"version"`         // the newest; empty: never found one
	Versions       []string `json:"versions"`        // the newest first
	StableVersions []string `json:"stable_versions"` // the newest first
}

// NewestStable is the newest version that is no prerelease, or empty.
func (p *Project) NewestStable() string {
	if len(p.StableVersions) == 0 {
		return ""
	}
	return p.StableVersions[0]
}

const (
	itemsPerPage = 250
	maxPages     = 20
)

// Mappings are those of a package in a distribution: none, if nobody watches it,
// hardly ever more than one.
func (c *Client) Mappings(ctx context.Context, distribution, pkg string) ([]Mapping, error) {
	found, err := list[Mapping](ctx, c, "packages.list", "packages/", url.Values{"name": {pkg}, "distribution": {distribution}})
	if err != nil {
		return nil, fmt.Errorf("looking for the package %s in release monitoring: %w", pkg, err)
	}
	return slices.DeleteFunc(found, func(m Mapping) bool { return m.Package != pkg || m.Distribution != distribution }), nil
}

// Project finds the project that a distribution's package is made of. Without
// one, when the package is not in release monitoring, it returns nil.
func (c *Client) Project(ctx context.Context, distribution, pkg string) (*Project, error) {
	mappings, err := c.Mappings(ctx, distribution, pkg)
	if err != nil || len(mappings) == 0 {
		return nil, err
	}
	m := mappings[0]
	found, err := list[Project](ctx, c, "projects.list", "projects/", url.Values{"name": {m.Project}, "ecosystem": {m.Ecosystem}})
	if err != nil {
		return nil, fmt.Errorf("looking for the project %s in release monitoring: %w", m.Project, err)
	}
	for i := range found {
		if found[i].Name == m.Project && found[i].Ecosystem == m.Ecosystem {
			return &found[i], nil
		}
	}
	return nil, fmt.Errorf("looking for the project %s in release monitoring: %w", m.Project, errNoProject)
}

var errNoProject = errors.New("a package is made of it, but it is not there")

// Versions are those of a project, the newest first.
type Versions struct {
	Latest string   `json:"latest_version"`
	All    []string `json:"versions"`
	Stable []string `json:"stable_versions"`
}

// Versions returns the versions that were found of a project.
func (c *Client) Versions(ctx context.Context, project int64) (*Versions, error) {
	v := new(Versions)
	if err := c.get(ctx, "versions.get", "versions/", url.Values{"project_id": {strconv.FormatInt(project, 10)}}, v); err != nil {
		return nil, fmt.Errorf("reading the versions of project %d: %w", project, err)
	}
	return v, nil
}

// ProjectURL is the web page of a project.
func (c *Client) ProjectURL(project int64) string {
	return fmt.Sprintf("%s/project/%d/", c.base(), project)
}

func (c *Client) base() string { return strings.TrimSuffix(cmp.Or(c.BaseURL, DefaultURL), "/") }

// list reads all pages of a list.
func list[T any](ctx context.Context, c *Client, operation, path string, query url.Values) ([]T, error) {
	var all []T
	query.Set("items_per_page", strconv.Itoa(itemsPerPage))
	for page := 1; page <= maxPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var answer struct {
			Items []T `json:"items"`
			Total int `json:"total_items"`
		}
		if err := c.get(ctx, operation, path, query, &answer); err != nil {
			return nil, err
		}
		all = append(all, answer.Items...)
		if len(answer.Items) == 0 || len(all) >= answer.Total {
			return all, nil
		}
	}
	return nil, fmt.Errorf("there are more than %d pages", maxPages)
}

func (c *Client) get(ctx context.Context, operation, path string, query url.Values, out any) error {
	req, err := httpx.NewRequest(ctx, http.MethodGet, c.base()+"/api/v2/"+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	return httpx.Caller{Service: "anitya", HTTP: c.HTTP, Explain: explain}.Do(ctx, operation, req, out)
}

// explain reads the names of wrong parameters, or the words of what is missing.
func explain(body []byte) string {
	var answer struct {
		Error   string          `json:"error"`
		Message json.RawMessage `json:"message"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	if answer.Error != "" {
		return answer.Error
	}
	var fields map[string]string
	if json.Unmarshal(answer.Message, &fields) == nil {
		var parts []string
		for name, text := range fields {
			parts = append(parts, name+": "+text)
		}
		slices.Sort(parts)
		return strings.Join(parts, "; ")
	}
	return ""
}
