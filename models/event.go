package models

// EventKind says what happened, in words common to all sources.
type EventKind string

const (
	PullRequestEvent     EventKind = "pull_request"
	CommentEvent         EventKind = "comment"
	PushEvent            EventKind = "push"
	TagPushEvent         EventKind = "tag_push"
	ReleaseEvent         EventKind = "release"
	CheckRerunEvent      EventKind = "check_rerun"
	InstallationEvent    EventKind = "installation"
	UpstreamVersionEvent EventKind = "upstream_version"
	CoprBuildEvent       EventKind = "copr_build"
	KojiBuildEvent       EventKind = "koji_build"
	KojiTaskEvent        EventKind = "koji_task"
	KojiTagEvent         EventKind = "koji_tag"
	BodhiUpdateEvent     EventKind = "bodhi_update"
	TestResultEvent      EventKind = "test_result"
	ScanEvent            EventKind = "scan"
	AnalysisEvent        EventKind = "analysis"
	CIResultEvent        EventKind = "ci_result"
	FlagEvent            EventKind = "flag"
)

// Action says what was done to the thing an event is about.
type Action string

const (
	Opened   Action = "opened"
	Reopened Action = "reopened"
	Updated  Action = "updated"
	Closed   Action = "closed"
	Created  Action = "created"
	Edited   Action = "edited"
	Started  Action = "started"
	Ended    Action = "finished"
)

// Message is what one delivery says, as read from its bytes alone: what must
// be looked up elsewhere is empty. Its JSON form is a public contract
// (docs/contracts.md): fields are added, never renamed.
type Message struct {
	Kind   EventKind `json:"kind"`
	Action Action    `json:"action,omitempty"`

	ProjectURL       string `json:"project_url,omitempty"`        // where it happened; of a pull request its target
	SourceProjectURL string `json:"source_project_url,omitempty"` // where a pull request comes from

	PR           int    `json:"pr,omitempty"`
	Issue        int    `json:"issue,omitempty"`
	Branch       string `json:"branch,omitempty"` // short name; of a pull request its source
	Tag          string `json:"tag,omitempty"`
	TargetBranch string `json:"target_branch,omitempty"`
	Commit       string `json:"commit,omitempty"` // full hash
	CommitBefore string `json:"commit_before,omitempty"`

	Actor     string `json:"actor,omitempty"`    // login of who did it
	ActorID   int64  `json:"actor_id,omitempty"` // number that this account keeps when it is renamed, if the message says it
	Comment   string `json:"comment,omitempty"`
	CommentID int64  `json:"comment_id,omitempty"`
	CommentOn string `json:"comment_on,omitempty"` // pull_request, issue or commit

	ExternalID string   `json:"external_id,omitempty"` // of a build, task, test request, scan, analysis
	Target     string   `json:"target,omitempty"`      // chroot, architecture or compose
	State      string   `json:"state,omitempty"`       // the service's own word, lower case
	Package    string   `json:"package,omitempty"`
	Versions   []string `json:"versions,omitempty"` // upstream versions in the order they were sent
	NVR        string   `json:"nvr,omitempty"`

	Title        string   `json:"title,omitempty"`        // of the pull request, release or head commit
	Labels       []string `json:"labels,omitempty"`       // of the pull request
	CheckName    string   `json:"check_name,omitempty"`   // check_rerun
	URL          string   `json:"url,omitempty"`          // page of the thing at its service
	Installation int64    `json:"installation,omitempty"` // GitHub App installation
	Account      string   `json:"account,omitempty"`      // installation: whose
	AccountType  string   `json:"account_type,omitempty"` // installation: user or organization
	Repositories []string `json:"repositories,omitempty"` // installation: full names
	Suite        bool     `json:"suite,omitempty"`        // check_rerun: all checks of the suite
	RequestedID  string   `json:"requested_id,omitempty"` // check_rerun: identifier of a requested action
	Draft        bool     `json:"draft,omitempty"`        // pull request
	Owner        string   `json:"owner,omitempty"`        // copr_build: of the Copr project
	CoprProject  string   `json:"copr_project,omitempty"` // copr_build: name of the Copr project
	Author       string   `json:"author,omitempty"`       // who wrote the pull request or comment; Actor may be another
	App          string   `json:"app,omitempty"`          // check_rerun: slug of the GitHub App whose check it is
	TaskID       string   `json:"task_id,omitempty"`      // koji_build: task that makes it, which is what a submission returned
	Changed      []string `json:"changed,omitempty"`      // push: changed files, if the message lists them
	Fork         bool     `json:"fork,omitempty"`         // push: to a fork, if the message says so
	Builds       []string `json:"builds,omitempty"`       // bodhi_update: NVRs
	Bug          int      `json:"bug,omitempty"`          // upstream_version: Bugzilla's number
	Newer        string   `json:"newer,omitempty"`        // upstream_version: the newest that was announced together with it, of an older one
	UpstreamID   int64    `json:"upstream_id,omitempty"`  // upstream_version: the project's number in Anitya
	BuildSystem  string   `json:"build_system,omitempty"` // analysis: copr or koji
	AnalyzedID   string   `json:"analyzed_id,omitempty"`  // analysis: Copr build or Koji task it is about
	Text         string   `json:"text,omitempty"`         // analysis: explanation; flag: what it says

	// Reports are addresses of a scan's results, by added, fixed and all.
	// Whoever fetches one checks the host first: the message chose it.
	Reports map[string]string `json:"reports,omitempty"`
}
