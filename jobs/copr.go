package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

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

	known remembered // chroots
}

// For how long Copr's list of chroots is believed, and how old it may be when it
// lacks one that is asked for.
const (
	chrootsFresh   = 10 * time.Minute
	chrootsRecheck = 20 * time.Second
)

// remembered is a list of a service that changes rarely. The zero value has
// nothing yet.
type remembered struct {
	mu   sync.Mutex // above what follows; not held while the service is asked
	list []string
	at   time.Time
}

// read returns the list, asked for anew if it is older than age.
func (r *remembered) read(age time.Duration, ask func() ([]string, error)) ([]string, error) {
	r.mu.Lock()
	list, at := r.list, r.at
	r.mu.Unlock()
	if !at.IsZero() && time.Since(at) < age {
		return list, nil
	}
	list, err := ask()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list, r.at = list, time.Now()
	return list, nil
}

var notInName = regexp.MustCompile(`[^\w.-]`)

// place is the Copr project that builds of a view go to.
type place struct {
	owner, project string
	custom         bool // not the one that would be used by default
}

// place names the Copr project of a build step: what its job says, or else the
// first job of tests that says something, or else a name made of where the
// commit is.
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

// chroots are names of chroots by whether Copr has them.
type chroots struct {
	have, missing []string
	all           []string // that Copr has
}

// split tells the chroots that Copr has from those it does not have.
func (c *Copr) split(ctx context.Context, names []string) (chroots, error) {
	s, err := c.splitKnown(ctx, names, chrootsFresh)
	if err == nil && len(s.missing) > 0 {
		s, err = c.splitKnown(ctx, names, chrootsRecheck) // it may be new
	}
	return s, err
}

func (c *Copr) splitKnown(ctx context.Context, names []string, age time.Duration) (chroots, error) {
	known, err := c.known.read(age, func() ([]string, error) { return c.Client.Chroots(ctx) })
	if err != nil {
		return chroots{}, fmt.Errorf("listing Copr's chroots: %w", err)
	}
	s := chroots{all: known}
	for _, name := range names {
		if slices.Contains(known, name) {
			s.have = append(s.have, name)
		} else {
			s.missing = append(s.missing, name)
		}
	}
	return s, nil
}

// unsupported ends the runs whose chroots Copr does not have. It is for the user
// to mend if the job names them itself; an alias may be ahead of Copr.
func (s chroots) unsupported(view *models.JobView, runs []*models.Run) []Update {
	var updates []Update
	for _, run := range runs {
		if !slices.Contains(s.missing, run.Target) {
			continue
		}
		state := models.Error
		if named(view, run.Target) {
			state = models.Failed
		}
		data := run.Data
		data.Unsupported = true
		if len(updates) == 0 {
			data.Supported = s.all
		}
		updates = append(updates, Update{
			Run: run, State: state, Data: &data,
			Reason: "Not supported target: " + run.Target + ". Copr does not have this chroot.",
		})
	}
	return updates
}

// named reports whether a job names a chroot or a distribution to test on
// itself, not by way of an alias or a default.
func named(view *models.JobView, name string) bool {
	is := func(written string) bool { return written == name || written+"-x86_64" == name }
	return slices.ContainsFunc(view.Targets, func(t models.TargetSettings) bool {
		return is(t.Name) || slices.ContainsFunc(t.Distros, is)
	})
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
	ours := at.owner == c.Owner
	if (ours || len(view.AdditionalRepos) > 0) && !sameSet(is.AdditionalRepos, view.AdditionalRepos) {
		change.AdditionalRepos = append([]string{}, view.AdditionalRepos...) // not nil: that would change nothing
		wish("additional_repos", is.AdditionalRepos, view.AdditionalRepos)
	}
	if is.Bootstrap != "" && view.Bootstrap != is.Bootstrap {
		change.Bootstrap = &view.Bootstrap
		wish("bootstrap", is.Bootstrap, view.Bootstrap)
	}
	if !ours {
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
	switch {
	case err == nil:
		return nil
	case copr.IsPermission(err):
		return c.askAdmin(ctx, at, "the settings of the Copr project", wishes)
	case copr.IsConflict(err): // builds are running; the next try reads the project again
		return fmt.Errorf("changing the Copr project %s/%s while builds run: %w", at.owner, at.project, again{err})
	}
	return c.refused(err, "changing the Copr project %s/%s", at.owner, at.project)
}

// askAdmin explains that this service may not change something of a project, and
// asks the owners for the right to.
func (c *Copr) askAdmin(ctx context.Context, at place, what string, wishes []string) error {
	asked, err := c.ask(ctx, at, true, false)
	if err != nil {
		return err
	}
	return fail("This service may not change %s %s/%s. %s What would change: %s.", what, at.owner, at.project, asked, strings.Join(wishes, "; "))
}

// ask requests a role in another's project and says so, or says that Copr did
// not take the request.
func (c *Copr) ask(ctx context.Context, at place, admin, builder bool) (string, error) {
	role := "builder"
	if admin {
		role = "admin"
	}
	_, err := c.Client.RequestPermission(ctx, at.owner, at.project, admin, builder)
	switch {
	case err == nil:
		return fmt.Sprintf("The permission %s was asked for; when the owners have granted it, try again.", role), nil
	case temporary(err):
		return "", fmt.Errorf("asking for the permission %s in %s/%s: %w", role, at.owner, at.project, err)
	}
	return fmt.Sprintf("It needs the permission %s, which could not be asked for; Copr says: %s.", role, strings.TrimSuffix(copr.Text(err), ".")), nil
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
	all := view.ChrootSettings(releases)
	for _, chroot := range slices.Sorted(maps.Keys(all)) {
		settings := all[chroot]
		if !settings.CoprSettings() || !slices.Contains(chroots, chroot) {
			continue
		}
		if err := c.setChroot(ctx, at, chroot, chrootOptions(settings)); err != nil {
			return err
		}
	}
	return nil
}

// chrootOptions are what a target says of its chroot; what it does not say is
// empty.
func chrootOptions(t models.TargetSettings) copr.ChrootOptions {
	o := copr.ChrootOptions{
		AdditionalRepos: t.AdditionalRepos, AdditionalPackages: t.AdditionalPackages, WithOpts: t.WithOpts, WithoutOpts: t.WithoutOpts,
	}
	if t.AdditionalModules != nil {
		o.AdditionalModules = strings.FieldsFunc(*t.AdditionalModules, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	}
	return o
}

func (c *Copr) setChroot(ctx context.Context, at place, chroot string, want copr.ChrootOptions) error {
	is, err := c.Client.ProjectChroot(ctx, at.owner, at.project, chroot)
	if err != nil {
		return c.refused(err, "reading the settings of the chroot %s", chroot)
	}
	var wishes []string
	for _, setting := range []struct {
		name    string
		is, set []string
	}{
		{"additional_repos", is.AdditionalRepos, want.AdditionalRepos},
		{"additional_packages", is.AdditionalPackages, want.AdditionalPackages},
		{"additional_modules", is.AdditionalModules, want.AdditionalModules},
		{"with_opts", is.WithOpts, want.WithOpts},
		{"without_opts", is.WithoutOpts, want.WithoutOpts},
	} {
		if !sameSet(setting.is, setting.set) {
			wishes = append(wishes, fmt.Sprintf("%s: %v → %v", setting.name, setting.is, setting.set))
		}
	}
	if len(wishes) == 0 {
		return nil
	}
	err = c.Client.EditProjectChroot(ctx, at.owner, at.project, chroot, want)
	switch {
	case err == nil:
		return nil
	case copr.IsPermission(err):
		return c.askAdmin(ctx, at, "the chroot "+chroot+" of the Copr project", wishes)
	}
	return c.refused(err, "changing the settings of the chroot %s", chroot)
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
	if _, ours := errors.AsType[*Refusal](err); ours {
		return err
	}
	switch {
	case copr.IsForgeProjectRefused(err):
		return fail("Not allowed to build in %s/%s Copr project. Its owner can allow %s in the project's settings.", at.owner, at.project, p.Path())
	case copr.IsPermission(err):
		asked, err := c.ask(ctx, at, false, true)
		if err != nil {
			return err
		}
		return fail("This service may not build in the Copr project %s/%s. %s", at.owner, at.project, asked)
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

// cancel stops a group's build, which is looked for by its key if its id is not
// known.
func (c *Copr) cancel(ctx context.Context, group *models.RunGroup, externalID string, at place) error {
	id, err := buildID(externalID)
	if err != nil || id == 0 {
		build, found, err := c.Client.FindBuild(ctx, copr.Lookup{
			Owner: at.owner, Project: at.project, Key: group.Key, Since: group.CreatedAt, Submitter: c.Owner,
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

// Gone is part of keeper: projects that need not be preserved are deleted in
// time.
func (c *Copr) Gone(_ context.Context, view *models.JobView, run *models.Run, now time.Time) (string, error) {
	ours := run.Data.CoprOwner == c.Owner && !view.PreserveProject
	if age := time.Duration(c.KeepDays) * 24 * time.Hour; ours && age > 0 && !run.FinishedAt.IsZero() && now.Sub(run.FinishedAt) > age {
		return fmt.Sprintf("was deleted in Copr, which keeps it for %d days", c.KeepDays), nil
	}
	return "", nil
}
