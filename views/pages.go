package views

import (
	"slices"
	"time"

	"millrace/models"
)

// HomePage is what the automation is doing.
type HomePage struct {
	Counters models.Counters
	Recent   models.PipelineList // at most 10; Fresh only for the fragment that stays where it is
	Events   []*models.Event     // newest first, with Project and Commit; at most 6
}

// PipelineFilter is what a list of pipelines is narrowed to, as it stands in
// the address.
type PipelineFilter struct {
	Query   string         // q: the search language
	State   models.State   // state
	Kind    models.RefKind // kind
	Project string         // project: forge/namespace/name, with * as wildcard
	Before  string         // before: cursor
	After   string         // after: cursor
}

// Empty reports whether the filter lets everything through.
func (f PipelineFilter) Empty() bool {
	return f.Query == "" && f.State == "" && f.Kind == "" && f.Project == ""
}

func (f PipelineFilter) pairs() []string {
	return []string{"q", f.Query, "state", string(f.State), "kind", string(f.Kind), "project", f.Project, "before", f.Before, "after", f.After}
}

// PipelinesPage lists pipelines, newest first.
type PipelinesPage struct {
	Filter  PipelineFilter
	Problem string // mistake in the query, in words for people; the list is empty then
	Steer   bool   // pipelines can be marked, to be rerun or canceled together
	models.PipelineList
}

// ProjectsPage lists projects, most active first.
type ProjectsPage struct {
	Query  string   // q: part of the name, with * as wildcard
	Forge  string   // forge: host
	Forges []string // to choose from
	models.ProjectList
}

// ProjectPage is one project. Its lists are newest first.
type ProjectPage struct {
	Project *models.Project
	Strip   []*models.Pipeline // the last 20
	Pulls   models.RefList     // pull requests with pipelines, at most 20
	Config  *models.Event      // newest event with ConfigFile set; nil if no config was ever read
	Stats   models.ProjectStats
	models.PipelineList

	Watching Watching
	Hooks    bool // there are pages of hooks
}

// ReferencePage is one git reference of a project and what happened to it.
type ReferencePage struct {
	Project *models.Project
	Commit  *models.Commit  // the newest of the reference
	Events  []*models.Event // the newest, with messages and decisions
	models.PipelineList
}

// View is how a pipeline is drawn.
type View string

const (
	GraphView View = "graph"
	ListView  View = "list"
	TimeView  View = "time"
)

// PipelinePage is the plan made for an event, and how far it has come.
type PipelinePage struct {
	Pipeline   *models.Pipeline   // with Project, Commit, Event, and Steps with Needs and Targets with Run
	Attempts   []*models.Pipeline // all of this plan in their order, this one included
	View       View               // view; empty is GraphView
	Failure    LogSlice           // the lines around FirstFailure's end, if there is one; without lines the run's own tail is shown
	Earlier    *models.Pipeline   // the one before of the same reference; may be nil
	Later      *models.Pipeline   // the one after of the same reference; may be nil
	SameCommit []*models.Pipeline // others made for the same commit
	Reports    int                // checks and comments we sent for its commit
	ReportedAt time.Time          // the last of them
	Steer      Steer
	Origins    map[string]models.Origin // where the jobs of steps are from that are in no file
}

// FirstFailure finds the run that failed first, or, if none did, the first
// that could not be found out. All results are nil if there is none. The
// pipeline has its steps, targets and runs.
func FirstFailure(p *models.Pipeline) (*models.Step, *models.Target) {
	var step *models.Step
	var target *models.Target
	before := func(a, b *models.Run) bool {
		if a.State != b.State {
			return a.State == models.Failed
		}
		return a.FinishedAt.Before(b.FinishedAt)
	}
	for _, s := range p.Steps {
		for _, t := range s.Targets {
			if urgency(t) == 0 && (target == nil || before(t.Run, target.Run)) {
				step, target = s, t
			}
		}
	}
	return step, target
}

// RunPage is one run, seen from a pipeline it is part of.
type RunPage struct {
	models.RunPlace // Group may be nil
	Log             LogSlice
	Steer           Steer
	Origins         map[string]models.Origin // where the jobs of steps are from that are in no file
}

// reusedFrom says which attempt made the run.
func (p RunPage) reusedFrom() string {
	for _, a := range p.Attempts {
		if a.PipelineID == p.run().PipelineID {
			return "reused from attempt " + number(a.Attempt)
		}
	}
	return "reused from an earlier attempt"
}

// LogSlice is a part of a log.
type LogSlice struct {
	Lines    []LogLine // at most 500, in their order
	Total    int       // lines of the whole log so far
	Ended    bool      // nothing will be added
	Tail     bool      // the slice is the end of the log, because no other part was asked for
	Errors   []int     // numbers of the first lines that look like errors
	Warnings int       // lines that look like warnings
	Size     int64     // bytes of the whole log so far
}

// LogLine is a line of a log, without its end.
type LogLine struct {
	N    int // from 1
	Text string
}

// older and newer are the first lines of the slices around this one; 0 if
// there is none.
const logStep = 500

func (l LogSlice) older() int {
	if len(l.Lines) == 0 || l.Lines[0].N <= 1 {
		return 0
	}
	return max(1, l.Lines[0].N-logStep)
}

func (l LogSlice) newer() int {
	if len(l.Lines) == 0 || l.Lines[len(l.Lines)-1].N >= l.Total {
		return 0
	}
	return l.Lines[len(l.Lines)-1].N + 1
}

// EventFilter is what a list of events is narrowed to.
type EventFilter struct {
	Query   string            // q: the search language
	Kind    models.EventKind  // kind
	State   models.EventState // state
	Project string            // project: forge/namespace/name, with * as wildcard
	Before  string
	After   string
}

// Empty reports whether the filter lets everything through.
func (f EventFilter) Empty() bool {
	return f.Query == "" && f.Kind == "" && f.State == "" && f.Project == ""
}

func (f EventFilter) pairs() []string {
	return []string{"q", f.Query, "kind", string(f.Kind), "state", string(f.State), "project", f.Project, "before", f.Before, "after", f.After}
}

// EventsPage lists events, newest first.
type EventsPage struct {
	Filter  EventFilter
	Problem string // mistake in the query, in words for people; the list is empty then
	models.EventList
}

// EventPage is one event: what arrived, what was decided, and why.
type EventPage struct {
	Event    *models.Event   // with Project, Commit, Delivery (without its body) and Pipelines
	JobLines []int           // line of the config at which the job of that index begins; may be empty
	Around   []*models.Event // others of the same reference, newest first
	KeptTill time.Time       // when the raw message will be dropped; zero if it was
}

// QueuePage is what waits, what works, and what is still to be told.
type QueuePage struct {
	models.Queue // of each list at most 50 are shown
}

// ErrorPage is shown instead of the page that was asked for.
type ErrorPage struct {
	Status    int
	Detail    string // what exactly is wrong, for people; may be empty
	RequestID string // under which our log has it
	Near      []Link // what was perhaps meant
	RetryIn   time.Duration
	Login     string // address to log in at, if that would help; may be empty
}

// Link is an address of ours and what it is called.
type Link struct{ Text, URL string }

// AllowFilter is what the allowlist is narrowed to.
type AllowFilter struct {
	Query  string            // q: part of the path
	State  models.AllowState // state
	Before string
	After  string
}

func (f AllowFilter) pairs() []string {
	return []string{"q", f.Query, "state", string(f.State), "before", f.Before, "after", f.After}
}

// AllowlistPage is who may use the service. Operators see it.
type AllowlistPage struct {
	Filter  AllowFilter
	Problem string     // mistake in what was sent, in words for people
	Entry   AllowEntry // what was sent, if there is a mistake in it
	Waiting []*models.Allowance
	models.AllowList
}

// AllowEntry is what the form of the allowlist has.
type AllowEntry struct {
	Path    string
	Project bool // the last word of the path is the name of a project
	Reason  string
}

// AuditPage is who did what. Operators see it.
type AuditPage struct {
	models.AuditList
}

// HelpPage explains words, icons, the search language and comment commands.
type HelpPage struct {
	CommandPrefix string // of comments: "/packit"
}

// moment is an entry of the history of a pipeline.
type moment struct {
	At    time.Time
	State models.State // of what happened; may be empty
	Text  string
	Link  string
	Of    string // text of the link
}

const longestHistory = 12

// history derives what happened to a pipeline from its rows, newest first.
func history(p *models.Pipeline) []moment {
	var all []moment
	planned := moment{At: p.CreatedAt, Text: "Planned from", Link: EventURL(p.EventID), Of: "event " + id(p.EventID)}
	if p.Attempt > 1 {
		planned.Text = "Attempt " + number(p.Attempt) + " planned from"
	}
	all = append(all, planned)
	for _, s := range p.Steps {
		var last time.Time
		submitted := make(map[string]bool)
		for _, t := range s.Targets {
			r := t.Run
			if r == nil || t.Reused {
				continue
			}
			if r.FinishedAt.After(last) {
				last = r.FinishedAt
			}
			if urgency(t) == 0 {
				all = append(all, moment{At: r.FinishedAt, State: r.State, Text: stepTitle(s), Link: TargetURL(p.ID, s.Name, t.Name), Of: t.Name})
			}
			if r.ExternalID != "" && !r.StartedAt.IsZero() && !submitted[r.ExternalID] {
				submitted[r.ExternalID] = true
				all = append(all, moment{At: r.StartedAt, Text: serviceOf(s.Kind) + " took " + stepTitle(s) + " as " + r.ExternalID})
			}
		}
		if s.State == models.Passed && !last.IsZero() {
			all = append(all, moment{At: last, State: s.State, Text: stepTitle(s)})
		}
	}
	if !p.FinishedAt.IsZero() {
		all = append(all, moment{At: p.FinishedAt, State: p.State, Text: "Pipeline"})
	}
	slices.SortStableFunc(all, func(a, b moment) int { return b.At.Compare(a.At) })
	all = slices.DeleteFunc(all, func(m moment) bool { return m.At.IsZero() })
	if len(all) > longestHistory { // how it began is worth more than what was in between
		all = append(all[:longestHistory-1], all[len(all)-1])
	}
	return all
}

// tally says what the runs have come to: "6 passed, 1 failed, 3 to go".
func tally(p *models.Pipeline) string {
	n := make(map[models.State]int)
	total := 0
	for _, s := range p.Steps {
		for _, t := range s.Targets {
			n[stateOf(t)]++
			total++
		}
	}
	if total == 0 {
		return "none"
	}
	out := ""
	for _, part := range []struct {
		n    int
		word string
	}{
		{n[models.Passed], "passed"},
		{n[models.Failed], "failed"},
		{n[models.Error], "in error"},
		{n[models.Running], "running"},
		{n[models.Waiting] + n[models.Queued], "to go"},
		{n[models.Canceled], "canceled"},
		{n[models.Skipped], "skipped"},
		{n[models.Superseded], "superseded"},
	} {
		if part.n == 0 {
			continue
		}
		if out != "" {
			out += ", "
		}
		out += number(part.n) + " " + part.word
	}
	return out
}

// pipelineWord is the state of a pipeline with what it hides: "Running, 1 failed".
func pipelineWord(p *models.Pipeline) string {
	word := lookOf(p.State).word
	if !p.State.Finished() && p.RunsBad > 0 {
		word += ", " + number(p.RunsBad) + " failed"
	}
	return word
}

// stepSummary is the line under the name of a step.
func stepSummary(s *models.Step) string {
	passed, reused, bad := 0, 0, 0
	for _, t := range s.Targets {
		if stateOf(t) == models.Passed {
			passed++
		}
		if t.Reused {
			reused++
		}
		if urgency(t) == 0 {
			bad++
		}
	}
	switch {
	case len(s.Targets) == 0:
		return "no targets"
	case reused == len(s.Targets):
		return "reused from an earlier attempt"
	case len(s.Targets) == 1:
		return oneTarget(s.Targets[0])
	}
	text := number(passed) + " of " + number(len(s.Targets)) + " passed"
	if bad > 0 && !s.State.Finished() {
		text = number(bad) + " failed, " + text
	}
	return text
}

// reusedFrom says which of the attempts made the run that a target shares.
func reusedFrom(t *models.Target, attempts []*models.Pipeline) string {
	for _, a := range attempts {
		if a.ID == t.Run.PipelineID {
			return "reused from attempt " + number(a.Attempt)
		}
	}
	return "reused from an earlier attempt"
}

// oneTarget is the summary of a step that has no other.
func oneTarget(t *models.Target) string {
	switch {
	case t.Run != nil && t.Run.Reason != "":
		return clip(t.Run.Reason, 80)
	case stateOf(t) == models.Waiting:
		return "waits for what it needs"
	}
	return "for " + t.Name
}

// TokensPage has the tokens of the viewer.
type TokensPage struct {
	Tokens   []*models.Token // newest first
	Days     []int           // lifetimes that are offered
	MostDays int
	Made     *models.Token // just now; nil: none
	Secret   string        // of Made, which is never shown again
	Problem  string        // mistake in what was sent, in words for people
	Entry    TokenEntry    // what was sent, or what is proposed
}

// AccountsPage has the accounts of the viewer at forges.
type AccountsPage struct {
	Login  string // of the viewer
	Prefix string // of comment commands
	Links  []models.Link
}

// TokenEntry is what the form for a new token has.
type TokenEntry struct {
	Name   string
	Scopes []models.TokenScope
	Days   int
}
