package views

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"millrace/models"
)

// HooksPage has the hooks of a project. Who may write to it sees them.
type HooksPage struct {
	Project *models.Project
	Hooks   []*models.Subscription
	Last    map[int64]*models.Dispatch // newest of each hook that has any
	Manage  models.Verdict             // whether the viewer may make some
	Entry   HookEntry                  // what was sent, or what is proposed
	Problem string                     // mistake in what was sent
	Off     bool                       // no hooks are sent by this service
}

// HookEntry is what the form of a hook has.
type HookEntry struct {
	URL    string
	Secret string
	Topics []models.Topic
}

// HookPage is a hook.
type HookPage struct {
	Project *models.Project
	Hook    *models.Subscription
	Manage  models.Verdict
	Secret  string // made or changed just now, and never shown again
	Entry   HookEntry
	Problem string
	models.DispatchList
}

// DispatchPage is a dispatch with its tries.
type DispatchPage struct {
	Project  *models.Project
	Hook     *models.Subscription
	Dispatch *models.Dispatch
	Tries    []*models.DispatchTry // newest first
}

// NotificationsPage is what a person hears of by mail.
type NotificationsPage struct {
	User     *models.User
	Own      models.Level           // empty: nothing
	Watches  []*models.Subscription // with projects
	Packages []*models.Project      // of the person, as far as they are known, that are not watched
	Saved    bool
	Problem  string
	Off      bool // no mail is sent by this service
}

// StopPage asks whether mail is to end, or says that it did.
type StopPage struct {
	Subscription *models.Subscription
	Stopped      bool
	Token        string
}

// Watching is whether the viewer hears of a project by mail.
type Watching struct {
	Offered bool // somebody is logged in, and mail is sent
	On      bool
}

// topicMeanings are the topics in words, in the order of models.Topics.
var topicMeanings = map[models.Topic]string{
	models.PipelineCreated:  "A pipeline is planned for something that happened.",
	models.PipelineFinished: "A pipeline came to its end: passed, failed, in error, canceled or superseded.",
	models.StepFinished:     "A step of a pipeline came to its end.",
	models.RunFinished:      "A run for one target came to its end. These are many.",
	models.RerunRequested:   "Somebody had a pipeline run again.",
	models.PullChanged:      "A pull request of a release in dist-git was opened, merged or closed.",
	models.BuildChanged:     "A build in Koji began or ended.",
	models.UpdateChanged:    "An update in Bodhi came to another state.",
}

// levelMeanings are the levels in words.
var levelMeanings = map[models.Level]string{
	models.UrgentLevel:     "Failures, what waits for me, and what works again",
	models.EverythingLevel: "Everything",
}

// HooksURL lists the hooks of a project.
func HooksURL(p *models.Project) string { return ProjectURL(p) + "/-/settings/hooks" }

// HookURL is the page of a hook.
func HookURL(p *models.Project, hookID int64) string { return HooksURL(p) + "/" + id(hookID) }

// DeleteHookURL asks whether a hook is to be deleted.
func DeleteHookURL(p *models.Project, hookID int64) string { return HookURL(p, hookID) + "/delete" }

// DispatchURL is the page of a dispatch.
func DispatchURL(p *models.Project, hookID, dispatchID int64) string {
	return HookURL(p, hookID) + "/dispatches/" + id(dispatchID)
}

// RedeliverURL takes the wish to send a dispatch again.
func RedeliverURL(p *models.Project, hookID, dispatchID int64) string {
	return DispatchURL(p, hookID, dispatchID) + "/redeliver"
}

// TestHookURL takes the wish to try a hook.
func TestHookURL(p *models.Project, hookID int64) string { return HookURL(p, hookID) + "/test" }

// WatchURL takes the wish to hear of a project.
func WatchURL(p *models.Project) string { return ProjectURL(p) + "/-/watch" }

// NotificationsURL is what the viewer hears of by mail.
func NotificationsURL() string { return "/settings/notifications" }

// StopURL ends mail, for whoever has its token.
func StopURL(token string) string { return "/mail/stop" + path(token) }

// hookLook is the state of a hook as icon and word.
func hookLook(s *models.Subscription) look {
	switch {
	case !s.On():
		return look{"canceled", "Off"}
	case !s.FailingSince.IsZero():
		return look{"failed", "On, nothing arrives"}
	}
	return look{"passed", "On"}
}

func dispatchLook(d *models.Dispatch) look {
	switch d.State {
	case models.DispatchArrived:
		return look{"passed", "Arrived"}
	case models.DispatchFailed:
		return look{"failed", "Failed"}
	}
	if d.Tries > 0 {
		return look{"queued", "Waits for the next try"}
	}
	return look{"queued", "Waits"}
}

// TopicWords lists topics in one line.
func TopicWords(topics []models.Topic) string {
	words := make([]string, len(topics))
	for i, t := range topics {
		words[i] = string(t)
	}
	return strings.Join(words, ", ")
}

func hooksCrumbs(p *models.Project, more ...crumb) []crumb {
	all := []crumb{{"Projects", ProjectsURL("", "")}, projectCrumb(p)}
	if len(more) == 0 {
		return append(all, crumb{"Hooks", ""})
	}
	return append(append(all, crumb{"Hooks", HooksURL(p)}), more...)
}

func hookName(s *models.Subscription) string { return "Hook " + id(s.ID) }

// byWhom names who made something, behind what they made.
func byWhom(u *models.User) string {
	if u == nil {
		return ""
	}
	return ", by " + clip(u.Login, 60)
}

// tookWords is how long a try took, in milliseconds where it was short.
func tookWords(d time.Duration) string {
	if d < time.Second {
		return number(int(d.Milliseconds())) + " ms"
	}
	return duration(d)
}

// about is what mail of a subscription is about, in a sentence.
func (p StopPage) about() string {
	s := p.Subscription
	switch {
	case s.Interest == models.AllInterest:
		return "all that Millrace sends you"
	case s.Interest == models.OwnInterest:
		return "what you asked for or switched on yourself"
	case s.Project != nil:
		return s.Project.FullName()
	}
	return "this"
}

// indented is JSON as people like to read it; anything else as it is.
func indented(body []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, body, "", "  ") != nil {
		return string(body)
	}
	return b.String()
}
