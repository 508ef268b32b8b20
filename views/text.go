// Package views turns models into HTML. It decides how things look and read,
// and nothing else: what a page needs, its argument brings.
package views

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"millrace/models"

	"github.com/a-h/templ"
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

// shortTarget is what fits on a chip: "fedora-43-x86_64" is "f43 x86_64".
func shortTarget(name string) string {
	for _, arch := range []string{"x86_64", "aarch64", "ppc64le", "s390x", "i386", "i686", "armhfp", "riscv64", "noarch"} {
		distro, ok := strings.CutSuffix(name, "-"+arch)
		if !ok {
			continue
		}
		for _, p := range [][2]string{{"fedora-rawhide", "rawhide"}, {"fedora-eln", "eln"}, {"fedora-", "f"}, {"epel-", "epel"}, {"centos-stream-", "stream"}} {
			if rest, ok := strings.CutPrefix(distro, p[0]); ok {
				return p[1] + rest + " " + arch
			}
		}
		return distro + " " + arch
	}
	return name
}

func shortSHA(sha string) string {
	return sha[:min(len(sha), 7)]
}

func number(n int) string { return strconv.Itoa(n) }

func id(n int64) string { return strconv.FormatInt(n, 10) }

// count is a number with its noun: "1 run", "5 runs".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

// thousands groups the digits of big numbers: 18 230.
func thousands(n int) string {
	s := strconv.Itoa(n)
	if len(s) <= 4 || n < 0 {
		return s
	}
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteRune('\u202f') // a narrow space that does not break
		}
		b.WriteRune(c)
	}
	return b.String()
}

// size is how people read a number of bytes: "9.1 kB".
func size(bytes int64) string {
	if bytes < 1000 {
		return strconv.FormatInt(bytes, 10) + " B"
	}
	v, unit := float64(bytes)/1000, "kB"
	for _, u := range []string{"MB", "GB", "TB"} {
		if v < 999.5 {
			break
		}
		v, unit = v/1000, u
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f %s", v, unit)
	}
	return fmt.Sprintf("%.0f %s", math.Round(v), unit)
}

// duration reads "4 min 10 s": the two greatest units, seconds below an hour.
// The script that ticks running times says the same.
func duration(d time.Duration) string { return inUnits(d, "min") }

// shortDuration is duration for chips: "4 m 10 s".
func shortDuration(d time.Duration) string { return inUnits(d, "m") }

func inUnits(d time.Duration, minute string) string {
	s := int64(max(d, 0) / time.Second)
	two := func(a int64, u string, b int64, v string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, u)
		}
		return fmt.Sprintf("%d %s %d %s", a, u, b, v)
	}
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return two(s/60, minute, s%60, "s")
	case s < 86400:
		return two(s/3600, "h", s%3600/60, minute)
	}
	return two(s/86400, "d", s%86400/3600, "h")
}

// isoDuration is for machines: PT4M10S.
func isoDuration(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	out := "PT"
	if s >= 3600 {
		out += strconv.FormatInt(s/3600, 10) + "H"
	}
	if m := s % 3600 / 60; m > 0 {
		out += strconv.FormatInt(m, 10) + "M"
	}
	if r := s % 60; r > 0 || out == "PT" {
		out += strconv.FormatInt(r, 10) + "S"
	}
	return out
}

// relative says how long ago t is, or how far ahead; ok is false where the
// date says more. Hours and days are rounded like minutes.
func relative(t, now time.Time) (text string, ok bool) {
	d := now.Sub(t)
	ahead := d < 0
	d = d.Abs()
	var span string
	switch {
	case d >= 7*24*time.Hour:
		return "", false
	case d < 45*time.Second && ahead:
		return "in a moment", true
	case d < 45*time.Second:
		return "just now", true
	case d < 3570*time.Second:
		span = fmt.Sprintf("%d min", max(1, int(math.Round(d.Minutes()))))
	case d < 84600*time.Second:
		span = fmt.Sprintf("%d h", int(math.Round(d.Hours())))
	default:
		span = fmt.Sprintf("%d d", int(math.Round(d.Hours()/24)))
	}
	if ahead {
		return "in " + span, true
	}
	return span + " ago", true
}

// absolute is the time on the clock, with the date unless it is today's.
func absolute(t, now time.Time, zone *time.Location) string {
	t, now = t.In(zone), now.In(zone)
	switch {
	case t.Year() == now.Year() && t.YearDay() == now.YearDay():
		return t.Format("15:04:05")
	case t.Year() == now.Year():
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006 15:04")
}

// runSpan is how long a run took, or has taken until now; ok is false if it
// never started.
func runSpan(r *models.Run, now time.Time) (d time.Duration, running, ok bool) {
	if r == nil || r.StartedAt.IsZero() {
		return 0, false, false
	}
	if r.FinishedAt.IsZero() {
		return now.Sub(r.StartedAt), !r.State.Finished(), !r.State.Finished()
	}
	return r.FinishedAt.Sub(r.StartedAt), false, true
}

// outside is an address of another place, if it is one that a link may lead
// to: addresses come from messages and results, so anything but the web is
// shown as text.
func outside(raw string) (templ.SafeURL, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return "", false
	}
	return templ.SafeURL(u.String()), true
}

// The addresses of our own pages. They are the only place where paths are
// made; segments are escaped, so that names with slashes stay one segment.

func path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

func withQuery(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// LoginURL leads through the login to a page of ours.
func LoginURL(back string) string { return withQuery("/login", "back", back) }

// LogoutURL takes the form that ends a session.
func LogoutURL() string { return "/logout" }

// LogoutEverywhereURL takes the form that ends all sessions of the viewer.
func LogoutEverywhereURL() string { return "/logout/everywhere" }

// DocumentURL is what describes everything for programs.
func DocumentURL() string { return "/api/v3/openapi.json" }

// AccountsURL is the page of the viewer's accounts at forges.
func AccountsURL() string { return "/settings/accounts" }

// TokensURL is the page of the viewer's tokens.
func TokensURL() string { return "/settings/tokens" }

// RevokeTokenURL takes the form that revokes one of them.
func RevokeTokenURL(tokenID int64) string { return TokensURL() + "/" + id(tokenID) + "/revoke" }

// AllowlistURL is who may use the service.
func AllowlistURL(f AllowFilter) string { return withQuery("/admin/allowlist", f.pairs()...) }

// AuditURL is who did what.
func AuditURL(before, after string) string {
	return withQuery("/admin/audit", "before", before, "after", after)
}

// HomeURL is the front page.
func HomeURL() string { return "/" }

// FindURL answers the search of the frame: it opens what it recognises.
func FindURL() string { return "/find" }

// ProjectsURL lists projects; both arguments may be empty.
func ProjectsURL(query, forge string) string {
	return withQuery("/projects", "q", query, "forge", forge)
}

// ProjectURL is the page of a project.
func ProjectURL(p *models.Project) string {
	segments := append([]string{"projects", p.Forge}, strings.Split(p.Namespace, "/")...)
	return path(append(segments, p.Name)...)
}

// RefURL has all that happened at one git reference of a project.
func RefURL(p *models.Project, kind models.RefKind, ref string) string {
	collection := map[models.RefKind]string{
		models.PullRequestRef: "pulls", models.IssueRef: "issues", models.ReleaseRef: "releases",
		models.BranchRef: "branches", models.UpstreamRef: "versions",
	}[kind]
	if collection == "" {
		collection = "refs"
	}
	return ProjectURL(p) + "/-/" + collection + path(ref)
}

// PipelinesURL lists pipelines.
func PipelinesURL(f PipelineFilter) string { return withQuery("/pipelines", f.pairs()...) }

// PipelineURL is the page of a pipeline; each attempt has its own id.
func PipelineURL(pipelineID int64) string { return "/pipelines/" + id(pipelineID) }

// StepURL is the place of a step on the page of its pipeline.
func StepURL(pipelineID int64, step string) string {
	return PipelineURL(pipelineID) + "/steps" + path(step)
}

// StepAnchor is the id of a step on the page of its pipeline.
func StepAnchor(step string) string {
	return "step-" + strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && !strings.ContainsRune(`"'<>&#%`, r) {
			return r
		}
		return '-'
	}, step)
}

// stepLink leads to a step on the page that has it.
func stepLink(s *models.Step) templ.SafeURL { return templ.SafeURL("#" + StepAnchor(s.Name)) }

// TargetURL is the page of the run that stands for a target in a pipeline.
func TargetURL(pipelineID int64, step, target string) string {
	return StepURL(pipelineID, step) + path(target)
}

// RunURL is the permanent address of a run, which leads to its TargetURL.
func RunURL(runID int64) string { return "/runs/" + id(runID) }

// RunLogURL is the whole log as text.
func RunLogURL(runID int64) string { return RunURL(runID) + "/log.txt" }

// EventsURL lists events.
func EventsURL(f EventFilter) string { return withQuery("/events", f.pairs()...) }

// EventURL is the page of an event.
func EventURL(eventID int64) string { return "/events/" + id(eventID) }

// QueueURL shows what waits for workers.
func QueueURL() string { return "/queue" }

// HelpURL explains words, icons and the search language.
func HelpURL() string { return "/help" }

// DisplayURL takes the form with theme and times, and sends the reader back.
func DisplayURL() string { return "/settings/display" }

// LiveURL is the stream of changes of the topics.
func LiveURL(topics []string) string {
	return "/live?topics=" + url.QueryEscape(strings.Join(topics, ","))
}

// Topics of the stream.

// HomeTopic changes when a pipeline or event comes or ends.
const HomeTopic = "home"

// QueueTopic changes when what waits for workers changes.
const QueueTopic = "queue"

// PipelineTopic changes with everything on the page of a pipeline.
func PipelineTopic(pipelineID int64) string { return "pipeline:" + id(pipelineID) }

// ReportsTopic is the topic of what the forge is told about a pipeline.
func ReportsTopic(pipelineID int64) string { return "reports:" + id(pipelineID) }

// ProjectTopic changes when a pipeline of the project comes or ends.
func ProjectTopic(projectID int64) string { return "project:" + id(projectID) }

// EventTopic changes when an event is decided.
func EventTopic(eventID int64) string { return "event:" + id(eventID) }

// LogTopic changes when the log of a run grows.
func LogTopic(runID int64) string { return "log:" + id(runID) }
