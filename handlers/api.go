package handlers

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"millrace/models"
	"millrace/models/store"
	"millrace/views"
)

// The types in this file are what programs get: each page as JSON, at its own
// address with .json or an Accept header, and at the same path below /api/v3.
// Fields are added, never renamed. Times are RFC 3339 in UTC and null where
// nothing happened yet; states are those of models.State, and readers must
// live with ones they do not know.

// List is a part of a list, newest first. Next is the cursor for the parameter
// "before", Prev that for "after"; null at the ends of the list. The header
// Link has them as whole addresses.
type List[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
	Prev  *string `json:"prev"`
}

// Project is a git repository on a forge.
type Project struct {
	ID            int64      `json:"id"`
	Path          string     `json:"path"` // forge/namespace/name
	Forge         string     `json:"forge"`
	Namespace     string     `json:"namespace"`
	Name          string     `json:"name"`
	URL           string     `json:"url"`      // of its page on the forge
	HTMLURL       string     `json:"html_url"` // of our page
	DefaultBranch string     `json:"default_branch"`
	CreatedAt     *time.Time `json:"created_at"`
	ActiveAt      *time.Time `json:"active_at"` // of its newest event
}

// ProjectSummary is a project in a list.
type ProjectSummary struct {
	Project
	LastPipeline *PipelineBrief `json:"last_pipeline"`
}

// ProjectDetail is a project with what happened in it.
type ProjectDetail struct {
	Project
	Last30Days ProjectStats          `json:"last_30_days"`
	Pipelines  List[PipelineSummary] `json:"pipelines"`
}

// ProjectStats sums up how pipelines ended.
type ProjectStats struct {
	Decided       int     `json:"decided"` // passed or failed
	Passed        int     `json:"passed"`
	MedianSeconds float64 `json:"median_seconds"` // 0 if none is known
	Events7Days   int     `json:"events_7_days"`
}

// PipelineBrief is what is said of a pipeline where it is not the matter.
type PipelineBrief struct {
	ID        int64        `json:"id"`
	Attempt   int          `json:"attempt"`
	State     models.State `json:"state"`
	HTMLURL   string       `json:"html_url"`
	CreatedAt *time.Time   `json:"created_at"`
}

// PipelineSummary is a pipeline in a list.
type PipelineSummary struct {
	ID             int64          `json:"id"`
	EventID        int64          `json:"event_id"`
	Project        *Project       `json:"project"`
	Package        string         `json:"package"`
	Attempt        int            `json:"attempt"`          // from 1
	FirstAttemptID int64          `json:"first_attempt_id"` // itself if this is the first
	Kind           models.RefKind `json:"kind"`             // pr, push, release, issue, upstream
	Ref            string         `json:"ref"`
	SHA            string         `json:"sha"`
	Title          string         `json:"title"`
	Actor          string         `json:"actor"`
	State          models.State   `json:"state"`
	Version        int64          `json:"version"` // counts changes
	Runs           int            `json:"runs"`
	RunsDone       int            `json:"runs_done"`
	RunsBad        int            `json:"runs_bad"`
	SupersededBy   *int64         `json:"superseded_by"`
	HTMLURL        string         `json:"html_url"`
	CreatedAt      *time.Time     `json:"created_at"`
	StartedAt      *time.Time     `json:"started_at"`
	FinishedAt     *time.Time     `json:"finished_at"`
	Flow           []StepSum      `json:"flow"` // what its steps have come to, in planned order
}

// StepSum is what a list says of a step.
type StepSum struct {
	Name   string          `json:"name"`
	Kind   models.StepKind `json:"kind"`
	State  models.State    `json:"state"`
	Total  int             `json:"total"` // targets
	Done   int             `json:"done"`
	Passed int             `json:"passed"`
	Bad    int             `json:"bad"`
}

// Pipeline is a pipeline with all of its graph.
type Pipeline struct {
	PipelineSummary
	Steps    []Step          `json:"steps"` // nodes, in planned order
	Edges    []Edge          `json:"edges"`
	Attempts []PipelineBrief `json:"attempts"`
}

// Step is a node of the plan.
type Step struct {
	Name       string          `json:"name"` // unique in its pipeline
	Kind       models.StepKind `json:"kind"`
	Identifier string          `json:"identifier"`
	JobIndex   int             `json:"job_index"` // in the package config's jobs; -1 for none
	State      models.State    `json:"state"`
	Targets    []Target        `json:"targets"`
}

// Edge says that a step needs another: all of it, or, per target, the target
// that follows the target of the same name.
type Edge struct {
	From      string `json:"from"`
	To        string `json:"to"`
	PerTarget bool   `json:"per_target"`
}

// Target is a member of a step.
type Target struct {
	Name    string `json:"name"`
	Follows string `json:"follows"` // target it needs over edges that are per target
	Check   string `json:"check"`   // name of its check on the forge; may be empty
	Reused  bool   `json:"reused"`  // its run was made by an earlier attempt
	Run     Run    `json:"run"`
}

// Run is one execution for one target.
type Run struct {
	ID          int64           `json:"id"`
	Kind        models.StepKind `json:"kind"`
	Target      string          `json:"target"`
	State       models.State    `json:"state"`
	Reason      string          `json:"reason"`
	ExternalID  string          `json:"external_id"`
	ExternalURL string          `json:"external_url"`
	LogURL      string          `json:"log_url"` // at the service
	Retries     int             `json:"retries"`
	HTMLURL     string          `json:"html_url"`
	RawLogURL   string          `json:"raw_log_url"` // what we kept of it
	QueuedAt    *time.Time      `json:"queued_at"`
	StartedAt   *time.Time      `json:"started_at"`
	FinishedAt  *time.Time      `json:"finished_at"`
	CreatedAt   *time.Time      `json:"created_at"`
	Results     *Results        `json:"results"`
}

// Results is what a run made or found; only what its kind has.
type Results struct {
	NVR         string              `json:"nvr,omitempty"`
	Version     string              `json:"version,omitempty"`
	SRPMURL     string              `json:"srpm_url,omitempty"`
	CoprOwner   string              `json:"copr_owner,omitempty"`
	CoprProject string              `json:"copr_project,omitempty"`
	Packages    []string            `json:"packages,omitempty"`
	ResultURL   string              `json:"result_url,omitempty"`
	Compose     string              `json:"compose,omitempty"`
	Plan        string              `json:"plan,omitempty"`
	Tests       *models.TestSummary `json:"tests,omitempty"`
	Artifacts   []models.Artifact   `json:"artifacts,omitempty"`
	LogLine     int                 `json:"log_line,omitempty"` // first that explains a failure, from 1
	LogTail     string              `json:"log_tail,omitempty"`
	Notes       []string            `json:"notes,omitempty"`
}

// RunDetail is a run where it stands.
type RunDetail struct {
	Run
	Pipeline PipelineSummary `json:"pipeline"`
	Step     string          `json:"step"`
	Attempts []TargetAttempt `json:"attempts"`
}

// TargetAttempt is what became of a target in one attempt of a pipeline.
type TargetAttempt struct {
	PipelineID int64        `json:"pipeline_id"`
	Attempt    int          `json:"attempt"`
	RunID      int64        `json:"run_id"`
	Reused     bool         `json:"reused"`
	State      models.State `json:"state"`
}

// LogPart is a part of a log.
type LogPart struct {
	RunID int64    `json:"run_id"`
	From  int      `json:"from"`  // number of the first line here, from 1
	Total int      `json:"total"` // lines that are kept so far
	Bytes int64    `json:"bytes"` // that are kept so far
	Cut   int64    `json:"cut"`   // bytes that were left out of it
	Ended bool     `json:"ended"` // nothing will be added
	Lines []string `json:"lines"`
}

// EventSummary is an event in a list.
type EventSummary struct {
	ID         int64             `json:"id"`
	Kind       models.EventKind  `json:"kind"`
	Action     models.Action     `json:"action"`
	Actor      string            `json:"actor"`
	State      models.EventState `json:"state"`
	Reason     string            `json:"reason"`
	Project    *Project          `json:"project"`
	RefKind    models.RefKind    `json:"ref_kind"`
	Ref        string            `json:"ref"`
	SHA        string            `json:"sha"`
	ExternalID string            `json:"external_id"`
	HTMLURL    string            `json:"html_url"`
	CreatedAt  *time.Time        `json:"created_at"`
	DecidedAt  *time.Time        `json:"decided_at"`
}

// Event is what arrived and what was decided.
type Event struct {
	EventSummary
	Delivery   *Delivery         `json:"delivery"`
	Message    *models.Message   `json:"message"` // as it was understood
	Decisions  []models.Decision `json:"decisions"`
	ConfigFile string            `json:"config_file"`
	ConfigSHA  string            `json:"config_sha"`
	Pipelines  []PipelineBrief   `json:"pipelines"`
}

// Delivery says how an event reached us, without the raw message.
type Delivery struct {
	ID         int64      `json:"id"`
	Source     string     `json:"source"`
	Key        string     `json:"key"`
	Type       string     `json:"type"`
	Size       int        `json:"size"`
	Error      string     `json:"error"`
	ReceivedAt *time.Time `json:"received_at"`
	HandledAt  *time.Time `json:"handled_at"`
}

// Home is what the automation is doing.
type Home struct {
	Running           int               `json:"running"` // runs
	Queued            int               `json:"queued"`  // runs
	OldestWaitSeconds float64           `json:"oldest_wait_seconds"`
	Last24Hours       HomeDay           `json:"last_24_hours"`
	NeedAttention     int               `json:"need_attention"`
	Recent            []PipelineSummary `json:"recent"`
}

// HomeDay counts the pipelines of a day.
type HomeDay struct {
	Pipelines int `json:"pipelines"`
	Failed    int `json:"failed"`
	Errors    int `json:"errors"`
}

// Queue is what waits and what is at work.
type Queue struct {
	Kinds     []QueueKind `json:"kinds"`
	Waiting   []QueueItem `json:"waiting"`
	Working   []QueueItem `json:"working"`
	Submitted []QueueItem `json:"submitted"`
	Unhandled int         `json:"unhandled_deliveries"`
	Unsent    int         `json:"unsent_reports"`
}

// QueueKind counts the submissions of a kind.
type QueueKind struct {
	Kind        models.StepKind `json:"kind"`
	Queued      int             `json:"queued"`
	Working     int             `json:"working"`
	Submitted   int             `json:"submitted"`
	Paused      bool            `json:"paused"`
	OldestSince *time.Time      `json:"oldest_since"`
}

// QueueItem is a submission in the queue.
type QueueItem struct {
	Kind       models.StepKind `json:"kind"`
	Position   int             `json:"position"` // from 1; 0: it cannot be claimed now
	PipelineID int64           `json:"pipeline_id"`
	Project    string          `json:"project"` // path
	Step       string          `json:"step"`
	Targets    []string        `json:"targets"`
	Worker     string          `json:"worker"`
	Since      *time.Time      `json:"since"`
}

// when is a time of the model for programs.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// some makes sure that a list is a list, even without anything in it.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// each turns all of a list.
func each[A, B any](list []A, turn func(A) B) []B {
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = turn(a)
	}
	return out
}

// listOf makes a list of rows and sets the header that leads around it.
func listOf[T any](s *Server, w http.ResponseWriter, r *http.Request, items []T, c models.Cursors) List[T] {
	list := List[T]{Items: some(items)}
	var links []string
	lead := func(rel, name, other, cursor string) *string {
		if cursor == "" {
			return nil
		}
		q := r.URL.Query()
		q.Del(other)
		q.Set(name, cursor)
		u := url.URL{Path: visitOf(r).path, RawQuery: q.Encode()}
		links = append(links, "<"+s.Base+u.RequestURI()+`>; rel="`+rel+`"`)
		return &cursor
	}
	list.Next = lead("next", "before", "after", c.Older)
	list.Prev = lead("prev", "after", "before", c.Newer)
	if len(links) > 0 {
		w.Header().Set("Link", strings.Join(links, ", "))
	}
	return list
}

func (s *Server) apiProject(p *models.Project) *Project {
	if p == nil {
		return nil
	}
	return &Project{
		ID: p.ID, Path: p.Path(), Forge: p.Forge, Namespace: p.Namespace, Name: p.Name, URL: p.URL,
		HTMLURL: s.Base + views.ProjectURL(p), DefaultBranch: p.DefaultBranch,
		CreatedAt: when(p.CreatedAt), ActiveAt: when(p.ActiveAt),
	}
}

func (s *Server) apiBrief(p *models.Pipeline) PipelineBrief {
	return PipelineBrief{p.ID, p.Attempt, p.State, s.Base + views.PipelineURL(p.ID), when(p.CreatedAt)}
}

func (s *Server) apiSummary(p *models.Pipeline, flow []StepSum) PipelineSummary {
	out := PipelineSummary{
		ID: p.ID, EventID: p.EventID, Project: s.apiProject(p.Project), Package: p.Package,
		Attempt: p.Attempt, FirstAttemptID: p.FirstAttemptID, Kind: p.Kind, Ref: p.Ref, SHA: p.SHA,
		Title: p.Title, Actor: p.Actor, State: p.State, Version: p.Version,
		Runs: p.Runs, RunsDone: p.RunsDone, RunsBad: p.RunsBad, HTMLURL: s.Base + views.PipelineURL(p.ID),
		CreatedAt: when(p.CreatedAt), StartedAt: when(p.StartedAt), FinishedAt: when(p.FinishedAt), Flow: some(flow),
	}
	if out.FirstAttemptID == 0 {
		out.FirstAttemptID = p.ID
	}
	if p.SupersededBy != 0 {
		out.SupersededBy = &p.SupersededBy
	}
	return out
}

func (s *Server) apiRow(row *models.PipelineRow) PipelineSummary {
	return s.apiSummary(row.Pipeline, each(row.Flow, func(f models.StepSum) StepSum {
		return StepSum{f.Name, f.Kind, f.State, f.Total, f.Done, f.Passed, f.Bad}
	}))
}

func (s *Server) apiPipeline(p *models.Pipeline, attempts []*models.Pipeline) Pipeline {
	out := Pipeline{Edges: []Edge{}, Attempts: each(attempts, s.apiBrief)}
	names := make(map[int64]string, len(p.Steps))
	for _, step := range p.Steps {
		names[step.ID] = step.Name
	}
	var flow []StepSum
	for _, step := range p.Steps {
		sum := StepSum{Name: step.Name, Kind: step.Kind, State: step.State, Total: len(step.Targets)}
		for _, need := range step.Needs {
			out.Edges = append(out.Edges, Edge{From: names[need.NeedsID], To: step.Name, PerTarget: need.PerTarget})
		}
		for _, t := range step.Targets {
			switch {
			case t.Run.State == models.Passed:
				sum.Passed++
			case t.Run.State == models.Failed || t.Run.State == models.Error:
				sum.Bad++
			}
			if t.Run.State.Finished() {
				sum.Done++
			}
		}
		out.Steps, flow = append(out.Steps, s.apiStep(step)), append(flow, sum)
	}
	out.Steps = some(out.Steps)
	out.PipelineSummary = s.apiSummary(p, flow)
	return out
}

func (s *Server) apiStep(step *models.Step) Step {
	return Step{step.Name, step.Kind, step.Identifier, step.JobIndex, step.State, each(step.Targets, func(t *models.Target) Target {
		return Target{t.Name, t.FollowedTarget(), t.Check, t.Reused, s.apiRun(t.Run)}
	})}
}

func (s *Server) apiRun(r *models.Run) Run {
	d := &r.Data
	out := Run{
		ID: r.ID, Kind: r.Kind, Target: r.Target, State: r.State, Reason: r.Reason,
		ExternalID: r.ExternalID, ExternalURL: r.ExternalURL, LogURL: r.LogURL, Retries: r.Retries,
		HTMLURL: s.Base + views.RunURL(r.ID), RawLogURL: s.Base + views.RunLogURL(r.ID),
		QueuedAt: when(r.QueuedAt), StartedAt: when(r.StartedAt), FinishedAt: when(r.FinishedAt), CreatedAt: when(r.CreatedAt),
	}
	if !d.Equal(new(models.RunData)) {
		out.Results = &Results{
			NVR: d.NVR, Version: d.Version, SRPMURL: d.SRPMURL, CoprOwner: d.CoprOwner, CoprProject: d.CoprProject,
			Packages: d.Packages, ResultURL: d.ResultURL, Compose: d.Compose, Plan: d.Plan, Tests: d.Tests,
			Artifacts: d.Artifacts, LogLine: d.LogLine, LogTail: d.LogTail, Notes: d.Notes,
		}
	}
	return out
}

func (s *Server) apiEventSummary(e *models.Event) EventSummary {
	out := EventSummary{
		ID: e.ID, Kind: e.Kind, Action: e.Action, Actor: e.Actor, State: e.State, Reason: e.Reason,
		Project: s.apiProject(e.Project), ExternalID: e.ExternalID, HTMLURL: s.Base + views.EventURL(e.ID),
		CreatedAt: when(e.CreatedAt), DecidedAt: when(e.DecidedAt),
	}
	if e.Commit != nil {
		out.RefKind, out.Ref, out.SHA = e.Commit.Kind, e.Commit.Ref, e.Commit.SHA
	}
	return out
}

func (s *Server) apiEvent(e *models.Event) Event {
	out := Event{
		EventSummary: s.apiEventSummary(e), Message: e.Message, Decisions: some(e.Decisions),
		ConfigFile: e.ConfigFile, ConfigSHA: e.ConfigSHA, Pipelines: each(e.Pipelines, s.apiBrief),
	}
	if d := e.Delivery; d != nil {
		out.Delivery = &Delivery{d.ID, d.Source, d.Key, d.Type, d.Size, d.Error, when(d.ReceivedAt), when(d.HandledAt)}
	}
	return out
}

func (s *Server) apiQueue(q *models.Queue) Queue {
	item := func(i models.QueueItem) QueueItem {
		out := QueueItem{Kind: i.Group.Kind, Position: i.Position, PipelineID: i.Group.PipelineID, Step: i.Step, Targets: some(i.Targets), Worker: i.Group.Worker, Since: when(i.Group.UpdatedAt)}
		if i.Pipeline != nil && i.Pipeline.Project != nil {
			out.Project = i.Pipeline.Project.Path()
		}
		return out
	}
	return Queue{
		Kinds: each(q.Kinds, func(k models.QueueKind) QueueKind {
			return QueueKind{k.Kind, k.Queued, k.Working, k.Submitted, k.Paused, when(k.Oldest)}
		}),
		Waiting: each(q.Waiting, item), Working: each(q.Working, item), Submitted: each(q.Submitted, item),
		Unhandled: q.Unhandled, Unsent: q.Unsent,
	}
}

func apiLog(runID int64, l *store.Log, from int, lines []string) LogPart {
	return LogPart{runID, from, int(l.Lines), l.Bytes, l.CutBytes, l.Complete, some(lines)}
}
