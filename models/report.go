package models

import (
	"fmt"
	"strings"
)

// checkJobs are the words that names of checks begin with. Projects refer to
// them in branch protection rules, so they are Packit's.
var checkJobs = map[StepKind]string{
	CoprBuildStep: "rpm-build", TestsStep: "testing-farm", KojiScratchStep: "koji-build",
	ProposeStep: "propose-downstream", VMImageStep: "vm-image-build",
}

// CheckName is the name of the check of a target on the forge, or empty if its
// kind has none: job, reference (not of pull requests), target and identifier
// with colons between them, or what the job's status_name_template says.
func CheckName(view *JobView, kind StepKind, commit *Commit, target string) string {
	job, ok := checkJobs[kind]
	if !ok {
		return ""
	}
	ref := ""
	if kind != ProposeStep && (commit.Kind == ReleaseRef || commit.Kind == BranchRef) {
		ref = strings.ReplaceAll(commit.Ref, ":", "-")
	}
	id := view.ID()
	if view.StatusNameTemplate != nil {
		name, err := fillTemplate(*view.StatusNameTemplate, map[string]string{
			"job_name": job, "chroot": target, "event": ref, "identifier": id, "package": view.Package,
		})
		if err == nil && strings.TrimSpace(name) != "" {
			return name
		}
	}
	name := job
	for _, part := range []string{ref, target, id} {
		if part != "" {
			name += ":" + part
		}
	}
	return name
}

// fillTemplate replaces {word} by its value; {{ and }} stand for braces.
func fillTemplate(template string, words map[string]string) (string, error) {
	var b strings.Builder
	for rest := template; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:i])
		brace := rest[i]
		rest = rest[i+1:]
		if strings.HasPrefix(rest, string(brace)) {
			b.WriteByte(brace)
			rest = rest[1:]
			continue
		}
		word, after, closed := strings.Cut(rest, "}")
		value, known := words[word]
		if brace == '}' || !closed || !known {
			return "", fmt.Errorf("template %q: bad placeholder at %q", template, "{"+word)
		}
		b.WriteString(value)
		rest = after
	}
	return b.String(), nil
}

// Reports is what the forge shall say about the pipeline's commit now: one
// report for each target that has a check. base is the address of our pages,
// without a trailing slash.
func (g *Graph) Reports(base string) []*Report {
	if g.SHA == "" {
		return nil
	}
	var reports []*Report
	for _, step := range g.Steps {
		for _, target := range step.Targets {
			if target.Check == "" {
				continue
			}
			state, title := g.check(step, target)
			reports = append(reports, &Report{
				ProjectID: g.ProjectID, CommitID: g.CommitID, SHA: g.SHA, Name: target.Check,
				PipelineID: g.ID, RunID: target.RunID, EventID: g.EventID,
				Wanted: state, Title: title, Body: g.checkBody(step, target),
				URL: fmt.Sprintf("%s/runs/%d", base, target.RunID),
			})
		}
	}
	return reports
}

// check is the state of a target in the words of a forge. The words themselves
// are Packit's where it has some: people and scripts look for them.
func (g *Graph) check(step *Step, target *Target) (CheckState, string) {
	run := target.Run
	switch {
	case run.State == Waiting && (step.Kind == CoprBuildStep || step.Mirrors):
		return g.checkOfNeeds(step, target)
	case run.State == Skipped:
		if state, title := g.checkOfNeeds(step, target); state.Final() && state != CheckSuccess {
			return state, title
		}
		return CheckNeutral, "Skipped. " + run.Reason
	case run.State == Superseded:
		return CheckCanceled, "A newer commit took over."
	case run.State == Canceled:
		return CheckCanceled, "Canceled."
	case run.State == Error:
		return CheckError, firstOf(run.Reason, "It could not be found out.")
	}
	words := checkWords[step.Kind][run.State]
	if words.state == "" {
		words = checkWords[""][run.State]
	}
	if run.Reason != "" && run.State != Passed {
		return words.state, run.Reason
	}
	return words.state, words.title
}

type checkWord struct {
	state CheckState
	title string
}

var checkWords = map[StepKind]map[State]checkWord{
	CoprBuildStep: {
		Queued:  {CheckRunning, "SRPM build succeeded. Waiting for RPM build to start..."},
		Running: {CheckRunning, "RPM build is in progress..."},
		Passed:  {CheckSuccess, "RPMs were built successfully."},
		Failed:  {CheckFailure, "RPMs failed to be built."},
	},
	TestsStep: {
		Waiting: {CheckPending, "Waiting for RPMs to be built..."},
		Queued:  {CheckRunning, "Build succeeded. Submitting the tests ..."},
		Running: {CheckRunning, "Tests are running ..."},
		Passed:  {CheckSuccess, "Tests passed ..."},
		Failed:  {CheckFailure, "Tests failed ..."},
	},
	"": {
		Waiting: {CheckPending, "The task was accepted."},
		Queued:  {CheckPending, "The task was accepted."},
		Running: {CheckRunning, "In progress..."},
		Passed:  {CheckSuccess, "Done."},
		Failed:  {CheckFailure, "Failed."},
	},
}

// checkOfNeeds shows on a target that waits, or never ran, how what it needs is
// doing: the source RPM of a build, the build of a test.
func (g *Graph) checkOfNeeds(step *Step, target *Target) (CheckState, string) {
	for _, need := range step.Needs {
		needed := g.Step(need.NeedsID)
		if needed == nil {
			continue
		}
		if need.PerTarget {
			if followed := needed.Target(target.FollowedTarget()); followed != nil {
				return g.checkOfBuild(needed, followed)
			}
			continue
		}
		if needed.Kind == SRPMStep {
			return checkOfSource(needed)
		}
	}
	return CheckPending, "The task was accepted."
}

func (g *Graph) checkOfBuild(build *Step, target *Target) (CheckState, string) {
	state, title := g.check(build, target)
	if state == CheckSuccess { // of the build; the test is still to come
		return CheckPending, title
	}
	return state, title
}

func checkOfSource(step *Step) (CheckState, string) {
	switch {
	case step.State == Failed:
		return CheckFailure, "SRPM build failed, check the logs for details."
	case step.State == Error:
		return CheckError, firstOf(step.Targets[0].Run.Reason, "The SRPM could not be built.")
	case step.State.Bad():
		return CheckCanceled, "The SRPM build was stopped."
	case step.State == Running:
		return CheckRunning, "SRPM build is in progress..."
	case step.State == Passed:
		return CheckRunning, "SRPM build succeeded. Waiting for RPM build to start..."
	}
	return CheckPending, "The task was accepted."
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// checkBody is the summary of a check, in Markdown.
func (g *Graph) checkBody(step *Step, target *Target) string {
	var b strings.Builder
	run := target.Run
	row := func(name, value string) { fmt.Fprintf(&b, "| %s | %s |\n", name, value) }
	b.WriteString("| | |\n|---|---|\n")
	row("Pipeline", fmt.Sprintf("%d, attempt %d", g.ID, g.Attempt))
	row("Package", markdown(g.Package))
	row("Target", markdown(target.Name))
	if run.ExternalURL != "" {
		row("At the service", markdown(run.ExternalURL))
	}
	if run.LogURL != "" {
		row("Log", markdown(run.LogURL))
	}
	if t := run.Data.Tests; t != nil {
		row("Tests", fmt.Sprintf("%d passed, %d failed, %d errors, %d skipped", t.Passed, t.Failed, t.Errors, t.Skipped))
	}
	for _, note := range run.Data.Notes {
		fmt.Fprintf(&b, "\n%s\n", markdown(note))
	}
	return b.String()
}

// markdown makes text safe inside a table of a check's summary.
func markdown(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ", "<", "&lt;", "`", "'").Replace(text)
}
