package fedbus

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"millrace/clients/wire"
	"millrace/models"
)

const (
	// maxChanged is how many changed files are worth remembering.
	maxChanged = 500
	// pagureItself is who does what a person made Pagure do in the background.
	pagureItself = "pagure"
	noProject    = "it does not name its repository"
	noCommit     = "it does not name its commit"
)

// projectPath is what a project's name and namespace may be.
var projectPath = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9+._-]{0,199}$`)

func (p Parser) parsePush(body []byte) (*models.Message, string, error) {
	var in struct {
		Agent         string          `json:"agent"`
		Branch        string          `json:"branch"`
		OldCommit     string          `json:"old_commit"`
		EndCommit     string          `json:"end_commit"`
		ChangedFiles  json.RawMessage `json:"changed_files"`
		PullRequestID int             `json:"pull_request_id"` // if it was merged by the push
		Repo          struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
			FullURL   string `json:"full_url"`
		} `json:"repo"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	m := &models.Message{
		Kind:         models.PushEvent,
		ProjectURL:   wire.WebURL(in.Repo.FullURL),
		PR:           max(0, in.PullRequestID),
		Branch:       wire.RefName(strings.TrimPrefix(in.Branch, "refs/heads/")),
		Commit:       wire.Hash(in.EndCommit),
		CommitBefore: wire.Hash(in.OldCommit),
		Actor:        in.Agent,
		Changed:      changed(in.ChangedFiles),
	}
	if !projectPath.MatchString(in.Repo.Name) || (in.Repo.Namespace != "" && !projectPath.MatchString(in.Repo.Namespace)) {
		return nil, noProject, nil
	}
	if m.ProjectURL == "" {
		m.ProjectURL = p.distGit(strings.TrimPrefix(in.Repo.Namespace+"/"+in.Repo.Name, "/"))
	}
	switch {
	case m.ProjectURL == "":
		return nil, noProject, nil
	case m.Branch == "":
		return nil, "it does not name its branch", nil
	case m.Commit == "":
		return nil, noCommit, nil
	}
	return m, "", nil
}

// changed lists the files in an object of file to what was done to it. Without
// a list, and if there are very many, it returns nil: not known.
func changed(raw json.RawMessage) []string {
	var files map[string]json.RawMessage
	if json.Unmarshal(raw, &files) != nil || len(files) > maxChanged {
		return nil
	}
	return slices.Sorted(maps.Keys(files))
}

type pagureUser struct {
	Name string `json:"name"`
}

type pullRequest struct {
	ID         int    `json:"id"`
	Title      string `json:"title"`
	FullURL    string `json:"full_url"`
	Branch     string `json:"branch"` // where it is to go
	BranchFrom string `json:"branch_from"`
	CommitStop string `json:"commit_stop"`
	RemoteGit  string `json:"remote_git"` // instead of RepoFrom
	Project    struct {
		FullURL string `json:"full_url"`
	} `json:"project"`
	RepoFrom *struct {
		FullURL string `json:"full_url"`
	} `json:"repo_from"`
	User     pagureUser `json:"user"`
	Tags     []string   `json:"tags"`
	Comments []struct {
		ID      int64      `json:"id"`
		Comment string     `json:"comment"`
		User    pagureUser `json:"user"`
	} `json:"comments"`
}

type aboutPullRequest struct {
	Agent       string      `json:"agent"`
	PullRequest pullRequest `json:"pullrequest"`
}

// message starts a message about the pull request; with a reason, there is
// none to be made.
func (in aboutPullRequest) message(kind models.EventKind, action models.Action) (*models.Message, string) {
	pr := in.PullRequest
	m := &models.Message{
		Kind:         kind,
		Action:       action,
		ProjectURL:   wire.WebURL(pr.Project.FullURL),
		PR:           pr.ID,
		Branch:       wire.RefName(pr.BranchFrom),
		TargetBranch: wire.RefName(pr.Branch),
		Commit:       wire.Hash(pr.CommitStop),
		Title:        pr.Title,
		URL:          wire.WebURL(pr.FullURL),
		Labels:       pr.Tags,
		Author:       pr.User.Name,
		Actor:        in.Agent,
	}
	switch {
	case m.ProjectURL == "":
		return nil, noProject
	case m.PR <= 0:
		return nil, "it does not say which pull request"
	}
	switch {
	case pr.RepoFrom != nil:
		m.SourceProjectURL = wire.WebURL(pr.RepoFrom.FullURL)
	case pr.RemoteGit != "":
		m.SourceProjectURL = wire.WebURL(pr.RemoteGit)
	default: // the fork is gone
		m.SourceProjectURL = m.ProjectURL
	}
	return m, ""
}

func parsePullRequest(body []byte, action models.Action) (*models.Message, string, error) {
	var in aboutPullRequest
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	m, reason := in.message(models.PullRequestEvent, action)
	if reason != "" {
		return nil, reason, nil
	}
	if m.Commit == "" {
		return nil, noCommit, nil
	}
	// Pagure notices new commits in the background and then names itself.
	if m.Actor == pagureItself && m.Author != "" {
		m.Actor = m.Author
	}
	return m, "", nil
}

func parseComment(body []byte) (*models.Message, string, error) {
	var in aboutPullRequest
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	m, reason := in.message(models.CommentEvent, models.Created)
	if reason != "" {
		return nil, reason, nil
	}
	comments := in.PullRequest.Comments
	if len(comments) == 0 {
		return nil, "it has no comment in it", nil
	}
	last := comments[len(comments)-1] // all are sent, oldest first
	m.Comment, m.CommentID, m.CommentOn = last.Comment, last.ID, "pull_request"
	m.Author = last.User.Name
	if m.CommentID <= 0 {
		return nil, "it does not say which comment", nil
	}
	return m, "", nil
}

func parseFlag(body []byte, action models.Action) (*models.Message, string, error) {
	var in struct {
		aboutPullRequest
		Flag struct {
			Username   string `json:"username"` // name of the check
			Status     string `json:"status"`
			Comment    string `json:"comment"`
			CommitHash string `json:"commit_hash"`
			URL        string `json:"url"`
		} `json:"flag"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	m, reason := in.message(models.FlagEvent, action)
	if reason != "" {
		return nil, reason, nil
	}
	m.CheckName, m.Text = in.Flag.Username, in.Flag.Comment
	m.State = strings.ToLower(in.Flag.Status)
	m.URL = wire.WebURL(in.Flag.URL)
	m.Commit = wire.Hash(in.Flag.CommitHash)
	switch {
	case m.Commit == "":
		return nil, noCommit, nil
	case m.CheckName == "" || m.State == "":
		return nil, "it does not say what was flagged", nil
	}
	return m, "", nil
}
