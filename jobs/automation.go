package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"millrace/clients/forge"
	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/packageconfig"
	"millrace/models/store"
)

const (
	// packageSpace is where dist-git has its packages.
	packageSpace = "rpms"

	fileSource    = "package config" // of what is kept of dist-git
	membersSource = "package members"
	fileFresh     = time.Minute
	membersFresh  = 5 * time.Minute
	pagePatience  = 3 * time.Second // with dist-git, while somebody waits for a page
)

// PackageOptions are how a package config is read that is not in a file.
func PackageOptions(name string) packageconfig.Options {
	return packageconfig.Options{RepoName: name, RepoFiles: []string{name + ".spec"}}
}

// FindPackage returns a package by its name. One that nothing happened to yet is
// looked for in dist-git, and has no id; if it is not there either the error is
// models.ErrNotFound.
func (r *Runner) FindPackage(ctx context.Context, name string) (*models.Project, error) {
	if r.Packages == nil || !forge.Name(name) {
		return nil, fmt.Errorf("looking for the package %.100q: %w", name, models.ErrNotFound)
	}
	p, err := r.Packages.Project(packageSpace + "/" + name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, models.ErrNotFound)
	}
	known, err := r.Store.ProjectAt(ctx, p.Forge, p.Namespace, p.Name)
	if err == nil || !errors.Is(err, models.ErrNotFound) {
		return known, err
	}
	asking, cancel := context.WithTimeout(ctx, pagePatience)
	defer cancel()
	found, err := r.Packages.Repository(asking, pathOf(p))
	if httpx.Status(err) == http.StatusNotFound {
		return nil, fmt.Errorf("%w: %w", err, models.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	p.DefaultBranch = found.DefaultBranch
	return p, nil
}

// PackageFile is the package config in dist-git.
type PackageFile struct {
	Name     string // empty: there is none
	SHA      string // of the commit at which it was read
	Text     string
	URL      string                `json:"-"` // of its page in dist-git
	Mistakes string                // why it cannot be used; empty: it can
	Config   *models.PackageConfig `json:"-"` // nil: there is none that can be used
	At       time.Time             `json:"-"` // when dist-git was asked
	Stale    bool                  `json:"-"` // dist-git does not answer now
}

// PackageFile reads the package config on the default branch of a package, or
// returns what it was a moment ago.
func (r *Runner) PackageFile(ctx context.Context, p *models.Project) (*PackageFile, error) {
	kept := new(PackageFile)
	at, err := r.Store.Cached(ctx, fileSource, p.Path(), kept)
	known := err == nil
	if known && store.Now().Sub(at) < fileFresh {
		kept.At = at
		return kept, r.parseFile(kept, p)
	}
	asking, cancel := context.WithTimeout(ctx, pagePatience)
	defer cancel()
	fresh, err := r.askFile(asking, p, kept)
	switch {
	case err != nil && known:
		r.Log.WarnContext(ctx, "dist-git does not tell a package config; the last known one is shown", "project", p.Path(), "error", err)
		kept.At, kept.Stale = at, true
		return kept, r.parseFile(kept, p)
	case err != nil:
		return nil, err
	}
	fresh.At = store.Now()
	err = r.Store.InTx(ctx, func(tx *store.Tx) error { return tx.Cache(ctx, fileSource, p.Path(), fresh) })
	if err != nil {
		return nil, err
	}
	return fresh, r.parseFile(fresh, p)
}

// askFile reads the file anew, unless the branch is where it was.
func (r *Runner) askFile(ctx context.Context, p *models.Project, kept *PackageFile) (*PackageFile, error) {
	distGit, err := r.Forge(p)
	if err != nil {
		return nil, err
	}
	head, err := distGit.BranchHead(ctx, p, orDefault(p.DefaultBranch))
	if httpx.Status(err) == http.StatusNotFound {
		return &PackageFile{}, nil // an empty repository
	}
	if err != nil {
		return nil, err
	}
	if head == kept.SHA {
		return kept, nil
	}
	read := &models.Event{Project: p}
	_, _, err = r.readConfig(ctx, distGit, read, head)
	file := &PackageFile{Name: read.ConfigFile, SHA: head, Text: read.ConfigText}
	if problems, ok := packageconfig.AsErrors(err); ok {
		file.Mistakes = problems.Error()
		return file, nil
	}
	return file, err
}

// parseFile makes what a file says of what is known of it.
func (r *Runner) parseFile(f *PackageFile, p *models.Project) error {
	f.URL = r.Packages.FileURL(pathOf(p), f.SHA, f.Name)
	return f.parse(p)
}

// parse makes the config of the text, which was found to be good or not before.
func (f *PackageFile) parse(p *models.Project) error {
	if f.Name == "" || f.Mistakes != "" {
		return nil
	}
	options := PackageOptions(p.Name)
	options.FileName = f.Name
	config, err := packageconfig.Parse([]byte(f.Text), options)
	if problems, ok := packageconfig.AsErrors(err); ok {
		f.Mistakes = problems.Error()
		return nil
	}
	f.Config = config
	return err
}

func orDefault(branch string) string {
	if branch == "" {
		return models.DefaultDistGitBranch
	}
	return branch
}

// Foresee works out what switched-on jobs, together with the file in dist-git,
// would have made of the newest release and commit of a package, and what of them
// is not in force because of the file. Nothing is changed. What dist-git cannot be
// asked about now is told.
func (r *Runner) Foresee(ctx context.Context, p *models.Project, automated *models.PackageConfig, file *PackageFile) (*models.Foresight, []models.Decision, error) {
	var inFile *models.PackageConfig
	name := ""
	if file != nil {
		inFile, name = file.Config, file.Name
	}
	config, overruled := packageconfig.Join(inFile, automated, name)
	facts := models.Facts{
		Now: store.Now(), Deployment: r.Deployment, DefaultBranch: orDefault(p.DefaultBranch), Kinds: make(map[models.StepKind]bool, len(r.Kinds)),
		Downstream: models.Downstream{IsPackage: true},
	}
	for kind := range r.Kinds {
		facts.Kinds[kind] = true
	}
	var err error
	if facts.Releases, err = r.Releases(ctx); err != nil {
		return nil, nil, err
	}
	asking, cancel := context.WithTimeout(ctx, pagePatience)
	defer cancel()
	var unsure []string
	if err := r.members(asking, p, config, &facts); err != nil {
		r.Log.WarnContext(ctx, "dist-git does not tell who is meant", "project", p.Path(), "error", err)
		unsure = append(unsure, "Dist-git does not tell now who may commit, so lists of people count only as far as they name somebody.")
	}
	release, err := r.eventOf(ctx, p, models.ReleaseProduct)
	if err != nil {
		return nil, nil, err
	}
	commit, err := r.eventOf(ctx, p, models.CommitProduct)
	if err != nil {
		return nil, nil, err
	}
	var made models.Downstream
	if commit != nil && commit.Message != nil {
		about, err := r.aboutPush(asking, commit, commit.Message)
		if err != nil {
			r.Log.WarnContext(ctx, "dist-git does not tell about a pull request", "project", p.Path(), "error", err)
			unsure = append(unsure, "Dist-git does not tell now whose pull request the last commit is of.")
		}
		made = about.downstream
	}
	f := models.Foresee(p, config, facts, r.Packages.User, release, commit, made)
	f.Unsure = unsure
	return f, overruled, nil
}

// members looks up who is meant by the names of several that a config has, or
// uses what was found minutes ago.
func (r *Runner) members(ctx context.Context, p *models.Project, config *models.PackageConfig, facts *models.Facts) error {
	d := &facts.Downstream
	kept := map[string][]string{}
	at, err := r.Store.Cached(ctx, membersSource, p.Path(), &kept)
	if err == nil && store.Now().Sub(at) < membersFresh {
		d.Members = kept
	}
	known := len(d.Members)
	if err := r.downstreamFacts(ctx, &models.Event{Project: p}, config, facts); err != nil || len(d.Members) == known {
		return err
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error { return tx.Cache(ctx, membersSource, p.Path(), d.Members) })
}

// eventOf is the event that told of the newest product of a kind of a package;
// nil if there is none.
func (r *Runner) eventOf(ctx context.Context, p *models.Project, kind models.ProductKind) (*models.Event, error) {
	if p.ID == 0 {
		return nil, nil
	}
	product, err := r.Store.NewestTold(ctx, p.ID, kind)
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e, err := r.Store.Event(ctx, product.EventID)
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil
	}
	return e, err
}

// AutomationBranches are the branches that jobs which are switched on are for.
func AutomationBranches(config *models.PackageConfig, releases models.Releases, p *models.Project) []string {
	var all []string
	for i := range config.Jobs {
		for _, branch := range config.Jobs[i].Branches(releases, orDefault(p.DefaultBranch)) {
			if !slices.Contains(all, branch) {
				all = append(all, branch)
			}
		}
	}
	return all
}

// clipText cuts long text at n bytes.
func clipText(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
