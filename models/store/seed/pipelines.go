package seed

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/models"
)

// made is a pipeline with all that belongs to it.
type made struct {
	happening
	pipeline *models.Pipeline
	steps    []*models.Step
}

// pipeline makes pipeline number i, with the event that it is for.
func (m *maker) pipeline(i int, at time.Time) {
	var h happening
	var before *made
	if next, ok := m.due(at); ok {
		if next.again {
			before, h = next.from, next.from.happening
		} else {
			h = m.pullRequest(next.from.project, next.from.commit, at)
			m.superseded[next.from.pipeline.ID] = m.pipelineID + 1
		}
	} else {
		h = m.someHappening(at)
	}
	p := m.plan(h, before, at, i)
	open := i >= m.Pipelines-m.Open
	end := m.fate(h, before, open)
	m.carryOut(p, before, end, at, i)
	m.finish(p)
	if before == nil {
		m.decide(p)
		m.noise(h, at)
	}
	switch {
	case end == models.Superseded:
		m.pending = append(m.pending, pending{from: p})
	case (end == models.Failed || end == models.Error) && p.pipeline.Attempt < 4 && m.rand.IntN(5) == 0:
		m.pending = append(m.pending, pending{from: p, again: true})
	}
	if i >= m.Pipelines-reported && before == nil {
		m.report(p)
	}
}

// due takes the first pending pipeline whose time has come: nobody asks for
// another attempt before the one before has ended.
func (m *maker) due(at time.Time) (pending, bool) {
	for i, next := range m.pending {
		if !next.again || next.from.pipeline.FinishedAt.Before(at) {
			m.pending = slices.Delete(m.pending, i, i+1)
			return next, true
		}
	}
	return pending{}, false
}

// fate decides how a pipeline ends.
func (m *maker) fate(h happening, before *made, open bool) models.State {
	n := m.rand.IntN(100)
	switch {
	case open:
		return models.Running
	case before != nil && n < 60:
		return models.Passed
	case n < 77:
		return models.Passed
	case n < 92:
		return models.Failed
	case n < 95:
		return models.Error
	case n < 97:
		return models.Canceled
	case h.commit.Kind == models.PullRequestRef:
		return models.Superseded
	}
	return models.Passed
}

// plan makes the pipeline and its steps, as many targets as the history is to
// have, or, of another attempt, those that the one before had.
func (m *maker) plan(h happening, before *made, at time.Time, i int) *made {
	m.pipelineID++
	p := &models.Pipeline{
		ID: m.pipelineID, EventID: h.event.ID, ProjectID: h.project.ID, CommitID: h.commit.ID, Package: h.project.Name,
		Attempt: 1, Kind: h.commit.Kind, Ref: h.commit.Ref, SHA: h.commit.SHA, Title: h.commit.Title, Actor: h.event.Actor,
		Version: 3, CreatedAt: at,
	}
	if before != nil {
		p.Attempt = before.pipeline.Attempt + 1
		p.FirstAttemptID = before.pipeline.ID
		if before.pipeline.FirstAttemptID != 0 {
			p.FirstAttemptID = before.pipeline.FirstAttemptID
		}
		p.Actor = pick(m.rand, people)
	}
	m.batch.pipelines = append(m.batch.pipelines, p)
	out := &made{happening: h, pipeline: p}
	wanted := (i+1)*m.Runs/max(1, m.Pipelines) - m.made - 1
	if before != nil {
		for _, s := range before.steps {
			m.step(out, s.Kind, names(s))
		}
		return out
	}
	m.step(out, models.SRPMStep, []string{"source"})
	builds := min(len(h.project.chroots), max(1, wanted))
	if h.project.tests && wanted >= 2 {
		builds = min(builds, max(1, (wanted+1)/2))
	}
	m.step(out, models.CoprBuildStep, h.project.chroots[:builds])
	if h.project.tests && h.commit.Kind != models.ReleaseRef && wanted > builds {
		m.step(out, models.TestsStep, h.project.chroots[:min(builds, wanted-builds)])
	}
	return out
}

func names(s *models.Step) []string {
	list := make([]string, len(s.Targets))
	for i, t := range s.Targets {
		list[i] = t.Name
	}
	return list
}

// step adds a step with its targets, after the last one, which it needs.
func (m *maker) step(p *made, kind models.StepKind, targets []string) {
	m.stepID++
	s := &models.Step{
		ID: m.stepID, PipelineID: p.pipeline.ID, Position: len(p.steps), Kind: kind, Name: string(kind), JobIndex: len(p.steps) - 1,
	}
	for i, name := range targets {
		m.targetID++
		t := &models.Target{ID: m.targetID, StepID: s.ID, Position: i, Name: name}
		if kind != models.SRPMStep {
			t.Check = strings.ReplaceAll(string(kind), "copr_build", "rpm-build") + ":" + name
		}
		s.Targets = append(s.Targets, t)
		m.batch.targets = append(m.batch.targets, t)
	}
	if len(p.steps) > 0 {
		m.batch.needs = append(m.batch.needs, &models.Need{
			StepID: s.ID, NeedsID: p.steps[len(p.steps)-1].ID, PerTarget: kind == models.TestsStep,
		})
	}
	p.steps = append(p.steps, s)
	m.batch.steps = append(m.batch.steps, s)
}

// carryOut gives each target a run that leads to the pipeline's end.
func (m *maker) carryOut(p *made, before *made, end models.State, at time.Time, i int) {
	culprit := m.rand.IntN(len(p.steps)) // where what is not to pass stops
	if culprit == 0 && m.rand.IntN(2) == 0 {
		culprit = len(p.steps) - 1
	}
	ready := map[string]time.Time{"": at.Add(time.Second)}
	var broken []string
	for n, s := range p.steps {
		unlucky := s.Targets[m.rand.IntN(len(s.Targets))].Name
		var group *models.RunGroup
		for j, t := range s.Targets {
			if before != nil && reuse(t, before.steps[n].Targets[j].Run) {
				ready[t.Name] = at
				continue
			}
			if group == nil || s.Kind == models.TestsStep {
				group = m.group(p, s)
			}
			run := m.run(p, s, group, t)
			since := ready[t.Name]
			if since.IsZero() {
				since = ready[""]
			}
			state := models.Passed
			switch {
			case end == models.Running:
				state = m.progress(n, culprit)
			case slices.Contains(broken, t.Name) || slices.Contains(broken, ""):
				state = models.Skipped
			case end == models.Passed || n < culprit:
			case end == models.Canceled || end == models.Superseded || n == culprit && (t.Name == unlucky || m.rand.IntN(3) == 0):
				state = end
			}
			m.end(s, run, group, state, since)
			switch {
			case state == models.Passed && s.Kind == models.SRPMStep:
				ready[""] = run.FinishedAt
			case state == models.Passed:
				ready[t.Name] = run.FinishedAt
			case s.Kind == models.SRPMStep:
				broken = append(broken, "")
			default:
				broken = append(broken, t.Name)
			}
			m.chooseLog(run, i)
		}
	}
}

// reuse gives t the run of the attempt before if that passed.
func reuse(t *models.Target, run *models.Run) bool {
	if run.State != models.Passed {
		return false
	}
	t.Run, t.RunID, t.Reused = run, run.ID, true
	return true
}

// progress is where a run of an unfinished pipeline stands.
func (m *maker) progress(step, current int) models.State {
	switch {
	case step < current:
		return models.Passed
	case step > current:
		return models.Waiting
	case m.rand.IntN(2) == 0:
		return models.Queued
	}
	return models.Running
}

func (m *maker) group(p *made, s *models.Step) *models.RunGroup {
	m.groupID++
	g := &models.RunGroup{
		ID: m.groupID, PipelineID: p.pipeline.ID, StepID: s.ID, ProjectID: p.project.ID, Kind: s.Kind,
		Key: fmt.Sprintf("seed%dg%d", m.Seed, m.groupID), Phase: models.PhaseSettled, Epoch: 1,
		CreatedAt: p.pipeline.CreatedAt, UpdatedAt: p.pipeline.CreatedAt,
	}
	switch s.Kind {
	case models.CoprBuildStep:
		m.builds += 1 + m.rand.IntN(9)
		g.ExternalID = fmt.Sprint(m.builds)
	case models.TestsStep:
		g.ExternalID = fmt.Sprintf("%s-%s-4%s-a%s-%s", hex(m.rand, 8), hex(m.rand, 4), hex(m.rand, 3), hex(m.rand, 3), hex(m.rand, 12))
	}
	m.batch.groups = append(m.batch.groups, g)
	return g
}

func (m *maker) run(p *made, s *models.Step, g *models.RunGroup, t *models.Target) *models.Run {
	m.runID++
	m.made++
	r := &models.Run{
		ID: m.runID, GroupID: g.ID, ProjectID: p.project.ID, PipelineID: p.pipeline.ID, Kind: s.Kind, Target: t.Name,
		CreatedAt: p.pipeline.CreatedAt,
	}
	g.Members = append(g.Members, r)
	t.Run, t.RunID = r, r.ID
	m.batch.runs = append(m.batch.runs, r)
	return r
}

// usual is how long runs of a kind take, in seconds.
var usual = map[models.StepKind]int{models.SRPMStep: 40, models.CoprBuildStep: 400, models.TestsStep: 900}

// end puts a run, that could begin at since, into a state with the times and
// results that belong to it.
func (m *maker) end(s *models.Step, r *models.Run, g *models.RunGroup, state models.State, since time.Time) {
	r.State = state
	wait := time.Duration(200+m.rand.IntN(90_000)) * time.Millisecond
	took := time.Duration(usual[s.Kind]*(40+m.rand.IntN(160))/100) * time.Second
	switch state {
	case models.Waiting:
		g.Phase = models.PhasePlanned
		return
	case models.Skipped:
		r.FinishedAt, r.Reason = since, "What it needs did not pass."
		return
	}
	r.QueuedAt = since
	if state == models.Queued {
		m.queue(g)
		return
	}
	r.StartedAt = since.Add(wait)
	r.ExternalID = g.ExternalID
	if s.Kind == models.CoprBuildStep && m.CoprURL != "" {
		r.ExternalURL = m.CoprURL + "/coprs/build/" + g.ExternalID
	}
	if state == models.Running {
		m.submit(g, r)
		return
	}
	r.FinishedAt = r.StartedAt.Add(took)
	if r.FinishedAt.After(m.Now) {
		r.FinishedAt = m.Now
	}
	if r.FinishedAt.After(g.UpdatedAt) {
		g.UpdatedAt = r.FinishedAt
	}
	m.result(s, r)
}

// queue and submit bring a group to where its first unfinished run is.
func (m *maker) queue(g *models.RunGroup) {
	if g.Phase != models.PhaseSubmitted {
		g.Phase, g.ExternalID, g.Rank = models.PhaseQueued, "", int64(g.ID%7)
		g.UpdatedAt = m.Now.Add(-time.Duration(m.rand.IntN(400)) * time.Second)
	}
}

func (m *maker) submit(g *models.RunGroup, r *models.Run) {
	if g.Phase == models.PhaseQueued { // another target waits: the whole submission does
		r.State, r.StartedAt, r.ExternalID, r.ExternalURL = models.Queued, time.Time{}, "", ""
		return
	}
	if g.Kind == models.SRPMStep {
		g.Phase, g.Worker, g.LeaseUntil = models.PhaseWorking, "worker-1", m.Now.Add(time.Minute)
		return
	}
	g.Phase = models.PhaseSubmitted
	g.PollAt = m.Now.Add(time.Duration(m.rand.IntN(300)) * time.Second)
}

func (m *maker) result(s *models.Step, r *models.Run) {
	switch {
	case r.State == models.Error:
		r.Reason = "The service did not answer within an hour."
	case r.State == models.Canceled:
		r.Reason = "Canceled by " + pick(m.rand, people) + "."
	case r.State == models.Superseded:
		r.Reason = "A newer commit took over."
	case s.Kind == models.CoprBuildStep && r.State == models.Failed:
		r.Data.LogLine = 14
		r.Data.LogTail = "error: Failed build dependencies:\n\tpkgconfig(zlib) is needed"
	case s.Kind == models.CoprBuildStep:
		r.Data.Packages = []string{fmt.Sprintf("build-%d-1.x86_64", r.ID)}
	case s.Kind == models.TestsStep:
		r.Data.Tests = &models.TestSummary{Passed: 3 + m.rand.IntN(40)}
		if r.State == models.Failed {
			r.Data.Tests.Failed = 1 + m.rand.IntN(3)
			r.Data.Tests.First = []string{"/smoke/basic"}
		}
	}
}

// finish derives the states of steps and pipeline from the runs.
func (m *maker) finish(p *made) {
	var all []models.State
	pl := p.pipeline
	for _, s := range p.steps {
		var states []models.State
		for _, t := range s.Targets {
			states = append(states, t.Run.State)
			pl.Runs++
			if t.Run.State.Finished() {
				pl.RunsDone++
			}
			if t.Run.State == models.Failed || t.Run.State == models.Error {
				pl.RunsBad++
			}
			if t.Reused {
				continue
			}
			if !t.Run.StartedAt.IsZero() && (pl.StartedAt.IsZero() || t.Run.StartedAt.Before(pl.StartedAt)) {
				pl.StartedAt = t.Run.StartedAt
			}
			if t.Run.FinishedAt.After(pl.FinishedAt) {
				pl.FinishedAt = t.Run.FinishedAt
			}
		}
		s.State = models.Combine(states)
		all = append(all, states...)
	}
	pl.State = models.Combine(all)
	if !pl.State.Finished() {
		pl.FinishedAt = time.Time{}
	}
}

// decide writes down what was decided about the event of a pipeline.
func (m *maker) decide(p *made) {
	for _, s := range p.steps[1:] {
		p.event.Decisions = append(p.event.Decisions, models.Decision{
			JobIndex: s.JobIndex, Job: models.JobType(s.Kind), Package: p.project.Name, Planned: true,
			Targets: names(s), PipelineID: p.pipeline.ID,
		})
	}
}

var checkOf = map[models.State]models.CheckState{
	models.Passed: models.CheckSuccess, models.Failed: models.CheckFailure, models.Error: models.CheckError,
	models.Waiting: models.CheckPending, models.Queued: models.CheckPending, models.Running: models.CheckRunning,
	models.Skipped: models.CheckNeutral, models.Canceled: models.CheckCanceled, models.Superseded: models.CheckCanceled,
}

// report writes down what the forge was told.
func (m *maker) report(p *made) {
	for _, s := range p.steps {
		for _, t := range s.Targets {
			if t.Check == "" {
				continue
			}
			m.reportID++
			at := t.Run.FinishedAt
			if at.IsZero() {
				at = p.pipeline.CreatedAt
			}
			state := checkOf[t.Run.State]
			m.batch.reports = append(m.batch.reports, &models.Report{
				ID: m.reportID, ProjectID: p.project.ID, CommitID: p.commit.ID, SHA: p.commit.SHA, Name: t.Check,
				PipelineID: p.pipeline.ID, RunID: t.RunID, EventID: p.event.ID, Wanted: state, Title: string(t.Run.State),
				Revision: 2, SentRev: 2, SentState: state, ExternalID: fmt.Sprint(40_000_000 + m.reportID), UpdatedAt: at, SentAt: at,
			})
		}
	}
}

// chooseLog makes up the log of a run if it is among the last that have one.
func (m *maker) chooseLog(r *models.Run, i int) {
	if i < m.Pipelines-fewLogs/4 || !r.State.Finished() || r.StartedAt.IsZero() || len(m.logs) >= fewLogs {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Mock Version: 6.2\nINFO: enabled package manager cache\n+ cd %s\n", r.Target)
	for n := range 10 {
		fmt.Fprintf(&b, "[%d/10] Compiling %s.c\n", n+1, pick(m.rand, seconds))
	}
	switch r.State {
	case models.Failed:
		b.WriteString("error: Failed build dependencies:\n\tpkgconfig(zlib) is needed\nBad exit status from the build (%build)\n")
	case models.Passed:
		b.WriteString("+ exit 0\nFinish: rpmbuild\n")
	}
	m.logs = append(m.logs, runLog{r.ID, []byte(b.String())})
}
