package githubfake

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/clients/git"
)

func (f *Fake) routesOfChecks(on func(string, right, handler)) {
	on("POST /repos/{owner}/{repo}/check-runs", checkWrite, f.createCheckRun)
	on("GET /repos/{owner}/{repo}/check-runs/{id}", anyone, f.withCheckRun(func(q *request, c *CheckRun) (answer, error) {
		return ok(f.checkRunJSON(q.repo, c))
	}))
	on("PATCH /repos/{owner}/{repo}/check-runs/{id}", checkWrite, f.withCheckRun(f.updateCheckRun))
	on("POST /repos/{owner}/{repo}/check-runs/{id}/rerequest", writer, f.withCheckRun(func(q *request, c *CheckRun) (answer, error) {
		f.sendCheckRun(q.repo, c, "rerequested", q.who.login, nil)
		return created(object{})
	}))
	on("POST /repos/{owner}/{repo}/check-suites/{id}/rerequest", writer, f.rerequestSuite)
	on("GET /repos/{owner}/{repo}/commits/{rest...}", anyone, f.ofCommit)
	on("POST /repos/{owner}/{repo}/commits/{sha}/comments", someone, f.commentCommit)
	on("POST /repos/{owner}/{repo}/statuses/{sha}", writer, f.createStatus)
}

func (f *Fake) withCheckRun(h func(*request, *CheckRun) (answer, error)) handler {
	return func(q *request) (answer, error) {
		c := q.repo.checkRun(q.id("id"))
		if c == nil {
			return answer{}, notFound()
		}
		return h(q, c)
	}
}

// checkRunInput is what writes a check run. What is nil stays as it is.
type checkRunInput struct {
	Name        *string    `json:"name"`
	HeadSHA     string     `json:"head_sha"`
	DetailsURL  *string    `json:"details_url"`
	ExternalID  *string    `json:"external_id"`
	Status      *string    `json:"status"`
	Conclusion  *string    `json:"conclusion"`
	StartedAt   *time.Time `json:"started_at"`
	CompletedAt *time.Time `json:"completed_at"`
	Output      *struct {
		Title   *string `json:"title"`
		Summary *string `json:"summary"`
		Text    *string `json:"text"`
	} `json:"output"`
	Actions *[]Action `json:"actions"`
}

var (
	statuses    = []string{"queued", "in_progress", "completed"}
	conclusions = []string{"success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required"}
)

// check has the rules of GitHub's documentation.
func (in *checkRunInput) check() error {
	switch {
	case in.DetailsURL != nil && !strings.HasPrefix(*in.DetailsURL, "http://") && !strings.HasPrefix(*in.DetailsURL, "https://"):
		return invalid("CheckRun", "details_url", "custom", "details_url must use http or https scheme")
	case in.Status != nil && !slices.Contains(statuses, *in.Status):
		return invalid("CheckRun", "status", "invalid", "")
	case in.Conclusion != nil && !slices.Contains(conclusions, *in.Conclusion):
		return invalid("CheckRun", "conclusion", "invalid", "")
	case in.Status != nil && *in.Status == "completed" && in.Conclusion == nil:
		return invalid("CheckRun", "conclusion", "missing_field", "a completed check run needs a conclusion")
	}
	if out := in.Output; out != nil {
		if out.Title == nil || out.Summary == nil || *out.Title == "" {
			return invalid("CheckRun", "output", "missing_field", "output needs a title and a summary")
		}
		if len(*out.Summary) > 65535 || out.Text != nil && len(*out.Text) > 65535 {
			return invalid("CheckRun", "output", "custom", "Only 65535 characters are allowed")
		}
	}
	if in.Actions == nil {
		return nil
	}
	if len(*in.Actions) > 3 {
		return invalid("CheckRun", "actions", "custom", "at most 3 actions are allowed")
	}
	for _, a := range *in.Actions {
		if utf8.RuneCountInString(a.Label) > 20 || utf8.RuneCountInString(a.Description) > 40 || utf8.RuneCountInString(a.Identifier) > 20 ||
			a.Label == "" || a.Description == "" || a.Identifier == "" {
			return invalid("CheckRun", "actions", "custom", "an action has a field that is empty or too long")
		}
	}
	return nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// apply writes the input down. The caller holds mu.
func (f *Fake) apply(in *checkRunInput, c *CheckRun) {
	set(&c.Name, in.Name)
	set(&c.DetailsURL, in.DetailsURL)
	set(&c.ExternalID, in.ExternalID)
	set(&c.Status, in.Status)
	set(&c.Started, in.StartedAt)
	set(&c.Actions, in.Actions)
	if in.Output != nil {
		set(&c.Title, in.Output.Title)
		set(&c.Summary, in.Output.Summary)
		set(&c.Text, in.Output.Text)
	}
	switch {
	case in.Conclusion != nil: // which completes the run by itself
		c.Conclusion, c.Status = *in.Conclusion, "completed"
		c.Completed = f.now()
		set(&c.Completed, in.CompletedAt)
	case c.Status != "completed":
		c.Conclusion, c.Completed = "", time.Time{}
	}
}

func (f *Fake) createCheckRun(q *request) (answer, error) {
	in := new(checkRunInput)
	if err := q.decode(in); err != nil {
		return answer{}, err
	}
	if in.Name == nil || *in.Name == "" {
		return answer{}, invalid("CheckRun", "name", "missing_field", "")
	}
	if err := in.check(); err != nil {
		return answer{}, err
	}
	if err := f.knownCommit(q, in.HeadSHA); err != nil {
		return answer{}, err
	}
	c := &CheckRun{ID: f.newID(), SHA: in.HeadSHA, Suite: f.suite(q.repo, in.HeadSHA), Status: "queued", Started: f.now(), DetailsURL: f.html(q.repo)}
	f.apply(in, c)
	q.repo.CheckRuns = append(q.repo.CheckRuns, c)
	f.reportCheckRun(q.repo, c, true)
	f.sendCheckRun(q.repo, c, "created", q.who.login, nil)
	if c.Status == "completed" {
		f.sendCheckRun(q.repo, c, "completed", q.who.login, nil)
	}
	if err := f.save(q.repo); err != nil {
		return answer{}, err
	}
	return created(f.checkRunJSON(q.repo, c))
}

func (f *Fake) updateCheckRun(q *request, c *CheckRun) (answer, error) {
	in := new(checkRunInput)
	if err := q.decode(in); err != nil {
		return answer{}, err
	}
	if err := in.check(); err != nil {
		return answer{}, err
	}
	was := c.Status
	f.apply(in, c)
	f.reportCheckRun(q.repo, c, false)
	if c.Status == "completed" && was != "completed" {
		f.sendCheckRun(q.repo, c, "completed", q.who.login, nil)
	}
	if err := f.save(q.repo); err != nil {
		return answer{}, err
	}
	return ok(f.checkRunJSON(q.repo, c))
}

func (f *Fake) reportCheckRun(r *repo, c *CheckRun, fresh bool) {
	r.Reports = append(r.Reports, Report{
		Seq: len(r.Reports) + 1, At: f.config.Now().UTC(), Kind: "check_run", Created: fresh, ID: c.ID, Name: c.Name, SHA: c.SHA,
		ExternalID: c.ExternalID, Status: c.Status, Conclusion: c.Conclusion, Title: c.Title, Summary: c.Summary,
	})
}

// knownCommit refuses what is no commit of the repository.
func (f *Fake) knownCommit(q *request, sha string) error {
	if git.IsSHA(sha) {
		if found, err := f.Bare(q.repo.FullName()).RevParse(q.Context(), sha); err == nil && found == sha {
			return nil
		}
	}
	return &refusal{Status: http.StatusUnprocessableEntity, Message: "No commit found for SHA: " + sha, DocURL: "https://docs.github.com/rest"}
}

// suite returns the App's check suite of a commit.
func (f *Fake) suite(r *repo, sha string) int64 {
	if r.Suites == nil {
		r.Suites = make(map[string]int64)
	}
	if _, ok := r.Suites[sha]; !ok {
		r.Suites[sha] = f.newID()
	}
	return r.Suites[sha]
}

func (f *Fake) rerequestSuite(q *request) (answer, error) {
	for sha, id := range q.repo.Suites {
		if id == q.id("id") {
			f.enqueue(q.repo, "check_suite", "rerequested", object{"check_suite": f.suiteJSON(q.repo, id, sha), "sender": f.userJSON(q.who.login)})
			return created(object{})
		}
	}
	return answer{}, notFound()
}

// resolve finds the commit of a ref in a path: a hash, heads/x, tags/x, or a
// plain name.
func (f *Fake) resolve(ctx context.Context, r *repo, ref string) (string, error) {
	bare := f.Bare(r.FullName())
	if strings.HasPrefix(ref, "heads/") || strings.HasPrefix(ref, "tags/") {
		if sha, err := bare.RevParse(ctx, "refs/"+ref); err == nil {
			return sha, nil
		}
	}
	found, err := bare.Find(ctx, ref)
	if err != nil {
		return "", &refusal{Status: http.StatusUnprocessableEntity, Message: "No commit found for SHA: " + ref, DocURL: "https://docs.github.com/rest"}
	}
	return found.SHA, nil
}

// ofCommit answers what is asked of a commit; its ref may contain slashes.
func (f *Fake) ofCommit(q *request) (answer, error) {
	ref, what := q.PathValue("rest"), ""
	for _, suffix := range []string{"/check-runs", "/check-suites", "/statuses", "/status", "/comments"} {
		if before, ok := strings.CutSuffix(ref, suffix); ok {
			ref, what = before, suffix
			break
		}
	}
	sha, err := f.resolve(q.Context(), q.repo, ref)
	if err != nil {
		return answer{}, err
	}
	switch what {
	case "/check-runs":
		all := f.selectCheckRuns(q, sha)
		return ok(object{"total_count": len(all), "check_runs": objects(page(q, all), func(c *CheckRun) object { return f.checkRunJSON(q.repo, c) })})
	case "/check-suites":
		all := []object{}
		if id, found := q.repo.Suites[sha]; found {
			all = append(all, f.suiteJSON(q.repo, id, sha))
		}
		return ok(object{"total_count": len(all), "check_suites": all})
	case "/comments":
		var all []*CommitComment
		for _, c := range q.repo.CommitComments {
			if c.SHA == sha {
				all = append(all, c)
			}
		}
		return ok(objects(page(q, all), func(c *CommitComment) object { return f.commitCommentJSON(q.repo, c) }))
	case "/statuses", "/status":
		return f.listStatuses(q, sha, what == "/status")
	}
	commits, err := f.Bare(q.repo.FullName()).Commits(q.Context(), git.Range{To: sha}, 1)
	if err != nil {
		return answer{}, err
	}
	return ok(f.commitJSON(q.repo, commits[0]))
}

// selectCheckRuns lists check runs, the newest first: all, or the newest of
// each name.
func (f *Fake) selectCheckRuns(q *request, sha string) []*CheckRun {
	query := q.URL.Query()
	var all []*CheckRun
	seen := make(map[string]bool)
	for _, c := range slices.Backward(q.repo.CheckRuns) {
		if c.SHA != sha || query.Get("check_name") != "" && query.Get("check_name") != c.Name ||
			query.Get("status") != "" && query.Get("status") != c.Status || query.Get("filter") != "all" && seen[c.Name] {
			continue
		}
		seen[c.Name] = true
		all = append(all, c)
	}
	return all
}

func (f *Fake) listStatuses(q *request, sha string, combined bool) (answer, error) {
	var all []*Status
	seen := make(map[string]bool)
	state := "pending"
	failed, pending := false, false
	for _, s := range slices.Backward(q.repo.Statuses) {
		if s.SHA != sha || combined && seen[s.Context] {
			continue
		}
		seen[s.Context] = true
		all = append(all, s)
		failed = failed || s.State == "failure" || s.State == "error"
		pending = pending || s.State == "pending"
	}
	list := objects(page(q, all), func(s *Status) object { return f.statusJSON(q.repo, s) })
	if !combined {
		return ok(list)
	}
	switch {
	case failed:
		state = "failure"
	case !pending && len(all) > 0:
		state = "success"
	}
	return ok(object{"state": state, "sha": sha, "total_count": len(all), "statuses": list})
}

func (f *Fake) createStatus(q *request) (answer, error) {
	in := struct {
		State       string `json:"state"`
		TargetURL   string `json:"target_url"`
		Description string `json:"description"`
		Context     string `json:"context"`
	}{Context: "default"}
	if err := q.decode(&in); err != nil {
		return answer{}, err
	}
	switch {
	case !slices.Contains([]string{"pending", "success", "failure", "error"}, in.State):
		return answer{}, invalid("Status", "state", "inclusion", "")
	case utf8.RuneCountInString(in.Description) > 140:
		return answer{}, invalid("Status", "description", "custom", "description is too long (maximum is 140 characters)")
	}
	sha := q.PathValue("sha")
	if err := f.knownCommit(q, sha); err != nil {
		return answer{}, err
	}
	same := 0
	for _, s := range q.repo.Statuses {
		if s.SHA == sha && s.Context == in.Context {
			same++
		}
	}
	if same >= 1000 {
		return answer{}, invalid("Status", "context", "custom", "This SHA and context has reached the maximum number of statuses.")
	}
	s := &Status{ID: f.newID(), SHA: sha, Context: in.Context, State: in.State, Description: in.Description, TargetURL: in.TargetURL,
		Creator: q.who.login, Created: f.now()}
	q.repo.Statuses = append(q.repo.Statuses, s)
	q.repo.Reports = append(q.repo.Reports, Report{
		Seq: len(q.repo.Reports) + 1, At: f.config.Now().UTC(), Kind: "status", Created: true, ID: s.ID, Name: s.Context, SHA: sha,
		Status: s.State, Title: s.Description,
	})
	if err := f.save(q.repo); err != nil {
		return answer{}, err
	}
	return created(f.statusJSON(q.repo, s))
}

func (f *Fake) commentCommit(q *request) (answer, error) {
	var in struct {
		Body string `json:"body"`
	}
	if err := q.decode(&in); err != nil {
		return answer{}, err
	}
	if err := f.knownCommit(q, q.PathValue("sha")); err != nil {
		return answer{}, err
	}
	c, err := unlocked(f, func() (CommitComment, error) {
		return f.CommentCommit(q.Context(), q.repo.FullName(), q.PathValue("sha"), q.who.login, in.Body)
	})
	if err != nil {
		return answer{}, err
	}
	return created(f.commitCommentJSON(q.repo, &c))
}

// unlocked releases mu for an action that takes it.
func unlocked[T any](f *Fake, do func() (T, error)) (T, error) {
	f.mu.Unlock()
	defer f.mu.Lock()
	return do()
}
