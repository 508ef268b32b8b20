package box

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/clients/git"
	"millrace/clients/github/githubfake"

	"github.com/a-h/templ"
)

// repoRow is a repository in a list.
type repoRow struct {
	githubfake.Repo
	Open      int
	Last      []pullRow      // the newest first
	Scenarios []scenarioInfo // that it is fit for
	Stranger  bool
}

// pullRow is a pull request in a list.
type pullRow struct {
	githubfake.Pull
	Checks string // the state of all checks together; empty if there are none
}

func (b *Box) pullRows(repo string, pulls []githubfake.Pull) []pullRow {
	rows := make([]pullRow, len(pulls))
	for i, p := range pulls {
		rows[i].Pull = p
		states := make(map[string]bool)
		for _, c := range b.checks(repo, p.HeadSHA) {
			states[c.State] = true
		}
		for _, state := range []string{"failed", "error", "running", "queued", "canceled", "passed", "skipped"} {
			if states[state] {
				rows[i].Checks = state
				break
			}
		}
	}
	return rows
}

type homePage struct {
	URL      string
	Repos    []repoRow
	Real     bool
	Why      string
	Bus      Bus
	BusWhy   string
	Token    string
	Webhooks []githubfake.Delivery
}

func (b *Box) showHome(ctx context.Context, _ *http.Request) (templ.Component, error) {
	p := homePage{URL: b.access.URL, Real: b.real, Why: b.why, Token: b.access.UserToken}
	p.Bus, p.BusWhy = b.Bus()
	for _, r := range b.Forge.Repos() {
		if r.ForkOf != "" {
			continue
		}
		row, err := b.row(ctx, r)
		if err != nil {
			return nil, err
		}
		p.Repos = append(p.Repos, row)
	}
	slices.SortStableFunc(p.Repos, func(x, y repoRow) int { return cmp.Compare(rank(x.FullName()), rank(y.FullName())) })
	p.Webhooks = newest(b.Forge.Deliveries(), 8)
	return home(p), nil
}

// rank keeps the order of the samples; what people made comes behind.
func rank(fullName string) int {
	if i := slices.IndexFunc(samples, func(s sample) bool { return s.fullName() == fullName }); i >= 0 {
		return i
	}
	return len(samples)
}

func (b *Box) row(ctx context.Context, r githubfake.Repo) (repoRow, error) {
	row := repoRow{Repo: r}
	if s := sampleOf(r.FullName()); s != nil {
		row.Stranger = s.stranger
	}
	pulls := b.Forge.Pulls(r.FullName())
	for _, p := range pulls {
		if p.State == "open" {
			row.Open++
		}
	}
	row.Last = b.pullRows(r.FullName(), newest(pulls, 3))
	var err error
	row.Scenarios, err = b.fitting(ctx, r)
	return row, err
}

// fitness says which scenarios a commit is fit for.
type fitness struct {
	sha       string
	scenarios []scenarioInfo
}

// fitting lists the scenarios that a repository is fit for. Pages ask often, and
// it changes only with the default branch.
func (b *Box) fitting(ctx context.Context, r githubfake.Repo) ([]scenarioInfo, error) {
	sha := b.Forge.Branches(r.FullName())[r.DefaultBranch]
	if sha == "" {
		return nil, nil // it is empty
	}
	b.mu.Lock()
	known := b.fit[r.FullName()]
	b.mu.Unlock()
	if known.sha == sha {
		return known.scenarios, nil
	}
	t, err := b.tree(ctx, r.FullName(), sha)
	if err != nil {
		return nil, err
	}
	known = fitness{sha: sha}
	for _, s := range scenarios {
		if s.needs(t) {
			known.scenarios = append(known.scenarios, s)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fit[r.FullName()] = known
	return known.scenarios, nil
}

// newest are the last of a list, the newest first.
func newest[T any](list []T, most int) []T {
	list = slices.Clone(list[max(0, len(list)-most):])
	slices.Reverse(list)
	return list
}

type ownerPage struct {
	Name   string
	Repos  []repoRow
	Around []string // who may install the App here
}

func (b *Box) showOwner(ctx context.Context, r *http.Request) (templ.Component, error) {
	p := ownerPage{Name: r.PathValue("owner")}
	for _, repo := range b.Forge.Repos() {
		if strings.EqualFold(repo.Owner, p.Name) {
			row, err := b.row(ctx, repo)
			if err != nil {
				return nil, err
			}
			p.Name, p.Repos = repo.Owner, append(p.Repos, row)
		}
	}
	if len(p.Repos) == 0 {
		return nil, fmt.Errorf("owner %s: %w", p.Name, githubfake.ErrNotFound)
	}
	p.Around = b.around(p.Name + "/")
	return owner(p), nil
}

type issuePage struct {
	Repo     string
	Issue    githubfake.Issue
	Comments []githubfake.Comment
	Around   []string
}

func (b *Box) showIssue(_ context.Context, r *http.Request) (templ.Component, error) {
	repo, err := b.repository(repoOf(r))
	if err != nil {
		return nil, err
	}
	number, err := pullOf(r)
	if err != nil {
		return nil, err
	}
	name := repo.FullName()
	for _, i := range b.Forge.Issues(name) {
		if i.Number != number {
			continue
		}
		p := issuePage{Repo: name, Issue: i, Comments: b.Forge.Comments(name, number), Around: b.around(name)}
		if r.URL.Query().Get("part") == "live" {
			return commentList(issueURL(name, number), p.Comments), nil
		}
		return issue(p), nil
	}
	return nil, fmt.Errorf("issue %d of %s: %w", number, name, githubfake.ErrNotFound)
}

type branchRow struct {
	Name, SHA string
	From      string // what a pull request of it is opened from; empty for the default branch
}

type repoPage struct {
	repoRow
	URL      string
	Service  string
	Token    string
	Rev      string // branch or commit that is shown
	Files    []git.Entry
	Commits  []git.Commit
	Branches []branchRow // the default one first
	Tags     []branchRow
	Pulls    []pullRow          // the newest first
	Issues   []githubfake.Issue // the newest first
	Readme   string
}

func (b *Box) showRepo(ctx context.Context, r *http.Request) (templ.Component, error) {
	repo, err := b.repository(repoOf(r))
	if err != nil {
		return nil, err
	}
	row, err := b.row(ctx, repo)
	if err != nil {
		return nil, err
	}
	name := repo.FullName()
	p := repoPage{repoRow: row, URL: b.access.URL, Service: b.Service(), Token: b.access.UserToken, Rev: cmp.Or(r.PathValue("rev"), repo.DefaultBranch),
		Pulls: b.pullRows(name, newest(b.Forge.Pulls(name), listed)), Issues: newest(b.Forge.Issues(name), listed)}
	for branch, sha := range b.Forge.Branches(name) {
		row := branchRow{Name: branch, SHA: sha}
		if branch != repo.DefaultBranch {
			row.From = branch
		}
		p.Branches = append(p.Branches, row)
	}
	for tag, sha := range b.Forge.Tags(name) {
		p.Tags = append(p.Tags, branchRow{Name: tag, SHA: sha})
	}
	slices.SortFunc(p.Branches, func(x, y branchRow) int {
		return cmp.Or(boolRank(x.From != "")-boolRank(y.From != ""), cmp.Compare(x.Name, y.Name))
	})
	slices.SortFunc(p.Tags, func(x, y branchRow) int { return cmp.Compare(y.Name, x.Name) })
	if len(p.Branches) == 0 {
		return repository(p), nil
	}
	found, err := b.bare(name).Find(ctx, p.Rev)
	if err != nil {
		return nil, err
	}
	if p.Files, err = b.bare(name).LsTree(ctx, found.SHA, "", true); err != nil {
		return nil, err
	}
	if p.Commits, err = b.bare(name).Commits(ctx, git.Range{To: found.SHA}, 20); err != nil {
		return nil, err
	}
	if text, err := b.bare(name).ShowFile(ctx, found.SHA, "README.md", maxText); err == nil {
		p.Readme = strings.ToValidUTF8(string(text), "�")
	}
	return repository(p), nil
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

type filePage struct {
	Repo, Rev, Path string
	Lines           []string
	Binary          bool
}

func (b *Box) showFile(ctx context.Context, r *http.Request) (templ.Component, error) {
	repo, err := b.repository(repoOf(r))
	if err != nil {
		return nil, err
	}
	found, err := b.bare(repo.FullName()).Find(ctx, r.PathValue("rev"))
	if err != nil {
		return nil, err
	}
	text, err := b.bare(repo.FullName()).ShowFile(ctx, found.SHA, path.Clean(r.PathValue("path")), maxText)
	if err != nil {
		return nil, err
	}
	p := filePage{Repo: repo.FullName(), Rev: r.PathValue("rev"), Path: r.PathValue("path"), Binary: !utf8.Valid(text)}
	if !p.Binary {
		p.Lines = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
	return file(p), nil
}

type commitPage struct {
	Repo     string
	Commit   git.Commit
	Diff     diff
	Checks   []check
	Comments []githubfake.CommitComment
	Around   []string
}

func (b *Box) showCommit(ctx context.Context, r *http.Request) (templ.Component, error) {
	repo, err := b.repository(repoOf(r))
	if err != nil {
		return nil, err
	}
	name := repo.FullName()
	commits, err := b.bare(name).Commits(ctx, git.Range{To: r.PathValue("rev")}, 1)
	if err != nil {
		return nil, err
	}
	if len(commits) == 0 {
		return nil, fmt.Errorf("commit %s: %w", r.PathValue("rev"), githubfake.ErrNotFound)
	}
	p := commitPage{Repo: name, Commit: commits[0], Checks: b.checks(name, commits[0].SHA), Around: b.around(name)}
	for _, c := range b.Forge.CommitComments(name) {
		if c.SHA == p.Commit.SHA {
			p.Comments = append(p.Comments, c)
		}
	}
	if len(p.Commit.Parents) > 0 {
		text, err := b.bare(name).Diff(ctx, p.Commit.Parents[0], p.Commit.SHA)
		if err != nil {
			return nil, err
		}
		p.Diff = parseDiff(text)
	}
	return commitOf(p), nil
}

// check is a check run or a status, as a pull request shows it.
type check struct {
	ID      int64 // of a check run, which can be asked for again
	Name    string
	State   string // ours, for icon and colour
	Word    string
	Title   string
	URL     string
	Since   time.Time
	Done    bool                // a check run that has ended
	Actions []githubfake.Action // its buttons
}

// anyRun reports whether any of the checks can be asked for again.
func anyRun(checks []check) bool {
	return slices.ContainsFunc(checks, func(c check) bool { return c.Done })
}

// checks are the newest of each name, by name.
func (b *Box) checks(repo, sha string) []check {
	byName := make(map[string]check)
	for _, s := range b.Forge.Statuses(repo, sha) {
		byName[s.Context] = check{Name: s.Context, State: checkState(s.State), Word: s.State, Title: s.Description, URL: s.TargetURL, Since: s.Created}
	}
	for _, c := range b.Forge.CheckRuns(repo, sha) {
		word := cmp.Or(c.Conclusion, c.Status)
		byName[c.Name] = check{ID: c.ID, Name: c.Name, State: checkState(word), Word: strings.ReplaceAll(word, "_", " "), Title: c.Title, URL: c.DetailsURL,
			Since: c.Started, Done: c.Status == "completed", Actions: c.Actions}
	}
	all := make([]check, 0, len(byName))
	for _, c := range byName {
		all = append(all, c)
	}
	slices.SortFunc(all, func(x, y check) int { return cmp.Compare(x.Name, y.Name) })
	return all
}

// checkState is the state of ours whose icon fits a word of the forge.
func checkState(word string) string {
	switch word {
	case "success":
		return "passed"
	case "failure", "timed_out", "action_required":
		return "failed"
	case "error", "startup_failure":
		return "error"
	case "in_progress":
		return "running"
	case "queued", "pending", "waiting", "requested":
		return "queued"
	case "neutral", "skipped", "stale":
		return "skipped"
	case "cancelled":
		return "canceled"
	}
	return "unknown"
}

type pullPage struct {
	Repo      string
	Pull      githubfake.Pull
	Service   string
	Commits   []git.Commit // the oldest first
	Diff      diff
	Checks    []check
	Comments  []githubfake.Comment
	Conflicts []string
	Around    []string
}

func (b *Box) showPull(ctx context.Context, r *http.Request) (templ.Component, error) {
	repo, err := b.repository(repoOf(r))
	if err != nil {
		return nil, err
	}
	number, err := pullOf(r)
	if err != nil {
		return nil, err
	}
	name := repo.FullName()
	pull, err := b.Forge.Pull(name, number)
	if err != nil {
		return nil, err
	}
	p := pullPage{Repo: name, Pull: pull, Service: b.Service(), Checks: b.checks(name, pull.HeadSHA), Comments: b.Forge.Comments(name, number), Around: b.around(name)}
	if r.URL.Query().Get("part") == "live" {
		return pullLive(p), nil
	}
	bare := b.bare(name)
	base, err := bare.MergeBase(ctx, pull.BaseSHA, pull.HeadSHA)
	if notThere(err) {
		return pullRequest(p), nil // two histories that never met
	}
	if err != nil {
		return nil, err
	}
	if p.Commits, err = bare.Commits(ctx, git.Range{From: base, To: pull.HeadSHA}, listed); err != nil {
		return nil, err
	}
	slices.Reverse(p.Commits)
	text, err := bare.Diff(ctx, base, pull.HeadSHA)
	if err != nil {
		return nil, err
	}
	p.Diff = parseDiff(text)
	if pull.State == "open" {
		if p.Conflicts, err = b.bare(name).Conflicts(ctx, pull.BaseSHA, pull.HeadSHA); err != nil {
			return nil, err
		}
	}
	return pullRequest(p), nil
}
