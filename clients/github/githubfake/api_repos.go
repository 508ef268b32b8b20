package githubfake

import (
	"cmp"
	"encoding/base64"
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"

	"millrace/clients/git"
)

const maxContent = 1 << 20 // larger files come without their content

func (f *Fake) routesOfRepos(on func(string, right, handler)) {
	on("GET /repos/{owner}/{repo}", anyone, func(q *request) (answer, error) { return ok(f.repoJSON(q.repo)) })
	on("POST /repos/{owner}/{repo}/forks", someone, f.fork)
	on("GET /repos/{owner}/{repo}/contents/{path...}", anyone, f.content)
	on("PUT /repos/{owner}/{repo}/contents/{path...}", writer, f.putContent)
	on("GET /repos/{owner}/{repo}/git/trees/{sha...}", anyone, f.tree)
	on("GET /repos/{owner}/{repo}/git/ref/{ref...}", anyone, f.ref)
	on("POST /repos/{owner}/{repo}/git/refs", writer, f.createRef)
	on("DELETE /repos/{owner}/{repo}/git/refs/{ref...}", writer, f.deleteRef)
	on("GET /repos/{owner}/{repo}/git/tags/{sha}", anyone, f.annotatedTag)
	on("GET /repos/{owner}/{repo}/branches", anyone, func(q *request) (answer, error) { return f.listRefs(q, "refs/heads/") })
	on("GET /repos/{owner}/{repo}/branches/{branch...}", anyone, f.branch)
	on("GET /repos/{owner}/{repo}/tags", anyone, func(q *request) (answer, error) { return f.listRefs(q, "refs/tags/") })
	on("GET /repos/{owner}/{repo}/collaborators/{user}/permission", someone, f.permission)
	on("PUT /repos/{owner}/{repo}/collaborators/{user}", writer, f.addCollaborator)
	on("GET /repos/{owner}/{repo}/releases", anyone, f.listReleases)
	on("POST /repos/{owner}/{repo}/releases", writer, f.createRelease)
	on("GET /repos/{owner}/{repo}/releases/latest", anyone, f.latestRelease)
	on("GET /repos/{owner}/{repo}/releases/tags/{tag...}", anyone, f.releaseByTag)
}

func (f *Fake) fork(q *request) (answer, error) {
	var in struct{ Organization string }
	if q.ContentLength != 0 {
		if err := q.decode(&in); err != nil {
			return answer{}, err
		}
	}
	fork, err := unlocked(f, func() (Repo, error) {
		return f.Fork(q.Context(), q.repo.FullName(), cmp.Or(in.Organization, q.who.login))
	})
	if err != nil {
		return answer{}, err
	}
	made, err := f.repo(fork.FullName())
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusAccepted, f.repoJSON(made)}, nil
}

func (f *Fake) contentJSON(r *repo, ref string, e git.Entry) object {
	kinds := map[string]string{"040000": "dir", "120000": "symlink", "160000": "submodule"}
	return object{
		"type": cmp.Or(kinds[e.Mode], "file"), "name": path.Base(e.Path), "path": e.Path, "sha": e.SHA, "size": e.Size,
		"url":          f.api("repos", r.FullName(), "contents", e.Path) + "?ref=" + ref,
		"html_url":     f.html(r, "blob", ref, e.Path),
		"download_url": f.html(r, "raw", ref, e.Path),
	}
}

// content returns a file, or a list if the path is a directory.
func (f *Fake) content(q *request) (answer, error) {
	ref, name := cmp.Or(q.URL.Query().Get("ref"), q.repo.DefaultBranch), strings.Trim(q.PathValue("path"), "/")
	sha, err := f.resolve(q.Context(), q.repo, strings.TrimPrefix(ref, "refs/"))
	if err != nil {
		return answer{}, &refusal{Status: http.StatusNotFound, Message: "No commit found for the ref " + ref, DocURL: "https://docs.github.com/rest"}
	}
	bare := f.Bare(q.repo.FullName())
	dir := ""
	if name != "" {
		dir = path.Dir(name)
		if dir == "." {
			dir = ""
		}
	}
	entries, err := bare.LsTree(q.Context(), sha, dir, false)
	if err != nil {
		return answer{}, err
	}
	list := entries
	if name != "" {
		at := slices.IndexFunc(entries, func(e git.Entry) bool { return e.Path == name })
		switch {
		case at < 0:
			return answer{}, notFound()
		case entries[at].Type == "blob":
			return f.fileContent(q, sha, ref, entries[at])
		}
		if list, err = bare.LsTree(q.Context(), sha, name, false); err != nil {
			return answer{}, err
		}
	}
	list = list[:min(len(list), 1000)]
	return ok(objects(list, func(e git.Entry) object { return f.contentJSON(q.repo, ref, e) }))
}

func (f *Fake) fileContent(q *request, sha, ref string, e git.Entry) (answer, error) {
	body := f.contentJSON(q.repo, ref, e)
	if e.Mode == "120000" {
		return ok(body)
	}
	if e.Size > maxContent {
		body["encoding"], body["content"] = "none", ""
		return ok(body)
	}
	data, err := f.Bare(q.repo.FullName()).ShowFile(q.Context(), sha, e.Path, maxContent)
	if err != nil {
		return answer{}, err
	}
	var lines strings.Builder // GitHub breaks lines
	for chunk := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(data)), 60) {
		lines.Write(chunk)
		lines.WriteByte('\n')
	}
	body["encoding"], body["content"] = "base64", lines.String()
	return ok(body)
}

func (f *Fake) putContent(q *request) (answer, error) {
	var in struct{ Message, Content, Branch, SHA string }
	if err := q.decode(&in); err != nil {
		return answer{}, err
	}
	data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(in.Content, "\n", ""))
	if err != nil {
		return answer{}, invalid("Content", "content", "invalid", "content is not valid Base64")
	}
	name, file := q.repo.FullName(), q.PathValue("path")
	branch := cmp.Or(in.Branch, q.repo.DefaultBranch)
	if _, ok := q.repo.Refs["refs/heads/"+branch]; !ok {
		return answer{}, &refusal{Status: http.StatusNotFound, Message: "Branch " + branch + " not found"}
	}
	sha, err := unlocked(f, func() (string, error) {
		return f.Commit(q.Context(), name, Change{Branch: branch, Message: in.Message, Author: q.who.login, Files: map[string]string{file: string(data)}})
	})
	if err != nil {
		return answer{}, err
	}
	return ok(object{"content": object{"path": file, "name": path.Base(file)}, "commit": object{"sha": sha, "message": in.Message}})
}

func (f *Fake) tree(q *request) (answer, error) {
	sha, err := f.resolve(q.Context(), q.repo, q.PathValue("sha"))
	if err != nil {
		return answer{}, notFound()
	}
	entries, err := f.Bare(q.repo.FullName()).LsTree(q.Context(), sha, "", q.URL.Query().Get("recursive") != "")
	if err != nil {
		return answer{}, err
	}
	const most = 100_000
	whole := len(entries) <= most
	list := objects(entries[:min(len(entries), most)], func(e git.Entry) object {
		o := object{"path": e.Path, "mode": e.Mode, "type": e.Type, "sha": e.SHA}
		if e.Type == "blob" {
			o["size"] = e.Size
		}
		return o
	})
	return ok(object{"sha": sha, "tree": list, "truncated": !whole})
}

// refJSON describes a ref and whether it names a commit or a tag object.
func (f *Fake) refJSON(q *request, name string) (object, error) {
	sha, found := q.repo.Refs[name]
	if !found {
		return nil, notFound()
	}
	kind, err := f.run(q.Context(), q.repo.FullName(), nil, "cat-file", "-t", sha)
	if err != nil {
		return nil, err
	}
	return object{"ref": name, "url": f.api("repos", q.repo.FullName(), "git", name),
		"object": object{"type": kind, "sha": sha, "url": f.api("repos", q.repo.FullName(), "git", kind+"s", sha)}}, nil
}

func (f *Fake) ref(q *request) (answer, error) {
	body, err := f.refJSON(q, "refs/"+q.PathValue("ref"))
	if err != nil {
		return answer{}, err
	}
	return ok(body)
}

func (f *Fake) createRef(q *request) (answer, error) {
	var in struct{ Ref, SHA string }
	if err := q.decode(&in); err != nil {
		return answer{}, err
	}
	if !strings.HasPrefix(in.Ref, "refs/heads/") && !strings.HasPrefix(in.Ref, "refs/tags/") {
		return answer{}, &refusal{Status: http.StatusUnprocessableEntity, Message: "Reference name is not valid"}
	}
	if err := f.knownCommit(q, in.SHA); err != nil {
		return answer{}, &refusal{Status: http.StatusUnprocessableEntity, Message: "Object does not exist"}
	}
	_, err := unlocked(f, func() (int, error) {
		return 0, f.setRef(q.Context(), q.repo.FullName(), in.Ref, in.SHA, zeroSHA, q.who.login)
	})
	if errors.Is(err, ErrExists) {
		return answer{}, &refusal{Status: http.StatusUnprocessableEntity, Message: "Reference already exists"}
	}
	if err != nil {
		return answer{}, err
	}
	body, err := f.refJSON(q, in.Ref)
	if err != nil {
		return answer{}, err
	}
	return created(body)
}

func (f *Fake) deleteRef(q *request) (answer, error) {
	name := "refs/" + q.PathValue("ref")
	if _, found := q.repo.Refs[name]; !found {
		return answer{}, &refusal{Status: http.StatusUnprocessableEntity, Message: "Reference does not exist"}
	}
	_, err := unlocked(f, func() (int, error) {
		return 0, f.setRef(q.Context(), q.repo.FullName(), name, zeroSHA, "", q.who.login)
	})
	return answer{status: http.StatusNoContent}, err
}

func (f *Fake) annotatedTag(q *request) (answer, error) {
	sha := q.PathValue("sha")
	if !git.IsSHA(sha) {
		return answer{}, notFound()
	}
	raw, err := f.run(q.Context(), q.repo.FullName(), nil, "cat-file", "tag", sha)
	if err != nil {
		return answer{}, notFound()
	}
	head, message, _ := strings.Cut(raw, "\n\n")
	fields := make(map[string]string)
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		fields[name] = value
	}
	return ok(object{"tag": fields["tag"], "sha": sha, "message": message, "object": object{"type": fields["type"], "sha": fields["object"]}})
}

func (f *Fake) listRefs(q *request, prefix string) (answer, error) {
	var names []string
	for ref := range q.repo.Refs {
		if name, ok := strings.CutPrefix(ref, prefix); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if prefix == "refs/tags/" {
		slices.Reverse(names)
	}
	var failed error
	list := objects(page(q, names), func(name string) object {
		sha, err := f.Bare(q.repo.FullName()).RevParse(q.Context(), prefix+name)
		failed = errors.Join(failed, err)
		return object{"name": name, "commit": object{"sha": sha}, "protected": false}
	})
	if failed != nil {
		return answer{}, failed
	}
	return ok(list)
}

func (f *Fake) branch(q *request) (answer, error) {
	name := q.PathValue("branch")
	sha, found := q.repo.Refs["refs/heads/"+name]
	if !found {
		return answer{}, &refusal{Status: http.StatusNotFound, Message: "Branch not found"}
	}
	return ok(object{"name": name, "commit": object{"sha": sha}, "protected": false})
}

func (f *Fake) permission(q *request) (answer, error) {
	login := q.PathValue("user")
	if !f.knows(login) {
		return answer{}, &refusal{Status: http.StatusNotFound, Message: login + " is not a user"}
	}
	return ok(object{"permission": q.repo.permission(login), "role_name": q.repo.role(login), "user": f.userJSON(login)})
}

func (f *Fake) addCollaborator(q *request) (answer, error) {
	in := struct{ Permission string }{"push"}
	if q.ContentLength != 0 {
		if err := q.decode(&in); err != nil {
			return answer{}, err
		}
	}
	words := map[string]string{"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain", "admin": "admin"}
	role, known := words[in.Permission]
	if !known {
		return answer{}, invalid("Collaborator", "permission", "invalid", "")
	}
	if q.repo.Collaborators == nil {
		q.repo.Collaborators = make(map[string]string)
	}
	q.repo.Collaborators[f.user(q.PathValue("user")).Login] = role
	return answer{status: http.StatusNoContent}, f.save(q.repo)
}

func (f *Fake) listReleases(q *request) (answer, error) {
	var all []*Release
	for _, r := range slices.Backward(q.repo.Releases) {
		if !r.Draft || f.allowed(q.who, writer, q.repo) == nil {
			all = append(all, r)
		}
	}
	return ok(objects(page(q, all), func(r *Release) object { return f.releaseJSON(q.repo, r) }))
}

func (f *Fake) createRelease(q *request) (answer, error) {
	var in struct {
		Tag        string `json:"tag_name"`
		Target     string `json:"target_commitish"`
		Name       string `json:"name"`
		Body       string `json:"body"`
		Draft      bool   `json:"draft"`
		Prerelease bool   `json:"prerelease"`
	}
	if err := q.decode(&in); err != nil {
		return answer{}, err
	}
	release, err := unlocked(f, func() (Release, error) {
		return f.PublishRelease(q.Context(), q.repo.FullName(), NewRelease{Tag: in.Tag, Target: in.Target, Name: in.Name, Body: in.Body,
			Draft: in.Draft, Prerelease: in.Prerelease, Author: q.who.login})
	})
	if err != nil {
		return answer{}, err
	}
	return created(f.releaseJSON(q.repo, &release))
}

func (f *Fake) latestRelease(q *request) (answer, error) {
	for _, r := range slices.Backward(q.repo.Releases) {
		if !r.Draft && !r.Prerelease {
			return ok(f.releaseJSON(q.repo, r))
		}
	}
	return answer{}, notFound()
}

func (f *Fake) releaseByTag(q *request) (answer, error) {
	for _, r := range q.repo.Releases {
		if !r.Draft && r.Tag == q.PathValue("tag") {
			return ok(f.releaseJSON(q.repo, r))
		}
	}
	return answer{}, notFound()
}
