package models

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/uptrace/bun"
)

// Event is what a delivery says happened, joined with what we know of the
// project, and what was decided because of it.
type Event struct {
	bun.BaseModel `bun:"table:events,alias:event"`

	ID         int64      `bun:",pk,autoincrement"`
	DeliveryID int64      `bun:",nullzero"`
	ProjectID  int64      `bun:",nullzero"`
	CommitID   int64      `bun:",nullzero"`
	Kind       EventKind  //
	Action     Action     //
	Actor      string     //
	State      EventState //
	ExternalID string     // of the outside thing it is about, to find what waited for it
	Reason     string     // why nothing was planned, for people
	Message    *Message   //
	Decisions  []Decision //
	ConfigFile string     // name of the package config that was read
	ConfigSHA  string     // commit at which it was read
	ConfigText string     // the package config as it was read
	Held       bool       // it was refused, and goes on once the allowlist allows it
	CreatedAt  time.Time
	DecidedAt  time.Time `bun:",nullzero"`

	Project   *Project    `bun:"rel:belongs-to,join:project_id=id"`
	Commit    *Commit     `bun:"rel:belongs-to,join:commit_id=id"`
	Delivery  *Delivery   `bun:"rel:belongs-to,join:delivery_id=id"`
	Pipelines []*Pipeline `bun:"rel:has-many,join:id=event_id"`
}

// EventState says what became of an event.
type EventState string

const (
	EventNew     EventState = "new"     // its job has not decided yet
	EventPlanned EventState = "planned" // at least one pipeline was made
	EventNothing EventState = "nothing" // decided: there is nothing to do
	EventRefused EventState = "refused" // not allowed, or the config is invalid
	EventApplied EventState = "applied" // told a run something: a build ended
	EventFailed  EventState = "failed"  // could not be decided; Reason says why
)

// Decision says what was decided for one job of a package config, and why.
type Decision struct {
	JobIndex   int       `json:"job_index"` // position in the config's jobs; -1 if it is about the whole config
	Job        JobType   `json:"job,omitempty"`
	Trigger    Trigger   `json:"trigger,omitempty"`
	Package    string    `json:"package,omitempty"`
	Identifier string    `json:"identifier,omitempty"`
	Planned    bool      `json:"planned"`
	Reason     string    `json:"reason"`              // for people, a whole sentence
	Condition  string    `json:"condition,omitempty"` // planned: what must be found out first, a whole sentence
	Targets    []string  `json:"targets,omitempty"`
	Dropped    []Dropped `json:"dropped,omitempty"` // targets of the config that were not planned
	Checks     []string  `json:"checks,omitempty"`  // names of checks that are to say Reason
	PipelineID int64     `json:"pipeline_id,omitempty"`
	Origin     string    `json:"origin,omitempty"` // where the job is from if not from a file, as of JobView
}

// Dropped is a target that a job names and that was not planned.
type Dropped struct {
	Target string `json:"target"`
	Reason string `json:"reason"`
	Check  string `json:"check,omitempty"` // name of the check that is to say so
}

// Pipeline is the plan made for one event and package, and its execution. A
// rerun is a new pipeline of the same event, its next attempt.
type Pipeline struct {
	bun.BaseModel `bun:"table:pipelines,alias:pipeline"`

	ID             int64    `bun:",pk,autoincrement"`
	EventID        int64    //
	ProjectID      int64    //
	CommitID       int64    //
	Package        string   //
	Attempt        int      // from 1
	FirstAttemptID int64    `bun:",nullzero"` // of attempt 1; null there
	Kind           RefKind  // of its commit, kept here for lists
	Ref            string   // of its commit, kept here for lists
	SHA            string   // of its commit, kept here for lists
	Title          string   //
	Actor          string   //
	State          State    // derived from the runs by the one function that changes pipelines
	Version        int64    // counts changes; the ETag of its page
	Runs           int      // how many targets it has
	RunsDone       int      // how many of them are finished
	RunsBad        int      // how many of them failed or could not be found out
	SupersededBy   int64    `bun:",nullzero"` // newer pipeline of the same reference
	RequestKey     string   `bun:",nullzero"` // of the request that made this attempt; repeats of it make no other
	RequesterID    int64    `bun:",nullzero"` // user who asked for this attempt; 0: an event, or somebody at a forge
	Via            AuditVia // door by which this attempt was asked for; empty: an event
	CreatedAt      time.Time
	StartedAt      time.Time `bun:",nullzero"`
	FinishedAt     time.Time `bun:",nullzero"`

	Event   *Event   `bun:"rel:belongs-to,join:event_id=id"`
	Project *Project `bun:"rel:belongs-to,join:project_id=id"`
	Commit  *Commit  `bun:"rel:belongs-to,join:commit_id=id"`
	Steps   []*Step  `bun:"rel:has-many,join:id=pipeline_id"`
}

// RefName is what people call what the pipeline is about: "PR 42".
func (p *Pipeline) RefName() string { return RefName(p.Kind, p.Ref) }

// StepKind says which job carries out a step.
type StepKind string

const (
	SRPMStep             StepKind = "srpm"
	CoprBuildStep        StepKind = "copr_build"
	TestsStep            StepKind = "tests"
	ProposeStep          StepKind = "propose_downstream"
	PullFromUpstreamStep StepKind = "pull_from_upstream"
	KojiBuildStep        StepKind = "koji_build"
	KojiScratchStep      StepKind = "upstream_koji_build"
	KojiTagStep          StepKind = "koji_build_tag"
	BodhiUpdateStep      StepKind = "bodhi_update"
	VMImageStep          StepKind = "vm_image_build"
	ScanStep             StepKind = "scan"
)

// stepWords name one target of a step in a sentence.
var stepWords = map[StepKind]string{
	SRPMStep: "the source RPM", CoprBuildStep: "the Copr build", TestsStep: "the test run", ScanStep: "the static scan",
	ProposeStep: "the dist-git pull request", PullFromUpstreamStep: "the dist-git pull request",
	KojiBuildStep: "the Koji build", KojiScratchStep: "the Koji scratch build", KojiTagStep: "the Koji tag",
	BodhiUpdateStep: "the Bodhi update", VMImageStep: "the VM image",
}

// InWords is what people call what a step makes of each target, in a sentence.
func (s *Step) InWords() string {
	words, ok := stepWords[s.Kind]
	if !ok {
		words = "the step " + s.Name
	}
	if s.Identifier != "" {
		words += fmt.Sprintf(" (%s)", s.Identifier)
	}
	return words
}

// Step is a node of the plan.
type Step struct {
	bun.BaseModel `bun:"table:steps,alias:step"`

	ID         int64           `bun:",pk,autoincrement"`
	PipelineID int64           //
	Position   int             // from 0, in an order in which needs come first
	Kind       StepKind        //
	Name       string          // unique in its pipeline: "copr_build", "tests:full"; part of addresses
	Identifier string          // of the job, if it has one
	JobIndex   int             // position in the config's jobs; -1 for a step that no job asked for by name
	Config     json.RawMessage // the job view at planning time, see JobView; null for none
	Mirrors    bool            // the checks of its waiting targets show how their builds are doing
	Notices    *Notices        // comments and issues that its job asks for; nil for none
	Others     []OtherBuild    `bun:",nullzero"` // builds of other pull requests that its tests install too
	State      State           // derived from its runs

	Needs   []*Need   `bun:"rel:has-many,join:id=step_id"`
	Targets []*Target `bun:"rel:has-many,join:id=step_id"`
}

// OtherBuild is a build of another pull request.
type OtherBuild struct {
	Of       string   `json:"of"`     // namespace/name#number
	Chroot   string   `json:"chroot"` //
	BuildID  string   `json:"build_id"`
	Project  string   `json:"project"`            // owner/name in Copr
	Packages []string `json:"packages,omitempty"` // NEVRAs of what was built
}

// Need is an edge of the graph. Per target, a target starts when the target it
// follows has passed; as a join, no target starts before all have passed.
type Need struct {
	bun.BaseModel `bun:"table:step_needs,alias:need"`

	StepID    int64 `bun:",pk"`
	NeedsID   int64 `bun:",pk"`
	PerTarget bool
}

// Target is a member of a step: a chroot, branch, or architecture, and the run
// that stands for it in this pipeline.
type Target struct {
	bun.BaseModel `bun:"table:targets,alias:target"`

	ID       int64  `bun:",pk,autoincrement"`
	StepID   int64  //
	Position int    //
	Name     string // unique in its step
	Follows  string // name of the target it needs over per-target edges; empty: its own name
	Check    string `bun:"check_name"` // name of its check on the forge; empty: none
	RunID    int64  //
	Reused   bool   // the run was made by an earlier attempt

	Run *Run `bun:"rel:belongs-to,join:run_id=id"`
}

// FollowedTarget is the name of the target that t needs over per-target edges.
func (t *Target) FollowedTarget() string {
	if t.Follows != "" {
		return t.Follows
	}
	return t.Name
}

// Run is one execution for one target. Several pipelines may share it.
type Run struct {
	bun.BaseModel `bun:"table:runs,alias:run"`

	ID          int64     `bun:",pk,autoincrement"`
	GroupID     int64     // of the submission it is part of
	ProjectID   int64     //
	PipelineID  int64     // the pipeline it was made for
	Kind        StepKind  //
	Target      string    //
	State       State     //
	Reason      string    // why it stands there, one sentence for people
	ExternalID  string    // at the service; a Copr build, a test request
	ExternalURL string    //
	LogURL      string    // where the service keeps the log
	Retries     int       // how often its group was tried again
	QueuedAt    time.Time `bun:",nullzero"`
	StartedAt   time.Time `bun:",nullzero"`
	FinishedAt  time.Time `bun:",nullzero"`
	CreatedAt   time.Time
	Data        RunData // what the kind wants to remember

	Group *RunGroup `bun:"rel:belongs-to,join:group_id=id"`
}

// RunData is what a kind remembers of a run: results that later steps and the
// pages use. Only the fields of the run's kind are set.
type RunData struct {
	SRPMURL      string       `json:"srpm_url,omitempty"`  // srpm: where it can be fetched
	SRPMPath     string       `json:"srpm_path,omitempty"` // srpm: file below the data directory
	NVR          string       `json:"nvr,omitempty"`
	Version      string       `json:"version,omitempty"`
	CoprOwner    string       `json:"copr_owner,omitempty"`
	CoprProject  string       `json:"copr_project,omitempty"`
	Packages     []string     `json:"packages,omitempty"` // copr_build: NEVRAs of what was built
	ResultURL    string       `json:"result_url,omitempty"`
	Unsupported  bool         `json:"unsupported,omitempty"` // copr_build: Copr does not have the chroot
	Supported    []string     `json:"supported,omitempty"`   // copr_build: what it has; kept by the first unsupported run only
	Compose      string       `json:"compose,omitempty"`     // tests
	Plan         string       `json:"plan,omitempty"`
	Tests        *TestSummary `json:"tests,omitempty"`
	Artifacts    []Artifact   `json:"artifacts,omitempty"`
	ServiceState string       `json:"service_state,omitempty"` // the service's own word
	LogLine      int          `json:"log_line,omitempty"`      // first line that explains a failure, from 1
	LogTail      string       `json:"log_tail,omitempty"`      // the last lines, for the page's first failure
	Notes        []string     `json:"notes,omitempty"`         // what a person should know, in whole sentences
	PullNumber   int          `json:"pull_number,omitempty"`   // propose_downstream, pull_from_upstream: in dist-git
	HeadBranch   string       `json:"head_branch,omitempty"`   // of our fork, that it comes from
	Commit       string       `json:"commit,omitempty"`        // that it proposes; koji_build: that is built
	SideTag      string       `json:"side_tag,omitempty"`      // koji_build, bodhi_update: that the builds are in
	Builds       []string     `json:"builds,omitempty"`        // bodhi_update: NVRs
}

// TestSummary counts the results of a test run.
type TestSummary struct {
	Passed  int      `json:"passed"`
	Failed  int      `json:"failed"`
	Errors  int      `json:"errors"`
	Skipped int      `json:"skipped"`
	First   []string `json:"first,omitempty"` // names of the first failing tests
}

// Artifact is a file that a run left at its service.
type Artifact struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	Size int64  `json:"size,omitempty"` // bytes; 0 if not known
}

// Phase says where a run group stands on its way through the engine.
type Phase string

const (
	PhasePlanned   Phase = "planned"   // what it needs has not passed
	PhaseQueued    Phase = "queued"    // a worker may claim it
	PhaseWorking   Phase = "working"   // a worker holds it under a lease
	PhaseSubmitted Phase = "submitted" // an outside service is at it; we poll and listen
	PhaseCanceling Phase = "canceling" // its runs are settled; the service is still to be told to stop
	PhaseSettled   Phase = "settled"   // nothing follows
)

// RunGroup is one submission: the runs that go to a service in one request and
// share its external id. It is what workers claim.
type RunGroup struct {
	bun.BaseModel `bun:"table:run_groups,alias:run_group"`

	ID         int64    `bun:",pk,autoincrement"`
	PipelineID int64    //
	StepID     int64    //
	ProjectID  int64    //
	Kind       StepKind //
	Key        string   // idempotency key of the submission, unique; carried to the service where it allows
	Phase      Phase
	Epoch      int64     // counts claims; only the holder of the current one may settle
	Worker     string    // who holds it
	LeaseUntil time.Time `bun:",nullzero"` // while working: when the worker is taken for dead
	Rank       int64     // order among the queued of a kind, fair to projects
	Tries      int       // failed tries since the last success
	NotBefore  time.Time `bun:",nullzero"` // while queued: backoff
	HintedAt   time.Time `bun:",nullzero"` // when a job was last made for it
	PollAt     time.Time `bun:",nullzero"` // while submitted or canceling: next look
	Polls      int       // how often we looked
	ExternalID string    //
	Error      string    // of the last try, for people
	CreatedAt  time.Time
	UpdatedAt  time.Time

	Members []*Run `bun:"rel:has-many,join:id=group_id"`
}

// Report is what we want a forge to say about a commit, and what it was last
// told. One row for each check of a commit, comment of a pull request, or thing
// that fails and has an issue.
type Report struct {
	bun.BaseModel `bun:"table:reports,alias:report"`

	ID         int64 `bun:",pk,autoincrement"`
	ProjectID  int64
	CommitID   int64
	SHA        string
	Name       string     // of the check; "comment:" and a topic for a comment
	PipelineID int64      `bun:",nullzero"` // whose state it shows
	RunID      int64      `bun:",nullzero"`
	EventID    int64      `bun:",nullzero"`
	Wanted     CheckState //
	Title      string     // one line
	Body       string     // Markdown; of a comment its text
	URL        string     // our page about it
	Revision   int64      // counts changes of what is wanted
	SentRev    int64      // revision the forge was last told
	SentState  CheckState //
	ExternalID string     // of the check run or comment at the forge
	AsStatus   bool       // the forge would not take a check run, so it is a commit status
	Tries      int
	NotBefore  time.Time `bun:",nullzero"`
	Error      string
	UpdatedAt  time.Time
	HintedAt   time.Time `bun:",nullzero"` // when a job was last made for it
	SentAt     time.Time `bun:",nullzero"`
	Thing      string    `bun:",nullzero"` // of the release chain, that the issue is about, at whatever commit; empty: the commit

	Tracker   *Project `bun:"-"` // whose issue it is, if that is not stored yet
	Pull      int      `bun:"-"` // pull request that it is about, where that is not to be looked up
	IfFailing bool     `bun:"-"` // it only ends a failure that was told
}

// CheckState is what a forge can say of a check.
type CheckState string

const (
	CheckPending  CheckState = "pending"
	CheckRunning  CheckState = "running"
	CheckSuccess  CheckState = "success"
	CheckFailure  CheckState = "failure"
	CheckError    CheckState = "error"
	CheckNeutral  CheckState = "neutral"
	CheckCanceled CheckState = "canceled"
)

// Final reports whether nothing follows by itself.
func (s CheckState) Final() bool { return s != CheckPending && s != CheckRunning }

// snapshot is a view as a step keeps it. Views consist of what came from JSON's
// types, so that marshalling cannot fail.
func snapshot(view *JobView) json.RawMessage {
	text, err := json.Marshal(view)
	if err != nil {
		return json.RawMessage("null")
	}
	return text
}

// View is the job that the step was planned for; of a step that no job asked
// for, the defaults.
func (s *Step) View() (*JobView, error) {
	view := new(JobView)
	if len(s.Config) == 0 || string(s.Config) == "null" {
		view.PackageSettings = DefaultSettings()
		return view, nil
	}
	if err := json.Unmarshal(s.Config, view); err != nil {
		return nil, fmt.Errorf("reading the config of step %d: %w", s.ID, err)
	}
	return view, nil
}

// Equal reports whether two runs remember the same.
func (d *RunData) Equal(other *RunData) bool { return reflect.DeepEqual(d, other) }
