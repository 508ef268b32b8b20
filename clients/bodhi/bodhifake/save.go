package bodhifake

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"millrace/clients/bodhi"
)

// form is what was posted, in JSON or as browsers do.
type form map[string]any

func readForm(r *http.Request) (form, error) {
	f := form{}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		d := json.NewDecoder(r.Body)
		d.UseNumber() // as text, a number is to look as it came
		return f, d.Decode(&f)
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	for key, values := range r.PostForm {
		f[key] = strings.Join(values, ",")
	}
	return f, nil
}

func (f form) text(key, otherwise string) string {
	if v, ok := f[key].(string); ok && v != "" {
		return v
	}
	return otherwise
}

func (f form) yes(key string, otherwise bool) bool {
	switch v := f[key].(type) {
	case bool:
		return v
	case string:
		return v == "true" || v == "1" || v == "on"
	}
	return otherwise
}

func (f form) number(key string, otherwise int) int {
	n := otherwise
	if _, err := fmt.Sscan(fmt.Sprint(f[key]), &n); err != nil {
		return otherwise
	}
	return n
}

// list is a list, or a text with commas or blanks between what is in it.
func (f form) list(key string) []string {
	var all []string
	switch v := f[key].(type) {
	case string:
		return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
	case []any:
		for _, item := range v {
			if text := strings.TrimSpace(fmt.Sprint(item)); text != "" {
				all = append(all, text)
			}
		}
	}
	return all
}

// post answers what changes something: for who is logged in, with the token of
// forms.
func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	f, err := readForm(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "body", "body", "Invalid JSON")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.session(r)
	switch {
	case !ok:
		refuse(w, http.StatusForbidden, "body", "body", "Access was denied to this resource.")
		return
	case f.text("csrf_token", "") != l.csrf:
		refuse(w, http.StatusBadRequest, "body", "csrf_token", "CSRF tokens do not match.  This happens if you have the page open for a long time.")
		return
	}
	switch path := r.URL.Path; {
	case path == "/updates/":
		s.saveUpdates(w, r, l.user, f)
	case path == "/comments/":
		s.comment(w, r, l.user, f)
	case path == "/overrides/":
		s.saveOverride(w, l.user, f)
	case strings.HasPrefix(path, "/updates/"):
		alias, what, _ := strings.Cut(strings.TrimPrefix(path, "/updates/"), "/")
		u := s.find(alias)
		if u == nil {
			refuse(w, http.StatusNotFound, "url", "id", "Invalid update id")
			return
		}
		s.steer(w, r, l.user, u, what, f)
	default:
		refuse(w, http.StatusNotFound, "url", "path", "The resource could not be found.")
	}
	if err := s.keep(); err != nil {
		s.outgoing = nil // nobody is told of what is not written down
	}
}

// saveUpdates creates updates, one for each release of the builds, or edits one.
func (s *Server) saveUpdates(w http.ResponseWriter, r *http.Request, user string, f form) {
	bad := func(name, text string, args ...any) {
		refuse(w, http.StatusBadRequest, "body", name, fmt.Sprintf(text, args...))
	}
	var edited *Update
	if alias := f.text("edited", ""); alias != "" {
		if edited = s.find(alias); edited == nil {
			bad("edited", "Cannot find update to edit: %s", alias)
			return
		}
		if edited.Status == bodhi.Stable {
			bad("edited", "Cannot edit stable updates")
			return
		}
	}
	builds, ok := s.builds(w, f, edited)
	if !ok {
		return
	}
	switch notes := f.text("notes", ""); {
	case len([]rune(notes)) < 2 || len([]rune(notes)) > bodhi.MaxNotes:
		bad("notes", "Shorter than minimum length 2 or longer than maximum length 10000")
		return
	case !slices.Contains([]string{"bugfix", "security", "newpackage", "enhancement", "unspecified"}, f.text("type", "")):
		bad("type", "%q is not one of bugfix, enhancement, newpackage, security, unspecified", f.text("type", ""))
		return
	case f.text("type", "") == "security" && f.text("severity", "unspecified") == "unspecified":
		bad("severity", "Must specify severity for a security update")
		return
	}
	byRelease := map[string][]string{}
	var order []string
	for _, nvr := range builds {
		rel, _ := s.releaseOf(nvr)
		if byRelease[rel.Name] == nil {
			order = append(order, rel.Name)
		}
		byRelease[rel.Name] = append(byRelease[rel.Name], nvr)
	}
	if edited != nil && (len(order) != 1 || order[0] != edited.Release) {
		bad("builds", "Cannot add a build of another release to the update %s", edited.Alias)
		return
	}
	var packages []string
	for _, nvr := range builds {
		packages = append(packages, packageOf(nvr))
	}
	if !s.allowed(w, user, packages) {
		return
	}
	var saved []map[string]any
	for _, name := range order {
		slices.Sort(byRelease[name])
		saved = append(saved, s.json(s.save(user, name, byRelease[name], edited, f), s.address(r)))
	}
	if len(saved) == 1 {
		answer(w, http.StatusOK, saved[0])
		return
	}
	answer(w, http.StatusOK, map[string]any{"updates": saved, "caveats": []map[string]string{
		{"name": "releases", "description": fmt.Sprintf("Your update is being split into %d, one for each release.", len(saved))},
	}})
}

// builds finds the builds that were asked for, and has refused them if they are
// not as they must be.
func (s *Server) builds(w http.ResponseWriter, f form, edited *Update) (builds []string, ok bool) {
	bad := func(name, text string, args ...any) ([]string, bool) {
		refuse(w, http.StatusBadRequest, "body", name, fmt.Sprintf(text, args...))
		return nil, false
	}
	builds, sideTag := f.list("builds"), f.text("from_tag", "")
	if sideTag != "" {
		var tagged []string
		known := false
		if s.Tagged != nil {
			tagged, known = s.Tagged(sideTag)
		}
		switch {
		case !known:
			return bad("from_tag", "The supplied from_tag doesn't exist.")
		case !strings.Contains(sideTag, "-side-"):
			return bad("from_tag", "The supplied tag is not a side tag.")
		case len(tagged) == 0:
			return bad("from_tag", "The supplied from_tag doesn't contain any builds.")
		}
		for _, u := range s.state.Updates {
			if u.FromTag == sideTag && u != edited && u.lives() {
				return bad("from_tag", "Update already exists using this side tag")
			}
		}
		if len(builds) == 0 {
			builds = tagged
		}
		for _, nvr := range builds {
			if !slices.Contains(tagged, nvr) {
				return bad("builds", "Invalid build: %s not tagged in %s", nvr, sideTag)
			}
		}
	}
	if len(builds) == 0 {
		return bad("builds", "You must specify either a list of builds or a side tag.")
	}
	seen := map[string]bool{}
	for _, nvr := range builds {
		rel, known := s.releaseOf(nvr)
		if packageOf(nvr) == "" || !known {
			return bad("builds", "Cannot find release associated with build: %s", nvr)
		}
		if !rel.composed() && sideTag == "" {
			return bad("body", "Cannot manually create updates for a Release which is not composed by Bodhi, like %s.", rel.Name)
		}
		if s.Tags != nil && sideTag == "" {
			tags, exists := s.Tags(nvr)
			if !exists {
				return bad("builds", "Build does not exist: %s", nvr)
			}
			allowed := []string{rel.tags().Candidate, rel.tags().Testing}
			if !slices.ContainsFunc(tags, func(t string) bool { return slices.Contains(allowed, t) }) {
				return bad("builds", "Invalid tag: %s not tagged with any of the following tags ['%s']", nvr, strings.Join(allowed, "', '"))
			}
		}
		for _, u := range s.state.Updates {
			if u != edited && u.lives() && slices.Contains(u.Builds, nvr) {
				return bad("builds", "Update for %s already exists", nvr)
			}
		}
		if seen[nvr] {
			return bad("builds", "Duplicate builds: %s", nvr)
		}
		seen[nvr] = true
		key := packageOf(nvr) + " " + rel.Name
		if seen[key] {
			return bad("builds", "Multiple %s builds specified in %s", packageOf(nvr), rel.Name)
		}
		seen[key] = true
	}
	return builds, true
}

// save writes what a form says into an update, old or new.
func (s *Server) save(user, releaseName string, builds []string, u *Update, f form) *Update {
	now, topic := s.now(), "edit"
	rel, _ := s.release(releaseName)
	if u == nil {
		topic = "request.testing"
		u = &Update{
			Alias:   fmt.Sprintf("%s-%d-%s", rel.IDPrefix, now.Year(), hash(append(builds, fmt.Sprint(len(s.state.Updates)))...)[:10]),
			Release: rel.Name, User: user, Submitted: now, Status: bodhi.Pending, Gating: bodhi.GatingWaiting, FromTag: f.text("from_tag", ""),
		}
		s.obsolete(u, rel, builds)
		s.state.Updates = append(s.state.Updates, u)
		if u.FromTag == "" { // those of side tags wait until all is signed
			u.Request = bodhi.Request(f.text("request", string(bodhi.ToTesting)))
		}
	} else {
		u.Modified = now
		if !slices.Equal(u.Builds, builds) && u.Status != bodhi.Pending {
			u.Status, u.Request, u.Gating, u.Tested = bodhi.Pending, bodhi.ToTesting, bodhi.GatingWaiting, time.Time{}
		}
	}
	u.Builds, u.Bugs = slices.Clone(builds), nil
	for _, text := range f.list("bugs") {
		id := 0
		if _, err := fmt.Sscan(text, &id); err == nil {
			u.Bugs = append(u.Bugs, id)
		}
	}
	u.Notes, u.Type, u.Severity = f.text("notes", ""), f.text("type", ""), f.text("severity", "unspecified")
	u.DisplayName, u.Suggest = f.text("display_name", ""), f.text("suggest", "unspecified")
	u.CloseBugs, u.AutoKarma, u.AutoTime = f.yes("close_bugs", true), f.yes("autokarma", true), f.yes("autotime", true)
	u.StableKarma, u.UnstableKarma = f.number("stable_karma", 3), f.number("unstable_karma", -3)
	u.StableDays = max(f.number("stable_days", 0), rel.leastDays())
	u.RequireBugs, u.RequireTests = f.yes("require_bugs", true), f.yes("require_testcases", true)
	if topic == "edit" {
		s.say(u, "bodhi", fmt.Sprintf("%s edited this update.", user), 0)
	} else {
		s.say(u, "bodhi", fmt.Sprintf("This update has been submitted for testing by %s.", user), 0)
	}
	s.publish("bodhi.update."+topic, map[string]any{"update": s.json(u, cmp.Or(s.Address, "")), "agent": user})
	return u
}

// obsolete ends what the new update takes the place of.
func (s *Server) obsolete(by *Update, rel release, builds []string) {
	for _, u := range s.state.Updates {
		same := slices.ContainsFunc(u.Builds, func(nvr string) bool {
			return slices.ContainsFunc(builds, func(b string) bool { return packageOf(b) == packageOf(nvr) })
		})
		if !same || u.Release != rel.Name || u.Locked || u.FromTag != "" || u.Request == bodhi.ToStable ||
			u.Status != bodhi.Pending && u.Status != bodhi.Testing || len(u.Builds) > len(builds) {
			continue
		}
		u.Status, u.Request = bodhi.Obsoleted, ""
		s.say(u, "bodhi", fmt.Sprintf("This update has been obsoleted by %s.", by.Alias), 0)
		s.publish("bodhi.update.request.obsolete", map[string]any{"update": s.json(u, s.Address), "agent": "bodhi"})
	}
}

func (s *Server) say(u *Update, user, text string, karma int) *Comment {
	s.state.LastID++
	u.Comments = append(u.Comments, Comment{ID: s.state.LastID, User: user, Text: text, Karma: karma, At: s.now()})
	return &u.Comments[len(u.Comments)-1]
}

// steer does what is asked about one update.
func (s *Server) steer(w http.ResponseWriter, r *http.Request, user string, u *Update, what string, f form) {
	var packages []string
	for _, nvr := range u.Builds {
		packages = append(packages, packageOf(nvr))
	}
	if !s.allowed(w, user, packages) {
		return
	}
	switch what {
	case "request":
		if name, problem := s.request(u, bodhi.Request(f.text("request", "")), user); problem != "" {
			refuse(w, http.StatusBadRequest, "body", name, problem)
			return
		}
	case "waive-test-results":
		if u.Gating != bodhi.GatingFailed {
			refuse(w, http.StatusBadRequest, "body", "request", "Can't waive test results on an update that passes gating.")
			return
		}
		u.Gating = bodhi.GatingPassed
		s.say(u, user, "This update test gating status has been changed to 'passed'. "+f.text("comment", ""), 0)
	case "trigger-tests":
		if u.Status != bodhi.Testing {
			refuse(w, http.StatusBadRequest, "body", "request", "Update is not in testing status")
			return
		}
		u.Gating = bodhi.GatingWaiting
		s.publish("bodhi.update.status.testing.koji-build-group.build.complete", map[string]any{"update": s.json(u, s.Address), "agent": user, "re-trigger": true})
	default:
		refuse(w, http.StatusNotFound, "url", "path", "The resource could not be found.")
		return
	}
	answer(w, http.StatusOK, map[string]any{"update": s.json(u, s.address(r))})
}

// request changes what is to become of an update, or says what is in the way.
func (s *Server) request(u *Update, to bodhi.Request, user string) (name, problem string) {
	rel, _ := s.release(u.Release)
	switch {
	case u.Locked:
		return "request", "Can't change request on a locked update"
	case !rel.composed() && to == bodhi.ToStable:
		return "request", "Cannot push an update to stable by hand in a release that is not composed by Bodhi"
	case to == bodhi.ToStable && u.Status == bodhi.Pending && rel.frozen():
		return "request", "Pushing back to testing. This release is frozen."
	case to == bodhi.ToStable && u.Status == bodhi.Stable, to == bodhi.ToTesting && u.Status == bodhi.Testing:
		return "request", fmt.Sprintf("This update has already been pushed to %s", u.Status)
	case to == bodhi.ToStable && u.Gating == bodhi.GatingFailed:
		return "request", "Requirement not met Required tests did not pass on this update."
	case to == bodhi.ToStable && !s.ready(u, s.now()):
		return "request", fmt.Sprintf("Update %s has not yet met the minimum testing requirements defined in the Package Update Acceptance Criteria", u.Alias)
	}
	switch to {
	case bodhi.ToTesting:
		if u.Status == bodhi.Unpushed {
			u.Status = bodhi.Pending
		}
		u.Request = to
	case bodhi.ToStable:
		u.Request = to
	case bodhi.Revoke:
		if u.Request == "" {
			return "request", "Can only revoke an update with an existing request"
		}
		u.Request = ""
	case bodhi.Unpush:
		u.Status, u.Request = bodhi.Unpushed, ""
	case bodhi.Obsolete:
		u.Status, u.Request = bodhi.Obsoleted, ""
	default:
		return "request", fmt.Sprintf("%q is not one of obsolete, revoke, stable, testing, unpush", to)
	}
	s.say(u, "bodhi", fmt.Sprintf("%s requested %s.", user, to), 0)
	s.publish("bodhi.update.request."+string(to), map[string]any{"update": s.json(u, s.Address), "agent": user})
	return "", ""
}

// comment notes what somebody says. Karma for one's own update does not count.
func (s *Server) comment(w http.ResponseWriter, r *http.Request, user string, f form) {
	u := s.find(f.text("update", ""))
	if u == nil {
		refuse(w, http.StatusBadRequest, "body", "update", "Invalid update specified: "+f.text("update", ""))
		return
	}
	karma, caveats := f.number("karma", 0), []map[string]string{}
	if karma < -1 || karma > 1 {
		refuse(w, http.StatusBadRequest, "body", "karma", fmt.Sprintf("%d is not in -1..1", karma))
		return
	}
	if karma != 0 && user == u.User {
		karma = 0
		caveats = append(caveats, map[string]string{"name": "karma", "description": "You may not give karma to your own updates."})
	}
	c := *s.opinion(u, user, f.text("text", ""), karma)
	answer(w, http.StatusOK, map[string]any{"caveats": caveats, "comment": map[string]any{
		"id": c.ID, "text": c.Text, "karma": c.Karma, "timestamp": c.At.Format(time.DateTime), "author": user, "user": map[string]string{"name": user},
		"update": s.json(u, s.address(r)),
	}})
}

// opinion adds a comment and does what its karma demands.
func (s *Server) opinion(u *Update, user, text string, karma int) *Comment {
	c := s.say(u, user, text, karma)
	s.publish("bodhi.update.comment", map[string]any{"agent": user, "comment": map[string]any{
		"karma": karma, "text": text, "timestamp": c.At.Format(time.DateTime), "author": user, "user": map[string]string{"name": user}, "update": s.json(u, s.Address),
	}})
	said := *c
	now := u.karma()
	switch {
	case karma == 0 || u.Status != bodhi.Testing || !u.AutoKarma:
	case now >= u.StableKarma && !u.gated():
		s.publish("bodhi.update.karma.threshold.reach", map[string]any{"update": s.json(u, s.Address), "status": "stable", "agent": "bodhi"})
		s.request(u, bodhi.ToStable, "bodhi")
	case now <= u.UnstableKarma:
		s.publish("bodhi.update.karma.threshold.reach", map[string]any{"update": s.json(u, s.Address), "status": "unstable", "agent": "bodhi"})
		s.request(u, bodhi.Obsolete, "bodhi")
	}
	return &said
}
