package pagurefake

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
)

func numberText(n int) string { return strconv.Itoa(n) }

// fork makes a fork for whose token it is. As the real one, it waits unless it
// is told not to by an empty "wait".
func (f *Fake) fork(r *http.Request) (any, error) {
	login, err := f.authorize(r, "fork_project")
	if err != nil {
		return nil, err
	}
	in, err := form(r)
	if err != nil {
		return nil, err
	}
	if err := required(in, "repo"); err != nil {
		return nil, err
	}
	path := strings.TrimPrefix(strings.TrimSpace(in.Get("namespace"))+"/"+in.Get("repo"), "/")
	if user := in.Get("username"); user != "" {
		path = fakeforge.ForkPath(user, path)
	}
	f.mu.Lock()
	takes := f.faults.ForksTake
	f.mu.Unlock()
	waits := !in.Has("wait") || in.Get("wait") != ""
	if waits {
		takes = 0
	}
	_, err = f.forge.Fork(r.Context(), path, login, takes)
	switch {
	case errors.Is(err, fakeforge.ErrNotFound):
		return nil, noProject()
	case errors.Is(err, fakeforge.ErrExists):
		return nil, inWords(400, "Repo \"forks/%s/%s\" already exists", login, path)
	case err != nil:
		return nil, err
	case !waits:
		return object{"message": "Project forking queued", "taskid": "6f3c9a52-" + login}, nil
	}
	return object{"message": fmt.Sprintf("Repo \"%s\" cloned to \"%s/%s\"", path, login, path)}, nil
}

func (f *Fake) showURLs(c *call) (any, error) {
	base := f.address(c.r)
	urls := object{"git": base + "/" + c.repo.Path + ".git", "ssh": "ssh://{username}@" + strings.TrimPrefix(strings.TrimPrefix(base, "http://"), "https://") + "/" + c.repo.Path + ".git"}
	return object{"total_urls": len(urls), "urls": urls}, nil
}

func (f *Fake) listBranches(c *call) (any, error) {
	refs, err := f.forge.Bare(c.repo.Path).Refs(c.r.Context(), "refs/heads/")
	if err != nil {
		return nil, err
	}
	names, commits := []string{}, map[string]string{}
	for _, ref := range refs {
		name := strings.TrimPrefix(ref.Name, "refs/heads/")
		names, commits[name] = append(names, name), ref.SHA
	}
	var branches any = names
	if with := c.form.Get("with_commits"); with == "1" || strings.EqualFold(with, "true") {
		branches = commits
	}
	var standard any
	if _, ok := commits[c.repo.DefaultBranch]; ok {
		standard = c.repo.DefaultBranch
	}
	return object{"branches": branches, "total_branches": len(names), "default": standard}, nil
}

func (f *Fake) createBranch(c *call) (any, error) {
	if err := required(c.form, "branch"); err != nil {
		return nil, err
	}
	if f.forge.Level(c.repo.Path, c.login) < fakeforge.Committer {
		return nil, notHighEnough()
	}
	name := c.form.Get("branch")
	if _, err := f.forge.Bare(c.repo.Path).RevParse(c.r.Context(), "refs/heads/"+name); err == nil {
		return nil, inWords(400, "Branch %q already exists", name)
	}
	err := f.forge.Branch(c.r.Context(), c.repo.Path, name, c.form.Get("from_branch"))
	if errors.Is(err, git.ErrNotFound) || errors.Is(err, git.ErrBadName) {
		return nil, inWords(400, "The %q branch does not exist", c.form.Get("from_branch"))
	}
	if err != nil {
		return nil, err
	}
	return object{"message": "Project branch was created"}, nil
}
