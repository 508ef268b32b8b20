package forgejofake

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
)

func (f *Fake) userJSON(login string) object {
	p, _ := f.forge.Person(login)
	return object{"id": p.ID, "login": login, "full_name": p.Name, "username": login}
}

func (f *Fake) repoJSON(base string, r fakeforge.Repo, empty bool) object {
	name := f.name(r.Path)
	owner, _, _ := strings.Cut(name, "/")
	var parent any
	if p, err := f.forge.Repo(r.Parent); r.Parent != "" && err == nil {
		parent = f.repoJSON(base, p, false)
	}
	return object{
		"id": r.ID, "name": r.Name(), "full_name": name, "owner": f.userJSON(owner), "description": r.Description, "default_branch": r.DefaultBranch,
		"html_url": base + "/" + name, "clone_url": base + "/" + name + ".git", "ssh_url": f.sshURL(base, name), "empty": empty, "fork": r.Parent != "", "parent": parent,
		"private": false, "has_issues": r.OpenIssues, "has_pull_requests": r.OpenPulls, "created_at": stamp(r.Created),
	}
}

// sshURL is where is pushed to over SSH.
func (f *Fake) sshURL(base, name string) string {
	_, host, _ := strings.Cut(cmp.Or(f.config.SSH, base), "://")
	return "ssh://git@" + host + "/" + name + ".git"
}

func (f *Fake) showRepo(c *call) (any, error) {
	refs, err := f.forge.Bare(c.repo.Path).Refs(c.r.Context(), "refs/heads/")
	if err != nil {
		return nil, err
	}
	return f.repoJSON(c.base, c.repo, len(refs) == 0), nil
}

func (f *Fake) listBranches(c *call) (any, error) {
	refs, err := f.forge.Bare(c.repo.Path).Refs(c.r.Context(), "refs/heads/")
	if err != nil {
		return nil, err
	}
	all := []object{}
	for _, ref := range paged(c, refs) {
		all = append(all, object{"name": strings.TrimPrefix(ref.Name, "refs/heads/"), "commit": object{"id": ref.SHA}, "protected": false})
	}
	return all, nil
}

const maxFile = 64 << 20

// serveRaw sends a file.
func (f *Fake) serveRaw(w http.ResponseWriter, r *http.Request) {
	repo, err := f.forge.Repo(f.path(r.PathValue("owner"), r.PathValue("name")))
	if err == nil {
		var text []byte
		if text, err = f.forge.Bare(repo.Path).ShowFile(r.Context(), cmp.Or(r.URL.Query().Get("ref"), repo.DefaultBranch), r.PathValue("path"), maxFile); err == nil {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = w.Write(text)
			return
		}
	}
	answer(w, http.StatusNotFound, object{"message": "The target couldn't be found.", "url": "/api/swagger"})
}

func (f *Fake) showUser(c *call) (any, error) {
	login := c.r.PathValue("user")
	if _, ok := f.forge.Person(login); !ok {
		return nil, notFound()
	}
	return f.userJSON(login), nil
}

// searchRepos finds the repositories that a user owns or contributes to.
func (f *Fake) searchRepos(c *call) (any, error) {
	wanted, data := c.r.URL.Query().Get("uid"), []object{}
	all := slices.DeleteFunc(f.forge.Repos(), func(r fakeforge.Repo) bool {
		return wanted != "" && !slices.ContainsFunc(f.forge.Persons(), func(p fakeforge.Person) bool {
			return strconv.FormatInt(p.ID, 10) == wanted && (r.ForkOwner() == p.Login || f.forge.Level(r.Path, p.Login) >= fakeforge.Collaborator)
		})
	})
	for _, r := range paged(c, all) {
		data = append(data, f.repoJSON(c.base, r, false))
	}
	return object{"ok": true, "data": data}, nil
}

func (f *Fake) fork(c *call) (any, error) {
	path, err := f.forge.Fork(c.r.Context(), c.repo.Path, c.login, 0)
	if err != nil {
		return nil, err
	}
	made, err := f.forge.Repo(path)
	if err != nil {
		return nil, err
	}
	return f.repoJSON(c.base, made, false), nil
}

// states are those of statuses.
var states = []string{"pending", "success", "error", "failure", "warning"}

func (f *Fake) setStatus(c *call) (any, error) {
	sha := c.r.PathValue("sha")
	if !git.IsSHA(sha) || !slices.Contains(states, c.in["state"]) {
		return nil, &refusal{http.StatusUnprocessableEntity, "invalid commit status"}
	}
	if f.forge.Level(c.repo.Path, c.login) < fakeforge.Committer {
		return nil, &refusal{http.StatusForbidden, "user should have a permission to write to a repo"}
	}
	if _, err := f.forge.Bare(c.repo.Path).RevParse(c.r.Context(), sha); err != nil {
		return nil, notFound()
	}
	// Each is kept, also of the same name.
	flag, _, err := f.forge.SetFlag(c.repo.Path, 0, fakeforge.Flag{
		Commit: sha, Name: cmp.Or(c.in["context"], "default"), Status: c.in["state"], Text: c.in["description"], URL: c.in["target_url"], Author: c.login,
	})
	if err != nil {
		return nil, err
	}
	return f.statusJSON(flag), nil
}

// statusJSON calls "status" what is "state" when it is set.
func (f *Fake) statusJSON(flag fakeforge.Flag) object {
	return object{
		"id": flag.ID, "status": flag.Status, "context": flag.Name, "description": flag.Text, "target_url": flag.URL,
		"creator": f.userJSON(flag.Author), "created_at": stamp(flag.Created), "updated_at": stamp(flag.Updated),
	}
}

func (f *Fake) listStatuses(c *call) (any, error) {
	flags, err := f.forge.Flags(c.repo.Path, c.r.PathValue("sha"))
	if err != nil {
		return nil, err
	}
	all := []object{}
	for _, flag := range paged(c, flags) {
		all = append(all, f.statusJSON(flag))
	}
	return all, nil
}
