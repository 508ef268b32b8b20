package models

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"time"

	"github.com/uptrace/bun"
)

// Topic says what kind of thing happened.
type Topic string

const (
	PipelineCreated  Topic = "pipeline.created"
	PipelineFinished Topic = "pipeline.finished"
	StepFinished     Topic = "step.finished"
	RunFinished      Topic = "run.finished"
	RerunRequested   Topic = "rerun.requested"
	PullChanged      Topic = "pull_request.changed" // in dist-git
	BuildChanged     Topic = "build.changed"        // in Koji
	UpdateChanged    Topic = "update.changed"       // in Bodhi
	Ping             Topic = "ping"                 // somebody tries a hook
	HookDisabled     Topic = "hook.disabled"        // told to whoever made the hook, by mail alone
)

// Topics are those that a hook may have, in the order in which they are offered.
// A ping needs no topic.
var Topics = []Topic{PipelineCreated, PipelineFinished, StepFinished, RunFinished, RerunRequested, PullChanged, BuildChanged, UpdateChanged}

// Happening is something that happened and that somebody wants to hear of. Each
// is stored once, in the transaction that made it happen.
type Happening struct {
	bun.BaseModel `bun:"table:happenings,alias:happening"`

	ID         int64  `bun:",pk,autoincrement"`
	Key        string // unique: what would happen twice under it happened once
	Topic      Topic
	ProjectID  int64
	PipelineID int64  `bun:",nullzero"`
	Step       string // name in the pipeline
	RunID      int64  `bun:",nullzero"`
	ProductID  int64  `bun:",nullzero"`
	State      string // that it came to: a State, or a ProductState
	Title      string // what happened, one line without the project's name
	Todo       string // what somebody can do now, a whole sentence; may be empty
	TodoURL    string // where
	URL        string // of the page about it
	Thread     string // what belongs together in a mailbox has the same
	Data       HappeningData
	Body       []byte // what hooks are sent; nil until the first try
	CreatedAt  time.Time

	Project *Project `bun:"rel:belongs-to,join:project_id=id"`
}

// HappeningData is what mails say besides.
type HappeningData struct {
	Actor    string    `json:"actor,omitempty"` // who opened, pushed, built or asked
	Failures []Failure `json:"failures,omitempty"`
	More     int       `json:"more,omitempty"`  // failures besides those
	Again    bool      `json:"again,omitempty"` // it failed the last time, and works
}

// Failure is a target that failed, and why.
type Failure struct {
	What   string `json:"what"` // such as "the Copr build of fedora-44-x86_64"
	Reason string `json:"reason"`
	URL    string `json:"url"`
}

const (
	mostFailures = 10  // that a happening names
	maxHappening = 180 // characters of a title
)

// Urgent reports whether something failed, waits for a person, or works again:
// what people hear of who do not want to hear of everything.
func (h *Happening) Urgent() bool {
	switch h.Topic {
	case PipelineFinished:
		return h.State == string(Failed) || h.State == string(Error) || h.Data.Again
	case PullChanged:
		return h.State == string(ProductOpen)
	case BuildChanged:
		return h.State == string(ProductFailed)
	case UpdateChanged:
		return h.State == string(ProductDropped)
	case HookDisabled:
		return true
	}
	return false
}

// Happenings are what happened to a pipeline since it was loaded. base is the
// address of our pages.
func (g *Graph) Happenings(base string) []*Happening {
	var all []*Happening
	page := fmt.Sprintf("%s/pipelines/%d", base, g.ID)
	add := func(topic Topic, key string, state State, title string) *Happening {
		h := &Happening{
			Key: key, Topic: topic, ProjectID: g.ProjectID, PipelineID: g.ID, State: string(state), Title: oneLine(g.subject()+title, maxHappening), URL: page,
			Thread: threadOf(fmt.Sprint(g.ProjectID), string(g.Kind), g.Ref), Data: HappeningData{Actor: g.Actor},
		}
		all = append(all, h)
		return h
	}
	if g.Version == 0 { // nobody has saved it before
		add(PipelineCreated, fmt.Sprintf("pipeline/%d/created", g.ID), g.State, " is planned")
		if g.Attempt > 1 {
			add(RerunRequested, fmt.Sprintf("pipeline/%d/rerun", g.ID), g.State, fmt.Sprintf(" runs again, attempt %d", g.Attempt))
		}
	}
	for _, step := range g.Steps {
		for _, target := range step.Targets {
			run := target.Run
			if !g.runs[run.ID] || !run.State.Finished() || target.Reused {
				continue
			}
			h := add(RunFinished, fmt.Sprintf("run/%d/finished", run.ID), run.State, fmt.Sprintf(": %s of %s %s", step.InWords(), target.Name, endWords[run.State]))
			h.Step, h.RunID, h.URL = step.Name, run.ID, fmt.Sprintf("%s/runs/%d", base, run.ID)
			if bad(run) {
				h.Todo, h.TodoURL = "Look why, and run it again.", h.URL
			}
		}
		if g.steps[step.ID] && step.State.Finished() {
			h := add(StepFinished, fmt.Sprintf("step/%d/finished", step.ID), step.State, fmt.Sprintf(": the step %s %s", step.Name, endWords[step.State]))
			h.Step, h.URL = step.Name, page+"/steps/"+url.PathEscape(step.Name)
		}
	}
	if g.ended {
		g.explain(add(PipelineFinished, fmt.Sprintf("pipeline/%d/finished", g.ID), g.State, " "+endWords[g.State]), base)
	}
	return all
}

// explain says of the end of a pipeline what failed, and what can be done.
func (g *Graph) explain(h *Happening, base string) {
	for _, step := range g.Steps {
		for _, target := range step.Targets {
			if !bad(target.Run) {
				continue
			}
			if len(h.Data.Failures) == mostFailures {
				h.Data.More++
				continue
			}
			h.Data.Failures = append(h.Data.Failures, Failure{
				What: oneLine(fmt.Sprintf("%s of %s", step.InWords(), target.Name), 200), Reason: oneLine(target.Run.Reason, 300),
				URL: fmt.Sprintf("%s/runs/%d", base, target.RunID),
			})
		}
	}
	if n := len(h.Data.Failures) + h.Data.More; n > 0 {
		h.Title += ": " + h.Data.Failures[0].What
		if n > 1 {
			h.Title += fmt.Sprintf(" and %d more", n-1)
		}
		h.Title = oneLine(h.Title, maxHappening)
		h.Todo, h.TodoURL = "Look at what failed, mend it, and run it again.", fmt.Sprintf("%s/pipelines/%d/rerun?scope=failed", base, g.ID)
	}
	if h.State == string(Superseded) && g.SupersededBy != 0 {
		h.Todo, h.TodoURL = "Nothing: a newer push took over.", fmt.Sprintf("%s/pipelines/%d", base, g.SupersededBy)
	}
}

// subject is what people call what the pipeline is about.
func (g *Graph) subject() string {
	name := g.RefName()
	if g.Title != "" && g.Kind == PullRequestRef {
		name += " (" + oneLine(g.Title, 60) + ")"
	}
	return name
}

// threadOf names what belongs together in a mailbox. References may have any
// characters, ids of messages may not.
func threadOf(parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return "thread-" + hex.EncodeToString(sum.Sum(nil)[:12])
}

// productTopics are the products whose changes are told.
var productTopics = map[ProductKind]Topic{PullProduct: PullChanged, BuildProduct: BuildChanged, UpdateProduct: UpdateChanged}

// productWords say what a state of a product means, after its name.
var productWords = map[ProductState]string{
	ProductOpen: "was opened", ProductMerged: "was merged", ProductClosed: "was closed without being merged",
	ProductBuilding: "is being built", ProductComplete: "is built", ProductFailed: "failed to build", ProductCanceled: "was canceled",
	ProductPending: "is on its way to testing", ProductTesting: "is in testing", ProductStable: "is stable", ProductDropped: "was taken back",
}

// HappeningOf is what happened to a product that was saved; before is its state
// until then, empty if it was not known. It is nil if nothing is to be told.
func HappeningOf(p *Product, before ProductState, base string) *Happening {
	topic, told := productTopics[p.Kind]
	words := productWords[p.State]
	if !told || before == p.State || words == "" {
		return nil
	}
	key := fmt.Sprintf("product/%d/new", p.ID)
	if before != "" { // it may come to the same state again: a pull request is reopened
		key = fmt.Sprintf("product/%d/%s/%d", p.ID, p.State, p.UpdatedAt.UnixMicro())
	}
	if p.Kind == PullProduct && p.State == ProductOpen && before != "" {
		words = "was opened again"
	}
	h := &Happening{
		Key: key, Topic: topic, ProjectID: p.ProjectID, ProductID: p.ID, RunID: p.RunID, State: string(p.State),
		Title: oneLine(fmt.Sprintf("%s %s", productName(p), words), maxHappening), URL: base + "/packages/" + url.PathEscape(p.Package),
		Data:   HappeningData{Actor: p.Data.Author},
		Thread: threadOf(fmt.Sprint(p.ProjectID), "way", firstOf(p.Version, p.Key)),
	}
	switch p.State {
	case ProductOpen:
		h.Todo, h.TodoURL = "Look at it, and merge it if it is right.", p.URL
	case ProductFailed:
		h.Todo, h.TodoURL = "Look why, and build it again.", p.URL
		if p.RunID != 0 {
			h.TodoURL = fmt.Sprintf("%s/runs/%d", base, p.RunID)
		}
	case ProductTesting:
		h.Todo, h.TodoURL = "Try it, and say in Bodhi how it does.", p.URL
	case ProductDropped:
		h.Todo, h.TodoURL = "Look why, and make it again if it is still wanted.", p.URL
	}
	if p.Data.Reason != "" {
		h.Data.Failures = []Failure{{What: productName(p), Reason: oneLine(p.Data.Reason, 300), URL: p.URL}}
	}
	return h
}

func productName(p *Product) string {
	name := p.Name
	if p.Kind == PullProduct && p.Version != "" {
		name += " to " + p.Version
	}
	if p.Branch != "" && p.Kind != BuildProduct {
		name += " for " + p.Branch
	}
	return name
}

// PingOf is a try of a hook.
func PingOf(hook *Subscription, key, actor, page string) *Happening {
	return &Happening{
		Key: "ping/" + key, Topic: Ping, ProjectID: hook.ProjectID, Title: "This is a try", URL: page,
		Todo: "Nothing: who sees this knows that the hook works.", TodoURL: page, Data: HappeningData{Actor: actor},
	}
}

// DisabledOf tells whoever made a hook that it was switched off.
func DisabledOf(hook *Subscription, page string, at time.Time) *Happening {
	return &Happening{
		Key: fmt.Sprintf("hook/%d/disabled/%d", hook.ID, at.UnixMicro()), Topic: HookDisabled, ProjectID: hook.ProjectID,
		Title: "a hook was switched off", URL: page, Todo: "Look what its receiver answered, and switch it on again.", TodoURL: page,
		Thread: threadOf("hook", fmt.Sprint(hook.ID)),
		Data:   HappeningData{Failures: []Failure{{What: "the hook to " + oneLine(hook.Host(), 200), Reason: hook.Reason, URL: page}}},
	}
}
