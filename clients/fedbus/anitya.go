package fedbus

import (
	"millrace/clients/wire"
	"millrace/models"
)

// release is the body of Anitya's message about new versions.
type release struct {
	Message struct {
		UpstreamVersions []string `json:"upstream_versions"`
		Packages         []struct {
			Distro string `json:"distro"`
			Name   string `json:"package_name"`
		} `json:"packages"`
	} `json:"message"`
	Project struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	} `json:"project"`
}

func (r release) message(name, projectURL string) (*models.Message, string) {
	switch {
	case !packageName.MatchString(name):
		return nil, "it does not name the package"
	case len(r.Message.UpstreamVersions) == 0:
		return nil, "it names no new version"
	}
	return &models.Message{
		Kind:       models.UpstreamVersionEvent,
		ProjectURL: projectURL,
		Package:    name,
		Versions:   r.Message.UpstreamVersions,
		UpstreamID: max(0, r.Project.ID),
		Title:      r.Project.Name,
	}, ""
}

// parseHotness reads that a bug was filed because of new versions of a Fedora
// package. What Anitya said is inside.
func (p Parser) parseHotness(body []byte) (*models.Message, string, error) {
	var in struct {
		Package string `json:"package"`
		Bug     struct {
			ID int `json:"bug_id"`
		} `json:"bug"`
		Trigger struct {
			Msg release `json:"msg"`
		} `json:"trigger"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	m, reason := in.Trigger.Msg.message(in.Package, p.distGit("rpms/"+in.Package))
	if reason != "" {
		return nil, reason, nil
	}
	m.Bug = max(0, in.Bug.ID)
	return m, "", nil
}

// parseAnitya reads of new versions for packages of CentOS Stream. For those of
// Fedora the message about their bug follows, and would make two events of
// one.
func (p Parser) parseAnitya(body []byte) (*models.Message, string, error) {
	const distro = "CentOS"
	var in release
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	for _, pkg := range in.Message.Packages {
		if pkg.Distro == distro {
			m, reason := in.message(pkg.Name, repository(p.StreamDistGit, DefaultStreamDistGit, "rpms/"+pkg.Name))
			return m, reason, nil
		}
	}
	return nil, "it is about no package of " + distro, nil
}
