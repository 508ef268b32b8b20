package views

import (
	"net/url"
	"strings"

	"millrace/models"

	"github.com/a-h/templ"
)

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
