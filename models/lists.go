package models

import "time"

// Page says which part of a list is wanted. Cursors come from the part before.
type Page struct {
	Before string // cursor: rows that follow it, older ones
	After  string // cursor: rows that precede it, newer ones
	UpTo   int64  // leave out rows with a higher id, and count them instead; 0: none
	Limit  int    // rows wanted; 0: 25; at most 200
}

// Cursors lead from one part of a list to the next. They are opaque, and empty
// where the list ends.
type Cursors struct {
	Older string
	Newer string
}

// PipelineFilter is what a list of pipelines is narrowed to. What is empty lets
// everything through.
type PipelineFilter struct {
	Query     *Query // see ParseQuery and PipelineFields
	State     State
	Kind      RefKind
	Project   string // forge/namespace/name, namespace/name or name, with * as wildcard
	Package   string
	ProjectID int64
}

// PipelineList is a part of a list of pipelines, newest first.
type PipelineList struct {
	Rows  []*PipelineRow
	Fresh int // rows above Page.UpTo that match, at most 100
	Cursors
}

// PipelineRow is a pipeline in a list: with its Project, and what its steps have
// come to, in planned order.
type PipelineRow struct {
	*Pipeline
	Flow []StepSum
}

// StepSum is what a list says of a step.
type StepSum struct {
	PipelineID int64
	Name       string
	Kind       StepKind
	State      State
	Total      int // targets
	Done       int // targets that are finished
	Passed     int // targets that passed
	Bad        int // targets that failed or could not be found out
}

// ProjectFilter is what a list of projects is narrowed to.
type ProjectFilter struct {
	Query     string // part of forge/namespace/name; * stands for anything
	Forge     string
	Namespace string // it and those below it; needs Forge
}

// ProjectList is a part of a list of projects, the most active first.
type ProjectList struct {
	Rows []*ProjectRow
	Cursors
}

// ProjectRow is a project in a list.
type ProjectRow struct {
	*Project
	Last *Pipeline // newest; nil if there is none
}

// RefList is a part of the list of a project's references, newest first.
type RefList struct {
	Rows []*RefRow
	Cursors
}

// RefRow is a git reference of a project and the pipelines made for it, newest
// first.
type RefRow struct {
	Commit    *Commit // of the newest pipeline
	Pipelines []*Pipeline
}

// ProjectStats sums up how a project's pipelines ended.
type ProjectStats struct {
	Decided int           // passed or failed
	Passed  int           // of them
	Median  time.Duration // of their length; 0 if none is known
	Events  int           // events in the last 7 days
}

// EventFilter is what a list of events is narrowed to.
type EventFilter struct {
	Query     *Query // see ParseQuery and EventFields
	Kind      EventKind
	State     EventState
	Project   string // as of PipelineFilter
	ProjectID int64
}

// EventList is a part of a list of events, newest first, with their Project and
// Commit, without config, decisions and message.
type EventList struct {
	Rows  []*Event
	Fresh int
	Cursors
}

// TargetAttempt is what became of a target in one attempt of a pipeline.
type TargetAttempt struct {
	PipelineID int64
	Attempt    int
	RunID      int64
	Reused     bool
	State      State
}

// RunPlace is a run where it stands: the target of a step of a pipeline.
type RunPlace struct {
	Pipeline *Pipeline       // with Project, Event, Commit, and Steps with Needs and Targets with Run, without configs
	Step     *Step           // of Pipeline.Steps
	Target   *Target         // of Step.Targets
	Group    *RunGroup       // the submission that Target.Run is part of
	Attempts []TargetAttempt // the same target in all attempts of the pipeline, in their order
}

// Counters say what the automation is doing.
type Counters struct {
	Running       int           // runs at work
	Queued        int           // runs that wait for a worker
	OldestWait    time.Duration // of the queued
	Pipelines     int           // made in the last 24 hours
	Failed        int           // pipelines that ended in failed in the last 24 hours
	Errors        int           // pipelines that ended in error in the last 24 hours
	Unsent        int           // reports that a forge has refused for now
	Unhandled     int           // deliveries that could not be handled yet, though tried
	Unfinished    int           // pipelines that are running, queued or waiting
	WaitingToRun  int           // of them queued or waiting
	RunningInFull int           // of them running
}

// Attention counts what needs a person: what ended in error, and what the outside
// does not take.
func (c *Counters) Attention() int { return c.Errors + c.Unsent + c.Unhandled }

// Queue is what waits, what is at work, and what is still to be told.
type Queue struct {
	Kinds     []QueueKind
	Waiting   []QueueItem // in the order in which they will be served, kind by kind
	Working   []QueueItem // held by a worker, the oldest lease first
	Submitted []QueueItem // outside services are at them, the next to be asked first
	Workers   []*Worker

	Unhandled    int       // deliveries whose job is still to come
	UnhandledOld time.Time // when the oldest of them came; zero if there is none
	Unsent       int       // reports that forges are still to be told
	UnsentOld    time.Time // since when the oldest of them waits; zero if there is none
	UnsentError  string    // of the one that failed last
}

// QueueKind counts the groups of a kind.
type QueueKind struct {
	Kind       StepKind
	Queued     int
	Working    int
	Submitted  int
	Canceling  int
	Oldest     time.Time     // since when the one that waits longest does; zero if none waits
	MedianWait time.Duration // of the last 50 runs of the kind that started
	Waits      int           // how many those were; below 10 the median says little
	Paused     bool
}

// Ahead is what would come before a new group in the queue of a kind.
type Ahead struct {
	Kind    StepKind
	Before  int // groups that would be served before it
	Working int // groups of the kind that are being worked on, in all processes
	Paused  bool
}

// QueueItem is a group in the queue.
type QueueItem struct {
	Group    *RunGroup
	Position int       // from 1, among the groups of its kind that a worker may claim now; 0: not among them
	Pipeline *Pipeline // with Project
	Step     string    // name
	Targets  []string
}

// StepKinds lists all kinds in the order of a change's way to Fedora.
var StepKinds = []StepKind{
	SRPMStep, CoprBuildStep, KojiScratchStep, ScanStep, TestsStep, VMImageStep,
	PullFromUpstreamStep, ProposeStep, KojiTagStep, KojiBuildStep, BodhiUpdateStep,
}
