package box

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/clients/copr/coprfake"
	"millrace/clients/git"
	"millrace/clients/github/githubfake"
	"millrace/clients/testingfarm/testingfarmfake"
	"millrace/static"

	"github.com/a-h/templ"
)

// listed is how many things a list shows.
const listed = 100

// show is a page: it returns what to render.
type show func(ctx context.Context, r *http.Request) (templ.Component, error)

func (b *Box) page(s show) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := s(r.Context(), r)
		if err != nil {
			b.refuse(w, r, err)
			return
		}
		b.render(w, r, http.StatusOK, c)
	}
}

// routes are the pages of the box. Those of the forge begin with the name of an
// owner, all others with a word that is none.
func (b *Box) routes() http.Handler {
	own := http.NewServeMux()
	own.Handle("GET "+static.Prefix, static.Handler())
	own.Handle("GET "+stylesheetPath, http.HandlerFunc(serveStylesheet))
	own.HandleFunc("GET /{$}", b.page(b.showHome))
	own.HandleFunc("GET /-/webhooks", b.page(b.showWebhooks))
	own.HandleFunc("GET /-/webhooks/{id}", b.page(b.showWebhook))
	own.HandleFunc("GET /-/bus", b.page(b.showBus))
	own.HandleFunc("GET /-/bus/{id}", b.page(b.showMessage))
	own.HandleFunc("GET /-/receiver", b.page(b.showReceiver))
	own.HandleFunc("POST /-/receiver", b.do(b.actReceiver))
	own.HandleFunc("POST "+receiverPath, b.receive)
	own.HandleFunc("GET /-/mail", b.page(b.showMail))
	own.HandleFunc("GET /-/mail/{number}", b.page(b.showLetter))
	own.HandleFunc("POST /-/redeliver/{kind}/{id}", b.do(b.actRedeliver))
	own.HandleFunc("POST /-/trouble", b.do(b.actTrouble))
	own.HandleFunc("GET /copr/{$}", b.page(b.showCopr))
	own.HandleFunc("GET /copr/coprs/{owner}/{project}/{$}", b.page(b.showCoprProject))
	own.HandleFunc("GET /copr/coprs/build/{id}/{$}", b.page(b.showBuild))
	own.HandleFunc("GET /testing-farm/{$}", b.page(b.showFarm))
	own.HandleFunc("GET /bodhi/{$}", b.page(b.showBodhi))
	own.HandleFunc("GET /fedora/{$}", b.page(b.showFedora))
	own.HandleFunc("GET /anitya/{$}", b.page(b.showAnitya))
	own.HandleFunc("GET /anitya/project/{id}/{$}", b.page(b.showAnitya))
	own.HandleFunc("POST /fedora/pass", b.do(b.actPass))
	own.HandleFunc("POST /fedora/fail", b.do(b.actFailBuild))
	own.HandleFunc("POST /fedora/merge/{package}", b.do(b.actDistGitMerge))
	own.HandleFunc("POST /fedora/karma/{alias}", b.do(b.actKarma))
	own.HandleFunc("GET /bugzilla/show_bug.cgi", b.page(b.showBug))
	own.HandleFunc("GET /accounts/{$}", b.page(b.showPeople))
	own.HandleFunc("POST /accounts/people/{login}", b.do(b.actPerson))
	own.HandleFunc("GET /accounts/login", b.showLogin)
	own.HandleFunc("POST /accounts/login", b.do(b.actLogin))
	own.HandleFunc("/", b.nothing)

	forge := http.NewServeMux()
	forge.HandleFunc("GET /{owner}", b.page(b.showOwner))
	forge.HandleFunc("GET /{owner}/{repo}", b.page(b.showRepo))
	forge.HandleFunc("GET /{owner}/{repo}/tree/{rev...}", b.page(b.showRepo))
	forge.HandleFunc("GET /{owner}/{repo}/blob/{rev}/{path...}", b.page(b.showFile))
	forge.HandleFunc("GET /{owner}/{repo}/commit/{rev}", b.page(b.showCommit))
	forge.HandleFunc("GET /{owner}/{repo}/archive/{tag}/{file}", b.serveArchive)
	forge.HandleFunc("GET /{owner}/{repo}/pulls", b.page(b.showRepo))
	forge.HandleFunc("GET /{owner}/{repo}/pull/{number}", b.page(b.showPull))
	forge.HandleFunc("GET /{owner}/{repo}/issues", b.page(b.showRepo))
	forge.HandleFunc("GET /{owner}/{repo}/issues/{number}", b.page(b.showIssue))
	forge.HandleFunc("POST /{owner}/install", b.do(b.actInstall))
	forge.HandleFunc("POST /{owner}/{repo}/issues", b.do(b.actOpenIssue))
	forge.HandleFunc("POST /{owner}/{repo}/issues/{number}/comment", b.do(b.actCommentIssue))
	forge.HandleFunc("POST /{owner}/{repo}/commit/{rev}/comment", b.do(b.actCommentCommit))
	forge.HandleFunc("POST /{owner}/{repo}/release", b.do(b.actRelease))
	forge.HandleFunc("POST /{owner}/{repo}/open", b.do(b.actOpen))
	forge.HandleFunc("POST /{owner}/{repo}/pulls", b.do(b.actOpenFrom))
	for name, act := range map[string]func(context.Context, string, int, *http.Request) error{
		"push": b.actPush, "close": b.actClose, "reopen": b.actReopen, "merge": b.actMerge, "comment": b.actComment,
		"rerequest": b.actRerequest, "rerequest-all": b.actRerequestAll, "request": b.actRequest,
	} {
		forge.HandleFunc("POST /{owner}/{repo}/pull/{number}/"+name, b.do(b.onPull(act)))
	}
	forge.HandleFunc("/", b.nothing)

	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if slices.Contains([]string{"", "-", "static", "copr", "testing-farm", "bodhi", "fedora", "bugzilla", "accounts"}, first) {
			own.ServeHTTP(w, r)
			return
		}
		forge.ServeHTTP(w, r)
	})
	return http.NewCrossOriginProtection().Handler(secured(pages))
}

func (b *Box) nothing(w http.ResponseWriter, r *http.Request) {
	b.refuse(w, r, fmt.Errorf("%s: %w", r.URL.Path, githubfake.ErrNotFound))
}

// policy lets forms lead to the sources forms, and nothing come from elsewhere.
func policy(forms string) string {
	return "default-src 'self'; base-uri 'none'; form-action " + forms + "; frame-ancestors 'none'; object-src 'none'"
}

// secured forbids what pages do not need.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy("'self'"))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// frame is what all pages show.
type frame struct {
	Service string
	Now     time.Time
	Path    string
	Refresh bool // without scripts, by the browser
	Theme   string
	Trouble map[Trouble]time.Time
}

type frameKey struct{}

func frameOf(ctx context.Context) *frame {
	if f, ok := ctx.Value(frameKey{}).(*frame); ok {
		return f
	}
	return &frame{}
}

// render writes a page once it is whole.
func (b *Box) render(w http.ResponseWriter, r *http.Request, status int, c templ.Component) {
	f := &frame{Service: b.Service(), Now: time.Now().UTC(), Path: r.URL.Path, Refresh: r.URL.Query().Get("refresh") == "1", Trouble: b.Troubles()}
	if theme, err := r.Cookie("theme"); err == nil {
		f.Theme = theme.Value
	}
	var page bytes.Buffer
	if err := c.Render(context.WithValue(r.Context(), frameKey{}, f), &page); err != nil {
		b.log.ErrorContext(r.Context(), "page not rendered", "path", r.URL.Path, "error", err)
		http.Error(w, "This page cannot be shown. The log of the box says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // whoever asked may have left
}

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
	p := repoPage{repoRow: row, URL: b.access.URL, Service: b.Service(), Token: b.access.UserToken, Rev: or(r.PathValue("rev"), repo.DefaultBranch),
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
		word := or(c.Conclusion, c.Status)
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

// diff is a patch for reading.
type diff struct {
	Files []diffFile
	More  int // files that are left out
}

type diffFile struct {
	Path           string
	Added, Removed int
	Lines          []diffLine
	Cut            bool
}

type diffLine struct {
	Class string // of the stylesheet: add, del, at or nothing
	Text  string
}

const (
	maxDiffFiles = 50
	maxDiffLines = 400
)

// parseDiff reads what git-diff(1) prints.
func parseDiff(text string) diff {
	var d diff
	var f *diffFile
	body := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "diff --git "); ok {
			body = false
			if len(d.Files) == maxDiffFiles {
				d.More++
				f = nil
				continue
			}
			_, after, _ := strings.Cut(name, " b/")
			d.Files = append(d.Files, diffFile{Path: after})
			f = &d.Files[len(d.Files)-1]
			continue
		}
		if f == nil {
			continue
		}
		class := ""
		switch {
		case strings.HasPrefix(line, "@@"):
			class, body = "at", true
			if i := strings.Index(line[2:], "@@"); i > 0 {
				line = line[:i+4] // what stands behind is not a line of the patch
			}
		case !body:
			continue
		case strings.HasPrefix(line, "+"):
			class = "add"
			f.Added++
		case strings.HasPrefix(line, "-"):
			class = "del"
			f.Removed++
		}
		if len(f.Lines) == maxDiffLines {
			f.Cut = true
			continue
		}
		f.Lines = append(f.Lines, diffLine{class, line})
	}
	return d
}

type coprPage struct {
	Builds   []coprfake.Build
	Projects []coprfake.Project
	Name     string // of one project: owner/name
	Real     bool
	Why      string
}

func (b *Box) showCopr(context.Context, *http.Request) (templ.Component, error) {
	builds := b.Copr.Builds()
	return coprHome(coprPage{Builds: builds[:min(len(builds), listed)], Projects: b.Copr.Projects(), Real: b.real, Why: b.why}), nil
}

func (b *Box) showCoprProject(_ context.Context, r *http.Request) (templ.Component, error) {
	name := r.PathValue("owner") + "/" + r.PathValue("project")
	projects := b.Copr.Projects()
	i := slices.IndexFunc(projects, func(p coprfake.Project) bool { return p.Owner+"/"+p.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("project %s: %w", name, githubfake.ErrNotFound)
	}
	p := coprPage{Name: name, Projects: projects[i : i+1], Real: b.real, Why: b.why}
	for _, build := range b.Copr.Builds() {
		if build.Owner+"/"+build.Project == name {
			p.Builds = append(p.Builds, build)
		}
	}
	return coprHome(p), nil
}

func (b *Box) showBuild(_ context.Context, r *http.Request) (templ.Component, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("build %q: %w", r.PathValue("id"), githubfake.ErrNotFound)
	}
	build, ok := b.Copr.Build(id)
	if !ok {
		return nil, fmt.Errorf("build %d: %w", id, githubfake.ErrNotFound)
	}
	return coprBuild(&build), nil
}

// parts are the parts of a build, the source package first.
func parts(b *coprfake.Build) []coprfake.Part {
	return append([]coprfake.Part{b.SourcePart}, b.Chroots...)
}

func resultURL(b *coprfake.Build, p coprfake.Part) string {
	if p.ResultDir == "" {
		return ""
	}
	return "/copr" + "/" + path.Join("results", b.Owner, b.Dirname, p.Chroot, p.ResultDir) + "/"
}

func logURL(b *coprfake.Build, p coprfake.Part) string {
	dir := resultURL(b, p)
	if dir == "" {
		return ""
	}
	if p.State == "running" {
		return dir + "builder-live.log"
	}
	return dir + "builder-live.log.gz"
}

// coprState is the state of ours whose icon fits a word of Copr.
func coprState(word string) string {
	switch word {
	case "succeeded", "forked":
		return "passed"
	case "failed", "canceled", "skipped", "running", "waiting":
		return word
	case "importing":
		return "running"
	case "pending", "starting":
		return "queued"
	}
	return "unknown"
}

type farmPage struct {
	Runs []testingfarmfake.Run // the newest first
}

func (b *Box) showFarm(context.Context, *http.Request) (templ.Component, error) {
	return farmHome(farmPage{newest(b.Farm.Runs(), listed)}), nil
}

func farmState(r testingfarmfake.Run) (state, word string) {
	switch string(r.State) {
	case "new", "queued":
		return "queued", string(r.State)
	case "running":
		return "running", "running"
	case "complete":
		switch r.Ending {
		case testingfarmfake.Passes:
			return "passed", "passed"
		case testingfarmfake.Fails:
			return "failed", "failed"
		case testingfarmfake.Skips:
			return "skipped", "skipped"
		}
		return "error", "error"
	case "error":
		return "error", "error"
	}
	return "canceled", strings.ReplaceAll(string(r.State), "-", " ")
}

func (b *Box) showBodhi(context.Context, *http.Request) (templ.Component, error) {
	return bodhiHome(b.access.BodhiURL), nil
}

func (b *Box) showWebhooks(context.Context, *http.Request) (templ.Component, error) {
	return webhooks(newest(b.Forge.Deliveries(), listed)), nil
}

// payload is something that was sent to the service.
type payload struct {
	Title, Crumb, Back, Again string
	State                     string
	Facts                     [][2]string
	Body                      string
	Answer                    string
}

func (b *Box) showWebhook(_ context.Context, r *http.Request) (templ.Component, error) {
	for _, d := range b.Forge.Deliveries() {
		if strconv.FormatInt(d.ID, 10) != r.PathValue("id") {
			continue
		}
		return sent(payload{
			Title: strings.TrimSpace(d.Event + " " + d.Action), Crumb: "Webhooks", Back: "/-/webhooks", State: d.State,
			Again: fmt.Sprintf("/-/redeliver/webhook/%d", d.ID),
			Facts: [][2]string{{"Repository", d.Repo}, {"Id", d.GUID}, {"Sent to", or(d.URL, "nobody")}, {"Made", d.Created.Format(time.DateTime)},
				{"Tries", strconv.Itoa(d.Attempts)}, {"Status", strconv.Itoa(d.StatusCode)}},
			Body: indented(d.Body), Answer: d.Answer,
		}), nil
	}
	return nil, fmt.Errorf("webhook %s: %w", r.PathValue("id"), githubfake.ErrNotFound)
}

func (b *Box) showBus(context.Context, *http.Request) (templ.Component, error) {
	list := b.bus.list()
	kind, why := b.Bus()
	return messages(list[:min(len(list), listed)], kind, why), nil
}

func (b *Box) showMessage(_ context.Context, r *http.Request) (templ.Component, error) {
	for _, m := range b.bus.list() {
		if strconv.FormatInt(m.Seq, 10) != r.PathValue("id") {
			continue
		}
		return sent(payload{
			Title: m.Topic, Crumb: "Message bus", Back: "/-/bus", State: m.State, Again: fmt.Sprintf("/-/redeliver/bus/%d", m.Seq),
			Facts: [][2]string{{"Id", m.ID}, {"Made", m.Created.Format(time.DateTime)}, {"Tries", strconv.Itoa(m.Tries)}},
			Body:  indented(m.Body), Answer: m.Answer,
		}), nil
	}
	return nil, fmt.Errorf("message %s: %w", r.PathValue("id"), githubfake.ErrNotFound)
}

func indented(text []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return string(text)
	}
	return b.String()
}

// sentState is the state of ours whose icon fits what became of a message.
func sentState(state string) string {
	switch state {
	case "delivered":
		return "passed"
	case "refused":
		return "failed"
	case "unreachable":
		return "error"
	case "pending":
		return "queued"
	case "lost", "undirected":
		return "skipped"
	}
	return "unknown"
}
