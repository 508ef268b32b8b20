package bodhi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"millrace/clients/httpx"
	"millrace/clients/wire"
)

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
