package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/clients/anitya"
	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/packageconfig"
	"millrace/models/specfile"
)

// Monitoring knows which upstream projects packages are made of.
type Monitoring interface {
	// Project returns nil for a package that it does not watch.
	Project(ctx context.Context, distribution, pkg string) (*anitya.Project, error)
}

// checkPatience is how long one requirement is looked into.
const checkPatience = 5 * time.Second

// requirement finds out how it is with something that automation takes.
type requirement struct {
	name  string
	check func(ctx context.Context, p *models.Project) (models.Readiness, error)
}

// Readiness finds out whether what automation takes is there for a package.
// They are looked into at once, and one that does not answer is told as such.
func (r *Runner) Readiness(ctx context.Context, p *models.Project) []models.Readiness {
	checks := []requirement{
		{"Allowed here", r.checkAllowed}, {"Maintained", r.checkMaintained}, {"Our account", r.checkAccount},
		{"Release monitoring", r.checkMonitoring}, {"Spec file", r.checkSpec}, {"Branches", r.checkBranches},
	}
	found := make([]models.Readiness, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() {
			asking, cancel := context.WithTimeout(ctx, checkPatience)
			defer cancel()
			one, err := c.check(asking, p)
			if err != nil {
				r.Log.WarnContext(ctx, "readiness cannot be checked", "check", c.name, "project", p.Path(), "error", err)
				one = models.Readiness{State: models.ReadyUnknown, Text: "It cannot be found out now: " + whyUnknown(err) + ".", HowTo: "Try again in a moment."}
			}
			one.Name = c.name
			found[i] = one
		})
	}
	all.Wait()
	return found
}

func whyUnknown(err error) string {
	if failed, ok := errors.AsType[*httpx.Error](err); ok && failed.Service != "" {
		if failed.Status != 0 {
			return fmt.Sprintf("%s answers with status %d", failed.Service, failed.Status)
		}
		return failed.Service + " does not answer"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "there was no answer in time"
	}
	return "something is wrong here, and is in the log"
}

func (r *Runner) checkAllowed(ctx context.Context, p *models.Project) (models.Readiness, error) {
	reason, err := r.notAllowed(ctx, &models.Event{Project: p})
	switch {
	case err != nil:
		return models.Readiness{}, err
	case reason != "":
		return models.Readiness{State: models.ReadyOpen, Text: "The package may not use this service yet.", HowTo: sentence(firstLine(reason))}, nil
	}
	return models.Readiness{State: models.ReadyMet, Text: "The package may use this service."}, nil
}

// deadPackage is the file that is left of a package that is retired.
const deadPackage = "dead.package"

func (r *Runner) checkMaintained(ctx context.Context, p *models.Project) (models.Readiness, error) {
	why, err := r.Packages.DistGit.File(ctx, pathOf(p), orDefault(p.DefaultBranch), deadPackage, maxProbe)
	if err == nil {
		return models.Readiness{
			State: models.ReadyOpen, Text: fmt.Sprintf("It is retired on %s: %s", orDefault(p.DefaultBranch), sentence(clipText(firstLine(string(why)), 200))),
			HowTo: "A retired package must be unretired before anything can be built of it.", URL: p.URL,
		}, nil
	}
	if httpx.Status(err) != http.StatusNotFound {
		return models.Readiness{}, err
	}
	access, err := r.Packages.Access(ctx, pathOf(p))
	switch {
	case err != nil:
		return models.Readiness{}, err
	case access.Orphaned():
		return models.Readiness{State: models.ReadyOpen, Text: "It is orphaned, and will be retired.", HowTo: "Adopt it in dist-git, on its page.", URL: p.URL}, nil
	}
	return models.Readiness{State: models.ReadyMet, Text: "It is maintained by " + nameSome(access.Keepers()) + "."}, nil
}

// nameSome names the first of several.
func nameSome(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

func (r *Runner) checkAccount(ctx context.Context, p *models.Project) (models.Readiness, error) {
	user := r.Packages.User
	if user == "" {
		return models.Readiness{State: models.ReadyOpen, Text: "This service has no account in dist-git.", HowTo: "Ask an operator of this service."}, nil
	}
	may, err := r.Packages.HasCommit(ctx, pathOf(p), user, orDefault(p.DefaultBranch))
	switch {
	case err != nil:
		return models.Readiness{}, err
	case !may:
		return models.Readiness{
			State: models.ReadyAdvised, Text: user + " may not commit to " + pathOf(p) + ". It proposes from a fork of its own; Bodhi takes updates from committers only.",
			HowTo: "For updates, give " + user + " the right to commit, in the settings of the package in dist-git.", URL: p.URL,
		}, nil
	}
	return models.Readiness{State: models.ReadyMet, Text: user + " may commit to " + pathOf(p) + "."}, nil
}

func (r *Runner) checkMonitoring(ctx context.Context, p *models.Project) (models.Readiness, error) {
	if r.Monitoring == nil {
		return models.Readiness{State: models.ReadyUnknown, Text: "This service asks no release monitoring.", HowTo: "Ask an operator to configure it."}, nil
	}
	project, err := r.Monitoring.Project(ctx, anitya.Fedora, p.Name)
	switch {
	case err != nil:
		return models.Readiness{}, err
	case project == nil:
		return models.Readiness{
			State: models.ReadyOpen, Text: "Nobody watches for new versions of it, so none will be proposed.",
			HowTo: "Add its upstream project to release monitoring, and map it to the package " + p.Name + " in Fedora.", URL: r.MonitoringURL,
		}, nil
	}
	off, err := r.monitoringOff(ctx, p)
	if err != nil {
		return models.Readiness{}, err
	}
	if off != nil {
		return *off, nil
	}
	text := fmt.Sprintf("It is made of the project %d, %s", project.ID, project.Name)
	if newest := project.NewestStable(); newest != "" {
		text += ", whose newest version is " + newest
	}
	return models.Readiness{State: models.ReadyMet, Text: text + ".", URL: fmt.Sprintf("%s/project/%d/", r.MonitoringURL, project.ID)}, nil
}

// trialVersion is what the version becomes in the dry run of an edit, behind
// what it is.
const trialVersion = ".999"

// checkSpec edits the spec file as an update does, without writing it.
func (r *Runner) checkSpec(ctx context.Context, p *models.Project) (models.Readiness, error) {
	name := p.Name + ".spec"
	text, err := r.Packages.DistGit.File(ctx, pathOf(p), orDefault(p.DefaultBranch), name, specfile.MaxSize)
	if httpx.Status(err) == http.StatusNotFound {
		return models.Readiness{State: models.ReadyOpen, Text: fmt.Sprintf("There is no %s on %s.", name, orDefault(p.DefaultBranch)), HowTo: "A package must have a spec file of its name."}, nil
	}
	if err != nil {
		return models.Readiness{}, err
	}
	spec, err := specfile.Parse(text)
	if err != nil {
		return models.Readiness{}, err
	}
	return dryRun(spec, name), nil
}

// dryRun tries to edit a spec file.
func dryRun(spec *specfile.File, name string) models.Readiness {
	version := spec.Version()
	same, next := spec.Clone(), spec.Clone()
	release := specfile.SyncedRelease(spec, spec, version+trialVersion)
	err := errors.Join(same.SetVersion(version, specfile.VersionOptions{}), next.SetVersion(version+trialVersion, specfile.VersionOptions{}), next.SetRawRelease(release))
	switch {
	case err != nil:
		return models.Readiness{
			State: models.ReadyOpen, Text: fmt.Sprintf("%s cannot be edited: %s", name, sentence(strings.ReplaceAll(err.Error(), "\n", "; "))),
			HowTo: "Write Version and Release as tags of the spec file itself; values that come from other files cannot be changed.",
		}
	case next.Version() != version+trialVersion:
		return models.Readiness{
			State: models.ReadyOpen, Text: fmt.Sprintf("After an edit %s would not have the version that it should.", name),
			HowTo: "Write Version, or the macros that it is made of, such that it is one value that can be replaced.",
		}
	}
	found := models.Readiness{State: models.ReadyMet, Text: fmt.Sprintf("%s can be edited. For a version after %s these lines would become:", name, version)}
	before := strings.Split(string(spec.Bytes()), "\n")
	for i, line := range strings.Split(string(next.Bytes()), "\n") {
		if (i >= len(before) || line != before[i]) && len(found.Lines) < 10 {
			found.Lines = append(found.Lines, fmt.Sprintf("%d: %s", i+1, clipText(line, 200)))
		}
	}
	if string(same.Bytes()) != string(spec.Bytes()) {
		found.State, found.Text = models.ReadyAdvised, fmt.Sprintf("%s can be edited, but even for the version that it has, %s, lines would change.", name, version)
		found.HowTo = "Look at the pull request before you merge it."
	}
	return found
}

func (r *Runner) checkBranches(ctx context.Context, p *models.Project) (models.Readiness, error) {
	switched, err := r.Store.Automations(ctx, p.ID)
	if err != nil {
		return models.Readiness{}, err
	}
	config, err := packageconfig.ParseAutomations(switched, PackageOptions(p.Name))
	if err != nil {
		return models.Readiness{}, err
	}
	releases, err := r.Releases(ctx)
	if err != nil {
		return models.Readiness{}, err
	}
	wanted := AutomationBranches(config, releases, p)
	if len(wanted) == 0 {
		return models.Readiness{State: models.ReadyMet, Text: "Nothing is switched on, so no branches are needed."}, nil
	}
	there, err := r.Packages.Branches(ctx, pathOf(p))
	if err != nil {
		return models.Readiness{}, err
	}
	missing := slices.DeleteFunc(wanted, func(branch string) bool { return there[branch] != "" })
	if len(missing) > 0 {
		return models.Readiness{
			State: models.ReadyAdvised, Text: "The package has no branch " + strings.Join(missing, ", ") + ".",
			HowTo: "Choose other branches, or ask for them with fedpkg request-branch.", URL: p.URL,
		}, nil
	}
	return models.Readiness{State: models.ReadyMet, Text: "All branches that are switched on are there."}, nil
}
