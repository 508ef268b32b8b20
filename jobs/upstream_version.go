package jobs

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/packageconfig"
	"millrace/models/rpm"
	"millrace/models/store"
)

// maxVersions is how many versions of one announcement are looked at.
const maxVersions = 20

// handleUpstreamVersion plans what is to be done for the newest of the versions
// that release monitoring announced for a package. The older ones, where they are
// wanted, become events of their own behind it.
func (r *Runner) handleUpstreamVersion(ctx context.Context, e *models.Event, m *models.Message) error {
	if !r.Packages.Holds(e.Project) {
		return r.conclude(ctx, e, models.EventNothing, "It is not about a package of the dist-git that this service works with.")
	}
	if len(m.Versions) == 0 {
		return r.conclude(ctx, e, models.EventNothing, "It names no version.")
	}
	forge, err := r.Forge(e.Project)
	if err != nil {
		return err
	}
	versions := newestFirst(m.Versions)
	version := versions[0]
	return r.planCommit(ctx, forge, e, &models.Commit{
		ProjectID: e.ProjectID, Kind: models.UpstreamRef, Ref: version, Title: m.Title,
	}, circumstances{
		downstream: models.Downstream{IsPackage: true, Newer: m.Newer}, news: []Made{releaseOf(e, version, version)}, older: versions[1:],
	})
}

// newestFirst orders versions, and leaves repetitions out.
func newestFirst(versions []string) []string {
	sorted := slices.Clone(versions)
	slices.SortStableFunc(sorted, func(a, b string) int { return rpm.CompareVersions(b, a) })
	var kept []string
	for _, version := range sorted {
		if !slices.Contains(kept, version) {
			kept = append(kept, version)
		}
	}
	return kept
}

// aboutVersions finds out which of several announced versions a config wants, and
// whether an older one is wanted.
func (r *Runner) aboutVersions(ctx context.Context, e *models.Event, config *models.PackageConfig, about *circumstances) error {
	if len(about.older) == 0 && about.downstream.Newer == "" {
		return nil
	}
	wanted, asks := false, false
	for i := range config.Jobs {
		if view := &config.Jobs[i]; view.Type == models.JobPullFromUpstream {
			wanted, asks = wanted || view.PullsAllVersions(), asks || !view.PullsAllVersions()
		}
	}
	why := "upstream is no git repository, and the package's monitoring does not say all_versions"
	if asks {
		all, mistake, err := r.monitorsAll(ctx, e.Project)
		if err != nil {
			return err
		}
		if mistake != "" {
			why = "upstream is no git repository, and " + mistake
		}
		about.downstream.AllVersions, wanted = all, wanted || all
	}
	switch older := about.older; {
	case len(older) == 0:
	case !wanted && asks:
		about.older, about.said = nil, fmt.Sprintf("Of the versions that were announced only the newest counts, because %s: not %s.", why, listed(older))
	case !wanted:
		about.older = nil // there is no job that pulls
	case len(older) >= maxVersions:
		about.older = older[:maxVersions-1]
		about.said = fmt.Sprintf("Of the %d versions that were announced the newest %d are looked at, each as an event of its own.", len(older)+1, maxVersions)
	default:
		about.said = fmt.Sprintf("Announced with it, and looked at as events of their own: %s.", listed(older))
	}
	return nil
}

func listed(versions []string) string {
	words := make([]string, 0, len(versions))
	for i, v := range versions {
		if i == maxVersions {
			words = append(words, "…")
			break
		}
		words = append(words, shortWord(v))
	}
	return strings.Join(words, ", ")
}

// monitorsAll reports whether release monitoring is to tell a package of all
// versions. A mistake in its file, in words, means no.
func (r *Runner) monitorsAll(ctx context.Context, p *models.Project) (all bool, mistake string, err error) {
	text, err := r.Packages.File(ctx, pathOf(p), orDefault(p.DefaultBranch), monitoringFile, packageconfig.MaxSize)
	switch {
	case err == nil:
		m, err := packageconfig.ParseMonitoring(text)
		if err != nil {
			return false, monitoringFile + " cannot be read: " + strings.TrimSuffix(shortLine(err.Error()), "."), nil
		}
		return m.AllVersions, "", nil
	case httpx.Status(err) != http.StatusNotFound:
		return false, "", fmt.Errorf("reading %s of %s: %w", monitoringFile, p.Path(), err)
	}
	setting, keeps := r.Packages.DistGit.(monitored)
	if !keeps {
		return false, "", nil
	}
	word, err := setting.Monitoring(ctx, pathOf(p))
	if err != nil && temporary(err) {
		return false, "", err
	}
	return err == nil && allMonitored[word], "", nil
}

// shortLine is the beginning of what may be long, on one line.
func shortLine(text string) string { return clipText(firstLine(text), 200) }

// deliverOlder makes a message of our own of each version that was announced with the
// one of an event: it is handled behind that, and has its own decisions. The bug
// that was filed is about the newest alone.
func (r *Runner) deliverOlder(ctx context.Context, tx *store.Tx, e *models.Event, versions []string) error {
	if e.Message == nil {
		return nil
	}
	for _, version := range versions {
		m := *e.Message
		m.Versions, m.Newer, m.Bug = []string{version}, e.Commit.Ref, 0
		key := fmt.Sprintf("%s@%s, announced by event %d", e.Project.Path(), version, e.ID)
		if _, err := r.deliver(ctx, tx, key, &m); err != nil {
			return err
		}
	}
	return nil
}
