package models

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
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
		}, nil)
		if name = oneLine(name, maxCheckName); err == nil && name != "" {
			return name
		}
	}
	name := job
	for _, part := range []string{ref, target, id} {
		if part != "" {
			name += ":" + part
		}
	}
	return oneLine(name, maxCheckName)
}

// What forges take, in characters.
const (
	maxCheckName = 200
	maxTitle     = 250
)

// oneLine is text as one line of at most so many characters.
func oneLine(text string, most int) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// fillTemplate replaces {word} by its value; {{ and }} stand for braces. What
// is no word is an error, unless unknown says what to put there.
func fillTemplate(template string, words map[string]string, unknown func(word string) string) (string, error) {
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
		if brace == '}' || !closed {
			return "", fmt.Errorf("template %q: a single %q", template, brace)
		}
		value, known := words[word]
		if !known && unknown == nil {
			return "", fmt.Errorf("template %q: no value for %q", template, word)
		}
		if !known {
			value = unknown(word)
		}
		b.WriteString(value)
		rest = after
	}
	return b.String(), nil
}

// Reports is what the forge shall say about the pipeline's commit now: one
// report for each name that checks of targets have, and the comments on its pull
// request that are due. base is the address of our pages, without a trailing
// slash.
func (g *Graph) Reports(base string) []*Report {
	if g.SHA == "" {
		return nil
	}
	var reports []*Report
	byName := map[string]*Report{}
	for _, step := range g.Steps {
		for _, target := range step.Targets {
			if target.Check == "" {
				continue
			}
			state, title := g.check(step, target)
			r := g.report(target.Check, state, oneLine(title, maxTitle), fmt.Sprintf("%s/runs/%d", base, target.RunID))
			r.RunID, r.Body = target.RunID, g.checkBody(step, target)
			// Jobs that differ in nothing a name is made of share a check, which
			// then shows the one that needs people most.
			if shared := byName[r.Name]; shared == nil {
				byName[r.Name] = r
				reports = append(reports, r)
			} else if urgency(r.Wanted) < urgency(shared.Wanted) {
				*shared = *r
			}
		}
	}
	return append(reports, g.comments(base)...)
}

func (g *Graph) report(name string, state CheckState, title, url string) *Report {
	return &Report{
		ProjectID: g.ProjectID, CommitID: g.CommitID, SHA: g.SHA, Name: name, PipelineID: g.ID, EventID: g.EventID,
		Wanted: state, Title: title, URL: url,
	}
}

// urgency orders states of checks: what people must see comes first, and
// success only when there is nothing else.
func urgency(s CheckState) int {
	return slices.Index([]CheckState{
		CheckFailure, CheckError, CheckRunning, CheckPending, CheckCanceled, CheckNeutral, CheckSuccess,
	}, s)
}

// check is the state of a target in the words of a forge. The words themselves
// are Packit's where it has some: people and scripts look for them.
func (g *Graph) check(step *Step, target *Target) (CheckState, string) {
	run := target.Run
	words, ok := checkWords[step.Kind][run.State]
	if !ok {
		words = checkWords[""][run.State]
	}
	switch {
	case run.State == Waiting && (step.Kind == CoprBuildStep || step.Kind == KojiScratchStep || step.Mirrors):
		return g.checkOfNeeds(step, target)
	case run.State == Skipped:
		if state, title := g.checkOfNeeds(step, target); state.Final() && state != CheckSuccess {
			return state, title
		}
		return CheckNeutral, firstOf(run.Reason, words.title)
	case run.State == Passed || run.State == Superseded:
		return words.state, words.title
	case run.State == Queued && run.ExternalID != "" && step.Kind == CoprBuildStep:
		return words.state, words.title // its place in a queue is for our own page
	}
	return words.state, firstOf(run.Reason, words.title)
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
	KojiScratchStep: {
		Queued:   {CheckPending, "RPM build has been submitted..."},
		Running:  {CheckRunning, "RPM build is in progress..."},
		Passed:   {CheckSuccess, "RPM build succeeded."},
		Failed:   {CheckFailure, "RPM build failed."},
		Canceled: {CheckCanceled, "RPM build was canceled."},
	},
	TestsStep: {
		Waiting:  {CheckPending, "Waiting for RPMs to be built..."},
		Queued:   {CheckRunning, "Build succeeded. Submitting the tests ..."},
		Running:  {CheckRunning, "Tests are running ..."},
		Passed:   {CheckSuccess, "Tests passed ..."},
		Failed:   {CheckFailure, "Tests failed ..."},
		Canceled: {CheckCanceled, "Tests canceled ..."},
	},
	"": {
		Waiting:    {CheckPending, "The task was accepted."},
		Queued:     {CheckPending, "The task was accepted."},
		Running:    {CheckRunning, "In progress..."},
		Passed:     {CheckSuccess, "Done."},
		Failed:     {CheckFailure, "Failed."},
		Error:      {CheckError, "It could not be found out."},
		Canceled:   {CheckCanceled, "Canceled."},
		Skipped:    {CheckNeutral, "Skipped."},
		Superseded: {CheckCanceled, "A newer commit took over."},
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
	run := step.Targets[0].Run
	switch run.State {
	case Waiting, Queued:
		if run.ExternalID != "" {
			return CheckRunning, firstOf(run.Reason, "SRPM build in Copr was submitted...")
		}
		return CheckPending, firstOf(run.Reason, "The task was accepted.")
	case Running:
		return CheckRunning, "SRPM build is in progress..."
	case Passed:
		return CheckRunning, "SRPM build succeeded. Waiting for RPM build to start..."
	case Failed:
		return CheckFailure, firstOf(run.Reason, "SRPM build failed, check the logs for details.")
	case Error:
		return CheckError, firstOf(run.Reason, "The SRPM could not be built.")
	case Superseded:
		return CheckCanceled, "A newer commit took over."
	}
	return CheckCanceled, firstOf(run.Reason, "The SRPM build was stopped.")
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Names of the rows of a summary that are links.
const (
	serviceRow = "At the service"
	logRow     = "Log"
)

// MoreLinks reports whether a check's summary leads somewhere that the one
// before did not: to the build that has begun, to its log.
func MoreLinks(before, now string) bool {
	for line := range strings.Lines(now) {
		link := strings.HasPrefix(line, "| "+serviceRow+" |") || strings.HasPrefix(line, "| "+logRow+" |")
		if link && !strings.Contains(before, line) {
			return true
		}
	}
	return false
}

// checkBody is the summary of a check, in Markdown.
func (g *Graph) checkBody(step *Step, target *Target) string {
	var b strings.Builder
	run := target.Run
	row := func(name, value string) { fmt.Fprintf(&b, "| %s | %s |\n", name, value) }
	b.WriteString("| | |\n|---|---|\n")
	row("Pipeline", fmt.Sprintf("%d, attempt %d", g.ID, g.Attempt))
	if target.Reused {
		row("Result", fmt.Sprintf("reused: pipeline %d made it", run.PipelineID))
	}
	if g.Package != "" {
		row("Package", markdown(g.Package))
	}
	row("Target", markdown(target.Name))
	if run.ExternalURL != "" {
		row(serviceRow, markdown(run.ExternalURL))
	}
	if run.LogURL != "" {
		row(logRow, markdown(run.LogURL))
	}
	if t := run.Data.Tests; t != nil {
		row("Tests", fmt.Sprintf("%d passed, %d failed, %d errors, %d skipped", t.Passed, t.Failed, t.Errors, t.Skipped))
	}
	if run.Reason != "" {
		fmt.Fprintf(&b, "\n%s\n", markdown(run.Reason))
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
