package bodhi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

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
