package jobs

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/clients/copr"
	"millrace/models"
)

// Copr is the build service as the kinds that use it need it.
type Copr struct {
	Client   *copr.Client
	Owner    string                                         // our user there, who owns the default projects
	OmitHost map[string]bool                                // forges whose host is not part of a project's name
	Releases func(context.Context) (models.Releases, error) // what aliases stand for
	KeepDays int                                            // of projects that are not to be preserved

	mu      sync.Mutex // above known and knownAt
	known   []string
	knownAt time.Time
}

// chrootsFresh is for how long Copr's list of chroots is believed.
const chrootsFresh = 10 * time.Minute

var notInName = regexp.MustCompile(`[^\w.-]`)

// place is the Copr project that builds of a view go to.
type place struct {
	owner, project string
	custom         bool // not the one that would be used by default
}

// place names the Copr project of a build step: what its job says, or else the
// first of the tests that follow it, or else a name made of where the commit is.
func (c *Copr) place(p *models.Pipeline, step *models.Step, view *models.JobView) place {
	owner, project := view.Owner, view.Project
	for _, other := range p.Steps {
		if other.Kind != models.TestsStep || (owner != nil && project != nil) {
			continue
		}
		if tests, err := other.View(); err == nil {
			owner, project = firstSet(owner, tests.Owner), firstSet(project, tests.Project)
		}
	}
	normal := place{owner: c.Owner, project: c.defaultName(p, view)}
	chosen := place{owner: valueOr(owner, normal.owner), project: valueOr(project, normal.project)}
	chosen.custom = chosen != normal
	return chosen
}

func (c *Copr) defaultName(p *models.Pipeline, view *models.JobView) string {
	var parts []string
	if !c.OmitHost[p.Project.Forge] {
		parts = append(parts, p.Project.Forge)
	}
	ref := p.Ref
	if p.Kind == models.ReleaseRef {
		ref = "releases"
	}
	parts = append(parts, strings.ReplaceAll(p.Project.Namespace, "/", "-"), p.Project.Name, ref)
	if id := view.ID(); id != "" && id != view.Package {
		parts = append(parts, id)
	}
	return notInName.ReplaceAllString(strings.Join(parts, "-"), "-")
}

func firstSet(a, b *string) *string {
	if a != nil {
		return a
	}
	return b
}

func valueOr(s *string, otherwise string) string {
	if s != nil {
		return *s
	}
	return otherwise
}

// split tells the chroots that Copr has from those it does not have.
func (c *Copr) split(ctx context.Context, chroots []string) (have, missing []string, err error) {
	known, err := c.chroots(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range chroots {
		if slices.Contains(known, name) {
			have = append(have, name)
		} else {
			missing = append(missing, name)
		}
	}
	return have, missing, nil
}

func (c *Copr) chroots(ctx context.Context) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.knownAt) < chrootsFresh {
		return c.known, nil
	}
	known, err := c.Client.Chroots(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing Copr's chroots: %w", err)
	}
	c.known, c.knownAt = known, time.Now()
	return known, nil
}

// prepare makes the project, or brings it to what the view asks for.
func (c *Copr) prepare(ctx context.Context, at place, w *Work, view *models.JobView, chroots []string) error {
	project, err := c.Client.CreateProject(ctx, at.owner, at.project, c.options(at, w, view, chroots))
	if copr.IsPermission(err) { // another's namespace: only they can make it, but it may be there
		project, err = c.Client.Project(ctx, at.owner, at.project)
		if copr.IsNotFound(err) {
			return fail("There is no Copr project %s/%s, and this service may not create it.", at.owner, at.project)
		}
	}
	if err != nil {
		return c.refused(err, "creating the Copr project %s/%s", at.owner, at.project)
	}
	change, wishes := c.difference(at, project, view, chroots)
	if len(wishes) > 0 {
		if err := c.edit(ctx, at, change, wishes); err != nil {
			return err
		}
	}
	return c.setChroots(ctx, at, view, chroots)
}

func (c *Copr) options(at place, w *Work, view *models.JobView, chroots []string) copr.ProjectOptions {
	description := fmt.Sprintf("Continuous builds of %s, made by Millrace.", w.Pipeline.Project.FullName())
	instructions := fmt.Sprintf("These packages were built for %s of %s. They are not for production.", w.Pipeline.RefName(), w.Pipeline.Project.URL)
	days := c.KeepDays
	if view.PreserveProject {
		days = -1
	}
	unlisted := !view.ListOnHomepage
	return copr.ProjectOptions{
		Chroots: chroots, Description: &description, Instructions: &instructions, Homepage: &w.Pipeline.Project.URL,
		AdditionalRepos: view.AdditionalRepos, Bootstrap: &view.Bootstrap, ModuleHotfixes: &view.ModuleHotfixes,
		Unlisted: &unlisted, DeleteAfterDays: &days,
	}
}

// difference says what must change in an existing project. Chroots are only
// added; what else belongs to an owner's taste is left alone in the projects of
// others.
func (c *Copr) difference(at place, is copr.Project, view *models.JobView, chroots []string) (copr.ProjectOptions, []string) {
	var change copr.ProjectOptions
	var wishes []string
	wish := func(name string, old, new any) { wishes = append(wishes, fmt.Sprintf("%s: %v → %v", name, old, new)) }
	all := slices.Clone(is.Chroots)
	for _, name := range chroots {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	if len(all) != len(is.Chroots) {
		change.Chroots = all
		wish("chroots", strings.Join(is.Chroots, ", "), strings.Join(all, ", "))
	}
	if len(view.AdditionalRepos) > 0 && !sameSet(is.AdditionalRepos, view.AdditionalRepos) {
		change.AdditionalRepos = view.AdditionalRepos
		wish("additional_repos", is.AdditionalRepos, view.AdditionalRepos)
	}
	if is.Bootstrap != "" && view.Bootstrap != is.Bootstrap {
		change.Bootstrap = &view.Bootstrap
		wish("bootstrap", is.Bootstrap, view.Bootstrap)
	}
	if at.owner != c.Owner {
		return change, wishes
	}
	if is.Unlisted == view.ListOnHomepage {
		unlisted := !view.ListOnHomepage
		change.Unlisted = &unlisted
		wish("list_on_homepage", !is.Unlisted, view.ListOnHomepage)
	}
	if is.ModuleHotfixes != view.ModuleHotfixes {
		change.ModuleHotfixes = &view.ModuleHotfixes
		wish("module_hotfixes", is.ModuleHotfixes, view.ModuleHotfixes)
	}
	return change, wishes
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// edit changes a project. Without the right to, it asks the owners for it and
// says what was wished.
func (c *Copr) edit(ctx context.Context, at place, change copr.ProjectOptions, wishes []string) error {
	_, err := c.Client.EditProject(ctx, at.owner, at.project, change)
	if copr.IsPermission(err) {
		if _, err := c.Client.RequestPermission(ctx, at.owner, at.project, true, false); err != nil && temporary(err) {
			return err
		}
		return fail("This service may not change the settings of the Copr project %s/%s. The permission admin was asked for. What would change: %s.",
			at.owner, at.project, strings.Join(wishes, "; "))
	}
	if copr.IsConflict(err) { // builds are running; the next try reads the project again
		return fmt.Errorf("changing the Copr project %s/%s while builds run: %w", at.owner, at.project, again{err})
	}
	if err != nil {
		return c.refused(err, "changing the Copr project %s/%s", at.owner, at.project)
	}
	return nil
}

// again marks an error as worth another try, whatever the service called it.
type again struct{ error }

func (again) Temporary() bool { return true }
func (a again) Unwrap() error { return a.error }

// setChroots brings the settings of chroots to what the view says of them.
func (c *Copr) setChroots(ctx context.Context, at place, view *models.JobView, chroots []string) error {
	releases, err := c.Releases(ctx)
	if err != nil {
		return err
	}
	for chroot, settings := range view.ChrootSettings(releases) {
		if !settings.CoprSettings() || !slices.Contains(chroots, chroot) {
			continue
		}
		want := copr.ChrootOptions{
			AdditionalRepos: settings.AdditionalRepos, AdditionalPackages: settings.AdditionalPackages,
			WithOpts: settings.WithOpts, WithoutOpts: settings.WithoutOpts,
		}
		if settings.AdditionalModules != nil && *settings.AdditionalModules != "" {
			want.AdditionalModules = strings.Fields(strings.ReplaceAll(*settings.AdditionalModules, ",", " "))
		}
		is, err := c.Client.ProjectChroot(ctx, at.owner, at.project, chroot)
		if err != nil {
			return c.refused(err, "reading the settings of the chroot %s", chroot)
		}
		if sameSet(is.AdditionalRepos, want.AdditionalRepos) && sameSet(is.AdditionalPackages, want.AdditionalPackages) &&
			sameSet(is.AdditionalModules, want.AdditionalModules) && sameSet(is.WithOpts, want.WithOpts) && sameSet(is.WithoutOpts, want.WithoutOpts) {
			continue
		}
		if err := c.Client.EditProjectChroot(ctx, at.owner, at.project, chroot, want); err != nil {
			return c.refused(err, "changing the settings of the chroot %s", chroot)
		}
	}
	return nil
}

// refused turns a final answer of Copr into one for the user, in Copr's words.
func (c *Copr) refused(err error, doing string, args ...any) error {
	what := fmt.Sprintf(doing, args...)
	switch {
	case temporary(err):
		return fmt.Errorf("%s: %w", what, err)
	case copr.IsLogin(err):
		return broken(err, "Copr does not accept this service's login; an operator must renew it.")
	}
	return fail("%s did not work; Copr says: %s", sentenceStart(what), copr.Text(err))
}

func sentenceStart(text string) string {
	if text == "" {
		return ""
	}
	return string(upper(text[0])) + text[1:]
}

// submitRefused explains why Copr did not take a build.
func (c *Copr) submitRefused(ctx context.Context, at place, p *models.Project, err error) error {
	switch {
	case copr.IsForgeProjectRefused(err):
		return fail("Not allowed to build in %s/%s Copr project. Its owner can allow %s in the project's settings.", at.owner, at.project, p.Path())
	case copr.IsPermission(err):
		if _, err := c.Client.RequestPermission(ctx, at.owner, at.project, false, true); err != nil && temporary(err) {
			return err
		}
		return fail("This service may not build in the Copr project %s/%s. The permission builder was asked for; when it is granted, build again.", at.owner, at.project)
	}
	return c.refused(err, "submitting the build to %s/%s", at.owner, at.project)
}

// find looks for a build that was submitted with the group's key, if the group
// was claimed before.
func (c *Copr) find(ctx context.Context, at place, group *models.RunGroup) (copr.Build, bool, error) {
	if group.Epoch <= 1 {
		return copr.Build{}, false, nil
	}
	return c.Client.FindBuild(ctx, copr.Lookup{
		Owner: at.owner, Project: at.project, Key: group.Key, Since: group.CreatedAt, Submitter: c.Owner,
	})
}

// buildOptions are what all ways of submitting have in common.
func (c *Copr) buildOptions(at place, w *Work, view *models.JobView, chroots []string) copr.BuildOptions {
	o := copr.BuildOptions{
		Owner: at.owner, Project: at.project, Key: w.Group.Key, Chroots: chroots, EnableNet: view.EnableNet,
	}
	if at.custom {
		o.ForgeProject = w.Pipeline.Project.Path()
	}
	return o
}

// stateOf reads Copr's word for a chroot.
func stateOf(word string) (models.State, string) {
	switch word {
	case copr.Succeeded, copr.Forked:
		return models.Passed, ""
	case copr.Failed:
		return models.Failed, "RPMs failed to be built."
	case copr.Canceled:
		return models.Canceled, "It was canceled in Copr."
	case copr.Skipped:
		return models.Error, "Copr skipped this chroot: the package excludes it, or was built there before."
	case copr.Running, copr.Starting:
		return models.Running, ""
	case copr.Pending, copr.Waiting, copr.Importing:
		return models.Queued, "In Copr's queue."
	}
	return models.Queued, ""
}

func (c *Copr) cancel(ctx context.Context, w *Work, at place) error {
	id, err := buildID(w.Group.ExternalID)
	if err != nil || id == 0 {
		build, found, err := c.Client.FindBuild(ctx, copr.Lookup{
			Owner: at.owner, Project: at.project, Key: w.Group.Key, Since: w.Group.CreatedAt, Submitter: c.Owner,
		})
		if err != nil || !found {
			return err
		}
		id = build.ID
	}
	_, err = c.Client.CancelBuild(ctx, id)
	if copr.IsConflict(err) || copr.IsNotFound(err) {
		return nil // it has ended already
	}
	return err
}
