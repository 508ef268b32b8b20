package jobs

import (
	"context"
	"fmt"
	"net/http"

	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/packageconfig"
)

// monitored is a dist-git that keeps what the owners of a package want to be told
// of, in Fedora's words: "no-monitoring", "monitoring" and the like.
type monitored interface {
	Monitoring(ctx context.Context, repo string) (string, error)
}

// monitoringFile is where a package may say the same itself, which counts then.
const monitoringFile = "monitoring.toml"

// allMonitored are those of these words that mean all versions.
var allMonitored = map[string]bool{"monitoring-all": true, "monitoring-all-scratch": true}

// monitoringOff says that the owners of a package do not want to be told of new
// versions, so nobody is; nil if they do or if this dist-git does not keep it.
func (r *Runner) monitoringOff(ctx context.Context, p *models.Project) (*models.Readiness, error) {
	off := &models.Readiness{State: models.ReadyOpen, Text: "It is switched off for this package in dist-git: nobody is told of new versions, so none will be proposed.", URL: p.URL}
	text, err := r.Packages.DistGit.File(ctx, pathOf(p), orDefault(p.DefaultBranch), monitoringFile, maxProbe)
	if err == nil {
		file, err := packageconfig.ParseMonitoring(text)
		if err != nil {
			off.Text = fmt.Sprintf("The file %s on %s cannot be read, so nobody can tell whether it is switched on.", monitoringFile, orDefault(p.DefaultBranch))
			off.HowTo = "Mend the file: " + sentence(firstLine(err.Error()))
			return off, nil
		}
		if file.On {
			return nil, nil
		}
		off.HowTo = fmt.Sprintf("Write monitoring = true into %s on %s.", monitoringFile, orDefault(p.DefaultBranch))
		return off, nil
	}
	if httpx.Status(err) != http.StatusNotFound {
		return nil, err
	}
	distGit, keeps := r.Packages.DistGit.(monitored)
	if !keeps {
		return nil, nil
	}
	setting, err := distGit.Monitoring(ctx, pathOf(p))
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking for the monitoring of %s: %w", p.Path(), err)
	case setting != "no-monitoring":
		return nil, nil
	}
	off.HowTo = "Switch it on with “Monitoring status” on the page of the package in dist-git."
	return off, nil
}
