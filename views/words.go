package views

import (
	"strings"

	"millrace/models"
)

// product is what the program calls itself.
const product = "Millrace"

// look is how a state is shown: never by colour alone.
type look struct {
	key  string // of data-s and of the icon
	word string
}

var stateLooks = map[models.State]look{
	models.Waiting:    {"waiting", "Waiting"},
	models.Queued:     {"queued", "Queued"},
	models.Running:    {"running", "Running"},
	models.Passed:     {"passed", "Passed"},
	models.Failed:     {"failed", "Failed"},
	models.Error:      {"error", "Error"},
	models.Canceled:   {"canceled", "Canceled"},
	models.Skipped:    {"skipped", "Skipped"},
	models.Superseded: {"superseded", "Superseded"},
}

func lookOf(s models.State) look {
	if l, ok := stateLooks[s]; ok {
		return l
	}
	return look{"unknown", "Unknown: " + string(s)}
}

// stateMeanings explain the states on the help page.
var stateMeanings = []struct {
	State models.State
	Text  string
}{
	{models.Waiting, "A step that it needs has not passed yet."},
	{models.Queued, "Nothing is in its way; a worker will take it next."},
	{models.Running, "A worker or an outside service is at it."},
	{models.Passed, "It said yes."},
	{models.Failed, "It said no: the build or the test did not succeed. What to mend is in its log."},
	{models.Error, "It could not be found out, because of the service or of us. Running it again may help."},
	{models.Canceled, "A person stopped it, or who asked for it may not any more."},
	{models.Skipped, "Something it needs did not pass, so it was not tried."},
	{models.Superseded, "A newer push made it pointless."},
}

// faviconOf says which icon the tab gets.
func faviconOf(s models.State) string {
	switch s {
	case models.Waiting, models.Queued:
		return "waiting"
	case models.Running, models.Passed, models.Failed, models.Error:
		return string(s)
	case models.Canceled, models.Skipped, models.Superseded:
		return "ended"
	}
	return "neutral"
}

func eventLook(s models.EventState) look {
	switch s {
	case models.EventNew:
		return look{"queued", "Not decided yet"}
	case models.EventPlanned:
		return look{"passed", "Planned"}
	case models.EventNothing:
		return look{"skipped", "Nothing to do"}
	case models.EventRefused:
		return look{"failed", "Refused"}
	case models.EventApplied:
		return look{"passed", "Applied"}
	case models.EventFailed:
		return look{"error", "Not decided"}
	}
	return look{"unknown", "Unknown: " + string(s)}
}

func eventFavicon(s models.EventState) string {
	switch s {
	case models.EventNew:
		return "waiting"
	case models.EventPlanned, models.EventApplied:
		return "passed"
	case models.EventNothing:
		return "ended"
	case models.EventRefused:
		return "failed"
	case models.EventFailed:
		return "error"
	}
	return "neutral"
}

// stepWords names a kind of step, whole and for narrow places.
var stepWords = map[models.StepKind][2]string{
	models.SRPMStep:             {"SRPM", "SRPM"},
	models.CoprBuildStep:        {"Copr build", "Copr"},
	models.TestsStep:            {"Tests", "Tests"},
	models.ProposeStep:          {"Propose downstream", "PR"},
	models.PullFromUpstreamStep: {"Pull from upstream", "Pull"},
	models.KojiBuildStep:        {"Koji build", "Koji"},
	models.KojiScratchStep:      {"Koji scratch build", "Scratch"},
	models.KojiTagStep:          {"Koji tag", "Tag"},
	models.BodhiUpdateStep:      {"Bodhi update", "Bodhi"},
	models.VMImageStep:          {"VM image", "Image"},
	models.ScanStep:             {"Static scan", "Scan"},
}

func kindWord(k models.StepKind) string {
	if w, ok := stepWords[k]; ok {
		return w[0]
	}
	return plain(string(k))
}

func kindShort(k models.StepKind) string {
	if w, ok := stepWords[k]; ok {
		return w[1]
	}
	return plain(string(k))
}

// stepTitle names a step among others: "Tests: full".
func stepTitle(s *models.Step) string {
	if s.Identifier != "" {
		return kindWord(s.Kind) + ": " + s.Identifier
	}
	if prefix, rest, ok := strings.Cut(s.Name, ":"); ok && prefix == string(s.Kind) && rest != "" {
		return kindWord(s.Kind) + ": " + rest
	}
	return kindWord(s.Kind)
}

// serviceOf names where the work of a kind is done.
func serviceOf(k models.StepKind) string {
	switch k {
	case models.SRPMStep, models.CoprBuildStep: // source packages made here have no service
		return "Copr"
	case models.TestsStep:
		return "Testing Farm"
	case models.KojiBuildStep, models.KojiScratchStep, models.KojiTagStep:
		return "Koji"
	case models.BodhiUpdateStep:
		return "Bodhi"
	case models.ScanStep:
		return "OpenScanHub"
	case models.VMImageStep:
		return "Image Builder"
	case models.ProposeStep, models.PullFromUpstreamStep:
		return "dist-git"
	}
	return "the service"
}

// plain makes words of an identifier: "pull_request" reads "pull request".
func plain(s string) string { return strings.ReplaceAll(s, "_", " ") }

func eventWord(k models.EventKind) string {
	switch k {
	case models.PullRequestEvent:
		return "Pull request"
	case models.CommentEvent:
		return "Comment"
	case models.PushEvent:
		return "Push"
	case models.TagPushEvent:
		return "Tag"
	case models.ReleaseEvent:
		return "Release"
	case models.CheckRerunEvent:
		return "Rerun of a check"
	case models.InstallationEvent:
		return "App installation"
	case models.UpstreamVersionEvent:
		return "New upstream version"
	case models.CoprBuildEvent:
		return "Copr build"
	case models.KojiBuildEvent:
		return "Koji build"
	case models.KojiTaskEvent:
		return "Koji task"
	case models.KojiTagEvent:
		return "Koji tag"
	case models.BodhiUpdateEvent:
		return "Bodhi update"
	case models.TestResultEvent:
		return "Test result"
	case models.ScanEvent:
		return "Scan"
	case models.AnalysisEvent:
		return "Log analysis"
	case models.CIResultEvent:
		return "CI result"
	case models.FlagEvent:
		return "Flag"
	}
	return plain(string(k))
}

// eventTitle says in one line what happened: "Pull request 42 updated".
func eventTitle(e *models.Event) string {
	title := eventWord(e.Kind)
	switch {
	case e.Kind == models.PullRequestEvent && e.Commit != nil && e.Commit.Ref != "":
		title = "Pull request " + e.Commit.Ref
	case e.Commit != nil && e.Commit.Ref != "":
		switch e.Kind {
		case models.PushEvent:
			title = "Push to " + e.Commit.Ref
		case models.CommentEvent:
			title = "Comment on " + e.Commit.RefName()
		case models.ReleaseEvent, models.TagPushEvent, models.UpstreamVersionEvent:
			title += " " + e.Commit.Ref
		default:
			title += " at " + e.Commit.RefName()
		}
	case e.ExternalID != "":
		title += " " + e.ExternalID
	}
	if e.Action != "" && e.Kind != models.CommentEvent && e.Kind != models.PushEvent {
		title += " " + string(e.Action)
	}
	return title
}

func refKindWord(k models.RefKind) string {
	switch k {
	case models.PullRequestRef:
		return "Pull request"
	case models.BranchRef:
		return "Branch"
	case models.ReleaseRef:
		return "Release"
	case models.IssueRef:
		return "Issue"
	case models.UpstreamRef:
		return "Upstream version"
	}
	return plain(string(k))
}
