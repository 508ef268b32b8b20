package coprfake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/clients/copr"
)

// submission is what all ways of submitting a build have in common.
type submission struct {
	Owner        string   `json:"ownername"`
	Project      string   `json:"projectname"`
	Dirname      string   `json:"project_dirname"`
	Chroots      []string `json:"chroots"`
	Exclude      []string `json:"exclude_chroots"`
	Timeout      *int     `json:"timeout"`
	Background   bool     `json:"background"`
	EnableNet    *bool    `json:"enable_net"`
	ForgeProject string   `json:"packit_forge_project"`
}

var (
	dirPattern = regexp.MustCompile(`^[\w.-]+(:(pr|custom):[\w.-]+)?$`)
	srpmName   = regexp.MustCompile(`^[\w.+~^-]+\.(src|nosrc)\.rpm$`)
)

func (f *Fake) createCustom(r *http.Request, user *User) (any, error) {
	var in struct {
		submission
		Script    string `json:"script"`
		Chroot    string `json:"chroot"`
		BuildDeps string `json:"builddeps"`
		ResultDir string `json:"resultdir"`
		Repos     string `json:"repos"`
	}
	if err := readJSON(r.Body, &in); err != nil {
		return nil, err
	}
	switch {
	case strings.TrimSpace(in.Script) == "":
		return nil, badForm("script", "This field is required.")
	case len(in.Script) > copr.MaxScript:
		return nil, badForm("script", fmt.Sprintf("Field cannot be longer than %d characters.", copr.MaxScript))
	case in.Chroot == "":
		in.Chroot = "fedora-latest-x86_64"
	}
	source := copr.Source{Type: "custom", Data: map[string]string{"script": in.Script, "chroot": in.Chroot,
		"builddeps": in.BuildDeps, "resultdir": in.ResultDir, "repos": in.Repos}}
	b, err := f.submit(in.submission, user, source, "")
	return answerOne(f, r, b, err)
}

func (f *Fake) createURL(r *http.Request, user *User) (any, error) {
	var in struct {
		submission
		Packages json.RawMessage `json:"pkgs"`
	}
	if err := readJSON(r.Body, &in); err != nil {
		return nil, err
	}
	var raw any
	// What is no JSON was refused with the whole.
	_ = json.Unmarshal(in.Packages, &raw)
	addresses := list(raw)
	if len(addresses) == 0 {
		return nil, badForm("pkgs", "URLs to packages are required")
	}
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil || !strings.HasPrefix(u.Scheme, "http") || u.Host == "" {
			return nil, badForm("pkgs", fmt.Sprintf("A list of http[s] URLs separated by whitespace characters is needed ('%s' doesn't seem to be a valid URL).", address))
		}
		if !srpmName.MatchString(path.Base(u.Path)) {
			return nil, badForm("pkgs", fmt.Sprintf("URLs must end with .src.rpm, .nosrc.rpm, or .spec ('%s' doesn't seem to be a valid URL).", address))
		}
	}
	items := make([]any, len(addresses))
	for i, address := range addresses {
		b, err := f.submit(in.submission, user, copr.Source{Type: "link", Data: map[string]string{"url": address}}, "")
		if err != nil {
			return nil, err
		}
		items[i] = buildAnswer(&b, f.base(r))
	}
	return map[string]any{"items": items, "meta": map[string]any{}}, nil
}

func (f *Fake) createUpload(r *http.Request, user *User) (any, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, badForm("pkgs", "No file was uploaded")
	}
	dir, err := os.MkdirTemp(f.path("uploads"), "")
	if err != nil {
		return nil, err
	}
	in, name, err := readUpload(parts, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	tmp := filepath.Base(dir)
	source := copr.Source{Type: "upload", Data: map[string]string{"tmp": tmp, "pkg": name, "url": f.base(r) + "/tmp/" + tmp + "/" + name}}
	b, err := f.submit(in, user, source, filepath.Join(dir, name))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return answerOne(f, r, b, nil)
}

// readUpload stores the uploaded file in dir and returns the options beside it.
func readUpload(parts *multipart.Reader, dir string) (in submission, name string, err error) {
	described := false
	for range 8 {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return in, "", refuse(http.StatusBadRequest, "The upload is broken: %v", err)
		}
		switch part.FormName() {
		case "json":
			if err := readJSON(part, &in); err != nil {
				return in, "", err
			}
			described = true
		case "pkgs":
			name = part.FileName()
			if !srpmName.MatchString(name) {
				return in, "", badForm("pkgs", "You can upload only .src.rpm, .nosrc.rpm, and .spec files")
			}
			if err := store(filepath.Join(dir, name), part); err != nil {
				return in, "", err
			}
		}
	}
	if !described || name == "" {
		return in, "", badForm("pkgs", "This field is required.")
	}
	return in, name, nil
}

func store(name string, r io.Reader) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	n, err := io.Copy(file, io.LimitReader(r, maxUpload+1))
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil && n > maxUpload {
		err = refuse(http.StatusRequestEntityTooLarge, "The file is too large.")
	}
	return err
}

func badForm(field, text string) error {
	quote := `'`
	if strings.Contains(text, `'`) {
		quote = `"` // as Python prints it
	}
	return refuse(http.StatusBadRequest, "Bad request parameters: {'%s': [%s%s%s]}", field, quote, text, quote)
}

// submit checks and stores a build, and sets it off.
func (f *Fake) submit(in submission, user *User, source copr.Source, upload string) (Build, error) {
	f.mu.Lock()
	b, err := f.store(in, user, source, upload)
	if err != nil {
		f.mu.Unlock()
		return Build{}, err
	}
	early := f.faults.EarlyMessages
	if early {
		b.SourcePart.Announced = true
	}
	c := b.clone()
	f.begin(b.ID)
	f.mu.Unlock()
	if early {
		f.publish("copr.build.start", c, c.SourcePart.Chroot, copr.Running)
	}
	return c, nil
}

// store makes a build. The lock is held.
func (f *Fake) store(in submission, user *User, source copr.Source, upload string) (*Build, error) {
	p, err := f.project(in.Owner, in.Project)
	if err != nil {
		return nil, err
	}
	chroots, err := f.choose(p, in.Chroots, in.Exclude)
	if err != nil {
		return nil, err
	}
	if in.Timeout != nil && (*in.Timeout < 0 || *in.Timeout > 108000) {
		return nil, badForm("timeout", "Number must be between 0 and 108000.")
	}
	dirname := in.Dirname
	if dirname == "" {
		dirname = p.Name
	}
	if base, _, _ := strings.Cut(dirname, ":"); base != p.Name || !dirPattern.MatchString(dirname) {
		return nil, refuse(http.StatusBadRequest, "Wrong directory '%s' specified", dirname)
	}
	if !mayBuild(user, p) {
		return nil, refuse(http.StatusForbidden, "User %s is not allowed to build in the copr: %s", user.Name, p.fullName())
	}
	if in.ForgeProject != "" && !allows(p.ForgeProjects, in.ForgeProject) {
		return nil, refuse(http.StatusForbidden, "Forge project %s can't build in this Copr via Packit.", in.ForgeProject)
	}
	if f.closed {
		return nil, refuse(http.StatusServiceUnavailable, "Copr is being stopped.")
	}
	now := time.Now().UTC()
	b := &Build{ID: f.lastID + 1, Owner: p.Owner, Project: p.Name, Dirname: dirname, Submitter: user.Name, ForgeProject: in.ForgeProject,
		Source: source, Upload: upload, Background: in.Background, Timeout: 5 * time.Hour, Submitted: now,
		SourcePart: Part{Chroot: copr.SourceChroot, State: copr.Pending, Queued: now}}
	if in.Timeout != nil {
		b.Timeout = time.Duration(*in.Timeout) * time.Second
	}
	if in.EnableNet != nil {
		b.EnableNet = *in.EnableNet
	} else {
		b.EnableNet = p.Settings["enable_net"] == true
	}
	for _, name := range chroots {
		b.Chroots = append(b.Chroots, Part{Chroot: name, State: copr.Waiting})
	}
	if err := f.saveBuild(b); err != nil {
		return nil, err
	}
	f.lastID = b.ID
	f.builds[b.ID] = b
	return b, nil
}

// choose finds the project's chroots that fit the patterns. The lock is held.
func (f *Fake) choose(p *Project, patterns, exclude []string) ([]string, error) {
	var active []string
	for _, name := range p.Chroots {
		if slices.Contains(f.chroots, name) { // not at its end of life
			active = append(active, name)
		}
	}
	if len(active) == 0 {
		return nil, refuse(http.StatusBadRequest, "Can't create build - project %s has no active chroots", p.fullName())
	}
	fits := func(patterns []string, name string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool {
			ok, err := path.Match(pattern, name)
			return ok && err == nil
		})
	}
	for _, pattern := range patterns {
		if !slices.ContainsFunc(active, func(name string) bool { return fits([]string{pattern}, name) }) {
			return nil, badForm("chroots", fmt.Sprintf("'%s' is not a valid choice for this field.", pattern))
		}
	}
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	return slices.DeleteFunc(active, func(name string) bool { return !fits(patterns, name) || fits(exclude, name) }), nil
}

func allows(patterns []string, project string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, project)
		return ok && err == nil
	})
}

func answerOne(f *Fake, r *http.Request, b Build, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return buildAnswer(&b, f.base(r)), nil
}

func buildAnswer(b *Build, base string) map[string]any {
	source := map[string]any{"name": orNull(b.Package), "version": orNull(b.Version), "url": nil}
	switch {
	case b.SRPM != "":
		source["url"] = base + "/" + b.resultDir(&b.SourcePart) + "/" + b.SRPM
	case b.Source.Type != "custom":
		source["url"] = b.Source.Data["url"]
	}
	var started, ended time.Time
	names := []string{}
	for _, part := range b.Chroots {
		names = append(names, part.Chroot)
		if !part.Started.IsZero() && (started.IsZero() || part.Started.Before(started)) {
			started = part.Started
		}
		if part.Ended.After(ended) {
			ended = part.Ended
		}
	}
	if !copr.Finished(b.State()) {
		ended = time.Time{}
	}
	return map[string]any{"id": b.ID, "state": b.State(), "projectname": b.Project, "ownername": b.Owner, "project_dirname": b.Dirname,
		"repo_url": base + "/results/" + b.Owner + "/" + b.Dirname, "chroots": names, "source_package": source,
		"submitted_on": b.Submitted.Unix(), "started_on": seconds(started), "ended_on": seconds(ended),
		"submitter": b.Submitter, "is_background": b.Background}
}

func chrootOfBuild(b *Build, p *Part, base string) map[string]any {
	var address any
	if p.ResultDir != "" {
		address = base + "/" + b.resultDir(p) + "/"
	}
	return map[string]any{"name": p.Chroot, "state": p.State, "started_on": seconds(p.Started), "ended_on": seconds(p.Ended), "result_url": address}
}

func seconds(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Unix()
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// ofPath finds the build that the path or the query names.
func (f *Fake) ofPath(r *http.Request) (Build, error) {
	text := r.PathValue("id")
	if text == "" {
		text = r.FormValue("build_id")
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if b, ok := f.Build(id); ok && err == nil {
		return b, nil
	}
	return Build{}, refuse(http.StatusNotFound, "Build %s does not exist.", text)
}

func (f *Fake) getBuild(r *http.Request, _ *User) (any, error) {
	b, err := f.ofPath(r)
	return answerOne(f, r, b, err)
}

func (f *Fake) listBuilds(r *http.Request, _ *User) (any, error) {
	query := r.URL.Query()
	f.mu.Lock()
	p, err := f.project(query.Get("ownername"), query.Get("projectname"))
	if err != nil {
		f.mu.Unlock()
		return nil, err
	}
	name, status := query.Get("packagename"), query.Get("status")
	builds := f.newest(func(b *Build) bool {
		return b.Owner == p.Owner && b.Project == p.Name && (name == "" || b.Package == name) && (status == "" || b.State() == status)
	})
	f.mu.Unlock()
	builds, meta := page(r, builds)
	items := make([]any, len(builds))
	for i := range builds {
		items[i] = buildAnswer(&builds[i], f.base(r))
	}
	return map[string]any{"items": items, "meta": meta}, nil
}

func (f *Fake) getSourceChroot(r *http.Request, _ *User) (any, error) {
	b, err := f.ofPath(r)
	if err != nil {
		return nil, err
	}
	answer := chrootOfBuild(&b, &b.SourcePart, f.base(r))
	return map[string]any{"state": answer["state"], "result_url": answer["result_url"]}, nil
}

func (f *Fake) getSourceConfig(r *http.Request, _ *User) (any, error) {
	b, err := f.ofPath(r)
	if err != nil {
		return nil, err
	}
	return map[string]any{"source_type": b.Source.Type, "source_dict": b.Source.Data, "memory_limit": 2048,
		"timeout": int(b.Timeout.Seconds()), "is_background": b.Background}, nil
}

func (f *Fake) getBuiltPackages(r *http.Request, _ *User) (any, error) {
	b, err := f.ofPath(r)
	if err != nil {
		return nil, err
	}
	answer := make(map[string]any)
	for _, part := range b.Chroots {
		packages := part.Packages
		if packages == nil {
			packages = []copr.Package{}
		}
		answer[part.Chroot] = map[string]any{"packages": packages}
	}
	return answer, nil
}

func (f *Fake) getBuildChroot(r *http.Request, _ *User) (any, error) {
	b, err := f.ofPath(r)
	if err != nil {
		return nil, err
	}
	name := r.FormValue("chrootname")
	part := b.part(name)
	if part == nil || part == &b.SourcePart {
		return nil, refuse(http.StatusNotFound, "Chroot %s of build %d does not exist.", name, b.ID)
	}
	return chrootOfBuild(&b, part, f.base(r)), nil
}

func (f *Fake) listBuildChroots(r *http.Request, _ *User) (any, error) {
	b, err := f.ofPath(r)
	if err != nil {
		return nil, err
	}
	items := make([]any, len(b.Chroots))
	for i := range b.Chroots {
		items[i] = chrootOfBuild(&b, &b.Chroots[i], f.base(r))
	}
	return map[string]any{"items": items, "meta": map[string]any{"limit": nil, "offset": 0, "order": "id", "order_type": "ASC"}}, nil
}

func (f *Fake) cancelBuild(r *http.Request, user *User) (any, error) {
	if _, err := f.ofPath(r); err != nil {
		return nil, err
	}
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	b := f.builds[id]
	if p, ok := f.projects[b.Owner+"/"+b.Project]; !ok || !mayBuild(user, p) {
		f.mu.Unlock()
		return nil, refuse(http.StatusForbidden, "You are not allowed to cancel this build.")
	}
	if copr.Finished(b.State()) {
		f.mu.Unlock()
		return nil, refuse(http.StatusConflict, "Cannot cancel build %d", id)
	}
	stopped, err := f.cancel(b)
	c := b.clone()
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	for _, chroot := range stopped {
		f.publish("copr.build.end", c, chroot, copr.Canceled)
	}
	return buildAnswer(&c, f.base(r)), nil
}

// cancel ends all parts of a build, and returns the chroots of those that were
// running. The lock is held.
func (f *Fake) cancel(b *Build) (stopped []string, err error) {
	now := time.Now().UTC()
	b.Canceled = true
	parts := []*Part{&b.SourcePart}
	for i := range b.Chroots {
		parts = append(parts, &b.Chroots[i])
	}
	for _, part := range parts {
		if copr.Finished(part.State) {
			continue
		}
		if part.State == copr.Running {
			stopped = append(stopped, part.Chroot)
		}
		part.State, part.Ended = copr.Canceled, now
	}
	if stop := f.cancels[b.ID]; stop != nil {
		stop()
	}
	return stopped, f.saveBuild(b)
}

func (f *Fake) deleteBuild(r *http.Request, user *User) (any, error) {
	c, err := f.ofPath(r)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.builds[c.ID]
	if p, ok := f.projects[b.Owner+"/"+b.Project]; !ok || !mayBuild(user, p) {
		return nil, refuse(http.StatusForbidden, "You are not allowed to delete this build.")
	}
	if !copr.Finished(b.State()) {
		return nil, refuse(http.StatusBadRequest, "You can not delete build `%d' which is not finished.", b.ID)
	}
	return buildAnswer(&c, f.base(r)), f.remove(b)
}

// remove forgets a build but for what it was submitted with, which
// Submissions counts. The lock is held.
func (f *Fake) remove(b *Build) error {
	b.Deleted = true
	if err := f.saveBuild(b); err != nil {
		return err
	}
	parts := append([]Part{b.SourcePart}, b.Chroots...)
	for _, part := range parts {
		if part.ResultDir == "" {
			continue
		}
		if err := os.RemoveAll(f.path(b.resultDir(&part))); err != nil {
			return err
		}
	}
	return nil
}
