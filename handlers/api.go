package handlers

import (
	"time"

	"millrace/models"
)

// The types in this file are what programs get: each page as JSON, at its own
// address with .json or an Accept header, and at the same path below /api/v3. The
// document of the API is made from them, and says of each field what its tag doc
// does (document.go).
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
	Path          string     `json:"path" doc:"forge/namespace/name"`
	Forge         string     `json:"forge"`
	Namespace     string     `json:"namespace"`
	Name          string     `json:"name"`
	URL           string     `json:"url" doc:"of its page on the forge"`
	HTMLURL       string     `json:"html_url" doc:"of our page"`
	DefaultBranch string     `json:"default_branch"`
	CreatedAt     *time.Time `json:"created_at"`
	ActiveAt      *time.Time `json:"active_at" doc:"of its newest event"`
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
	Decided       int     `json:"decided" doc:"passed or failed"`
	Passed        int     `json:"passed"`
	MedianSeconds float64 `json:"median_seconds" doc:"0 if none is known"`
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
	Attempt        int            `json:"attempt" doc:"from 1"`
	FirstAttemptID int64          `json:"first_attempt_id" doc:"itself if this is the first"`
	Kind           models.RefKind `json:"kind" doc:"pr, push, release, issue, upstream"`
	Ref            string         `json:"ref"`
	SHA            string         `json:"sha"`
	Title          string         `json:"title"`
	Actor          string         `json:"actor"`
	State          models.State   `json:"state"`
	Version        int64          `json:"version" doc:"counts changes"`
	Runs           int            `json:"runs"`
	RunsDone       int            `json:"runs_done"`
	RunsBad        int            `json:"runs_bad"`
	SupersededBy   *int64         `json:"superseded_by"`
	HTMLURL        string         `json:"html_url"`
	CreatedAt      *time.Time     `json:"created_at"`
	StartedAt      *time.Time     `json:"started_at"`
	FinishedAt     *time.Time     `json:"finished_at"`
	Flow           []StepSum      `json:"flow" doc:"what its steps have come to, in planned order"`
}

// StepSum is what a list says of a step.
type StepSum struct {
	Name   string          `json:"name"`
	Kind   models.StepKind `json:"kind"`
	State  models.State    `json:"state"`
	Total  int             `json:"total" doc:"targets"`
	Done   int             `json:"done"`
	Passed int             `json:"passed"`
	Bad    int             `json:"bad"`
}

// Pipeline is a pipeline with all of its graph.
type Pipeline struct {
	PipelineSummary
	Steps    []Step          `json:"steps" doc:"nodes, in planned order"`
	Edges    []Edge          `json:"edges"`
	Attempts []PipelineBrief `json:"attempts"`
}

// Step is a node of the plan.
type Step struct {
	Name       string          `json:"name" doc:"unique in its pipeline"`
	Kind       models.StepKind `json:"kind"`
	Identifier string          `json:"identifier"`
	JobIndex   int             `json:"job_index" doc:"in the package config's jobs; -1 for none"`
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
	Follows string `json:"follows" doc:"target it needs over edges that are per target"`
	Check   string `json:"check" doc:"name of its check on the forge; may be empty"`
	Reused  bool   `json:"reused" doc:"its run was made by an earlier attempt"`
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
	LogURL      string          `json:"log_url" doc:"at the service"`
	Retries     int             `json:"retries"`
	HTMLURL     string          `json:"html_url"`
	RawLogURL   string          `json:"raw_log_url" doc:"what we kept of it"`
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
	LogLine     int                 `json:"log_line,omitempty" doc:"first that explains a failure, from 1"`
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
	From  int      `json:"from" doc:"number of the first line here, from 1"`
	Total int      `json:"total" doc:"lines that are kept so far"`
	Bytes int64    `json:"bytes" doc:"that are kept so far"`
	Cut   int64    `json:"cut" doc:"bytes that were left out of it"`
	Ended bool     `json:"ended" doc:"nothing will be added"`
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
	Message    *models.Message   `json:"message" doc:"as it was understood"`
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
	Running           int               `json:"running" doc:"runs"`
	Queued            int               `json:"queued" doc:"runs"`
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
	Position   int             `json:"position" doc:"from 1; 0: it cannot be claimed now"`
	PipelineID int64           `json:"pipeline_id"`
	Project    string          `json:"project" doc:"path"`
	Step       string          `json:"step"`
	Targets    []string        `json:"targets"`
	Worker     string          `json:"worker"`
	Since      *time.Time      `json:"since"`
}

// Allowance is an entry of the allowlist.
type Allowance struct {
	Path    string            `json:"path" doc:"forge/namespace, or forge/namespace/name of a project"`
	Project bool              `json:"project"`
	State   models.AllowState `json:"state"`
	Reason  string            `json:"reason"`
	Actor   string            `json:"actor"`
	Since   *time.Time        `json:"since"`

	Requester string `json:"requester"` // login at the forge of who asked for it; empty: nobody did
	Account   string `json:"account"`   // by which they proved who they are
	IssueURL  string `json:"issue_url"` // where they can
}

// Account is an account of the viewer at a forge.
type Account struct {
	Forge    string     `json:"forge"`
	Account  string     `json:"account" doc:"as the Fedora account says; empty: it names none, or shows none"`
	Proved   bool       `json:"proved" doc:"the account there said the same; otherwise it gives no rights"`
	ProvedAt *time.Time `json:"proved_at"`
}

// Token is a token of the viewer, without its secret.
type Token struct {
	ID        int64               `json:"id"`
	Name      string              `json:"name"`
	Hint      string              `json:"hint" doc:"how its secret begins"`
	Scopes    []models.TokenScope `json:"scopes"`
	CreatedAt *time.Time          `json:"created_at"`
	ExpiresAt *time.Time          `json:"expires_at"`
	UsedAt    *time.Time          `json:"used_at" doc:"to some minutes"`
}

// AuditEntry says who did what.
type AuditEntry struct {
	ID     int64              `json:"id"`
	At     *time.Time         `json:"at"`
	Actor  string             `json:"actor"`
	Via    models.AuditVia    `json:"via"`
	Action string             `json:"action"`
	Object string             `json:"object"`
	Detail map[string]string  `json:"detail"`
	Result models.AuditResult `json:"result"`
}

// Package is a package in dist-git and its releases, the newest first.
type Package struct {
	Project
	Releases []Way `json:"releases"`
}

// Way is how far a release has come to Fedora, branch by branch.
type Way struct {
	Release   string       `json:"release"` // tag, or the version that was announced
	Version   string       `json:"version"`
	Package   string       `json:"package"`
	URL       string       `json:"url"`
	HTMLURL   string       `json:"html_url"`
	State     models.State `json:"state"`
	EventID   int64        `json:"event_id"` // that told of it; 0: none is known
	CreatedAt *time.Time   `json:"created_at"`
	Branches  []WayBranch  `json:"branches"`
}

// WayBranch is the way of a release on one branch of dist-git.
type WayBranch struct {
	Branch string         `json:"branch"`
	Due    models.DueKind `json:"due"`    // what somebody has to do: merge, rerun, feedback, gating; empty: nothing
	Stages []WayStage     `json:"stages"` // from the release upstream to the mirrors, always all
}

// WayStage is how a branch stands at a stage.
type WayStage struct {
	Stage      string              `json:"stage"` // upstream, pull_request, merged, build, update, testing, stable
	State      models.CellState    `json:"state"`
	Name       string              `json:"name"` // of what is there: "PR 47", an NVR, an alias
	Product    models.ProductState `json:"product"`
	URL        string              `json:"url"`
	Note       string              `json:"note"`
	PipelineID int64               `json:"pipeline_id"` // of the run that makes it; 0: none is known
	RunID      int64               `json:"run_id"`
	Since      *time.Time          `json:"since"`
}
