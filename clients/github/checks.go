package github

import (
	"context"
	"fmt"
	"strings"
	"time"

	gh "github.com/google/go-github/v92/github"
)

// States and conclusions of a check run.
const (
	Queued     = "queued"
	InProgress = "in_progress"
	Completed  = "completed"

	Success        = "success"
	Failure        = "failure"
	Neutral        = "neutral"
	Cancelled      = "cancelled"
	Skipped        = "skipped"
	TimedOut       = "timed_out"
	ActionRequired = "action_required"
)

const (
	maxOutput      = 65_000 // of title, summary and text each; GitHub's limit is 65,535
	maxDescription = 140
	maxActions     = 3
)

// CheckRun is a line in the list of checks of a commit. Only Apps may write
// them; others get an error for which IsForbidden holds.
type CheckRun struct {
	ID         int64 // given by GitHub
	AppID      int64 // whose it is; given by GitHub
	Name       string
	HeadSHA    string // fixed when it is made
	ExternalID string
	DetailsURL string // http(s), or empty
	Status     string // Queued, InProgress or Completed
	Conclusion string // if and only if Completed
	Title      string // with a title there must be a summary
	Summary    string // Markdown
	Text       string // Markdown, more of it
	Started    time.Time
	Completed  time.Time // now, if zero on a completed one
	Actions    []Action  // buttons, at most 3
}

// Action is a button on a check run. Lengths in characters.
type Action struct {
	Label       string // up to 20
	Description string // up to 40
	Identifier  string // up to 20; comes back in the webhook
}

func (r CheckRun) output() *gh.CheckRunOutput {
	if r.Title == "" && r.Summary == "" {
		return nil
	}
	title, summary := cut(r.Title, maxTitle), cut(r.Summary, maxOutput)
	if title == "" {
		title = r.Name
	}
	out := &gh.CheckRunOutput{Title: &title, Summary: &summary}
	if r.Text != "" {
		text := cut(r.Text, maxOutput)
		out.Text = &text
	}
	return out
}

func (r CheckRun) actions() []*gh.CheckRunAction {
	var actions []*gh.CheckRunAction
	for _, a := range r.Actions[:min(len(r.Actions), maxActions)] {
		actions = append(actions, &gh.CheckRunAction{
			Label: short(a.Label, 20), Description: short(a.Description, 40), Identifier: short(a.Identifier, 20),
		})
	}
	return actions
}

func (r CheckRun) completedAt() *gh.Timestamp {
	if r.Status != Completed {
		return nil
	}
	if r.Completed.IsZero() {
		return &gh.Timestamp{Time: time.Now().UTC()}
	}
	return &gh.Timestamp{Time: r.Completed.UTC()}
}

// optional is nil for what shall not be sent.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func checkRunOf(r *gh.CheckRun) CheckRun {
	return CheckRun{
		ID: r.GetID(), AppID: r.GetApp().GetID(), Name: r.GetName(), HeadSHA: r.GetHeadSHA(), ExternalID: r.GetExternalID(),
		DetailsURL: r.GetDetailsURL(), Status: r.GetStatus(), Conclusion: r.GetConclusion(), Title: r.GetOutput().GetTitle(),
		Summary: r.GetOutput().GetSummary(), Text: r.GetOutput().GetText(), Started: r.GetStartedAt().Time, Completed: r.GetCompletedAt().Time,
	}
}

// CreateCheckRun makes a check run and returns it with its ID. GitHub does not
// recognise repeats: after a lost answer look for it with FindCheckRun.
func (c *Client) CreateCheckRun(ctx context.Context, repo Repo, run CheckRun) (CheckRun, error) {
	options := gh.CreateCheckRunOptions{
		Name: run.Name, HeadSHA: run.HeadSHA, DetailsURL: optional(run.DetailsURL), ExternalID: optional(run.ExternalID),
		Status: optional(run.Status), Conclusion: optional(run.Conclusion), CompletedAt: run.completedAt(),
		Output: run.output(), Actions: run.actions(),
	}
	if !run.Started.IsZero() {
		options.StartedAt = &gh.Timestamp{Time: run.Started.UTC()}
	}
	made, err := call(ctx, c, "checks.create", repo, func(ctx context.Context, g *gh.Client) (*gh.CheckRun, *gh.Response, error) {
		return g.Checks.CreateCheckRun(ctx, repo.Owner, repo.Name, options)
	})
	if err != nil {
		return CheckRun{}, err
	}
	return checkRunOf(made), nil
}

// UpdateCheckRun changes the check run with run.ID to what run says. Its
// commit and what run leaves empty stay.
func (c *Client) UpdateCheckRun(ctx context.Context, repo Repo, run CheckRun) (CheckRun, error) {
	options := gh.UpdateCheckRunOptions{
		Name: run.Name, DetailsURL: optional(run.DetailsURL), ExternalID: optional(run.ExternalID), Status: optional(run.Status),
		Conclusion: optional(run.Conclusion), CompletedAt: run.completedAt(), Output: run.output(), Actions: run.actions(),
	}
	made, err := call(ctx, c, "checks.update", repo, func(ctx context.Context, g *gh.Client) (*gh.CheckRun, *gh.Response, error) {
		return g.Checks.UpdateCheckRun(ctx, repo.Owner, repo.Name, run.ID, options)
	})
	if err != nil {
		return CheckRun{}, err
	}
	return checkRunOf(made), nil
}

// CheckRuns lists all check runs of a ref, those of other Apps and those that
// newer ones of the same name replaced too; with a name only those.
func (c *Client) CheckRuns(ctx context.Context, repo Repo, ref, name string) ([]CheckRun, error) {
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	found, err := pages(ctx, c, "checks.list", repo, func(ctx context.Context, g *gh.Client, page gh.ListOptions) ([]*gh.CheckRun, *gh.Response, error) {
		result, response, err := g.Checks.ListCheckRunsForRef(ctx, repo.Owner, repo.Name, ref,
			&gh.ListCheckRunsOptions{CheckName: optional(name), Filter: optional("all"), ListOptions: page})
		if err != nil {
			return nil, response, err
		}
		return result.CheckRuns, response, nil
	})
	var all []CheckRun
	for _, r := range found {
		all = append(all, checkRunOf(r))
	}
	return all, err
}

// FindCheckRun returns our newest check run of a commit with a name and an
// external id, if there is one.
func (c *Client) FindCheckRun(ctx context.Context, repo Repo, sha, name, externalID string) (run CheckRun, found bool, err error) {
	runs, err := c.CheckRuns(ctx, repo, sha, name)
	for _, r := range runs {
		ours := c.AppID == 0 || r.AppID == c.AppID
		if ours && r.ExternalID == externalID && r.ID >= run.ID {
			run, found = r, true
		}
	}
	return run, found, err
}

// Status is the older kind of check, which users may write too.
type Status struct {
	Context     string // its name
	State       string // pending, success, failure or error
	Description string // up to 140 characters
	TargetURL   string
}

// CreateStatus sets a status of a commit.
func (c *Client) CreateStatus(ctx context.Context, repo Repo, sha string, s Status) error {
	if err := checkRef(sha); err != nil {
		return err
	}
	_, err := call(ctx, c, "statuses.create", repo, func(ctx context.Context, g *gh.Client) (*gh.RepoStatus, *gh.Response, error) {
		return g.Repositories.CreateStatus(ctx, repo.Owner, repo.Name, sha, gh.RepoStatus{
			Context: &s.Context, State: &s.State, Description: optional(short(s.Description, maxDescription)), TargetURL: optional(s.TargetURL),
		})
	})
	return err
}

// short cuts text to a number of characters.
func short(text string, most int) string {
	runes := []rune(strings.ToValidUTF8(text, "�"))
	if len(runes) <= most {
		return string(runes)
	}
	return string(runes[:most-1]) + "…"
}

// String is for logs.
func (r CheckRun) String() string {
	return fmt.Sprintf("%s (%s%s) of %.12s", r.Name, r.Status, strings.TrimSuffix(" "+r.Conclusion, " "), r.HeadSHA)
}
