package bodhi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/clients/httpx"
	"millrace/clients/wire"
)

// Status is where an update stands.
type Status string

const (
	Pending   Status = "pending"
	Testing   Status = "testing"
	Stable    Status = "stable"
	Unpushed  Status = "unpushed"
	Obsoleted Status = "obsolete"
)

// Final reports whether nothing follows by itself.
func (s Status) Final() bool { return s == Stable || s == Unpushed || s == Obsoleted }

// Request is what is to become of an update.
type Request string

const (
	ToTesting Request = "testing"
	ToStable  Request = "stable"
	Unpush    Request = "unpush"
	Obsolete  Request = "obsolete"
	Revoke    Request = "revoke" // take the present request back
)

// What Bodhi says of the tests that gate an update.
const (
	GatingWaiting = "waiting"
	GatingIgnored = "ignored"
	GatingQueued  = "queued"
	GatingRunning = "running"
	GatingPassed  = "passed"
	GatingFailed  = "failed"
	GatingBroken  = "greenwave_failed" // it could not be found out
)

// Update is an update as Bodhi describes it.
type Update struct {
	Alias       string  `json:"alias"` // such as FEDORA-2026-0a1b2c3d4e
	Title       string  `json:"title"`
	DisplayName string  `json:"display_name"`
	URL         string  `json:"url"`
	Status      Status  `json:"status"`
	Request     Request `json:"request"` // empty: nothing is requested
	Type        string  `json:"type"`
	Severity    string  `json:"severity"`
	Notes       string  `json:"notes"`
	Locked      bool    `json:"locked"` // a compose is working on it
	Karma       int     `json:"karma"`
	AutoKarma   bool    `json:"autokarma"`
	AutoTime    bool    `json:"autotime"`
	StableKarma int     `json:"stable_karma"`
	StableDays  int     `json:"stable_days"` // in testing, before it may become stable by time
	FromTag     string  `json:"from_tag"`    // side tag
	Gating      string  `json:"test_gating_status"`
	Ready       bool    `json:"meets_testing_requirements"`

	Release  string    `json:"-"` // such as F44
	User     string    `json:"-"` // who submitted it
	Builds   []string  `json:"-"` // NVRs, sorted
	Bugs     []int     `json:"-"`
	Comments []Comment `json:"-"`

	Submitted time.Time `json:"-"` // UTC, as the following; zero if it has not happened
	Modified  time.Time `json:"-"`
	Tested    time.Time `json:"-"` // when it came to testing
	Stabled   time.Time `json:"-"` // when it became stable
	Pushed    time.Time `json:"-"`
}

// Comment is what somebody said of an update.
type Comment struct {
	ID     int64
	Author string
	Text   string
	Karma  int
	At     time.Time
}

// stamp is a time as Bodhi writes it: without a zone, in UTC, or null.
type stamp struct{ time.Time }

func (s *stamp) UnmarshalJSON(b []byte) error {
	var text string
	if string(b) == "null" {
		return nil
	}
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	for _, layout := range []string{time.DateTime, "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			s.Time = t.UTC()
			return nil
		}
	}
	return fmt.Errorf("%s is no time", wire.Quote(text))
}

// UnmarshalJSON reads an update in Bodhi's words.
func (u *Update) UnmarshalJSON(b []byte) error {
	type plain Update
	var in struct {
		*plain
		Release *struct {
			Name string `json:"name"`
		} `json:"release"`
		User   *author `json:"user"`
		Builds []struct {
			NVR string `json:"nvr"`
		} `json:"builds"`
		Bugs []struct {
			ID int `json:"bug_id"`
		} `json:"bugs"`
		Comments []struct {
			ID    int64   `json:"id"`
			Text  string  `json:"text"`
			Karma int     `json:"karma"`
			At    stamp   `json:"timestamp"`
			User  *author `json:"user"`
		} `json:"comments"`
		Submitted stamp `json:"date_submitted"`
		Modified  stamp `json:"date_modified"`
		Tested    stamp `json:"date_testing"`
		Stabled   stamp `json:"date_stable"`
		Pushed    stamp `json:"date_pushed"`
	}
	in.plain = (*plain)(u)
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if in.Release != nil {
		u.Release = in.Release.Name
	}
	u.User, u.URL = in.User.name(), wire.WebURL(u.URL)
	u.Builds, u.Bugs, u.Comments = nil, nil, nil
	for _, build := range in.Builds {
		u.Builds = append(u.Builds, build.NVR)
	}
	slices.Sort(u.Builds)
	for _, bug := range in.Bugs {
		u.Bugs = append(u.Bugs, bug.ID)
	}
	for _, c := range in.Comments {
		u.Comments = append(u.Comments, Comment{ID: c.ID, Author: c.User.name(), Text: c.Text, Karma: c.Karma, At: c.At.Time})
	}
	u.Submitted, u.Modified, u.Tested, u.Stabled, u.Pushed = in.Submitted.Time, in.Modified.Time, in.Tested.Time, in.Stabled.Time, in.Pushed.Time
	return nil
}

type author struct {
	Name string `json:"name"`
}

func (a *author) name() string {
	if a == nil {
		return ""
	}
	return a.Name
}

// Lives reports whether the update is on its way or at its end, and not given up:
// its builds cannot be in another one.
func (u *Update) Lives() bool { return u.Status != Unpushed && u.Status != Obsoleted }

// Has reports whether all of these builds are in the update.
func (u *Update) Has(builds []string) bool {
	for _, nvr := range builds {
		if !slices.Contains(u.Builds, nvr) {
			return false
		}
	}
	return true
}

// UpdateURL is the web page of an update.
func (c *Client) UpdateURL(alias string) string {
	return c.base() + "/updates/" + url.PathEscape(alias)
}

// Update returns an update by its alias.
func (c *Client) Update(ctx context.Context, alias string) (*Update, error) {
	var answer struct {
		Update *Update `json:"update"`
	}
	if err := c.get(ctx, "updates.get", "/updates/"+url.PathEscape(alias), nil, &answer); err != nil {
		return nil, fmt.Errorf("reading the update %s: %w", alias, err)
	}
	if answer.Update == nil {
		return nil, fmt.Errorf("reading the update %s: %w", alias, errNoUpdate)
	}
	return answer.Update, nil
}

var errNoUpdate = errors.New("the answer has no update")

// Query says which updates are looked for. What is empty does not matter; of a
// list one is enough.
type Query struct {
	Builds   []string
	Packages []string
	Releases []string // such as F44
	Statuses []Status
	User     string
	SideTag  string
	Limit    int // of updates; 0 means 100
}

const (
	rowsPerPage   = 50
	buildsAtATime = 40 // names of builds make long addresses
)

// Updates finds updates, the newest first.
func (c *Client) Updates(ctx context.Context, q Query) ([]*Update, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	var all []*Update
	for builds := range chunks(q.Builds) {
		found, err := c.find(ctx, q, builds, limit)
		if err != nil {
			return nil, err
		}
		for _, u := range found {
			if !slices.ContainsFunc(all, func(o *Update) bool { return o.Alias == u.Alias }) {
				all = append(all, u)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *Update) int { return b.Submitted.Compare(a.Submitted) })
	return all[:min(limit, len(all))], nil
}

// chunks cuts a list into pieces; of an empty one there is one, empty piece.
func chunks(list []string) func(func([]string) bool) {
	if len(list) == 0 {
		return func(yield func([]string) bool) { yield(nil) }
	}
	return slices.Chunk(list, buildsAtATime)
}

func (c *Client) find(ctx context.Context, q Query, builds []string, limit int) ([]*Update, error) {
	query := url.Values{"rows_per_page": {strconv.Itoa(min(limit, rowsPerPage))}}
	add := func(key string, values ...string) {
		if text := strings.Join(values, ","); text != "" {
			query.Set(key, text)
		}
	}
	add("builds", builds...)
	add("packages", q.Packages...)
	add("releases", q.Releases...)
	add("user", q.User)
	add("from_side_tag", q.SideTag)
	for _, s := range q.Statuses {
		query.Add("status", string(s))
	}
	var all []*Update
	for page := 1; page <= maxPages && len(all) < limit; page++ {
		query.Set("page", strconv.Itoa(page))
		var answer struct {
			Updates []*Update `json:"updates"`
			Pages   int       `json:"pages"`
		}
		if err := c.get(ctx, "updates.list", "/updates/", query, &answer); err != nil {
			return nil, fmt.Errorf("looking for updates: %w", err)
		}
		all = append(all, answer.Updates...)
		if page >= answer.Pages || len(answer.Updates) == 0 {
			break
		}
	}
	return slices.DeleteFunc(all, func(u *Update) bool { return u == nil }), nil
}

// FindUpdate finds the update that has all of these builds and was not given up.
// It answers whether a submission whose answer was lost had arrived. Without
// one it returns nil.
func (c *Client) FindUpdate(ctx context.Context, builds []string) (*Update, error) {
	if len(builds) == 0 {
		return nil, nil
	}
	found, err := c.Updates(ctx, Query{Builds: builds[:1]})
	if err != nil {
		return nil, err
	}
	for _, u := range found {
		if u.Lives() && u.Has(builds) {
			return u, nil
		}
	}
	return nil, nil
}

// What Bodhi takes.
const (
	MaxNotes = 10_000 // characters
	minNotes = 2
)

// Draft is what an update is made of, or what becomes of one that is edited. What
// is empty or nil is left to Bodhi.
type Draft struct {
	Builds      []string `json:"builds,omitempty"`   // all of them, also when editing
	FromTag     string   `json:"from_tag,omitempty"` // side tag, whose newest builds are taken if none are named
	Bugs        []int    `json:"bugs,omitempty"`
	Notes       string   `json:"notes"`              // Markdown; see CutNotes
	Type        string   `json:"type"`               // bugfix, security, newpackage, enhancement, unspecified
	Severity    string   `json:"severity,omitempty"` // low, medium, high, urgent; a security update needs one
	DisplayName string   `json:"display_name,omitempty"`
	Suggest     string   `json:"suggest,omitempty"` // reboot, logout
	Request     Request  `json:"request,omitempty"`

	CloseBugs        *bool `json:"close_bugs,omitempty"`
	AutoKarma        *bool `json:"autokarma,omitempty"` // becomes stable at StableKarma
	StableKarma      *int  `json:"stable_karma,omitempty"`
	UnstableKarma    *int  `json:"unstable_karma,omitempty"`
	AutoTime         *bool `json:"autotime,omitempty"` // becomes stable after StableDays
	StableDays       *int  `json:"stable_days,omitempty"`
	RequireBugs      *bool `json:"require_bugs,omitempty"`
	RequireTestcases *bool `json:"require_testcases,omitempty"`
}

var updateTypes = []string{"bugfix", "security", "newpackage", "enhancement", "unspecified"}

// check finds what Bodhi would refuse after minutes.
func (d *Draft) check() error {
	switch n := utf8.RuneCountInString(d.Notes); {
	case len(d.Builds) == 0 && d.FromTag == "":
		return errors.New("there is neither a build nor a side tag")
	case n < minNotes || n > MaxNotes:
		return fmt.Errorf("its notes have %d characters; Bodhi takes %d to %d", n, minNotes, MaxNotes)
	case !slices.Contains(updateTypes, d.Type):
		return fmt.Errorf("there is no type %s of updates; there are %s", wire.Quote(d.Type), strings.Join(updateTypes, ", "))
	case d.Type == "security" && (d.Severity == "" || d.Severity == "unspecified"):
		return errors.New("a security update needs a severity")
	}
	return nil
}

// CutNotes shortens notes to what Bodhi takes, and says so in them.
func CutNotes(notes string) string {
	if utf8.RuneCountInString(notes) <= MaxNotes {
		return notes
	}
	const end = "\n\n…\n\nThe rest was too long for this place."
	cut := string([]rune(notes)[:MaxNotes-utf8.RuneCountInString(end)-4])
	if strings.Count(cut, "```")%2 == 1 {
		cut += "\n```"
	}
	return cut + end
}

// DraftError says why Bodhi would not take a draft, which was not sent.
type DraftError struct{ Reason string }

func (e *DraftError) Error() string { return e.Reason }

// Temporary reports false.
func (*DraftError) Temporary() bool { return false }

// Saved is what came of a draft.
type Saved struct {
	Updates []*Update // one for each release that the builds are for
	Caveats []string  // what Bodhi changed of its own accord, in its words
}

// CreateUpdate submits a new update. If its answer is lost, FindUpdate tells
// whether it arrived; if it is repeated, the error is IsExisting.
func (c *Client) CreateUpdate(ctx context.Context, d *Draft) (*Saved, error) {
	saved, err := c.save(ctx, "updates.create", "", d)
	if err != nil {
		return nil, fmt.Errorf("creating an update: %w", err)
	}
	return saved, nil
}

// EditUpdate makes of an update what the draft says. Doing it again changes
// nothing more.
func (c *Client) EditUpdate(ctx context.Context, alias string, d *Draft) (*Saved, error) {
	saved, err := c.save(ctx, "updates.edit", alias, d)
	if err != nil {
		return nil, fmt.Errorf("editing the update %s: %w", alias, err)
	}
	return saved, nil
}

func (c *Client) save(ctx context.Context, operation, alias string, d *Draft) (*Saved, error) {
	if err := d.check(); err != nil {
		return nil, &DraftError{err.Error()}
	}
	var raw []byte
	err := c.write(ctx, operation, "/updates/", func(csrf string) any {
		return struct {
			*Draft
			Edited string `json:"edited,omitempty"`
			CSRF   string `json:"csrf_token"`
		}{d, alias, csrf}
	}, &raw)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Updates []*Update `json:"updates"`
		Caveats []struct {
			Description string `json:"description"`
		} `json:"caveats"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	s := &Saved{Updates: slices.DeleteFunc(answer.Updates, func(u *Update) bool { return u == nil })}
	for _, caveat := range answer.Caveats {
		s.Caveats = append(s.Caveats, httpx.Clean(caveat.Description, 1000))
	}
	if answer.Updates == nil { // one alone is the answer itself
		one := new(Update)
		if err := json.Unmarshal(raw, one); err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		s.Updates = []*Update{one}
	}
	if len(s.Updates) == 0 || s.Updates[0].Alias == "" {
		return nil, errNoUpdate
	}
	return s, nil
}

// Request asks for what is to become of an update.
func (c *Client) Request(ctx context.Context, alias string, request Request) (*Update, error) {
	var answer struct {
		Update *Update `json:"update"`
	}
	err := c.write(ctx, "updates.request", "/updates/"+url.PathEscape(alias)+"/request", func(csrf string) any {
		return map[string]any{"request": request, "csrf_token": csrf}
	}, &answer)
	if err == nil && answer.Update == nil {
		err = errNoUpdate
	}
	if err != nil {
		return nil, fmt.Errorf("requesting %s for the update %s: %w", request, alias, err)
	}
	return answer.Update, nil
}

// Waive says of failed tests that they do not matter, and why. Without names it
// is said of all.
func (c *Client) Waive(ctx context.Context, alias, why string, tests ...string) error {
	err := c.write(ctx, "updates.waive", "/updates/"+url.PathEscape(alias)+"/waive-test-results", func(csrf string) any {
		body := map[string]any{"comment": why, "csrf_token": csrf}
		if len(tests) > 0 {
			body["tests"] = tests
		}
		return body
	}, nil)
	if err != nil {
		return fmt.Errorf("waiving test results of the update %s: %w", alias, err)
	}
	return nil
}

// TriggerTests has the tests that gate an update run again.
func (c *Client) TriggerTests(ctx context.Context, alias string) error {
	err := c.write(ctx, "updates.tests", "/updates/"+url.PathEscape(alias)+"/trigger-tests", func(csrf string) any {
		return map[string]any{"csrf_token": csrf}
	}, nil)
	if err != nil {
		return fmt.Errorf("running the tests of the update %s: %w", alias, err)
	}
	return nil
}

// Comment says something about an update. karma is -1, 0 or 1; on an update of
// our own Bodhi takes it for 0.
func (c *Client) Comment(ctx context.Context, alias, text string, karma int) error {
	err := c.write(ctx, "comments.create", "/comments/", func(csrf string) any {
		return map[string]any{"update": alias, "text": text, "karma": karma, "csrf_token": csrf}
	}, nil)
	if err != nil {
		return fmt.Errorf("commenting on the update %s: %w", alias, err)
	}
	return nil
}

// write posts a form. A call that was refused because the session or the token
// of forms is over has done nothing, so it is made once more with new ones.
func (c *Client) write(ctx context.Context, operation, path string, body func(csrf string) any, out any) error {
	s, err := c.begun(ctx, nil)
	if err != nil {
		return err
	}
	err = c.post(ctx, s, operation, path, body(s.csrf), out)
	switch {
	case isTokenStale(err):
		s, renewed := c.refreshed(ctx, s)
		if renewed != nil {
			return renewed
		}
		err = c.post(ctx, s, operation, path, body(s.csrf), out)
	case isSessionOver(err):
		s, renewed := c.begun(ctx, s)
		if renewed != nil {
			return renewed
		}
		err = c.post(ctx, s, operation, path, body(s.csrf), out)
	}
	return understand(err)
}

func (c *Client) post(ctx context.Context, s *session, operation, path string, body, out any) error {
	req, err := httpx.NewRequest(ctx, http.MethodPost, c.base()+path, body)
	if err != nil {
		return err
	}
	return c.caller(s.http).Do(ctx, operation, req, out)
}
