package github

import (
	"strings"

	"millrace/clients/wire"
	"millrace/models"
)

// ParseEvent reads what a webhook of the given type (X-GitHub-Event) says. For
// the many that ask nothing of us it returns no message but the reason, in
// words for people. An error means that body is broken.
//
// Comments are returned whoever wrote them: which of them are our own, only
// those who know our login can tell.
//
// https://docs.github.com/en/webhooks/webhook-events-and-payloads
func ParseEvent(eventType string, body []byte) (*models.Message, string, error) {
	switch eventType {
	case "pull_request":
		return parsePullRequest(body)
	case "issue_comment":
		return parseIssueComment(body)
	case "commit_comment":
		return parseCommitComment(body)
	case "release":
		return parseRelease(body)
	case "push":
		return parsePush(body)
	case "check_run":
		return parseCheckRun(body)
	case "check_suite":
		return parseCheckSuite(body)
	case "installation":
		return parseInstallation(body)
	}
	if err := wire.Object(body); err != nil {
		return nil, "", err
	}
	if eventType == "ping" {
		return nil, "GitHub tries out the webhook", nil
	}
	return nil, "nothing is done for events of type " + wire.Quote(eventType), nil
}

const (
	noRepository = "it does not name its repository"
	noCommit     = "it does not name its commit"
)

type account struct {
	Login string `json:"login"`
	ID    int64  `json:"id"`
}

type label struct {
	Name string `json:"name"`
}

// common is what is at the top of all webhooks.
type common struct {
	Action     string `json:"action"`
	Repository struct {
		HTMLURL string `json:"html_url"`
	} `json:"repository"`
	Sender       account `json:"sender"`
	Installation struct {
		ID int64 `json:"id"`
	} `json:"installation"`
}

// message starts a message with what is common to all.
func (c common) message(kind models.EventKind, action models.Action) *models.Message {
	return &models.Message{
		Kind:         kind,
		Action:       action,
		ProjectURL:   wire.WebURL(c.Repository.HTMLURL),
		Actor:        c.Sender.Login,
		ActorID:      c.Sender.ID,
		Installation: c.Installation.ID,
	}
}

func parsePullRequest(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		Number      int    `json:"number"`
		Before      string `json:"before"` // only in synchronize
		PullRequest struct {
			HTMLURL string   `json:"html_url"`
			Title   string   `json:"title"`
			Draft   bool     `json:"draft"`
			User    *account `json:"user"`
			Labels  []label  `json:"labels"`
			Head    struct {
				Ref  string `json:"ref"`
				SHA  string `json:"sha"`
				Repo *struct {
					HTMLURL string `json:"html_url"`
				} `json:"repo"`
			} `json:"head"`
			Base struct {
				Ref string `json:"ref"`
			} `json:"base"`
		} `json:"pull_request"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	actions := map[string]models.Action{
		"opened": models.Opened, "reopened": models.Reopened, "synchronize": models.Updated,
	}
	action, ok := actions[in.Action]
	if !ok {
		return nil, "nothing is done when a pull request is " + wire.Quote(in.Action), nil
	}
	pr := in.PullRequest
	// The sender is who did it: the one who pushed, or reopened. The original
	// takes the author of the pull request for that, even if another pushed.
	m := in.message(models.PullRequestEvent, action)
	m.PR = in.Number
	m.Title, m.Draft, m.URL = pr.Title, pr.Draft, wire.WebURL(pr.HTMLURL)
	m.Branch, m.TargetBranch = wire.RefName(pr.Head.Ref), wire.RefName(pr.Base.Ref)
	m.Commit, m.CommitBefore = wire.Hash(pr.Head.SHA), wire.Hash(in.Before)
	m.Labels = names(pr.Labels)
	if pr.User != nil { // else the account is gone
		m.Author = pr.User.Login
	}
	switch {
	case m.ProjectURL == "":
		return nil, noRepository, nil
	case m.PR <= 0:
		return nil, "it does not say which pull request", nil
	case m.Commit == "":
		return nil, noCommit, nil
	case pr.Head.Repo == nil:
		return nil, "the repository that the pull request comes from is gone", nil
	}
	m.SourceProjectURL = wire.WebURL(pr.Head.Repo.HTMLURL)
	return m, "", nil
}

func names(labels []label) []string {
	var names []string
	for _, l := range labels {
		names = append(names, l.Name)
	}
	return names
}

type comment struct {
	ID       int64    `json:"id"`
	Body     string   `json:"body"`
	CommitID string   `json:"commit_id"`
	HTMLURL  string   `json:"html_url"`
	User     *account `json:"user"`
}

// addTo writes the comment into m. The actor stays the sender: a comment may
// be edited by another than its author, and a command in it is then theirs.
func (c comment) addTo(m *models.Message, on string) {
	m.Comment, m.CommentID, m.CommentOn = c.Body, c.ID, on
	m.URL = wire.WebURL(c.HTMLURL)
	if c.User != nil {
		m.Author = c.User.Login
	}
	if m.Actor == "" {
		m.Actor = m.Author
	}
}

func parseIssueComment(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		Comment comment `json:"comment"`
		Issue   struct {
			Number      int       `json:"number"`
			Title       string    `json:"title"`
			Labels      []label   `json:"labels"`
			PullRequest *struct{} `json:"pull_request"`
		} `json:"issue"`
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
	if in.Issue.PullRequest != nil {
		m.PR = in.Issue.Number
		m.Title, m.Labels = in.Issue.Title, names(in.Issue.Labels)
		in.Comment.addTo(m, "pull_request")
	} else {
		m.Issue = in.Issue.Number
		in.Comment.addTo(m, "issue")
	}
	switch {
	case m.ProjectURL == "":
		return nil, noRepository, nil
	case in.Issue.Number <= 0 || m.CommentID <= 0:
		return nil, "it does not say which comment", nil
	case m.Issue != 0 && action == models.Edited:
		// Edited comments count on pull requests alone, as they always did:
		// what is asked for in issues is not safe to do twice.
		return nil, "nothing is done when a comment on an issue is edited", nil
	case m.Issue != 0 && strings.TrimSpace(m.Comment) == "":
		return nil, "the comment is empty", nil
	}
	return m, "", nil
}

func parseCommitComment(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		Comment comment `json:"comment"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	if in.Action != "" && in.Action != "created" {
		return nil, "nothing is done when a comment is " + wire.Quote(in.Action), nil
	}
	m := in.message(models.CommentEvent, models.Created)
	m.Commit = wire.Hash(in.Comment.CommitID)
	in.Comment.addTo(m, "commit")
	switch {
	case m.ProjectURL == "":
		return nil, noRepository, nil
	case m.Commit == "":
		return nil, noCommit, nil
	case m.CommentID <= 0:
		return nil, "it does not say which comment", nil
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
		} `json:"release"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	// GitHub also sends "released" and "created" for the same release.
	if in.Action != "published" {
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

func parsePush(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		Ref        string `json:"ref"`
		Before     string `json:"before"`
		After      string `json:"after"`
		Deleted    bool   `json:"deleted"`
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
	m.Branch, m.Tag = wire.Ref(in.Ref)
	m.Commit, m.CommitBefore = wire.Hash(in.After), wire.Hash(in.Before)
	if head := in.HeadCommit; head != nil {
		m.Title, m.URL = wire.FirstLine(head.Message), wire.WebURL(head.URL)
		// After an annotated tag, "after" is the object of the tag itself.
		if id := wire.Hash(head.ID); id != "" && (m.Tag != "" || m.Commit == "") {
			m.Commit = id
		}
	}
	switch {
	case in.Deleted:
		return nil, "a branch or tag was deleted", nil
	case m.ProjectURL == "":
		return nil, noRepository, nil
	case m.Branch == "" && m.Tag == "":
		return nil, "it is neither about a branch nor about a tag", nil
	case m.Commit == "":
		return nil, noCommit, nil
	}
	// The original took a pushed tag for a branch of that name.
	if m.Tag != "" {
		m.Kind = models.TagPushEvent
	}
	return m, "", nil
}

// checked is what is common to a check run and a check suite.
type checked struct {
	HeadSHA string `json:"head_sha"`
	HTMLURL string `json:"html_url"`
	App     struct {
		Slug string `json:"slug"`
	} `json:"app"`
	PullRequests []struct {
		Number int `json:"number"`
	} `json:"pull_requests"` // empty if they come from forks
}

func (c checked) addTo(m *models.Message) {
	m.Commit = wire.Hash(c.HeadSHA)
	m.App = c.App.Slug
	m.URL = wire.WebURL(c.HTMLURL)
	// The same commit may be the head of several.
	if len(c.PullRequests) == 1 {
		m.PR = max(0, c.PullRequests[0].Number)
	}
}

// parseCheckRun reads the wish to run one check again, or to do what a button
// on it says. Whose check it is (App) and what its ExternalID means, the
// caller looks up.
func parseCheckRun(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		CheckRun struct {
			checked
			Name       string `json:"name"`
			ExternalID string `json:"external_id"`
			CheckSuite struct {
				HeadBranch string `json:"head_branch"`
			} `json:"check_suite"`
		} `json:"check_run"`
		RequestedAction struct {
			Identifier string `json:"identifier"`
		} `json:"requested_action"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	m := in.message(models.CheckRerunEvent, "")
	in.CheckRun.addTo(m)
	m.CheckName, m.ExternalID = in.CheckRun.Name, in.CheckRun.ExternalID
	m.Branch = wire.RefName(in.CheckRun.CheckSuite.HeadBranch)
	if in.Action == "requested_action" {
		m.RequestedID = in.RequestedAction.Identifier
	}
	switch {
	case in.Action != "rerequested" && in.Action != "requested_action":
		return nil, "nothing is done when a check is " + wire.Quote(in.Action), nil
	case in.Action == "requested_action" && m.RequestedID == "":
		return nil, "it does not say which action is wanted", nil
	case m.ProjectURL == "":
		return nil, noRepository, nil
	case m.Commit == "":
		return nil, noCommit, nil
	case m.CheckName == "":
		return nil, "it does not name the check", nil
	}
	return m, "", nil
}

// parseCheckSuite reads the wish to run all checks of a commit again.
func parseCheckSuite(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		CheckSuite struct {
			checked
			HeadBranch string `json:"head_branch"`
		} `json:"check_suite"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	// "requested" comes with each push, which has an event of its own.
	if in.Action != "rerequested" {
		return nil, "nothing is done when a check suite is " + wire.Quote(in.Action), nil
	}
	m := in.message(models.CheckRerunEvent, "")
	in.CheckSuite.addTo(m)
	m.Suite = true
	m.Branch = wire.RefName(in.CheckSuite.HeadBranch)
	switch {
	case m.ProjectURL == "":
		return nil, noRepository, nil
	case m.Commit == "":
		return nil, noCommit, nil
	}
	return m, "", nil
}

func parseInstallation(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		Installation struct {
			ID      int64 `json:"id"`
			Account struct {
				Login   string `json:"login"`
				Type    string `json:"type"`
				HTMLURL string `json:"html_url"`
			} `json:"account"`
		} `json:"installation"`
		Repositories []struct {
			FullName string `json:"full_name"`
		} `json:"repositories"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	if in.Action != "created" {
		return nil, "nothing is done when an installation is " + wire.Quote(in.Action), nil
	}
	m := in.message(models.InstallationEvent, models.Created)
	m.Installation = in.Installation.ID
	m.Account = in.Installation.Account.Login
	m.AccountType = strings.ToLower(in.Installation.Account.Type)
	m.URL = wire.WebURL(in.Installation.Account.HTMLURL)
	for _, r := range in.Repositories {
		m.Repositories = append(m.Repositories, r.FullName)
	}
	if m.Installation <= 0 || m.Account == "" {
		return nil, "it does not say which installation", nil
	}
	return m, "", nil
}
