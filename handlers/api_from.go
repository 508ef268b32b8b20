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

func apiAllowance(a *models.Allowance) Allowance {
	return Allowance{a.Path(), a.Name != "", a.State, a.Reason, a.Actor, when(a.UpdatedAt), a.Requester, a.Account, a.IssueURL}
}

func apiAccount(l models.Link) Account {
	return Account{l.Forge, l.Account, l.Proved(), when(l.ProvedAt)}
}

func apiToken(t *models.Token) Token {
	return Token{t.ID, t.Name, t.Hint, some(t.Scopes), when(t.CreatedAt), when(t.ExpiresAt), when(t.UsedAt)}
}

func apiAuditEntry(e *models.AuditEntry) AuditEntry {
	out := AuditEntry{e.ID, when(e.At), e.Actor, e.Via, e.Action, e.Object, e.Detail, e.Result}
	if out.Detail == nil {
		out.Detail = map[string]string{}
	}
	return out
}

// stageNames are the stages as programs know them.
var stageNames = [...]string{
	models.UpstreamStage: "upstream", models.PullStage: "pull_request", models.MergedStage: "merged", models.BuildStage: "build",
	models.UpdateStage: "update", models.TestingStage: "testing", models.StableStage: "stable",
}

func (s *Server) apiWay(w *models.Way) Way {
	out := Way{
		Release: w.Release.Name, Version: w.Release.Version, Package: w.Release.Package, URL: w.Release.URL, State: w.State(),
		EventID: w.Release.EventID, CreatedAt: when(w.Release.CreatedAt), Branches: []WayBranch{},
	}
	if w.Release.Project != nil {
		out.HTMLURL = s.Base + views.ReleaseURL(w.Release.Project, w.Release.Name)
	}
	for _, row := range w.Rows {
		branch := WayBranch{Branch: row.Branch, Due: row.Due.Kind}
		for i, cell := range row.Cells {
			stage := WayStage{Stage: stageNames[i], State: cell.State, Note: cell.Note, Since: when(cell.Since)}
			if p := cell.Product; p != nil {
				stage.Name, stage.Product, stage.URL = p.Name, p.State, p.URL
			}
			if m := cell.Made; m != nil {
				stage.PipelineID, stage.RunID = m.Pipeline.ID, m.Target.RunID
			}
			branch.Stages = append(branch.Stages, stage)
		}
		out.Branches = append(out.Branches, branch)
	}
	return out
}
