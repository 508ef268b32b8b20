package githubfake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"millrace/clients/git"
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func nameOK(name string) bool {
	return namePattern.MatchString(name) && !strings.HasSuffix(strings.ToLower(name), ".git") && !strings.Contains(name, "..")
}

// RepoOptions say what CreateRepo makes.
type RepoOptions struct {
	Description   string
	DefaultBranch string            // main if empty
	Collaborators map[string]string // login and role: admin, maintain, write, triage or read
}

// CreateRepo makes a repository with a first commit of the given files, or
// without any commit.
func (f *Fake) CreateRepo(ctx context.Context, owner, name string, files map[string]string, opts RepoOptions) (Repo, error) {
	branch := cmp.Or(opts.DefaultBranch, "main")
	r := &repo{Repo: Repo{Owner: owner, Name: name, Description: opts.Description, DefaultBranch: branch, Collaborators: opts.Collaborators}}
	if err := git.CheckRef("refs/heads/" + branch); err != nil {
		return Repo{}, err
	}
	if err := f.addRepo(ctx, r); err != nil {
		return Repo{}, err
	}
	if len(files) > 0 {
		if _, err := f.Commit(ctx, r.FullName(), Change{Message: "Initial commit", Files: files}); err != nil {
			return Repo{}, err
		}
	}
	return r.Repo, nil
}

// SetCollaborator gives a user a role in a repository: admin, maintain, write,
// triage or read; empty takes it away.
func (f *Fake) SetCollaborator(repo, login, role string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(repo)
	if err != nil {
		return err
	}
	if r.Collaborators == nil {
		r.Collaborators = make(map[string]string)
	}
	login = f.user(login).Login
	delete(r.Collaborators, login)
	if role != "" {
		r.Collaborators[login] = role
	}
	return f.save(r)
}

// ErrExists is matched when what shall be made is there already.
var ErrExists = errors.New("already exists")

func (f *Fake) addRepo(ctx context.Context, r *repo) error {
	if !nameOK(r.Owner) || !nameOK(r.Name) {
		return fmt.Errorf("repository %q: %w", r.FullName(), git.ErrBadName)
	}
	f.pushing.Lock()
	defer f.pushing.Unlock()
	f.mu.Lock()
	_, err := f.repo(r.FullName())
	f.mu.Unlock()
	if err == nil {
		return fmt.Errorf("repository %s: %w", r.FullName(), ErrExists)
	}
	if err := f.initRepo(ctx, r.FullName(), r.DefaultBranch, r.ForkOf); err != nil {
		return err
	}
	if r.ForkOf != "" {
		r.Refs = make(map[string]string)
		for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
			refs, err := f.Bare(r.FullName()).Refs(ctx, prefix)
			if err != nil {
				return err
			}
			for _, ref := range refs {
				r.Refs[ref.Name] = ref.SHA // nobody is told of the pushes of long ago
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r.ID, r.Created = f.newID(), f.now()
	f.user(r.Owner)
	f.repos[key(r.FullName())] = r
	return f.save(r)
}

// Fork copies a repository to another account. A fork that is there already is
// returned.
func (f *Fake) Fork(ctx context.Context, fullName, owner string) (Repo, error) {
	f.mu.Lock()
	r, err := f.repo(fullName)
	if err != nil {
		f.mu.Unlock()
		return Repo{}, err
	}
	fork := &repo{Repo: Repo{Owner: owner, Name: r.Name, Description: r.Description, DefaultBranch: r.DefaultBranch, ForkOf: r.FullName()}}
	if found, err := f.repo(fork.FullName()); err == nil {
		defer f.mu.Unlock()
		return found.Repo, nil
	}
	f.mu.Unlock()
	if err := f.addRepo(ctx, fork); err != nil {
		return Repo{}, err
	}
	return fork.Repo, nil
}

// Tag makes a tag of a revision (the default branch if empty), annotated if
// there is a message.
func (f *Fake) Tag(ctx context.Context, fullName, tag, rev, message, by string) error {
	f.mu.Lock()
	r, err := f.repo(fullName)
	if err != nil {
		f.mu.Unlock()
		return err
	}
	rev, by = cmp.Or(rev, r.DefaultBranch), cmp.Or(by, r.Owner)
	at := fmt.Sprintf("%d +0000", f.now().Unix())
	f.mu.Unlock()
	if err := git.CheckRef("refs/tags/" + tag); err != nil {
		return err
	}
	found, err := f.Bare(fullName).Find(ctx, rev)
	if err != nil {
		return err
	}
	object := found.SHA
	if message != "" {
		text := fmt.Sprintf("object %s\ntype commit\ntag %s\ntagger %s <%s@example.org> %s\n\n%s\n", object, tag, by, by, at, message)
		if object, err = f.run(ctx, fullName, strings.NewReader(text), "mktag"); err != nil {
			return err
		}
	}
	return f.setRef(ctx, fullName, "refs/tags/"+tag, object, zeroSHA, by)
}

// setRef makes, moves or (with zeros) deletes a ref, if it is what is expected.
func (f *Fake) setRef(ctx context.Context, fullName, ref, sha, expected, by string) error {
	if err := git.CheckRef(ref); err != nil {
		return err
	}
	f.pushing.Lock()
	defer f.pushing.Unlock()
	args := []string{"update-ref", ref, sha, expected}
	if sha == zeroSHA {
		args = []string{"update-ref", "-d", ref}
	}
	if _, err := f.run(ctx, fullName, nil, args...); err != nil {
		if expected == zeroSHA {
			return fmt.Errorf("%s: %w", ref, ErrExists)
		}
		return err
	}
	return f.noticed(ctx, fullName, by)
}

// DeleteBranch deletes a branch.
func (f *Fake) DeleteBranch(ctx context.Context, fullName, branch, by string) error {
	return f.setRef(ctx, fullName, "refs/heads/"+branch, zeroSHA, "", by)
}

// CommentCommit writes below a commit.
func (f *Fake) CommentCommit(ctx context.Context, fullName, sha, author, body string) (CommitComment, error) {
	sha, err := f.Bare(fullName).RevParse(ctx, sha)
	if err != nil {
		return CommitComment{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(fullName)
	if err != nil {
		return CommitComment{}, err
	}
	c := &CommitComment{ID: f.newID(), SHA: sha, Author: f.user(author).Login, Body: body, Created: f.now()}
	r.CommitComments = append(r.CommitComments, c)
	f.enqueue(r, "commit_comment", "created", object{"comment": f.commitCommentJSON(r, c), "sender": f.userJSON(author)})
	return *c, f.save(r)
}

// OpenIssue opens an issue.
func (f *Fake) OpenIssue(fullName, author, title, body string) (Issue, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(fullName)
	if err != nil {
		return Issue{}, err
	}
	if title == "" {
		return Issue{}, invalid("Issue", "title", "missing_field", "")
	}
	i := &Issue{ID: f.newID(), Number: r.nextNumber(), Title: title, Body: body, Author: f.user(author).Login, State: "open", Created: f.now()}
	r.Issues = append(r.Issues, i)
	f.enqueue(r, "issues", "opened", object{"issue": f.issueJSON(r, i.Number), "sender": f.userJSON(author)})
	return *i, f.save(r)
}

// CloseIssue closes an issue.
func (f *Fake) CloseIssue(fullName string, number int, by string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(fullName)
	if err != nil {
		return err
	}
	i := r.issue(number)
	if i == nil {
		return fmt.Errorf("issue %d of %s: %w", number, fullName, ErrNotFound)
	}
	i.State = "closed"
	f.enqueue(r, "issues", "closed", object{"issue": f.issueJSON(r, number), "sender": f.userJSON(cmp.Or(by, i.Author))})
	return f.save(r)
}

// NewRelease is a release to be published.
type NewRelease struct {
	Tag        string
	Target     string // what the tag is made of if it does not exist; the default branch if empty
	Name, Body string
	Author     string // the owner if empty
	Draft      bool
	Prerelease bool
}

// PublishRelease publishes a release and makes its tag if there is none.
func (f *Fake) PublishRelease(ctx context.Context, fullName string, n NewRelease) (Release, error) {
	f.mu.Lock()
	r, err := f.repo(fullName)
	if err != nil {
		f.mu.Unlock()
		return Release{}, err
	}
	for _, old := range r.Releases {
		if old.Tag == n.Tag {
			f.mu.Unlock()
			return Release{}, invalid("Release", "tag_name", "already_exists", "")
		}
	}
	n.Author, n.Target = cmp.Or(n.Author, r.Owner), cmp.Or(n.Target, r.DefaultBranch)
	_, tagged := r.Refs["refs/tags/"+n.Tag]
	f.mu.Unlock()
	if !tagged && !n.Draft {
		if err := f.Tag(ctx, fullName, n.Tag, n.Target, "", n.Author); err != nil {
			return Release{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	release := &Release{
		ID: f.newID(), Tag: n.Tag, Name: n.Name, Body: n.Body, Target: n.Target, Author: f.user(n.Author).Login,
		Draft: n.Draft, Prerelease: n.Prerelease, Created: f.now(),
	}
	r.Releases = append(r.Releases, release)
	actions := []string{"created", "published", "released"}
	switch {
	case n.Draft:
		actions = nil // nobody is told of drafts
	case n.Prerelease:
		actions[2] = "prereleased"
	}
	for _, action := range actions {
		f.sendRelease(r, release, action, n.Author)
	}
	return *release, f.save(r)
}

// onCheckRun finds a check run. f holds mu.
func (f *Fake) onCheckRun(fullName string, id int64, do func(r *repo, c *CheckRun)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(fullName)
	if err != nil {
		return err
	}
	c := r.checkRun(id)
	if c == nil {
		return fmt.Errorf("check run %d of %s: %w", id, fullName, ErrNotFound)
	}
	do(r, c)
	return f.save(r)
}

// Rerequest clicks on "Re-run" of a check run. The run itself stays as it is
// until the App changes it.
func (f *Fake) Rerequest(fullName string, id int64, by string) error {
	return f.onCheckRun(fullName, id, func(r *repo, c *CheckRun) {
		f.sendCheckRun(r, c, "rerequested", cmp.Or(by, r.Owner), nil)
	})
}

// RequestAction clicks on a button of a check run.
func (f *Fake) RequestAction(fullName string, id int64, identifier, by string) error {
	return f.onCheckRun(fullName, id, func(r *repo, c *CheckRun) {
		f.sendCheckRun(r, c, "requested_action", cmp.Or(by, r.Owner), object{"requested_action": object{"identifier": identifier}})
	})
}

// RerequestAll clicks on "Re-run all checks" of a commit.
func (f *Fake) RerequestAll(fullName, sha, by string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(fullName)
	if err != nil {
		return err
	}
	id, ok := r.Suites[sha]
	if !ok {
		return fmt.Errorf("check suite of %s in %s: %w", sha, fullName, ErrNotFound)
	}
	f.enqueue(r, "check_suite", "rerequested", object{"check_suite": f.suiteJSON(r, id, sha), "sender": f.userJSON(cmp.Or(by, r.Owner))})
	return f.save(r)
}
