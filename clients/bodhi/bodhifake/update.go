package bodhifake

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"millrace/clients/bodhi"
)

// Update is an update as the server keeps it.
type Update struct {
	Alias                      string
	Release                    string // such as F44
	User                       string
	Builds                     []string // NVRs, sorted
	FromTag                    string
	Bugs                       []int
	Notes, Type, Severity      string
	DisplayName, Suggest       string
	Status                     bodhi.Status
	Request                    bodhi.Request
	Gating                     string
	Locked                     bool
	CloseBugs                  bool
	AutoKarma, AutoTime        bool
	StableKarma, UnstableKarma int
	StableDays                 int
	RequireBugs, RequireTests  bool
	Comments                   []Comment
	Submitted                  time.Time
	Modified, Tested, Stabled  time.Time
	Pushed                     time.Time
	HoldGating                 bool // gating changes only by SetGating
}

// Comment is what somebody said of an update.
type Comment struct {
	ID    int64
	User  string
	Text  string
	Karma int
	At    time.Time
}

func (u *Update) clone() Update {
	c := *u
	c.Builds, c.Bugs, c.Comments = slices.Clone(u.Builds), slices.Clone(u.Bugs), slices.Clone(u.Comments)
	return c
}

func (u *Update) lives() bool { return u.Status != bodhi.Unpushed && u.Status != bodhi.Obsoleted }

// karma is the sum of what each said last.
func (u *Update) karma() int {
	last := map[string]int{}
	for _, c := range u.Comments {
		if c.Karma != 0 {
			last[c.User] = c.Karma
		}
	}
	sum := 0
	for _, k := range last {
		sum += k
	}
	return sum
}

func (u *Update) title() string {
	if u.DisplayName != "" {
		return u.DisplayName
	}
	if len(u.Builds) > 2 {
		return fmt.Sprintf("%s, %s, and %d more", u.Builds[0], u.Builds[1], len(u.Builds)-2)
	}
	return strings.Join(u.Builds, " and ")
}

// gated reports whether tests are in the way of stable.
func (u *Update) gated() bool {
	return u.Gating != bodhi.GatingPassed && u.Gating != bodhi.GatingIgnored
}

// ready reports whether the update was tested enough for stable.
func (s *Server) ready(u *Update, now time.Time) bool {
	rel, _ := s.release(u.Release)
	if !rel.composed() {
		return !u.gated()
	}
	long := u.Status == bodhi.Testing && now.Sub(u.Tested) >= days(max(u.StableDays, rel.leastDays()))
	return !u.gated() && (long || u.karma() >= u.StableKarma)
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// json is the update in Bodhi's words. The lock is held.
func (s *Server) json(u *Update, at string) map[string]any {
	stamp := func(t time.Time) any {
		if t.IsZero() {
			return nil
		}
		return t.UTC().Format(time.DateTime)
	}
	null := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	person := func(name string) map[string]any {
		groups := []map[string]string{}
		names, _ := s.groups(name)
		for _, g := range names {
			groups = append(groups, map[string]string{"name": g})
		}
		return map[string]any{"name": name, "email": name + "@fedoraproject.org", "groups": groups}
	}
	builds, bugs, comments := []map[string]any{}, []map[string]any{}, []map[string]any{}
	for _, nvr := range u.Builds {
		builds = append(builds, map[string]any{"nvr": nvr, "signed": u.Status != bodhi.Pending, "type": "rpm", "epoch": 0})
	}
	for _, id := range u.Bugs {
		bugs = append(bugs, map[string]any{"bug_id": id, "title": nil, "security": false, "parent": false, "feedback": []any{}})
	}
	for _, c := range u.Comments {
		comments = append(comments, map[string]any{"id": c.ID, "text": c.Text, "karma": c.Karma, "timestamp": stamp(c.At),
			"user": person(c.User), "author": c.User, "bug_feedback": []any{}, "testcase_feedback": []any{}})
	}
	rel, _ := s.release(u.Release)
	return map[string]any{
		"alias": u.Alias, "updateid": u.Alias, "title": u.title(), "display_name": u.DisplayName, "url": at + "/updates/" + url.PathEscape(u.Alias),
		"status": u.Status, "request": null(string(u.Request)), "type": u.Type, "severity": u.Severity, "suggest": u.Suggest, "notes": u.Notes,
		"locked": u.Locked, "pushed": !u.Pushed.IsZero(), "critpath": false, "critpath_groups": nil, "close_bugs": u.CloseBugs,
		"autokarma": u.AutoKarma, "autotime": u.AutoTime, "stable_karma": u.StableKarma, "unstable_karma": u.UnstableKarma, "stable_days": u.StableDays,
		"require_bugs": u.RequireBugs, "require_testcases": u.RequireTests, "karma": u.karma(), "content_type": "rpm", "from_tag": null(u.FromTag),
		"test_gating_status": u.Gating, "meets_testing_requirements": s.ready(u, s.now()), "version_hash": hash(u.Builds...)[:40],
		"date_submitted": stamp(u.Submitted), "date_modified": stamp(u.Modified), "date_testing": stamp(u.Tested), "date_stable": stamp(u.Stabled),
		"date_pushed": stamp(u.Pushed), "date_locked": nil, "date_approved": nil,
		"user": person(u.User), "release": rel, "builds": builds, "bugs": bugs, "comments": comments, "test_cases": []any{}, "caveats": []any{},
	}
}

func hash(parts ...string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(parts, "\n"))))
}

func (s *Server) find(alias string) *Update {
	i := slices.IndexFunc(s.state.Updates, func(u *Update) bool { return u.Alias == alias })
	if i < 0 {
		return nil
	}
	return s.state.Updates[i]
}

// Updates are copies of all updates, the oldest first.
func (s *Server) Updates() []Update {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Update, 0, len(s.state.Updates))
	for _, u := range s.state.Updates {
		all = append(all, u.clone())
	}
	return all
}

func (s *Server) showUpdate(w http.ResponseWriter, r *http.Request, alias string) {
	u := s.find(alias)
	if u == nil {
		refuse(w, http.StatusNotFound, "url", "id", "Invalid update id")
		return
	}
	l, in := s.session(r)
	answer(w, http.StatusOK, map[string]any{"update": s.json(u, s.address(r)), "can_edit": in && l.user == u.User, "ci_allowed": true})
}

// listUpdates filters as Bodhi does: values may be repeated or have commas
// between them.
func (s *Server) listUpdates(w http.ResponseWriter, r *http.Request) {
	page, rows, ok := paging(w, r, 1000)
	if !ok {
		return
	}
	query := r.URL.Query()
	values := func(keys ...string) (all []string) {
		for _, key := range keys {
			for _, v := range query[key] {
				all = append(all, strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })...)
			}
		}
		return all
	}
	for _, status := range values("status") {
		if !slices.Contains([]string{"pending", "testing", "stable", "unpushed", "obsolete"}, status) {
			refuse(w, http.StatusBadRequest, "querystring", "status", fmt.Sprintf("%q is not one of obsolete, pending, stable, testing, unpushed", status))
			return
		}
	}
	matches := func(wanted []string, has ...string) bool {
		return len(wanted) == 0 || slices.ContainsFunc(has, func(h string) bool { return slices.Contains(wanted, h) })
	}
	found := []map[string]any{}
	for _, u := range slices.Backward(s.state.Updates) {
		var packages []string
		for _, nvr := range u.Builds {
			packages = append(packages, packageOf(nvr))
		}
		if matches(values("alias", "updateid"), u.Alias) && matches(values("builds"), u.Builds...) && matches(values("packages"), packages...) &&
			matches(values("releases", "release"), u.Release, strings.ToLower(u.Release)) && matches(values("status"), string(u.Status)) &&
			matches(values("request"), string(u.Request)) && matches(values("user"), u.User) && matches(values("from_side_tag"), u.FromTag) &&
			matches(values("gating"), u.Gating) && matches(values("type"), u.Type) {
			found = append(found, s.json(u, s.address(r)))
		}
	}
	from := min((page-1)*rows, len(found))
	answer(w, http.StatusOK, map[string]any{
		"updates": found[from:min(from+rows, len(found))], "page": page, "pages": (len(found) + rows - 1) / rows, "rows_per_page": rows,
		"total": len(found), "chrome": true, "display_user": true, "display_request": true, "package": nil,
	})
}
