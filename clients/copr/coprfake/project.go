package coprfake

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"millrace/clients/copr"
)

var namePattern = regexp.MustCompile(`^[\w.-]+$`)

// settings are what of a project is kept as it was sent: the names and the
// values of a new project.
var settings = map[string]any{"description": "", "instructions": "", "homepage": "", "contact": "", "unlisted_on_hp": false,
	"devel_mode": false, "enable_net": false, "persistent": false, "auto_prune": true, "bootstrap": "default", "isolation": "default",
	"delete_after_days": nil, "multilib": false, "module_hotfixes": false, "appstream": false, "follow_fedora_branching": true,
	"fedora_review": false, "repo_priority": nil, "runtime_dependencies": "", "storage": "backend"}

func (f *Fake) listChroots(*http.Request, *User) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	chroots := make(map[string]string)
	for _, name := range f.chroots {
		chroots[name] = ""
	}
	return chroots, nil
}

// project finds a project. The lock is held.
func (f *Fake) project(owner, name string) (*Project, error) {
	if p, ok := f.projects[owner+"/"+name]; ok {
		return p, nil
	}
	return nil, refuse(http.StatusNotFound, "Project %s/%s does not exist.", owner, name)
}

// projectOfPath finds the project that the path names, which user may edit.
// The lock is held.
func (f *Fake) projectOfPath(r *http.Request, user *User) (*Project, error) {
	p, err := f.project(r.PathValue("owner"), r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if !mayEdit(user, p) {
		return nil, refuse(http.StatusForbidden, "Only owners and admins may update their projects.")
	}
	return p, nil
}

func owns(u *User, owner string) bool {
	group, isGroup := strings.CutPrefix(owner, "@")
	return (isGroup && slices.Contains(u.Groups, group)) || owner == u.Name
}

func mayEdit(u *User, p *Project) bool {
	return u.Admin || owns(u, p.Owner) || p.Permissions[u.Name].Admin == "approved"
}

func mayBuild(u *User, p *Project) bool {
	return mayEdit(u, p) || p.Permissions[u.Name].Builder == "approved"
}

func (f *Fake) getProject(r *http.Request, _ *User) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.project(r.FormValue("ownername"), r.FormValue("projectname"))
	if err != nil {
		return nil, err
	}
	return projectAnswer(p, f.base(r)), nil
}

func (f *Fake) listProjects(r *http.Request, _ *User) (any, error) {
	owner := r.FormValue("ownername")
	items := []any{}
	for _, p := range f.Projects() {
		if owner == "" || p.Owner == owner {
			items = append(items, projectAnswer(&p, f.base(r)))
		}
	}
	return map[string]any{"items": items, "meta": map[string]any{"limit": nil, "offset": 0, "order": "id", "order_type": "ASC"}}, nil
}

func projectAnswer(p *Project, base string) map[string]any {
	answer := maps.Clone(p.Settings)
	delete(answer, "delete_after_days") // taken, never told
	repos := make(map[string]string)
	for _, chroot := range p.Chroots {
		repos[chroot] = base + "/results/" + p.fullName() + "/" + chroot + "/"
	}
	maps.Copy(answer, map[string]any{"id": p.ID, "name": p.Name, "projectname": p.Name, "ownername": p.Owner, "full_name": p.fullName(),
		"chroot_repos": repos, "additional_repos": orEmpty(p.AdditionalRepos), "packit_forge_projects_allowed": orEmpty(p.ForgeProjects)})
	return answer
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func (f *Fake) addProject(r *http.Request, user *User) (any, error) {
	in := make(map[string]any)
	if err := readJSON(r.Body, &in); err != nil {
		return nil, err
	}
	owner := r.PathValue("owner")
	name, _ := in["name"].(string)
	if !namePattern.MatchString(name) || len(name) > 200 || strings.Trim(name, ".") == "" {
		return nil, refuse(http.StatusBadRequest, "name: Name must contain only letters, digits, underscores, dashes and dots.")
	}
	if !owns(user, owner) && !user.Admin {
		return nil, refuse(http.StatusForbidden, "You can't create projects of %s.", owner)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p, ok := f.projects[owner+"/"+name]; ok {
		if strings.EqualFold(r.URL.Query().Get("exist_ok"), "true") {
			return projectAnswer(p, f.base(r)), nil
		}
		if group, isGroup := strings.CutPrefix(owner, "@"); isGroup {
			return nil, refuse(http.StatusBadRequest, "name: Group %s already has a project named '%s'.", group, name)
		}
		return nil, refuse(http.StatusBadRequest, "name: You already have a project named '%s'.", name)
	}
	p := &Project{ID: int64(len(f.projects)) + 101, Owner: owner, Name: name, Creator: user.Name, Settings: maps.Clone(settings),
		ChrootOptions: make(map[string]copr.ChrootOptions), Permissions: make(map[string]copr.Role), Created: time.Now().UTC()}
	if len(list(in["chroots"])) == 0 {
		return nil, refuse(http.StatusBadRequest, "chroots: At least one chroot must be selected")
	}
	if err := f.apply(p, in, user); err != nil {
		return nil, err
	}
	f.projects[owner+"/"+name] = p
	return projectAnswer(p, f.base(r)), f.saveProject(p)
}

func (f *Fake) editProject(r *http.Request, user *User) (any, error) {
	in := make(map[string]any)
	if err := readJSON(r.Body, &in); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.projectOfPath(r, user)
	if err != nil {
		return nil, err
	}
	edited := p.clone()
	if err := f.apply(&edited, in, user); err != nil {
		return nil, err
	}
	if err := f.saveProject(&edited); err != nil {
		return nil, err
	}
	*p = edited
	return projectAnswer(p, f.base(r)), nil
}

// apply changes the settings of p that are in in. The lock is held.
func (f *Fake) apply(p *Project, in map[string]any, user *User) error {
	if in["persistent"] == true && !user.Admin {
		return refuse(http.StatusForbidden, "Non-admin cannot create persistent projects.")
	}
	if days, ok := in["delete_after_days"].(float64); ok && (days < -1 || days > 720) {
		return refuse(http.StatusBadRequest, "delete_after_days: Number must be between -1 and 720.")
	}
	if b, ok := in["bootstrap"].(string); ok && !slices.Contains([]string{"default", "on", "off", "image"}, b) {
		return refuse(http.StatusBadRequest, "bootstrap: Not a valid choice.")
	}
	if chroots := list(in["chroots"]); len(chroots) > 0 {
		var unexpected []string
		for _, name := range chroots {
			if !slices.Contains(f.chroots, name) {
				unexpected = append(unexpected, name)
			}
		}
		if len(unexpected) > 0 {
			return refuse(http.StatusBadRequest, "Unexpected chroot: %s", strings.Join(unexpected, ", "))
		}
		if err := f.mayDrop(p, chroots); err != nil {
			return err
		}
		p.Chroots = slices.Sorted(slices.Values(chroots))
	}
	if repos, ok := in["additional_repos"]; ok {
		p.AdditionalRepos = list(repos)
	}
	if projects, ok := in["packit_forge_projects_allowed"]; ok {
		p.ForgeProjects = list(projects)
	}
	for name := range settings {
		if value, ok := in[name]; ok {
			p.Settings[name] = value
		}
	}
	return nil
}

// mayDrop refuses to drop chroots that are being built in. The lock is held.
func (f *Fake) mayDrop(p *Project, keep []string) error {
	var busy []string
	for _, b := range f.newest(func(b *Build) bool { return b.Owner == p.Owner && b.Project == p.Name }) {
		if slices.ContainsFunc(b.Chroots, func(part Part) bool {
			return !copr.Finished(part.State) && !slices.Contains(keep, part.Chroot)
		}) {
			busy = append(busy, fmt.Sprint(b.ID))
		}
	}
	switch {
	case len(busy) == 0:
		return nil
	case len(busy) == 1:
		return refuse(http.StatusConflict, "Can't drop chroot from project, related build %s is still in progress", busy[0])
	case len(busy) > 5:
		busy = append(busy[:5], "others")
	}
	last := len(busy) - 1
	return refuse(http.StatusConflict, "Can't drop chroot from project, related builds %s and %s are still in progress",
		strings.Join(busy[:last], ", "), busy[last])
}

func (f *Fake) deleteProject(r *http.Request, user *User) (any, error) {
	var in struct {
		Verify bool `json:"verify"`
	}
	if err := readJSON(r.Body, &in); err != nil {
		return nil, err
	}
	if !in.Verify {
		return nil, refuse(http.StatusBadRequest, "verify: This field is required.")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.projectOfPath(r, user)
	if err != nil {
		return nil, err
	}
	builds := f.newest(func(b *Build) bool { return b.Owner == p.Owner && b.Project == p.Name })
	for _, b := range builds {
		if !copr.Finished(b.State()) {
			return nil, refuse(http.StatusBadRequest, "There are running builds in the project.")
		}
	}
	for _, b := range builds {
		if err := f.remove(f.builds[b.ID]); err != nil {
			return nil, err
		}
	}
	delete(f.projects, p.fullName())
	return projectAnswer(p, f.base(r)), os.Remove(f.path("projects", projectFile(p.Owner, p.Name)))
}

func (f *Fake) getChroot(r *http.Request, _ *User) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.project(r.FormValue("ownername"), r.FormValue("projectname"))
	if err != nil {
		return nil, err
	}
	return chrootAnswer(p, r.FormValue("chrootname"))
}

func (f *Fake) editChroot(r *http.Request, user *User) (any, error) {
	in := make(map[string]any)
	if err := readJSON(r.Body, &in); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.projectOfPath(r, user)
	if err != nil {
		return nil, err
	}
	chroot := r.PathValue("chroot")
	if _, err := chrootAnswer(p, chroot); err != nil {
		return nil, err
	}
	o := p.ChrootOptions[chroot]
	for name, field := range map[string]*[]string{"additional_repos": &o.AdditionalRepos, "additional_packages": &o.AdditionalPackages,
		"additional_modules": &o.AdditionalModules, "with_opts": &o.WithOpts, "without_opts": &o.WithoutOpts} {
		if value, ok := in[name]; ok {
			*field = list(value)
		}
	}
	p.ChrootOptions = maps.Clone(p.ChrootOptions)
	p.ChrootOptions[chroot] = o
	if err := f.saveProject(p); err != nil {
		return nil, err
	}
	return chrootAnswer(p, chroot)
}

func chrootAnswer(p *Project, chroot string) (any, error) {
	if !slices.Contains(p.Chroots, chroot) {
		return nil, refuse(http.StatusNotFound, "No chroot '%s' in project %s", chroot, p.fullName())
	}
	o := p.ChrootOptions[chroot]
	return map[string]any{"mock_chroot": chroot, "ownername": p.Owner, "projectname": p.Name, "comps_name": nil,
		"additional_repos": orEmpty(o.AdditionalRepos), "additional_packages": orEmpty(o.AdditionalPackages),
		"additional_modules": strings.Join(o.AdditionalModules, " "), "with_opts": orEmpty(o.WithOpts),
		"without_opts": orEmpty(o.WithoutOpts), "delete_after_days": nil, "isolation": "unchanged"}, nil
}

func (f *Fake) getPermissions(r *http.Request, user *User) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.projectOfPath(r, user)
	if err != nil {
		return nil, err
	}
	if len(p.Permissions) == 0 {
		return nil, refuse(http.StatusNotFound, "No permissions set on %s project", p.fullName())
	}
	return map[string]any{"permissions": maps.Clone(p.Permissions)}, nil
}

func (f *Fake) setPermissions(r *http.Request, user *User) (any, error) {
	var in map[string]copr.Role
	if err := readJSON(r.Body, &in); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.projectOfPath(r, user)
	if err != nil {
		return nil, err
	}
	if len(in) == 0 {
		return nil, refuse(http.StatusBadRequest, "no permission change requested")
	}
	permissions := maps.Clone(p.Permissions)
	for name, role := range in {
		if !slices.ContainsFunc(f.options.Users, func(u User) bool { return u.Name == name }) {
			return nil, refuse(http.StatusBadRequest, "user '%s' doesn't exist in database", name)
		}
		have := permissions[name]
		for value, field := range map[*string]*string{&role.Admin: &have.Admin, &role.Builder: &have.Builder} {
			if *value != "" && !slices.Contains([]string{"nothing", "request", "approved"}, *value) {
				return nil, refuse(http.StatusBadRequest, "invalid '%s' permission value", *value)
			}
			if *value != "" {
				*field = *value
			}
		}
		permissions[name] = have
	}
	p.Permissions = permissions
	return map[string]any{"updated": slices.Sorted(maps.Keys(in))}, f.saveProject(p)
}

func (f *Fake) requestPermissions(r *http.Request, user *User) (any, error) {
	var in map[string]bool
	if err := readJSON(r.Body, &in); err != nil {
		return nil, err
	}
	if len(in) == 0 {
		return nil, refuse(http.StatusBadRequest, "no permission requested")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.project(r.PathValue("owner"), r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	have := p.Permissions[user.Name]
	updated := false
	for name, field := range map[string]*string{"admin": &have.Admin, "builder": &have.Builder} {
		if in[name] && *field != "request" && *field != "approved" {
			*field, updated = "request", true
		}
	}
	p.Permissions = maps.Clone(p.Permissions)
	p.Permissions[user.Name] = have
	return map[string]any{"updated": updated}, f.saveProject(p)
}

func (f *Fake) canBuildIn(r *http.Request, _ *User) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.project(r.PathValue("owner"), r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	who := r.PathValue("who")
	for i := range f.options.Users {
		if u := &f.options.Users[i]; u.Name == who {
			return map[string]any{"who": who, "ownername": p.Owner, "projectname": p.Name, "can_build_in": mayBuild(u, p)}, nil
		}
	}
	return nil, refuse(http.StatusNotFound, "No such user `%s'", who)
}

// list reads what the API takes as an array or as one text with blanks.
func list(v any) []string {
	switch v := v.(type) {
	case string:
		return strings.Fields(v)
	case []any:
		var items []string
		for _, item := range v {
			if text, ok := item.(string); ok && text != "" {
				items = append(items, text)
			}
		}
		return items
	case json.Number:
		return []string{v.String()}
	}
	return nil
}
