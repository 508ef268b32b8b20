package handlers

import (
	"net/http"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"millrace/models"
	"millrace/views"
)

const (
	releasesShown  = 20
	releasesBefore = 5 // on the page of another
	recentShown    = 10
)

// showRelease shows the way of a release, or reports false if the reference is
// that of none.
func (s *Server) showRelease(w http.ResponseWriter, r *http.Request, p *models.Project, ref string) (bool, error) {
	ctx := r.Context()
	release, err := s.Store.Product(ctx, models.ReleaseRefOf(p, ref))
	if isMissing(err) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	earlier, err := s.Store.Releases(ctx, p.ID, release.ID, releasesBefore)
	if err != nil {
		return true, err
	}
	ways, err := s.Store.Ways(ctx, append([]*models.Product{release}, earlier...))
	if err != nil {
		return true, err
	}
	page := views.ReleasePage{Project: p, Way: ways[0], Earlier: ways[1:], Topics: topicsOfWay(ways[0])}
	if s.PackageForge != "" && p.Forge == s.PackageForge {
		page.Package = p.Name
	}
	part, err := fragment(r, map[string]func(views.ReleasePage) templ.Component{"head": views.ReleaseHead, "way": views.ReleaseWay}, views.Release)
	if err != nil {
		return true, err
	}
	return true, s.render(w, r, http.StatusOK, part(page))
}

// showWay answers programs how far a release has come.
func (s *Server) showWay(w http.ResponseWriter, r *http.Request, p *models.Project, ref string) error {
	release, err := s.Store.Product(r.Context(), models.ReleaseRefOf(p, strings.TrimSuffix(ref, ".json")))
	if err != nil {
		return err
	}
	if !visitOf(r).json && !strings.HasSuffix(ref, ".json") {
		redirect(w, views.ReleaseURL(p, ref), http.StatusFound)
		return nil
	}
	visitOf(r).json = true
	ways, err := s.Store.Ways(r.Context(), []*models.Product{release})
	if err != nil {
		return err
	}
	return s.writeJSON(w, r, s.apiWay(ways[0]))
}

// topicsOfWay are those of all projects in which something of a release is.
func topicsOfWay(way *models.Way) []string {
	ids := []int64{way.Release.ProjectID}
	for _, row := range way.Rows {
		for _, cell := range row.Cells {
			if cell.Product != nil {
				ids = append(ids, cell.Product.ProjectID)
			}
			if cell.Made != nil {
				ids = append(ids, cell.Made.Pipeline.ProjectID)
			}
		}
	}
	slices.Sort(ids)
	var topics []string
	for _, id := range slices.Compact(ids) {
		topics = append(topics, views.ProjectTopic(id))
	}
	return topics
}

// packageSpace is where packages are, among what else there is in dist-git.
const packageSpace = "rpms"

// showPackage shows a package and its releases.
func (s *Server) showPackage(w http.ResponseWriter, r *http.Request) error {
	p, err := s.packageAt(r, param(r, "name"))
	if err != nil {
		return err
	}
	before, ok := number(r.URL.Query().Get("before"))
	if !ok {
		before = 0
	}
	releases, err := s.Store.PackageReleases(r.Context(), p.ID, before, releasesShown+1)
	if err != nil {
		return err
	}
	page := views.PackagePage{Project: p, First: before == 0}
	if len(releases) > releasesShown {
		releases = releases[:releasesShown]
		page.Older = releases[releasesShown-1].ID
	}
	if page.Ways, err = s.Store.Ways(r.Context(), releases); err != nil {
		return err
	}
	if visitOf(r).json {
		return s.writeJSON(w, r, Package{Project: *s.apiProject(p), Releases: each(page.Ways, s.apiWay)})
	}
	if p.ID != 0 { // something happened to it
		recent, err := s.Store.Pipelines(r.Context(), models.PipelineFilter{ProjectID: p.ID}, models.Page{Limit: recentShown})
		if err != nil {
			return err
		}
		page.Recent = *recent
	}
	if page.Watching, err = s.watchingOf(r, p); err != nil {
		return err
	}
	part, err := fragment(r, map[string]func(views.PackagePage) templ.Component{"releases": views.PackageReleases}, views.Package)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, part(page))
}
