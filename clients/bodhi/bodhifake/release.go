package bodhifake

import (
	"encoding/json"
	"regexp"
	"strings"

	"millrace/models"
)

// release is a release with what Bodhi says of it and Koji has for it.
type release struct{ models.Release }

// base is what the release's tags begin with: f44, epel9.
func (r release) base() string {
	if r.IDPrefix == "FEDORA" {
		return "f" + r.Version
	}
	return "epel" + r.Version
}

// distTag is how the releases of its builds end.
func (r release) distTag() string {
	if r.IDPrefix == "FEDORA" {
		return "fc" + r.Version
	}
	return "el" + strings.ReplaceAll(r.Version, ".", "_")
}

// composed reports whether people make its updates.
func (r release) composed() bool { return r.Branch != "rawhide" && r.Name != "ELN" }

func (r release) frozen() bool { return r.State == "frozen" }

// Tags are those that Koji has for the builds of a release: from which people make
// updates (for Rawhide nobody does), of what is tested, and of what is out.
type Tags struct{ Candidate, Testing, Stable string }

func (r release) tags() Tags {
	base := r.base()
	switch {
	case r.IDPrefix == "FEDORA-EPEL":
		return Tags{base + "-testing-candidate", base + "-testing", base}
	case !r.composed():
		return Tags{base + "-updates-candidate", base + "-updates-testing", base}
	}
	return Tags{base + "-updates-candidate", base + "-updates-testing", base + "-updates"}
}

// TagsOf returns the tags of a release, such as F44.
func (s *Server) TagsOf(name string) (Tags, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.release(name)
	return r.tags(), ok
}

// leastDays is for how long an update is tested at least.
func (r release) leastDays() int {
	switch {
	case !r.composed():
		return 0
	case r.IDPrefix == "FEDORA-EPEL" || r.State == "current":
		return 7
	}
	return 3
}

// MarshalJSON writes it as Bodhi does.
func (r release) MarshalJSON() ([]byte, error) {
	manager := "dnf"
	if strings.HasPrefix(r.IDPrefix, "FEDORA-FLATPAK") {
		manager = "unspecified"
	}
	tag := func(end string) string { return r.base() + end }
	return json.Marshal(map[string]any{
		"name": r.Name, "long_name": r.LongName, "version": r.Version, "id_prefix": r.IDPrefix, "branch": r.Branch, "state": r.State,
		"dist_tag": r.base(), "stable_tag": r.tags().Stable, "testing_tag": r.tags().Testing, "candidate_tag": r.tags().Candidate,
		"pending_signing_tag": tag("-signing-pending"), "pending_testing_tag": tag("-updates-testing-pending"),
		"pending_stable_tag": tag("-updates-pending"), "override_tag": tag("-override"), "mail_template": "fedora_errata_template",
		"composed_by_bodhi": r.composed(), "create_automatic_updates": !r.composed(), "package_manager": manager,
		"testing_repository": "updates-testing", "setting_status": nil,
	})
}

var nvrParts = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9+._-]*)-([^-\s/]+)-([^-\s/]+)$`)

// packageOf is the name in an NVR, or empty.
func packageOf(nvr string) string {
	m := nvrParts.FindStringSubmatch(nvr)
	if m == nil {
		return ""
	}
	return m[1]
}

// releaseOf is the release that a build was made for, by how its own ends.
func (s *Server) releaseOf(nvr string) (release, bool) {
	for _, r := range s.releases {
		rel := release{r}
		if r.State == "archived" || r.State == "disabled" || r.IDPrefix != "FEDORA" && r.IDPrefix != "FEDORA-EPEL" || r.Name == "ELN" {
			continue
		}
		end := "." + rel.distTag()
		if strings.HasSuffix(nvr, end) || strings.Contains(nvr, end+".") {
			return rel, true
		}
	}
	return release{}, false
}

func (s *Server) release(name string) (release, bool) {
	for _, r := range s.releases {
		if r.Name == name {
			return release{r}, true
		}
	}
	return release{}, false
}
