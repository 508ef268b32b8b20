package views

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/models"
)

// Steer is what the reader may do with a pipeline.
type Steer struct {
	On            bool           // this process can start and stop things
	Rerun, Cancel models.Verdict // about all of the pipeline
	Rest          models.Verdict // about rerunning those steps alone that write nothing to Fedora
	Login         string         // address to log in at and come back; empty if that does not help
	Newest        int64          // the newest attempt, if that is another one
	NewestNumber  int            // of that attempt
}

// of is what the reader may do with a step. What runs along because of it may
// need more rights: the page that shows what would run says so.
func (s Steer) of(step *models.Step) Steer {
	if !step.WritesToFedora() {
		s.Rerun = s.Rest
	}
	s.Rest = s.Rerun
	return s
}

// current says whether the page is about the newest attempt.
func (s Steer) current() bool { return s.Newest == 0 }

// RerunChoice is what somebody chose on the page that shows what a rerun would
// do, as it stands in the address.
type RerunChoice struct {
	models.RerunRequest
}

func (c RerunChoice) pairs() []string {
	pairs := []string{"scope", string(c.Scope), "step", c.Step, "target", c.Target}
	if c.Current {
		pairs = append(pairs, "config", "current")
	}
	if c.Restart {
		pairs = append(pairs, "restart", "yes")
	}
	return pairs
}

// RerunURL shows what a rerun would do, and takes the form that starts it.
func RerunURL(pipelineID int64, c RerunChoice) string {
	address := withQuery(PipelineURL(pipelineID)+"/rerun", c.pairs()...)
	if len(c.Picks) > 0 {
		picks := make([]string, len(c.Picks))
		for i, p := range c.Picks {
			picks[i] = withQuery("", "pick", PickValue(p))[1:]
		}
		address += "&" + strings.Join(picks, "&")
	}
	return address
}

func scopeURL(pipelineID int64, scope models.Scope, step, target string) string {
	return RerunURL(pipelineID, RerunChoice{models.RerunRequest{Scope: scope, Step: step, Target: target}})
}

// CancelURL takes the form that stops what is still on its way.
func CancelURL(pipelineID int64) string { return PipelineURL(pipelineID) + "/cancel" }

// SelectedURL shows what would be done to several pipelines, and takes the form
// that does it.
func SelectedURL() string { return "/pipelines/selected" }

// PickValue names a step or one of its targets in forms and addresses. Names of
// steps have no slash in them.
func PickValue(p models.Pick) string {
	if p.Target == "" {
		return p.Step
	}
	return p.Step + "/" + p.Target
}

// RerunPage shows what a rerun would do.
type RerunPage struct {
	Pipeline *models.Pipeline // newest attempt, with its steps
	Choice   RerunChoice
	Rerun    *models.Rerun // nil: Problem says why there is none
	Problem  string        // why nothing would happen, or why nothing happened
	Mistakes []string      // in the config, if that is the problem
	Faster   *Link         // attempt of who was faster
	Retry    time.Duration // after which it can be tried again; 0: no matter
	Changed  bool          // what was chosen is other than what was shown before
	Verdict  models.Verdict
	Login    string // address to log in at and come back; empty if that does not help
	Newer    int64  // pipeline of a later push to the same reference; 0: there is none
	Expect   models.Estimate
	Ahead    []models.Ahead          // in the queues of the kinds that run
	Limits   map[models.StepKind]int // groups of a kind that are worked on at once; absent: no limit
	Key      string                  // of the form
	Failed   Followed                // what the scope failed means
}

// Followed counts targets, and those that follow them.
type Followed struct{ Targets, Followers int }

// FailedOf counts what failed of a pipeline, and what would run with it.
func FailedOf(p *models.Pipeline) Followed {
	var f Followed
	for _, s := range p.Steps {
		for _, t := range s.Targets {
			switch stateOf(t) {
			case models.Failed, models.Error, models.Canceled:
				f.Targets++
			}
		}
	}
	again, err := models.PlanRerun(p, models.RerunRequest{Scope: models.ScopeFailed}, models.RerunFacts{})
	if err == nil {
		f.Followers = max(0, len(again.Run)-f.Targets)
	}
	return f
}

func (f Followed) words() string {
	if f.Followers == 0 {
		return number(f.Targets)
	}
	return fmt.Sprintf("%d + %s", f.Targets, count(f.Followers, "follower", "followers"))
}

func (p RerunPage) page() page {
	pl := p.Pipeline
	crumbs := []crumb{{"Pipelines", PipelinesURL(PipelineFilter{})}}
	if pl.Project != nil {
		crumbs = append(crumbs, projectCrumb(pl.Project))
	}
	return page{
		Name: "Rerun " + pipelineName(pl), Nav: "pipelines",
		Crumbs: append(crumbs, crumb{id(pl.ID), PipelineURL(pl.ID)}, crumb{"Rerun", ""}),
	}
}

// question is the heading: what would be run again.
func (p RerunPage) question() string {
	what := ""
	switch p.Choice.Scope {
	case models.ScopeAll:
		what = "all of"
	case models.ScopeFailed:
		what = "what failed in"
	case models.ScopeStep:
		what = p.stepWord() + " of"
	case models.ScopeTarget:
		what = p.stepWord() + ", " + p.Choice.Target + ", of"
	case models.ScopeFrom:
		what = "everything from " + p.stepWord() + " on of"
	default:
		what = "what you choose of"
	}
	return fmt.Sprintf("Rerun %s pipeline %d?", what, p.Pipeline.ID)
}

func (p RerunPage) stepWord() string {
	for _, s := range p.Pipeline.Steps {
		if s.Name == p.Choice.Step {
			return stepTitle(s)
		}
	}
	return clip(p.Choice.Step, 60)
}

// sum says in one line what the next attempt is made of.
func (p RerunPage) sum() string {
	r := p.Rerun
	if r == nil {
		return "Nothing would start."
	}
	var parts []string
	say := func(n int, one, many string) {
		if n > 0 {
			parts = append(parts, count(n, one, many))
		}
	}
	say(len(r.Run), "run starts", "runs start")
	say(len(r.Awaited), "is waited for", "are waited for")
	say(len(r.Reused), "is reused", "are reused")
	say(len(r.Fixed), "cannot be repeated", "cannot be repeated")
	say(len(r.Removed), "is dropped", "are dropped")
	return fmt.Sprintf("This makes attempt %d. %s.", r.Earlier.Attempt+1, capital(strings.Join(parts, ", ")))
}

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// at is the same page with another choice.
func (p RerunPage) at(scope models.Scope) string {
	c := p.Choice
	c.Scope, c.Picks, c.Seen = scope, nil, ""
	if scope == models.ScopeAll || scope == models.ScopeFailed || scope == models.ScopeChosen {
		c.Step, c.Target = "", ""
	}
	if scope == models.ScopeStep || scope == models.ScopeFrom {
		c.Target = ""
	}
	return RerunURL(p.Pipeline.ID, c)
}

// picked reports whether a step, or a target of it, is chosen.
func (p RerunPage) picked(step, target string) bool {
	return slices.Contains(p.Choice.Picks, models.Pick{Step: step, Target: target})
}

// chooser says whether the reader chooses single steps and targets.
func (p RerunPage) chooser() bool { return p.Choice.Scope == models.ScopeChosen }

// moving says whether something is still on its way, so that it matters what
// becomes of it.
func (p RerunPage) moving() bool { return !p.Pipeline.State.Finished() }

// about is how long the whole takes, in words.
func (p RerunPage) about() string {
	switch e := p.Expect; {
	case e.Total == 0:
		return "how long it takes is not known yet"
	case !e.Whole:
		return "those that are known take about " + duration(roughly(e.Total))
	default:
		return "the last ends about " + duration(roughly(e.Total)) + " after the start"
	}
}

// roughly leaves out what an estimate cannot know.
func roughly(d time.Duration) time.Duration {
	switch {
	case d < time.Minute:
		return max(time.Second, d.Round(5*time.Second))
	case d < time.Hour:
		return d.Round(time.Minute)
	}
	return d.Round(10 * time.Minute)
}

func (p RerunPage) own(t models.RerunTarget) string {
	if d, ok := p.Expect.Own[t.Target]; ok {
		return duration(roughly(d))
	}
	return "–"
}

func (p RerunPage) ready(t models.RerunTarget) string {
	if d, ok := p.Expect.Ready[t.Target]; ok && !t.Target.Run.State.Finished() {
		return duration(roughly(d))
	}
	return "–"
}

// queueWords says what has to be free before runs of a kind begin.
func (p RerunPage) queueWords(a models.Ahead) string {
	text := kindWord(a.Kind) + ": "
	switch {
	case a.Paused:
		return text + "paused by an operator, so nothing begins"
	case a.Before == 0:
		text += "nobody waits"
	default:
		text += count(a.Before, "waits", "wait") + " before it"
	}
	if limit := p.Limits[a.Kind]; limit > 0 {
		return text + fmt.Sprintf(", %d of at most %d at work", a.Working, limit)
	}
	return text + fmt.Sprintf(", %d at work, no limit", a.Working)
}

// reusedGroup is targets of a step that are shared for the same reason: pages of
// two hundred lines that say the same help nobody.
type reusedGroup struct {
	Step    *models.Step
	Targets []models.RerunTarget
}

func groupReused(targets []models.RerunTarget) []reusedGroup {
	var groups []reusedGroup
	for _, t := range targets {
		last := len(groups) - 1
		if last < 0 || groups[last].Step != t.Step {
			groups = append(groups, reusedGroup{Step: t.Step})
			last++
		}
		groups[last].Targets = append(groups[last].Targets, t)
	}
	return groups
}

// names are those of the targets, as far as they fit into a line.
func (g reusedGroup) names() string {
	if len(g.Targets) > 3 {
		return count(len(g.Targets), "target", "targets")
	}
	var names []string
	for _, t := range g.Targets {
		names = append(names, t.Target.Name)
	}
	return strings.Join(names, ", ")
}

// why says which attempts made the runs, and what is waited for.
func (g reusedGroup) why() string {
	var attempts []int
	open := 0
	for _, t := range g.Targets {
		if !slices.Contains(attempts, t.Attempt) {
			attempts = append(attempts, t.Attempt)
		}
		if !stateOf(t.Target).Finished() {
			open++
		}
	}
	slices.Sort(attempts)
	var words []string
	for _, a := range attempts {
		words = append(words, number(a))
	}
	text := "Made in attempt " + strings.Join(words, ", ") + "."
	if len(attempts) > 1 {
		text = "Made in attempts " + strings.Join(words, ", ") + "."
	}
	if open > 0 {
		text += " " + count(open, "run has", "runs have") + " not ended, and will do."
	}
	return text
}

func (g reusedGroup) state() models.State {
	var states []models.State
	for _, t := range g.Targets {
		states = append(states, stateOf(t.Target))
	}
	return models.Combine(states)
}

func (g reusedGroup) ready(p RerunPage) string {
	var last time.Duration
	for _, t := range g.Targets {
		if !stateOf(t.Target).Finished() {
			last = max(last, p.Expect.Ready[t.Target])
		}
	}
	if last == 0 {
		return "–"
	}
	return duration(roughly(last))
}

// changeWords says of a difference of plans what it is about.
func changeWords(c models.PlanChange) string {
	what := "step"
	if c.Target != "" {
		what = "target"
	}
	switch c.Change {
	case models.PlanAdded:
		return "New " + what
	case models.PlanRemoved:
		return capital(what) + " dropped"
	}
	return capital(what) + " changed"
}

func settingWords(s models.SettingChange) string {
	or := func(text, other string) string {
		if text == "" {
			return other
		}
		return clip(text, 300)
	}
	return or(s.From, "not set") + " → " + or(s.To, "not set")
}

// SelectedPage shows what would be done, or was done, to several pipelines.
type SelectedPage struct {
	Cancel bool // otherwise: rerun what failed
	Done   bool // Rows say what was done
	Rows   []SelectedRow
	Over   int // pipelines that were left out because there are too many
	Most   int // how many can be chosen at once
	Key    string
	Login  string
}

// SelectedRow is one of several pipelines.
type SelectedRow struct {
	Pipeline *models.Pipeline
	Runs     int    // that would start or stop, or did
	Reused   int    // that stay
	Problem  string // why nothing would happen to it, or did
	HowTo    string // what helps against that; may be empty
	Next     int64  // attempt that was made
}

func (p SelectedPage) verb() string {
	if p.Cancel {
		return "Cancel"
	}
	return "Rerun"
}

// ready are the rows to which something would happen.
func (p SelectedPage) ready() (rows, runs int) {
	for _, r := range p.Rows {
		if r.Problem == "" {
			rows++
			runs += r.Runs
		}
	}
	return rows, runs
}

func (p SelectedPage) heading() string {
	n := count(len(p.Rows), "pipeline", "pipelines")
	switch {
	case p.Done && p.Cancel:
		return "What became of the " + n
	case p.Done:
		return "The new attempts"
	case p.Cancel:
		return "Cancel what is on its way in " + n + "?"
	}
	return "Rerun what failed in " + n + "?"
}

func (p SelectedPage) sum() string {
	rows, runs := p.ready()
	without := len(p.Rows) - rows
	text := ""
	switch {
	case p.Done && p.Cancel:
		text = fmt.Sprintf("%s stopped in %s", count(runs, "run was", "runs were"), count(rows, "pipeline", "pipelines"))
	case p.Done:
		text = fmt.Sprintf("%s made", count(rows, "attempt was", "attempts were"))
	case p.Cancel:
		text = fmt.Sprintf("%s in %s", count(runs, "run stops", "runs stop"), count(rows, "pipeline", "pipelines"))
	default:
		text = fmt.Sprintf("%s in %s", count(runs, "run starts", "runs start"), count(rows, "pipeline", "pipelines"))
	}
	if without > 0 {
		text += fmt.Sprintf("; %s left as %s", count(without, "is", "are"), map[bool]string{true: "it is", false: "they are"}[without == 1])
	}
	return text + "."
}

// Mark names the choices that are shown with what they do, so that nobody starts
// what they have not seen.
func (c RerunChoice) Mark() string {
	mark := "event"
	if c.Current {
		mark = "current"
	}
	if c.Restart {
		mark += " restart"
	}
	for _, p := range c.Picks {
		mark += " " + PickValue(p)
	}
	return mark
}
