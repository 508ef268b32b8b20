package models

import (
	"fmt"
	"html"
	"strings"
)

// IssuesHere is where a job tells of failures in issues of its own project.
const IssuesHere = "."

// Telling is what it takes to tell people how the steps of the release chain went.
type Telling struct {
	Base    string // address of our pages, without a trailing slash
	Prefix  string // of comment commands
	Project *Project
	Event   *Event
	Pull    int // pull request in dist-git that the pipeline's commit came from; 0: none
	// Hears reports whether commands in comments on issues of a project are heard.
	Hears func(*Project) bool
}

// issuesOf is the repository in whose issues a view wants its failures told:
// empty for none.
func issuesOf(view *JobView) string {
	switch view.Type {
	case JobProposeDownstream:
		if view.Notifications.FailureIssue.Create {
			return IssuesHere
		}
	case JobPullFromUpstream, JobKojiBuild, JobBodhiUpdate:
		return textOr(view.IssueRepository, "")
	}
	return ""
}

// chainWords are the words for a kind of step of the release chain.
type chainWords struct {
	title   string // of the issue, after "[packit] "
	began   string // how its text begins
	again   string // what the command does
	command CommandName
	worked  string // a sentence for when it works again
}

var chain = map[StepKind]chainWords{
	ProposeStep: {
		"Propose downstream failed for release %s", "Packit failed on creating pull-requests in dist-git (%s):",
		"update", ProposeCommand, "The pull requests in dist-git are there now.",
	},
	PullFromUpstreamStep: {
		"Pull from upstream failed for release %s", "Packit failed on creating pull-requests in dist-git (%s):",
		"update", PullCommand, "The pull requests in dist-git are there now.",
	},
	KojiBuildStep: {
		"Fedora Koji build failed to be triggered for %s", "Packit failed on creating Koji build in %s:",
		"build", KojiBuildCommand, "The Koji build was triggered now.",
	},
	BodhiUpdateStep: {
		"Fedora Bodhi update failed to be created for %s", "Packit failed on creating Bodhi update in %s:",
		"update", UpdateCommand, "The Bodhi update was created now.",
	},
}

// builtWords are for a Koji build that was triggered.
var builtWords = chainWords{
	"Fedora Koji build failed for %s", "The Koji build of %s failed:", "build", KojiBuildCommand, "The Koji build is complete now.",
}

// InChain reports whether steps of this kind are part of the way of a release
// through Fedora, of which people are told when it ends early.
func (k StepKind) InChain() bool { return chain[k].command != "" }

// ForCommand reports whether a command repeats steps of this kind.
func (k StepKind) ForCommand(name CommandName) bool { return name != "" && chain[k].command == name }

// ChainEnded reports whether a step of the release chain is at its end.
func (p *Pipeline) ChainEnded() bool {
	for _, s := range p.Steps {
		if s.Kind.InChain() && s.State.Finished() {
			return true
		}
	}
	return false
}

// trouble is a thing that may fail, and how it went.
type trouble struct {
	kind    StepKind
	words   chainWords
	key     string // tells the things of a project apart
	about   string // fills in the title
	notices *Notices
	targets []*Target // in it; all are at their ends
}

// Troubles is what is to be told of the steps of the release chain that are at
// their ends: an issue for each thing that failed, where its job wants that told,
// and a comment on the pull request in dist-git that was to be built. Those that
// say that all is well are for things that failed before.
func (g *Graph) Troubles(t Telling) []*Report {
	var reports []*Report
	for _, one := range g.troubles() {
		reports = append(reports, g.issue(one, t)...)
		if t.Pull > 0 && (one.kind == KojiBuildStep || one.kind == BodhiUpdateStep) {
			reports = append(reports, g.pullComment(one, t)...)
		}
	}
	return reports
}

func (g *Graph) troubles() []*trouble {
	var all []*trouble
	proposals := map[string]*trouble{}
	for _, step := range g.Steps {
		if !step.Kind.InChain() || len(step.Targets) == 0 {
			continue
		}
		key := fmt.Sprintf("%s/%s/%s", step.Kind, g.Package, step.Identifier)
		switch step.Kind {
		case ProposeStep, PullFromUpstreamStep: // their steps for other branches are part of the same thing
			one := proposals[key]
			if one == nil {
				one = &trouble{kind: step.Kind, words: chain[step.Kind], key: key + "/" + g.Ref, about: g.Ref, notices: step.Notices}
				proposals[key] = one
				all = append(all, one)
			}
			one.targets = append(one.targets, step.Targets...)
		default:
			all = append(all, g.troublesOf(step, key)...)
		}
	}
	return all
}

// troublesOf are those of a step each of whose targets is a thing by itself.
// That a build cannot be triggered is one, that it fails another.
func (g *Graph) troublesOf(step *Step, key string) []*trouble {
	var all []*trouble
	for _, target := range step.Targets {
		one := &trouble{
			kind: step.Kind, words: chain[step.Kind], key: key + "/" + target.Name, about: g.Package, notices: step.Notices, targets: []*Target{target},
		}
		if step.Kind != KojiBuildStep {
			all = append(all, one)
			continue
		}
		built := *one
		built.words, built.key = builtWords, one.key+"/built"
		if target.Run.ExternalID == "" || !target.Run.State.Finished() {
			all = append(all, one)
			continue
		}
		if bad(target.Run) { // it was triggered, after all
			triggered := *target.Run
			triggered.State = Passed
			one.targets = []*Target{{Name: target.Name, RunID: target.RunID, Run: &triggered}}
		}
		all = append(all, one, &built)
	}
	return all
}

func bad(run *Run) bool { return run.State == Failed || run.State == Error }

// outcome is how a thing went: failure if a target of it failed, success if one
// passed, and nothing if it is not at its end, or was stopped.
func (one *trouble) outcome() (state CheckState, failed []*Target) {
	for _, target := range one.targets {
		switch {
		case !target.Run.State.Finished():
			return "", nil
		case bad(target.Run):
			failed = append(failed, target)
		case target.Run.State == Passed:
			state = CheckSuccess
		}
	}
	if len(failed) > 0 {
		state = CheckFailure
	}
	return state, failed
}

func (g *Graph) issue(one *trouble, t Telling) []*Report {
	if one.notices == nil || one.notices.Issues == "" {
		return nil
	}
	tracker := t.Project
	if one.notices.Issues != IssuesHere {
		var err error
		if tracker, err = ParseProjectURL(one.notices.Issues); err != nil {
			return nil // it names no repository, so there is nobody to tell
		}
	}
	state, failed := one.outcome()
	if state == "" {
		return nil
	}
	r := g.report("", state, "[packit] "+oneLine(fmt.Sprintf(one.words.title, one.about), maxTitle-20), g.page(t))
	r.Tracker, r.Thing, r.IfFailing = tracker, fmt.Sprintf("%d/%s", g.ProjectID, one.key), state == CheckSuccess
	r.Name = IssuePrefix + r.Thing
	if state == CheckSuccess {
		r.Body = fmt.Sprintf("%s See %s\n\nThis issue is closed with that.", one.words.worked, g.page(t))
		return []*Report{r}
	}
	hint := ""
	if t.Hears != nil && t.Hears(tracker) {
		hint = fmt.Sprintf("You can retrigger the %s by adding a comment (`%s %s`) into this issue, or on %s.",
			one.words.again, t.Prefix, one.words.command, g.page(t))
	}
	r.Body = g.troubleText(one, failed, t, hint)
	return []*Report{r}
}

// pullComment tells on a pull request in dist-git what became of its commit.
func (g *Graph) pullComment(one *trouble, t Telling) []*Report {
	state, failed := one.outcome()
	if state == "" {
		return nil
	}
	r := g.report(CommentPrefix+one.key, state, fmt.Sprintf(one.words.title, one.about), g.page(t))
	r.Pull, r.IfFailing = t.Pull, state == CheckSuccess
	if state == CheckSuccess {
		r.Body = fmt.Sprintf("%s See %s", one.words.worked, g.page(t))
		return []*Report{r}
	}
	r.Body = g.troubleText(one, failed, t, fmt.Sprintf("You can retrigger the %s by adding a comment (`%s %s`) into this pull request, or on %s.",
		one.words.again, t.Prefix, one.words.command, g.page(t)))
	return []*Report{r}
}

func (g *Graph) page(t Telling) string { return fmt.Sprintf("%s/pipelines/%d", t.Base, g.ID) }

// troubleText says what failed and what to do: words, table and hint are
// Packit's. What services and people wrote is escaped.
func (g *Graph) troubleText(one *trouble, failed []*Target, t Telling, hint string) string {
	var b strings.Builder
	where := t.Project.URL
	fmt.Fprintf(&b, one.words.began+"\n\n", where)
	b.WriteString("<table>\n<tr><th>dist-git branch</th><th>error</th></tr>\n")
	const most = 100
	for _, target := range failed[:min(len(failed), most)] {
		reason := firstOf(oneLine(target.Run.Reason, 500), "It failed.")
		fmt.Fprintf(&b, "<tr><td><code>%s</code></td><td>%s See <a href=\"%s/runs/%d\">%s/runs/%d</a></td></tr>\n",
			html.EscapeString(target.Name), mentionless(reason), t.Base, target.RunID, t.Base, target.RunID)
	}
	b.WriteString("</table>\n")
	if more := len(failed) - most; more > 0 {
		fmt.Fprintf(&b, "\nand %d more.\n", more)
	}
	if cause := g.cause(one, t); cause != "" {
		fmt.Fprintf(&b, "\n%s\n", cause)
	}
	if hint == "" {
		hint = "You can retrigger it on " + g.page(t) + "."
	}
	fmt.Fprintf(&b, "\n%s", hint)
	if one.notices != nil && one.notices.Failure != "" {
		fmt.Fprintf(&b, "\n\n---\n%s", one.notices.Failure)
	}
	return b.String()
}

// mentionless is text that nobody is notified by, and that is no markup.
func mentionless(text string) string {
	return strings.NewReplacer("@", "@<!-- -->", "`", "'").Replace(html.EscapeString(text))
}

// cause says what a build or update was made for.
func (g *Graph) cause(one *trouble, t Telling) string {
	if one.kind != KojiBuildStep && one.kind != BodhiUpdateStep || t.Event == nil {
		return ""
	}
	what := map[StepKind]string{KojiBuildStep: "Fedora Koji build", BodhiUpdateStep: "Fedora Bodhi update"}[one.kind]
	switch t.Event.Kind {
	case PushEvent:
		return fmt.Sprintf("%s was triggered by push with sha %s.", what, g.SHA)
	case KojiBuildEvent:
		nvr := ""
		if t.Event.Message != nil {
			nvr = t.Event.Message.NVR
		}
		return fmt.Sprintf("%s was triggered by Koji build %s.", what, mentionless(oneLine(nvr, 200)))
	case CommentEvent:
		return fmt.Sprintf("%s was triggered by a comment on pull request %d.", what, t.Pull)
	}
	return ""
}
