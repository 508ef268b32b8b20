package githubfake

import (
	"slices"
	"time"
)

// The types of this file are both what is kept and, as copies, what the
// accessors return.

// Repo is a repository.
type Repo struct {
	ID            int64
	Owner, Name   string
	Description   string
	DefaultBranch string
	ForkOf        string            // full name, or empty
	Collaborators map[string]string // login and role: admin, maintain, write, triage or read
	Created       time.Time
}

// FullName is owner/name.
func (r Repo) FullName() string { return r.Owner + "/" + r.Name }

// Pull is a pull request.
type Pull struct {
	ID         int64
	Number     int
	Title      string
	Body       string
	Author     string
	State      string // open or closed
	Draft      bool
	Merged     bool
	MergedBy   string
	Labels     []string
	HeadRepo   string // full name
	HeadBranch string
	HeadSHA    string
	BaseBranch string
	BaseSHA    string
	Created    time.Time
	Updated    time.Time
	Closed     time.Time
}

// Issue is an issue that is no pull request.
type Issue struct {
	ID      int64
	Number  int
	Title   string
	Body    string
	Author  string
	State   string // open or closed
	Labels  []string
	Created time.Time
}

// Comment is a comment below an issue or a pull request.
type Comment struct {
	ID        int64
	Number    int // of the issue or pull request
	Author    string
	Body      string
	Reactions []Reaction
	Created   time.Time
	Updated   time.Time
}

// Reaction is a sign on a comment.
type Reaction struct {
	ID      int64
	User    string
	Content string
}

// CommitComment is a comment below a commit.
type CommitComment struct {
	ID      int64
	SHA     string
	Author  string
	Body    string
	Created time.Time
}

// Status is a commit status.
type Status struct {
	ID          int64
	SHA         string
	Context     string
	State       string
	Description string
	TargetURL   string
	Creator     string
	Created     time.Time
}

// CheckRun is a check run of the App.
type CheckRun struct {
	ID         int64
	Suite      int64
	SHA        string
	Name       string
	ExternalID string
	DetailsURL string
	Status     string
	Conclusion string
	Title      string
	Summary    string
	Text       string
	Actions    []Action
	Started    time.Time
	Completed  time.Time
}

// Action is a button on a check run.
type Action struct {
	Label       string `json:"label"`
	Description string `json:"description"`
	Identifier  string `json:"identifier"`
}

// Release is a release.
type Release struct {
	ID         int64
	Tag        string
	Name       string
	Body       string
	Target     string
	Author     string
	Draft      bool
	Prerelease bool
	Created    time.Time
}

// Report is a state that a check run or commit status was said to have, for a
// judge who counts what was told to the world. Reports are never changed.
type Report struct {
	Seq        int // from 1, in each repository
	At         time.Time
	Kind       string // check_run or status
	Created    bool   // a new check run, not a change of one
	ID         int64
	Name       string
	SHA        string
	ExternalID string
	Status     string
	Conclusion string
	Title      string
	Summary    string // of a check run
}

// Delivery is a webhook and how it was received.
type Delivery struct {
	ID          int64
	GUID        string
	Event       string
	Action      string
	Repo        string
	URL         string
	Body        []byte
	Created     time.Time
	State       string // pending, delivered, refused, unreachable, lost or undirected
	StatusCode  int    // of the last answer
	Answer      string // its beginning, or what went wrong
	Attempts    int
	Redelivered bool
}

func (p *Pull) copy() Pull {
	c := *p
	c.Labels = slices.Clone(p.Labels)
	return c
}

func (c *Comment) copy() Comment {
	d := *c
	d.Reactions = slices.Clone(c.Reactions)
	return d
}

func (c *CheckRun) copy() CheckRun {
	d := *c
	d.Actions = slices.Clone(c.Actions)
	return d
}

// pull finds a pull request, or returns nil.
func (r *repo) pull(number int) *Pull {
	for _, p := range r.Pulls {
		if p.Number == number {
			return p
		}
	}
	return nil
}

func (r *repo) issue(number int) *Issue {
	for _, i := range r.Issues {
		if i.Number == number {
			return i
		}
	}
	return nil
}

func (r *repo) comment(id int64) *Comment {
	for _, c := range r.Comments {
		if c.ID == id {
			return c
		}
	}
	return nil
}

func (r *repo) checkRun(id int64) *CheckRun {
	for _, c := range r.CheckRuns {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// nextNumber is the number of the next issue or pull request.
func (r *repo) nextNumber() int {
	n := 0
	for _, p := range r.Pulls {
		n = max(n, p.Number)
	}
	for _, i := range r.Issues {
		n = max(n, i.Number)
	}
	return n + 1
}

// permission is what a user may do: admin, write, read or none.
func (r *repo) permission(login string) string {
	role := r.role(login)
	if legacy, ok := map[string]string{"maintain": "write", "triage": "read"}[role]; ok {
		return legacy
	}
	return role
}

// role is what a user may do, in GitHub's newer words: there are two more of
// them than permission has.
func (r *repo) role(login string) string {
	for name, role := range r.Collaborators {
		if equalFold(name, login) {
			return role
		}
	}
	if equalFold(r.Owner, login) {
		return "admin"
	}
	if login == "" {
		return "none"
	}
	return "read" // all are public
}

func canWrite(permission string) bool { return permission == "admin" || permission == "write" }
