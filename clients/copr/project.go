package copr

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"millrace/clients/httpx"
)

// Project is a project as Copr knows it. DeleteAfterDays is not among what it
// tells.
type Project struct {
	ID              int64
	Owner, Name     string
	Description     string
	Instructions    string
	Chroots         []string // sorted
	ChrootRepos     map[string]string
	AdditionalRepos []string
	Bootstrap       string
	ModuleHotfixes  bool
	Unlisted        bool
	Persistent      bool
	ForgeProjects   []string // that may build here through us: patterns of "host/namespace/repo"
}

// ProjectOptions are the settings of a project. Nil leaves a setting as it is,
// or at Copr's default in a new project; so do nil slices, while empty ones
// make a setting empty.
type ProjectOptions struct {
	Chroots         []string // all of them: those not named are dropped
	Description     *string
	Instructions    *string
	Homepage        *string
	Contact         *string
	AdditionalRepos []string
	Bootstrap       *string // "default", "on", "off", "image"
	ModuleHotfixes  *bool
	Unlisted        *bool // not listed on Copr's home page
	DeleteAfterDays *int  // -1: never
	Persistent      *bool
	EnableNet       *bool
	ForgeProjects   []string
}

// Project returns a project.
func (c *Client) Project(ctx context.Context, owner, name string) (Project, error) {
	var out projectJSON
	query := url.Values{"ownername": {owner}, "projectname": {name}}
	err := c.call(ctx, "project.get", http.MethodGet, "/project/", query, nil, &out)
	return out.project(), err
}

// CreateProject makes a project, or returns the one of this name as it is,
// whatever the options: compare, then EditProject.
func (c *Client) CreateProject(ctx context.Context, owner, name string, o ProjectOptions) (Project, error) {
	in := o.body()
	in["name"] = name
	var out projectJSON
	query := url.Values{"exist_ok": {"True"}}
	err := c.call(ctx, "project.add", http.MethodPost, "/project/add/"+url.PathEscape(owner), query, in, &out)
	return out.project(), err
}

// EditProject changes settings. Copr refuses with a conflict to drop chroots
// in which builds are running.
func (c *Client) EditProject(ctx context.Context, owner, name string, o ProjectOptions) (Project, error) {
	var out projectJSON
	err := c.call(ctx, "project.edit", http.MethodPut, "/project/edit/"+projectPath(owner, name), nil, o.body(), &out)
	return out.project(), err
}

// DeleteProject deletes a project with all that was built in it.
func (c *Client) DeleteProject(ctx context.Context, owner, name string) error {
	in := map[string]any{"verify": true}
	return c.call(ctx, "project.delete", http.MethodDelete, "/project/delete/"+projectPath(owner, name), nil, in, nil)
}

// ChrootOptions are the settings of one chroot of a project.
type ChrootOptions struct {
	AdditionalRepos    []string `json:"additional_repos"`
	AdditionalPackages []string `json:"additional_packages"`
	AdditionalModules  []string `json:"additional_modules"`
	WithOpts           []string `json:"with_opts"`
	WithoutOpts        []string `json:"without_opts"`
}

// ProjectChroot returns the settings of one chroot of a project.
func (c *Client) ProjectChroot(ctx context.Context, owner, name, chroot string) (ChrootOptions, error) {
	var out struct {
		AdditionalRepos    texts `json:"additional_repos"`
		AdditionalPackages texts `json:"additional_packages"`
		AdditionalModules  texts `json:"additional_modules"`
		WithOpts           texts `json:"with_opts"`
		WithoutOpts        texts `json:"without_opts"`
	}
	query := url.Values{"ownername": {owner}, "projectname": {name}, "chrootname": {chroot}}
	err := c.call(ctx, "chroot.get", http.MethodGet, "/project-chroot/", query, nil, &out)
	return ChrootOptions{out.AdditionalRepos, out.AdditionalPackages, out.AdditionalModules, out.WithOpts, out.WithoutOpts}, err
}

// EditProjectChroot sets all settings of one chroot of a project.
func (c *Client) EditProjectChroot(ctx context.Context, owner, name, chroot string, o ChrootOptions) error {
	in := ChrootOptions{nonNil(o.AdditionalRepos), nonNil(o.AdditionalPackages), nonNil(o.AdditionalModules),
		nonNil(o.WithOpts), nonNil(o.WithoutOpts)}
	path := "/project-chroot/edit/" + projectPath(owner, name) + "/" + url.PathEscape(chroot)
	return c.call(ctx, "chroot.edit", http.MethodPut, path, nil, in, nil)
}

// Role is what a user may do in another's project.
type Role struct {
	Admin   string `json:"admin,omitempty"` // "nothing", "request", "approved"
	Builder string `json:"builder,omitempty"`
}

// Permissions returns the roles of users in a project; nobody's if none was
// ever set, which Copr calls not found.
func (c *Client) Permissions(ctx context.Context, owner, name string) (map[string]Role, error) {
	var out struct {
		Permissions map[string]Role `json:"permissions"`
	}
	err := c.call(ctx, "permissions.get", http.MethodGet, "/project/permissions/get/"+projectPath(owner, name), nil, nil, &out)
	if IsNotFound(err) && noPermissions(err) {
		return nil, nil
	}
	return out.Permissions, err
}

// SetPermissions changes roles of users in a project of ours.
func (c *Client) SetPermissions(ctx context.Context, owner, name string, roles map[string]Role) error {
	return c.call(ctx, "permissions.set", http.MethodPut, "/project/permissions/set/"+projectPath(owner, name), nil, roles, nil)
}

// RequestPermission asks the owners of a project for roles. It reports whether
// anything was asked that had not been before.
func (c *Client) RequestPermission(ctx context.Context, owner, name string, admin, builder bool) (bool, error) {
	in := make(map[string]bool)
	if admin {
		in["admin"] = true
	}
	if builder {
		in["builder"] = true
	}
	var out struct {
		Updated bool `json:"updated"`
	}
	err := c.call(ctx, "permissions.request", http.MethodPut, "/project/permissions/request/"+projectPath(owner, name), nil, in, &out)
	return out.Updated, err
}

// CanBuild reports whether user may submit builds to a project.
func (c *Client) CanBuild(ctx context.Context, user, owner, name string) (bool, error) {
	var out struct {
		CanBuild bool `json:"can_build_in"`
	}
	path := "/project/permissions/can_build_in/" + url.PathEscape(user) + "/" + projectPath(owner, name)
	err := c.call(ctx, "permissions.can_build", http.MethodGet, path, nil, nil, &out)
	return out.CanBuild, err
}

func (o ProjectOptions) body() map[string]any {
	in := make(map[string]any)
	if o.Chroots != nil {
		in["chroots"] = o.Chroots
	}
	if o.AdditionalRepos != nil {
		in["additional_repos"] = o.AdditionalRepos
	}
	if o.ForgeProjects != nil {
		in["packit_forge_projects_allowed"] = o.ForgeProjects
	}
	put(in, "description", o.Description)
	put(in, "instructions", o.Instructions)
	put(in, "homepage", o.Homepage)
	put(in, "contact", o.Contact)
	put(in, "bootstrap", o.Bootstrap)
	put(in, "module_hotfixes", o.ModuleHotfixes)
	put(in, "unlisted_on_hp", o.Unlisted)
	put(in, "delete_after_days", o.DeleteAfterDays)
	put(in, "persistent", o.Persistent)
	put(in, "enable_net", o.EnableNet)
	return in
}

func put[T any](in map[string]any, key string, value *T) {
	if value != nil {
		in[key] = *value
	}
}

type projectJSON struct {
	ID              int64             `json:"id"`
	Owner           string            `json:"ownername"`
	Name            string            `json:"name"`
	Description     string            `json:"description"`
	Instructions    string            `json:"instructions"`
	ChrootRepos     map[string]string `json:"chroot_repos"`
	AdditionalRepos texts             `json:"additional_repos"`
	Bootstrap       string            `json:"bootstrap"`
	ModuleHotfixes  bool              `json:"module_hotfixes"`
	Unlisted        bool              `json:"unlisted_on_hp"`
	Persistent      bool              `json:"persistent"`
	ForgeProjects   texts             `json:"packit_forge_projects_allowed"`
}

func (p projectJSON) project() Project {
	return Project{ID: p.ID, Owner: p.Owner, Name: p.Name, Description: p.Description, Instructions: p.Instructions,
		Chroots: sortedKeys(p.ChrootRepos), ChrootRepos: p.ChrootRepos, AdditionalRepos: p.AdditionalRepos,
		Bootstrap: p.Bootstrap, ModuleHotfixes: p.ModuleHotfixes, Unlisted: p.Unlisted, Persistent: p.Persistent,
		ForgeProjects: p.ForgeProjects}
}

func projectPath(owner, name string) string {
	return url.PathEscape(owner) + "/" + url.PathEscape(name)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// nonNil makes a nil slice an empty one, which JSON tells apart.
func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// message is what Copr said if err is its refusal.
func message(err error) string {
	if e, ok := errors.AsType[*httpx.Error](err); ok {
		return e.Message
	}
	return ""
}
