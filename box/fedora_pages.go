package box

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"millrace/clients/anitya"
	"millrace/clients/bodhi/bodhifake"
	"millrace/clients/bugzilla/bugzillafake"
	"millrace/clients/git/fakeforge"
	"millrace/clients/github/githubfake"
	"millrace/clients/koji/kojifake"

	"github.com/a-h/templ"
)

// packageRow is a package in dist-git, as its page lists them.
type packageRow struct {
	Name, URL string
	Upstream  string // repository at the forge
	Watched   bool   // by release monitoring
	Config    bool   // there is a package config in dist-git
	Open      []*fakeforge.Pull
	Builds    []kojifake.Build // the newest first

	pullAt func(number int) string // page of a pull request in dist-git
}

type fedoraPage struct {
	DistGit, Koji string
	Packages      []packageRow
	Updates       []bodhifake.Update // the newest first
	Bugs          []bugzillafake.Bug // the newest first
	Ahead         time.Duration      // of Bodhi's clock
	Failing       int
}

func (b *Box) showFedora(context.Context, *http.Request) (templ.Component, error) {
	p := fedoraPage{
		DistGit: b.access.DistGitURL, Koji: b.access.KojiWebURL, Updates: newest(b.Bodhi.Updates(), listed), Bugs: newest(b.Bugzilla.Bugs(), 20),
		Ahead: time.Until(b.Bodhi.Now()).Round(time.Hour), Failing: len(b.Failing()),
	}
	builds := b.Koji.Builds()
	for i := range packs {
		row, err := b.packageRow(&packs[i])
		if err != nil {
			return nil, err
		}
		for _, build := range slices.Backward(builds) {
			if build.Spec.Name == row.Name && len(row.Builds) < 5 {
				row.Builds = append(row.Builds, build)
			}
		}
		p.Packages = append(p.Packages, row)
	}
	return fedora(p), nil
}

func (b *Box) packageRow(p *pack) (packageRow, error) {
	repo := "rpms/" + p.name
	row := packageRow{Name: p.name, URL: b.access.DistGitURL + "/" + repo, Upstream: p.upstream, Watched: p.watched, Config: p.config != ""}
	row.pullAt = func(number int) string { return b.distGit.pullURL(repo, number) }
	pulls, err := b.Packages.Pulls(repo)
	for _, pull := range pulls {
		if pull.State == fakeforge.Open {
			row.Open = append(row.Open, pull)
		}
	}
	return row, err
}

func (b *Box) actRelease(ctx context.Context, r *http.Request) (string, error) {
	release, err := b.Release(ctx, repoOf(r))
	return back(r, "/"+repoOf(r)+"/tree/"+url.PathEscape(release.Tag)), err
}

// actDistGitMerge merges a pull request in dist-git.
func (b *Box) actDistGitMerge(ctx context.Context, r *http.Request) (string, error) {
	number, err := strconv.Atoi(r.PostForm.Get("number"))
	if err != nil {
		return "", cannot("There is no such pull request.")
	}
	_, err = b.Packages.MergePull(ctx, "rpms/"+r.PathValue("package"), number, visitor)
	switch {
	case errors.Is(err, fakeforge.ErrNotFound):
		err = fmt.Errorf("%w: %w", err, githubfake.ErrNotFound)
	case errors.Is(err, fakeforge.ErrConflict), errors.Is(err, fakeforge.ErrState):
		err = cannot("It cannot be merged: %v.", err)
	}
	return "/fedora/", err
}

// longest is how far time can be pushed at once.
const longest = 60

func (b *Box) actPass(_ context.Context, r *http.Request) (string, error) {
	days, err := strconv.Atoi(r.PostForm.Get("days"))
	if err != nil || days < 1 || days > longest {
		return "", cannot("Between 1 and %d days can pass.", longest)
	}
	return "/fedora/", b.Pass(time.Duration(days) * 24 * time.Hour)
}

func (b *Box) actFailBuild(context.Context, *http.Request) (string, error) {
	if len(b.Failing()) == 0 {
		b.FailBuild("")
	}
	return "/fedora/", nil
}

// actKarma says something of an update in Bodhi.
func (b *Box) actKarma(_ context.Context, r *http.Request) (string, error) {
	karma, text := 1, "It works for me."
	if r.PostForm.Get("karma") == "-1" {
		karma, text = -1, "It does not start."
	}
	n, err := b.next("karma") // each time somebody else
	if err != nil {
		return "", err
	}
	if err := b.Bodhi.Opine(r.PathValue("alias"), fmt.Sprintf("tester-%d", n), text, karma); err != nil {
		return "", cannot("There is no such update.")
	}
	return "/fedora/", nil
}

func (b *Box) showBug(_ context.Context, r *http.Request) (templ.Component, error) {
	for _, bug := range b.Bugzilla.Bugs() {
		if strconv.Itoa(bug.ID) == r.URL.Query().Get("id") {
			return bugPage(bug), nil
		}
	}
	return nil, fmt.Errorf("bug %q: %w", r.URL.Query().Get("id"), githubfake.ErrNotFound)
}

// kojiState is the state of ours whose icon fits a word of Koji's.
func kojiState(word string) string {
	switch word {
	case "COMPLETE":
		return "passed"
	case "BUILDING":
		return "running"
	case "FAILED":
		return "failed"
	case "CANCELED", "DELETED":
		return "canceled"
	}
	return "unknown"
}

// updateState is the state of ours whose icon fits a word of Bodhi's.
func updateState(word string) string {
	switch word {
	case "stable":
		return "passed"
	case "testing":
		return "running"
	case "pending":
		return "queued"
	case "unpushed", "obsolete":
		return "canceled"
	}
	return "unknown"
}

func karmaOf(u bodhifake.Update) int {
	karma := 0
	for _, c := range u.Comments {
		karma += c.Karma
	}
	return karma
}

// showAnitya lists what release monitoring knows, or one project of it.
func (b *Box) showAnitya(_ context.Context, r *http.Request) (templ.Component, error) {
	projects := b.Anitya.Projects()
	if id := r.PathValue("id"); id != "" {
		projects = slices.DeleteFunc(projects, func(p anitya.Project) bool { return strconv.FormatInt(p.ID, 10) != id })
		if len(projects) == 0 {
			return nil, fmt.Errorf("project %s of release monitoring: %w", id, githubfake.ErrNotFound)
		}
	}
	return monitoring(projects), nil
}
