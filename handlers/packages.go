package handlers

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"millrace/models"
	"millrace/views"
)

// packagesListed is how many of their packages somebody sees on a page.
const packagesListed = 100

// listPackages lists packages in dist-git: those of the viewer, or all that
// something happened to.
func (s *Server) listPackages(w http.ResponseWriter, r *http.Request) error {
	if s.PackageForge == "" {
		return &refusal{status: http.StatusNotFound, detail: "This service works with no dist-git."}
	}
	q := r.URL.Query()
	text, err := textParam(q, "q")
	if err != nil {
		return err
	}
	filter := models.ProjectFilter{Query: text, Forge: s.PackageForge, Namespace: packageSpace}
	if visitOf(r).json {
		return s.projectList(w, r, text, filter)
	}
	viewer := viewerOf(r)
	page := views.PackagesPage{Query: text, Own: viewer != nil, Mine: viewer != nil && q.Get("all") == ""}
	if page.Mine {
		err = s.addOwn(r.Context(), &page, viewer, q.Get("from"))
	} else {
		err = s.addPackages(r, &page, filter)
	}
	if err == nil {
		err = s.addJobs(r.Context(), page.Rows)
	}
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, views.Packages(page))
}

// addPackages adds a part of the list of all packages that are known here.
func (s *Server) addPackages(r *http.Request, page *views.PackagesPage, filter models.ProjectFilter) error {
	list, err := s.Store.Projects(r.Context(), filter, listPage(r))
	if err != nil {
		return err
	}
	page.Cursors = list.Cursors
	for _, row := range list.Rows {
		page.Rows = append(page.Rows, views.PackageRow{Project: row.Project, Last: row.Last})
	}
	return nil
}

// addOwn adds a part of the list of the viewer's packages by name, from one on:
// what dist-git says is theirs, and what they have to do with here.
func (s *Server) addOwn(ctx context.Context, page *views.PackagesPage, viewer *models.Viewer, from string) error {
	here, err := s.Store.PackagesOf(ctx, viewer.ID, s.PackageForge, packageSpace)
	if err != nil {
		return err
	}
	var names []string
	for _, p := range here {
		names = append(names, p.Name)
	}
	if s.Automating != nil {
		own, err := s.Automating.OwnPackages(ctx, viewer.Login)
		if err != nil {
			return err
		}
		page.AskedAt, names = own.At, append(names, own.Names...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	page.Known = len(names)
	if page.Query != "" {
		pattern := models.ParsePattern(page.Query)
		if word, exact := pattern.Exact(); exact {
			pattern = models.Pattern{"", word, ""}
		}
		names = slices.DeleteFunc(names, func(name string) bool { return !pattern.Match(name) })
	}
	page.Found = len(names)
	i, _ := slices.BinarySearch(names, from)
	if i == len(names) { // behind the last one
		i = max(0, i-packagesListed)
	}
	if i > 0 {
		page.Newer = names[max(0, i-packagesListed)]
	}
	if names = names[i:]; len(names) > packagesListed {
		page.Older, names = names[packagesListed], names[:packagesListed]
	}
	known, err := s.Store.ProjectsNamed(ctx, s.PackageForge, packageSpace, names)
	if err != nil {
		return err
	}
	by := map[string]*models.ProjectRow{}
	for _, row := range known {
		by[row.Name] = row
	}
	for _, name := range names {
		row := views.PackageRow{Project: &models.Project{Forge: s.PackageForge, Namespace: packageSpace, Name: name}}
		if k := by[name]; k != nil {
			row.Project, row.Last = k.Project, k.Last
		}
		page.Rows = append(page.Rows, row)
	}
	return nil
}

// addJobs adds what is switched on for packages.
func (s *Server) addJobs(ctx context.Context, rows []views.PackageRow) error {
	var ids []int64
	for _, row := range rows {
		if row.ID != 0 {
			ids = append(ids, row.ID)
		}
	}
	by, err := s.Store.AutomationsOf(ctx, ids)
	if err != nil {
		return err
	}
	for i, row := range rows {
		rows[i].Jobs = by[row.ID]
	}
	return nil
}

// packageAt finds the package of an address, whether anything happened to it or
// not. What ends in .json is a package of that name, or the JSON of another.
func (s *Server) packageAt(r *http.Request, name string) (*models.Project, error) {
	known := func(name string) (*models.Project, error) {
		return s.Store.ProjectAtPath(r.Context(), s.PackageForge+"/"+packageSpace+"/"+name)
	}
	p, err := known(name)
	if short, isJSON := strings.CutSuffix(name, ".json"); isMissing(err) && isJSON {
		visitOf(r).json, name = true, short
		p, err = known(name)
	}
	if isMissing(err) {
		return s.packageNamed(r, name)
	}
	return p, err
}
