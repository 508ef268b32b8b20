package forgejo

import (
	"strconv"
	"strings"

	"millrace/clients/wire"
	"millrace/models"
)

// ParseEvent reads what a webhook of the given type (X-Forgejo-Event, or the
// last part of a topic) says. For those that ask nothing of us it returns no
// message but the reason, in words for people. An error means that body is
// broken.
//
// Comments are returned whoever wrote them: which of them are our own, only
// those who know our login can tell.
func ParseEvent(eventType string, body []byte) (*models.Message, string, error) {
	switch eventType {
	case "pull_request", "pull_request_sync":
		return parsePullRequest(body)
	case "issue_comment", "pull_request_comment":
		return parseComment(body)
	case "push":
		return parsePush(body)
	case "release":
		return parseRelease(body)
	case "action_run_success", "action_run_failure", "action_run_recover", "action_run_cancelled":
		return parseActionRun(body)
	}
	if err := wire.Object(body); err != nil {
		return nil, "", err
	}
	return nil, "nothing is done for events of type " + wire.Quote(eventType), nil
}

const (
	noRepository = "it does not name its repository"
	noCommit     = "it does not name its commit"
)

type account struct {
	Login string `json:"login"`
}

type repository struct {
	HTMLURL string `json:"html_url"`
	Fork    bool   `json:"fork"`
}

type label struct {
	Name string `json:"name"`
}

// common is what is at the top of webhooks.
type common struct {
	Action     string     `json:"action"`
	Repository repository `json:"repository"`
	Sender     account    `json:"sender"`
}

func (c common) message(kind models.EventKind, action models.Action) *models.Message {
	return &models.Message{
		Kind:       kind,
		Action:     action,
		ProjectURL: wire.WebURL(c.Repository.HTMLURL),
		Actor:      c.Sender.Login,
	}
}

type side struct {
	Ref  string      `json:"ref"`
	SHA  string      `json:"sha"`
	Repo *repository `json:"repo"`
}

type pullRequest struct {
	Number  int     `json:"number"`
	HTMLURL string  `json:"html_url"`
	Title   string  `json:"title"`
	Draft   bool    `json:"draft"`
	User    account `json:"user"`
	Labels  []label `json:"labels"`
	Head    side    `json:"head"`
	Base    side    `json:"base"`
}

func (pr pullRequest) addTo(m *models.Message) {
	m.PR = max(0, pr.Number)
	m.Title, m.Draft, m.URL = pr.Title, pr.Draft, wire.WebURL(pr.HTMLURL)
	m.Author = pr.User.Login
	m.Branch, m.TargetBranch = wire.RefName(pr.Head.Ref), wire.RefName(pr.Base.Ref)
	m.Commit = wire.Hash(pr.Head.SHA)
	m.Labels = names(pr.Labels)
	if pr.Head.Repo != nil {
		m.SourceProjectURL = wire.WebURL(pr.Head.Repo.HTMLURL)
	}
}

func names(labels []label) []string {
	var names []string
	for _, l := range labels {
		names = append(names, l.Name)
	}
	return names
}

func parsePullRequest(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		PullRequest pullRequest `json:"pull_request"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	actions := map[string]models.Action{
		"opened": models.Opened, "reopened": models.Reopened,
		"synchronized": models.Updated, "synchronize": models.Updated,
	}
	action, ok := actions[in.Action]
	if !ok {
		return nil, "nothing is done when a pull request is " + wire.Quote(in.Action), nil
	}
	m := in.message(models.PullRequestEvent, action)
	in.PullRequest.addTo(m)
	if m.Actor == "" {
		m.Actor = m.Author
	}
	switch {
	case m.ProjectURL == "":
		return nil, noRepository, nil
	case m.PR == 0:
		return nil, "it does not say which pull request", nil
	case m.Commit == "":
		return nil, noCommit, nil
	case m.SourceProjectURL == "":
		return nil, "the repository that the pull request comes from is gone", nil
	}
	return m, "", nil
}

func parseComment(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		IsPull  bool `json:"is_pull"`
		Comment struct {
			ID      int64   `json:"id"`
			Body    string  `json:"body"`
			HTMLURL string  `json:"html_url"`
			User    account `json:"user"`
		} `json:"comment"`
		Issue struct {
			Number      int       `json:"number"`
			Title       string    `json:"title"`
			Labels      []label   `json:"labels"`
			PullRequest *struct{} `json:"pull_request"`
		} `json:"issue"`
		PullRequest *pullRequest `json:"pull_request"` // newer versions, on pull requests
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	actions := map[string]models.Action{"created": models.Created, "edited": models.Edited}
	action, ok := actions[in.Action]
	if !ok {
		return nil, "nothing is done when a comment is " + wire.Quote(in.Action), nil
	}
	m := in.message(models.CommentEvent, action)
	if in.IsPull || in.Issue.PullRequest != nil {
		m.Title, m.Labels = in.Issue.Title, names(in.Issue.Labels)
		if in.PullRequest != nil {
			in.PullRequest.addTo(m)
		}
		m.CommentOn, m.PR = "pull_request", max(0, in.Issue.Number)
	} else {
		m.CommentOn, m.Issue = "issue", max(0, in.Issue.Number)
	}
	m.Comment, m.CommentID = in.Comment.Body, in.Comment.ID
	m.URL, m.Author = wire.WebURL(in.Comment.HTMLURL), in.Comment.User.Login
	if m.Actor == "" {
		m.Actor = m.Author
	}
	switch {
	case m.ProjectURL == "":
		return nil, noRepository, nil
	case in.Issue.Number <= 0 || m.CommentID <= 0:
		return nil, "it does not say which comment", nil
	case m.CommentOn == "issue" && action == models.Edited:
		// Edited comments count on pull requests alone, as on GitHub.
		return nil, "nothing is done when a comment on an issue is edited", nil
	}
	return m, "", nil
}

func parsePush(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		Ref        string  `json:"ref"`
		Before     string  `json:"before"`
		After      string  `json:"after"`
		Deleted    bool    `json:"deleted"`
		Pusher     account `json:"pusher"`
		HeadCommit *struct {
			ID      string `json:"id"`
			Message string `json:"message"`
			URL     string `json:"url"`
		} `json:"head_commit"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	m := in.message(models.PushEvent, "")
	m.Fork = in.Repository.Fork
	m.Branch, m.Tag = wire.Ref(in.Ref)
	m.Commit, m.CommitBefore = wire.Hash(in.After), wire.Hash(in.Before)
	if in.Pusher.Login != "" {
		m.Actor = in.Pusher.Login
	}
	if in.Deleted || m.Commit == "" {
		return nil, "a branch or tag was deleted", nil
	}
	if head := in.HeadCommit; head != nil {
		m.Title, m.URL = wire.FirstLine(head.Message), wire.WebURL(head.URL)
		// After an annotated tag, "after" is the object of the tag itself.
		if id := wire.Hash(head.ID); id != "" && m.Tag != "" {
			m.Commit = id
		}
	}
	switch {
	case m.ProjectURL == "":
		return nil, noRepository, nil
	case m.Branch == "" && m.Tag == "":
		return nil, "it is neither about a branch nor about a tag", nil
	}
	if m.Tag != "" {
		m.Kind = models.TagPushEvent
	}
	return m, "", nil
}

func parseRelease(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		Release struct {
			TagName string `json:"tag_name"`
			Name    string `json:"name"`
			HTMLURL string `json:"html_url"`
			Draft   bool   `json:"draft"`
		} `json:"release"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	if in.Action != "published" || in.Release.Draft {
		return nil, "nothing is done when a release is " + wire.Quote(in.Action), nil
	}
	m := in.message(models.ReleaseEvent, models.Created)
	m.Tag = wire.RefName(in.Release.TagName)
	m.Title, m.URL = in.Release.Name, wire.WebURL(in.Release.HTMLURL)
	switch {
	case m.ProjectURL == "":
		return nil, noRepository, nil
	case m.Tag == "":
		return nil, "it does not name the release's tag", nil
	}
	return m, "", nil
}

// parseActionRun reads how a run of Forgejo Actions ended.
func parseActionRun(body []byte) (*models.Message, string, error) {
	var in struct {
		Run struct {
			ID           int64      `json:"id"`
			Title        string     `json:"title"`
			Status       string     `json:"status"`
			CommitSHA    string     `json:"commit_sha"`
			HTMLURL      string     `json:"html_url"`
			PrettyRef    string     `json:"prettyref"` // branch, tag or "#12"
			TriggerEvent string     `json:"trigger_event"`
			TriggerUser  account    `json:"trigger_user"`
			Payload      string     `json:"event_payload"` // JSON in a string
			Repository   repository `json:"repository"`
		} `json:"run"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	run := in.Run
	m := &models.Message{
		Kind:       models.CIResultEvent,
		Action:     models.Ended,
		ProjectURL: wire.WebURL(run.Repository.HTMLURL),
		Commit:     wire.Hash(run.CommitSHA),
		ExternalID: strconv.FormatInt(run.ID, 10),
		State:      strings.ToLower(run.Status),
		Actor:      run.TriggerUser.Login,
		Title:      run.Title,
		URL:        wire.WebURL(run.HTMLURL),
	}
	switch {
	case m.ProjectURL == "":
		return nil, noRepository, nil
	case run.ID <= 0 || m.State == "":
		return nil, "it does not say which run, or how it ended", nil
	case m.Commit == "":
		return nil, noCommit, nil
	}
	if strings.HasPrefix(run.TriggerEvent, "pull_request") {
		addTrigger(m, run.Payload)
	} else {
		m.Branch = wire.RefName(run.PrettyRef)
	}
	return m, "", nil
}

// addTrigger adds the pull request that a run was for, if what started it can
// be read: Forgejo cuts long texts.
func addTrigger(m *models.Message, payload string) {
	var in struct {
		PullRequest pullRequest `json:"pull_request"`
	}
	if wire.Decode([]byte(payload), &in) != nil {
		return
	}
	pr := in.PullRequest
	m.PR = max(0, pr.Number)
	m.Branch, m.TargetBranch = wire.RefName(pr.Head.Ref), wire.RefName(pr.Base.Ref)
}
