package fakeforge

import (
	"bytes"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"millrace/clients/git"
)

// Pages are simple pages for browsers, so that links lead somewhere. They are
// the same for each API but for the addresses.
type Pages struct {
	Forge    *Forge
	Service  string // its name
	Visitor  string // who presses buttons; without one there are none
	Style    string // address of the stylesheet
	RepoPath func(path string) string
	PullPath func(path string, number int) string
}

//go:embed pages.html
var pagesHTML string

//go:embed pages.css
var pagesCSS []byte

var pages = template.Must(template.New("pages").Parse(pagesHTML))

// ServeStyle serves the stylesheet.
func ServeStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(pagesCSS)
}

const (
	maxDiff = 200 << 10
	maxText = 64 << 10
)

// link is a pull request in a list.
type link struct {
	*Pull
	URL string
}

type branch struct{ Name, SHA string }

// view is what a page shows.
type view struct {
	*Pages
	Title  string
	Repo   Repo
	Back   string // the repository's page
	Repos  []Repo
	URL    string // of git
	Pulls  []link
	Issues []*Issue

	Branches []branch

	Pull    *Pull
	Commits []git.Commit
	Flags   []Flag
	Diff    string
	Merge   string // how it can be merged
	Buttons bool
	Said    string // why a button did nothing
}

// HeadURL is the page of the repository that a pull request comes from.
func (v view) HeadURL() string { return v.RepoPath(v.Pull.HeadRepo) }

func (p *Pages) show(w http.ResponseWriter, status int, v view) {
	v.Pages = p
	var b bytes.Buffer
	if err := pages.Execute(&b, v); err != nil {
		p.Forge.config.Log.Error("a page could not be made", "page", v.Title, "error", err)
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// fail shows what is wrong.
func (p *Pages) fail(w http.ResponseWriter, err error) {
	if errors.Is(err, ErrNotFound) || errors.Is(err, git.ErrNotFound) || errors.Is(err, git.ErrBadName) {
		p.show(w, http.StatusNotFound, view{Title: "There is no such page"})
		return
	}
	p.Forge.config.Log.Error("a page could not be made", "error", err)
	p.show(w, http.StatusInternalServerError, view{Title: "Something is broken"})
}

// ShowAll lists the repositories.
func (p *Pages) ShowAll(w http.ResponseWriter, _ *http.Request) {
	p.show(w, http.StatusOK, view{Title: "Repositories", Repos: p.Forge.Repos()})
}

// ShowRepo shows a repository with its branches and pull requests.
func (p *Pages) ShowRepo(w http.ResponseWriter, r *http.Request, path string) {
	repo, err := p.Forge.Repo(path)
	if err != nil {
		p.fail(w, err)
		return
	}
	v := view{Title: path, Repo: repo, Back: p.RepoPath(path)}
	refs, err := p.Forge.Bare(path).Refs(r.Context(), "refs/heads/")
	if err != nil {
		p.fail(w, err)
		return
	}
	for _, ref := range refs {
		v.Branches = append(v.Branches, branch{strings.TrimPrefix(ref.Name, "refs/heads/"), ref.SHA})
	}
	all, err := p.Forge.Pulls(path)
	if err != nil {
		p.fail(w, err)
		return
	}
	for _, pull := range all {
		v.Pulls = append(v.Pulls, link{pull, p.PullPath(path, pull.Number)})
	}
	if v.Issues, err = p.Forge.Issues(path); err != nil {
		p.fail(w, err)
		return
	}
	p.show(w, http.StatusOK, v)
}

// ServePull shows a pull request, or does what a button on it says.
func (p *Pages) ServePull(w http.ResponseWriter, r *http.Request, path, number string) {
	n, err := strconv.Atoi(number)
	if err != nil {
		p.fail(w, ErrNotFound)
		return
	}
	if r.Method != http.MethodPost {
		p.showPull(w, r, path, n, "")
		return
	}
	if p.Visitor == "" || http.NewCrossOriginProtection().Check(r) != nil {
		http.Error(w, "Nobody may do this here.", http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxText)
	switch r.PostFormValue("do") {
	case "merge":
		_, err = p.Forge.MergePull(r.Context(), path, n, p.Visitor)
	case "close":
		_, err = p.Forge.ClosePull(path, n, p.Visitor)
	case "reopen":
		_, err = p.Forge.ReopenPull(r.Context(), path, n, p.Visitor)
	case "comment":
		if text := strings.TrimSpace(r.PostFormValue("text")); text != "" {
			_, err = p.Forge.CommentPull(path, n, p.Visitor, text)
		}
	}
	switch {
	case errors.Is(err, ErrConflict) || errors.Is(err, ErrState) || errors.Is(err, ErrInvalid):
		p.showPull(w, r, path, n, err.Error())
	case err != nil:
		p.fail(w, err)
	default:
		http.Redirect(w, r, p.PullPath(path, n), http.StatusSeeOther)
	}
}

func (p *Pages) showPull(w http.ResponseWriter, r *http.Request, path string, n int, said string) {
	pull, err := p.Forge.Pull(path, n)
	if err != nil {
		p.fail(w, err)
		return
	}
	repo, err := p.Forge.Repo(path)
	if err != nil {
		p.fail(w, err)
		return
	}
	v := view{
		Title: pull.Title, Repo: repo, Back: p.RepoPath(path), Pull: pull, Said: said,
		Merge: p.Forge.Mergeable(r.Context(), path, pull), Buttons: p.Visitor != "",
	}
	if v.Flags, err = p.Forge.Flags(path, pull.Head); err != nil {
		p.fail(w, err)
		return
	}
	if v.Commits, err = p.Forge.Commits(r.Context(), path, pull); err != nil {
		p.fail(w, err)
		return
	}
	if pull.Head != "" {
		if v.Diff, err = p.Forge.Bare(path).Diff(r.Context(), pull.Base, pull.Head); err != nil {
			p.fail(w, err)
			return
		}
		v.Diff = cut(v.Diff)
	}
	status := http.StatusOK
	if said != "" {
		status = http.StatusConflict
	}
	p.show(w, status, v)
}

// ShowCommit shows a commit.
func (p *Pages) ShowCommit(w http.ResponseWriter, r *http.Request, path, sha string) {
	repo, err := p.Forge.Repo(path)
	if err != nil || !git.IsSHA(sha) {
		p.fail(w, ErrNotFound)
		return
	}
	bare := p.Forge.Bare(path)
	commits, err := bare.Commits(r.Context(), git.Range{To: sha}, 1)
	if err != nil || len(commits) == 0 {
		p.fail(w, ErrNotFound)
		return
	}
	patch, err := bare.Patch(r.Context(), sha)
	if err != nil {
		p.fail(w, err)
		return
	}
	v := view{Title: commits[0].Subject, Repo: repo, Back: p.RepoPath(path), Commits: commits, Diff: cut(string(patch))}
	if v.Flags, err = p.Forge.Flags(path, sha); err != nil {
		p.fail(w, err)
		return
	}
	p.show(w, http.StatusOK, v)
}

func cut(text string) string {
	if len(text) > maxDiff {
		text = text[:maxDiff] + "\n…"
	}
	return strings.ToValidUTF8(text, "�")
}
