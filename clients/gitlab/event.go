package gitlab

import (
	"strconv"
	"strings"

	"millrace/clients/wire"
	"millrace/models"
)

// ParseEvent reads what a webhook of the given type (X-Gitlab-Event) says. For
// those that ask nothing of us it returns no message but the reason, in words
// for people. An error means that body is broken.
//
// Comments are returned whoever wrote them: which of them are our own, only
// those who know our login can tell.
//
// https://docs.gitlab.com/user/project/integrations/webhook_events/
func ParseEvent(eventType string, body []byte) (*models.Message, string, error) {
	switch eventType {
	case "Merge Request Hook":
		return parseMergeRequest(body)
	case "Note Hook":
		return parseNote(body)
	case "Push Hook":
		return parsePush(body)
	case "Tag Push Hook":
		return parsePush(body)
	case "Release Hook":
		return parseRelease(body)
	case "Pipeline Hook":
		return parsePipeline(body)
	}
	if err := wire.Object(body); err != nil {
		return nil, "", err
	}
	return nil, "nothing is done for events of type " + wire.Quote(eventType), nil
}

const (
	noProject = "it does not name its project"
	noCommit  = "it does not name its commit"
)

type project struct {
	WebURL string `json:"web_url"`
}

type user struct {
	Username string `json:"username"`
}

type label struct {
	Title string `json:"title"`
}

type commit struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

// common is what is at the top of all webhooks but pushes.
type common struct {
	User    user    `json:"user"`
	Project project `json:"project"`
}

func (c common) message(kind models.EventKind, action models.Action) *models.Message {
	return &models.Message{
		Kind:       kind,
		Action:     action,
		ProjectURL: wire.WebURL(c.Project.WebURL),
		Actor:      c.User.Username,
	}
}

// mergeRequest is written alike wherever a webhook has one.
type mergeRequest struct {
	IID            int     `json:"iid"`
	State          string  `json:"state"`
	Title          string  `json:"title"`
	URL            string  `json:"url"`
	Source         project `json:"source"`
	SourceBranch   string  `json:"source_branch"`
	TargetBranch   string  `json:"target_branch"`
	LastCommit     commit  `json:"last_commit"`
	Labels         []label `json:"labels"`
	Draft          bool    `json:"draft"`
	WorkInProgress bool    `json:"work_in_progress"` // older word for a draft
}

func (mr mergeRequest) addTo(m *models.Message) {
	m.PR = max(0, mr.IID)
	m.Title, m.URL = mr.Title, wire.WebURL(mr.URL)
	m.SourceProjectURL = wire.WebURL(mr.Source.WebURL)
	m.Branch, m.TargetBranch = wire.RefName(mr.SourceBranch), wire.RefName(mr.TargetBranch)
	m.Commit = wire.Hash(mr.LastCommit.ID)
	m.Draft = mr.Draft || mr.WorkInProgress
	for _, l := range mr.Labels {
		m.Labels = append(m.Labels, l.Title)
	}
}

func parseMergeRequest(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		Attributes struct {
			mergeRequest
			Action string `json:"action"`
			OldRev string `json:"oldrev"`
		} `json:"object_attributes"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	mr := in.Attributes
	m := in.message(models.PullRequestEvent, "")
	mr.addTo(m)
	m.CommitBefore = wire.Hash(mr.OldRev)
	switch {
	case mr.State != "opened" && mr.State != "closed":
		return nil, "nothing is done when a merge request is " + wire.Quote(mr.State), nil
	case mr.State == "closed" && mr.Action == "update":
		return nil, "the merge request is closed", nil
	case mr.Action == "reopen":
		m.Action = models.Reopened
	case mr.Action == "update" && m.CommitBefore == "":
		// Without an older commit there is none to build: the title, labels
		// and so on have changed. The original built again.
		m.Action = models.Edited
	case mr.Action == "update":
		m.Action = models.Updated
	case mr.State == "closed":
		m.Action = models.Closed
	case mr.Action == "" || mr.Action == "open":
		m.Action = models.Opened
	default: // approved and the like, which the original took for opened
		return nil, "nothing is done for " + wire.Quote(mr.Action) + " on a merge request", nil
	}
	switch {
	case m.ProjectURL == "":
		return nil, noProject, nil
	case m.PR == 0:
		return nil, "it does not say which merge request", nil
	case m.Commit == "":
		return nil, noCommit, nil
	}
	return m, "", nil
}

func parseNote(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		Attributes struct {
			ID     int64  `json:"id"`
			Note   string `json:"note"`
			Action string `json:"action"` // create or update; older versions leave it out
			System bool   `json:"system"` // GitLab itself wrote it
			URL    string `json:"url"`
		} `json:"object_attributes"`
		MergeRequest *mergeRequest `json:"merge_request"`
		Issue        *struct {
			IID   int    `json:"iid"`
			State string `json:"state"`
		} `json:"issue"`
		Commit *commit `json:"commit"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	note := in.Attributes
	m := in.message(models.CommentEvent, models.Created)
	if note.Action == "update" {
		m.Action = models.Edited
	}
	m.Comment, m.CommentID = note.Note, note.ID
	var state string
	switch {
	case in.MergeRequest != nil:
		in.MergeRequest.addTo(m)
		m.CommentOn, state = "pull_request", in.MergeRequest.State
	case in.Issue != nil:
		m.CommentOn, m.Issue, state = "issue", max(0, in.Issue.IID), in.Issue.State
	case in.Commit != nil:
		m.CommentOn, m.Commit, state = "commit", wire.Hash(in.Commit.ID), "opened"
	default:
		return nil, "it is a comment on something else", nil
	}
	m.URL = wire.WebURL(note.URL)
	switch {
	case note.System:
		return nil, "GitLab itself made the comment", nil
	case state != "opened":
		return nil, "it is a comment on what is " + wire.Quote(state), nil
	case m.ProjectURL == "":
		return nil, noProject, nil
	case m.CommentID <= 0:
		return nil, "it does not say which comment", nil
	case m.CommentOn == "issue" && m.Issue == 0, m.CommentOn == "pull_request" && m.PR == 0:
		return nil, "it does not say what was commented on", nil
	case m.CommentOn != "issue" && m.Commit == "":
		return nil, noCommit, nil
	}
	return m, "", nil
}

// parsePush reads pushes of branches and of tags, which differ by their ref.
func parsePush(body []byte) (*models.Message, string, error) {
	var in struct {
		Before      string   `json:"before"`
		After       string   `json:"after"`
		CheckoutSHA string   `json:"checkout_sha"` // the commit, also of an annotated tag
		Ref         string   `json:"ref"`
		Username    string   `json:"user_username"`
		Project     project  `json:"project"`
		Commits     []commit `json:"commits"` // the newest 20 at most
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	m := &models.Message{
		Kind:         models.PushEvent,
		ProjectURL:   wire.WebURL(in.Project.WebURL),
		Commit:       wire.Hash(in.CheckoutSHA),
		CommitBefore: wire.Hash(in.Before),
		Actor:        in.Username,
	}
	m.Branch, m.Tag = wire.Ref(in.Ref)
	if m.Commit == "" {
		m.Commit = wire.Hash(in.After)
	}
	switch {
	case wire.Hash(in.After) == "":
		return nil, "a branch or tag was deleted", nil
	case m.ProjectURL == "":
		return nil, noProject, nil
	case m.Branch == "" && m.Tag == "":
		return nil, "it is neither about a branch nor about a tag", nil
	}
	if m.Tag != "" {
		m.Kind = models.TagPushEvent
	}
	// A new branch at an old commit brings no commits. The original passed
	// over it; on other forges it counts, so it does here.
	for _, c := range in.Commits {
		if wire.Hash(c.ID) == m.Commit {
			m.Title, m.URL = c.Title, wire.WebURL(c.URL)
		}
	}
	return m, "", nil
}

func parseRelease(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		Action string `json:"action"`
		Name   string `json:"name"`
		Tag    string `json:"tag"`
		URL    string `json:"url"`
		Commit commit `json:"commit"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	if in.Action != "create" {
		return nil, "nothing is done for " + wire.Quote(in.Action) + " on a release", nil
	}
	m := in.message(models.ReleaseEvent, models.Created)
	m.Tag, m.Title, m.URL = wire.RefName(in.Tag), in.Name, wire.WebURL(in.URL)
	m.Commit = wire.Hash(in.Commit.ID)
	switch {
	case m.ProjectURL == "":
		return nil, noProject, nil
	case m.Tag == "":
		return nil, "it does not name the release's tag", nil
	}
	return m, "", nil
}

func parsePipeline(body []byte) (*models.Message, string, error) {
	var in struct {
		common
		Attributes struct {
			ID     int64  `json:"id"`
			Ref    string `json:"ref"` // short name
			Tag    bool   `json:"tag"`
			SHA    string `json:"sha"`
			Status string `json:"status"`
			URL    string `json:"url"`
		} `json:"object_attributes"`
		MergeRequest *mergeRequest `json:"merge_request"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	run := in.Attributes
	m := in.message(models.CIResultEvent, models.Started)
	if mr := in.MergeRequest; mr != nil {
		mr.addTo(m)
	}
	m.ExternalID = strconv.FormatInt(run.ID, 10)
	m.State = strings.ToLower(run.Status)
	m.Commit = wire.Hash(run.SHA)
	if address := wire.WebURL(run.URL); address != "" {
		m.URL = address
	}
	if run.Tag {
		m.Tag = wire.RefName(run.Ref)
	} else if m.Branch == "" {
		m.Branch = wire.RefName(run.Ref)
	}
	switch m.State {
	case "success", "failed", "canceled", "skipped":
		m.Action = models.Ended
	case "":
		return nil, "it does not say how the pipeline is", nil
	}
	switch {
	case m.ProjectURL == "":
		return nil, noProject, nil
	case run.ID <= 0:
		return nil, "it does not say which pipeline", nil
	case m.Commit == "":
		return nil, noCommit, nil
	}
	return m, "", nil
}
