package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"millrace/clients/httpx"
	"millrace/models"
	"millrace/models/store"
)

// What a comment can be on.
const (
	onPull   = "pull_request"
	onCommit = "commit"
	onIssue  = "issue"
)

// order is what the commands in a comment ask for, with what is known about
// where it stands, and what came of it so far.
type order struct {
	event    *models.Event
	forge    Forge
	on       string
	pull     PullRequest       // that it stands below
	commands []*models.Command // that are to start runs, and may
	planned  []models.Planned  // what those in dist-git and on issues ask for
	news     []Made            // what these tell of, on the way of a release
	outcome
}

// outcome is what came of commands.
type outcome struct {
	state   models.EventState
	said    []string // for the event's page, sentences
	answers []string // for a comment of ours, Markdown
	usage   bool     // the comment is to list the commands
}

// weight orders what may come of several commands: the event is what the
// heaviest is.
var weight = map[models.EventState]int{
	models.EventNothing: 1, models.EventRefused: 2, models.EventApplied: 3, models.EventPlanned: 4,
}

// note adds what came of a command. Without an answer nothing is told in a
// comment: the checks move.
func (o *outcome) note(state models.EventState, reason, answer string) {
	if weight[state] > weight[o.state] {
		o.state = state
	}
	if reason != "" {
		o.said = append(o.said, reason)
	}
	if answer != "" {
		o.answers = append(o.answers, answer)
	}
}

// handleComment carries out the commands in a comment, if there are any.
func (r *Runner) handleComment(ctx context.Context, e *models.Event, m *models.Message) error {
	if isOurs(m.Author, m.Comment) {
		return r.conclude(ctx, e, models.EventNothing, "It is a comment of this service.")
	}
	said := models.ParseCommands(r.Prefix, m.Comment)
	if len(said) == 0 {
		return r.conclude(ctx, e, models.EventNothing, fmt.Sprintf("No line of it begins with %s.", r.Prefix))
	}
	said, err := r.newlySaid(ctx, e, said)
	if err != nil {
		return err
	}
	if len(said) == 0 {
		return r.conclude(ctx, e, models.EventNothing, "The comment was edited; its commands were taken up before.")
	}
	forge, err := r.Forge(e.Project)
	if err != nil {
		return err
	}
	o := &order{event: e, forge: forge, on: m.CommentOn}
	commit, mistake, err := r.commented(ctx, o, m, said)
	if err != nil {
		return err
	}
	if err := r.remember(ctx, forge, e, commit); err != nil {
		return err
	}
	if o.on != onCommit { // there a sign would be another call, and Packit makes none
		if err := forge.React(ctx, e.Project, m.CommentID, "eyes"); err != nil { // a courtesy: what counts is done anyway
			r.Log.WarnContext(ctx, "comment not acknowledged", "event", e.ID, "error", err)
		}
	}
	for _, s := range said {
		if mistake != "" && s.Command != nil && s.Command.Name != models.HelpCommand {
			o.note(models.EventRefused, mistake, mistake)
			break
		}
		if err := r.take(ctx, o, s); err != nil {
			return err
		}
	}
	if len(o.planned) > 0 {
		return r.createPlanned(ctx, o)
	}
	if len(o.commands) > 0 {
		return r.untilAgreed(func() error { return r.start(ctx, o) })
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error { return r.finish(ctx, tx, o.event, o.outcome) })
}

// newlySaid is what a comment says that it did not say before it was edited, and
// was taken up then.
func (r *Runner) newlySaid(ctx context.Context, e *models.Event, said []models.Said) ([]models.Said, error) {
	earlier, err := r.Store.EarlierEvents(ctx, e)
	if err != nil {
		return nil, err
	}
	taken := map[string]int{}
	for _, before := range earlier {
		if before.Message == nil || before.State == models.EventRefused || before.State == models.EventFailed {
			continue // people edit what was refused, to try again
		}
		had := map[string]int{}
		for _, s := range models.ParseCommands(r.Prefix, before.Message.Comment) {
			had[s.Line]++
			taken[s.Line] = max(taken[s.Line], had[s.Line])
		}
	}
	var fresh []models.Said
	for _, s := range said {
		if taken[s.Line] > 0 {
			taken[s.Line]--
			continue
		}
		fresh = append(fresh, s)
	}
	return fresh, nil
}

// commented finds the commit that a comment is about. A mistake says what is
// wrong with where it stands.
func (r *Runner) commented(ctx context.Context, o *order, m *models.Message, said []models.Said) (commit *models.Commit, mistake string, err error) {
	e := o.event
	switch o.on {
	case onPull:
		if o.pull, err = o.forge.PullRequest(ctx, e.Project, m.PR); err != nil {
			return nil, "", fmt.Errorf("reading pull request %d of %s: %w", m.PR, e.Project.Path(), err)
		}
		return commitOf(e, m, o.pull), "", nil
	case onIssue:
		return &models.Commit{ProjectID: e.ProjectID, Kind: models.IssueRef, Ref: strconv.Itoa(m.Issue), Title: m.Title}, "", nil
	}
	if err := r.learn(ctx, o.forge, e); err != nil {
		return nil, "", err
	}
	commit = &models.Commit{ProjectID: e.ProjectID, Kind: models.BranchRef, Ref: e.Project.DefaultBranch, SHA: m.Commit}
	var named *models.Command
	for _, s := range said {
		switch c := s.Command; {
		case c == nil || (c.Commit == "" && c.Release == ""):
		case named != nil && (named.Commit != c.Commit || named.Release != c.Release):
			return commit, "The commands of a comment on a commit must be about the same branch or release.", nil
		default:
			named = c
		}
	}
	switch {
	case named == nil:
		return commit, "", nil
	case named.Commit != "":
		commit.Ref = named.Commit
		_, err = o.forge.BranchHead(ctx, e.Project, named.Commit)
	default:
		commit.Kind, commit.Ref = models.ReleaseRef, named.Release
		var sha string
		sha, err = o.forge.TagCommit(ctx, e.Project, named.Release)
		if err == nil && sha != m.Commit {
			mistake = fmt.Sprintf("That tag is at the commit %.12s, and this comment is on %.12s. Write it there.", sha, m.Commit)
		}
	}
	if httpx.Status(err) == http.StatusNotFound {
		return &models.Commit{ProjectID: e.ProjectID, Kind: models.BranchRef, Ref: e.Project.DefaultBranch, SHA: m.Commit},
			"The repository has no branch or tag of that name.", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("looking for %s of %s: %w", commit.RefName(), e.Project.Path(), err)
	}
	return commit, mistake, nil
}

// take does what a command asks for, or puts it with those that start runs.
func (r *Runner) take(ctx context.Context, o *order, s models.Said) error {
	if s.Command == nil {
		o.usage = true
		o.note(models.EventRefused, s.Mistake, "There appears to be a syntax error in the command provided. "+s.Mistake)
		return nil
	}
	reason, err := r.forbidden(ctx, o, s.Command)
	if err != nil {
		return err
	}
	if reason != "" {
		o.note(models.EventRefused, reason, reason+"\n\nWhat can be asked for: `"+r.Prefix+" help`.")
		return nil
	}
	if o.on == onIssue && s.Command.Name.Repeats() {
		return r.onIssue(ctx, o, s.Command)
	}
	switch s.Command.Name {
	case models.PullCommand:
		return r.pull(ctx, o, s.Command)
	case models.HelpCommand:
		o.usage = true
		o.note(models.EventApplied, "The commands were listed.", "")
	case models.CancelCommand:
		return r.cancelOrdered(ctx, o, s.Command)
	case models.VerifyCommand:
		return r.verify(ctx, o, s.Command.Account)
	case models.KojiBuildCommand, models.KojiTagCommand, models.UpdateCommand:
		return r.inDistGit(ctx, o, s.Command)
	default:
		for _, c := range o.commands {
			if c.Name == models.TestCommandName && s.Command.Name == c.Name && (c.Adds() || s.Command.Adds()) {
				const reason = "Tests with --env or with other pull requests need a comment of their own."
				o.note(models.EventRefused, reason, reason)
				return nil
			}
		}
		o.commands = append(o.commands, s.Command)
	}
	return nil
}

// forbidden says why nothing is done about a command, or nothing. Anybody may
// ask for help.
func (r *Runner) forbidden(ctx context.Context, o *order, c *models.Command) (string, error) {
	switch {
	case c.Name == models.HelpCommand:
		return "", nil
	case o.on == onIssue && c.Name.Repeats():
		return r.forbiddenOnIssue(ctx, o, c)
	case c.Name == models.ProposeCommand:
		return "The command propose-downstream is for issues of upstream projects.", nil
	case c.Name.InDistGit():
		return r.forbiddenInDistGit(ctx, o, c)
	case r.Packages.Holds(o.event.Project) && c.Name.StartsRuns():
		return fmt.Sprintf("The command %s is for pull requests upstream.", c.Name), nil
	case !c.Name.Served():
		return fmt.Sprintf("This service understands the command %s, but does not carry it out yet.", c.Name), nil
	case c.Name == models.VerifyCommand:
		return "", nil // who may, is found out there
	case o.on == onIssue:
		return fmt.Sprintf("The command %s is about a commit: write it in a comment on a pull request or on a commit.", c.Name), nil
	case o.on == onPull && (c.Commit != "" || c.Release != ""):
		return "The options --commit and --release are for comments on commits; here the pull request's newest commit is taken.", nil
	case o.on == onPull && !o.pull.Open:
		return "The pull request is closed.", nil
	}
	reason, err := r.notAllowed(ctx, o.event)
	if reason != "" || err != nil {
		return reason, err
	}
	actor := o.event.Actor
	if o.on == onPull && actor != "" && strings.EqualFold(actor, o.pull.Author) {
		return "", nil
	}
	can, err := o.forge.CanMerge(ctx, o.event.Project, actor)
	if err != nil {
		return "", fmt.Errorf("asking what %s may do in %s: %w", actor, o.event.Project.Path(), err)
	}
	switch {
	case can:
		return "", nil
	case o.on == onPull:
		return "This is for the author of the pull request, and for those who may merge it. Ask one of them to write the command.", nil
	}
	return "This is for those who may merge pull requests of the project. Ask one of them to write the command.", nil
}

// usage lists the commands, in Markdown.
func (r *Runner) usage() string {
	lines := []string{
		"| command | what it does |", "|---|---|",
		"| `build`, `copr-build` | makes the source RPM and all builds again, and the tests that follow them |",
		"| `rebuild-failed` | repeats what failed of source RPMs and builds, and the tests that follow |",
		"| `test` | runs tests again. `--id ID` or `--labels A,B` choose jobs; `--env NAME=VALUE` sets a variable; " +
			"`namespace/name#1`, or the address of a pull request, installs its builds too |",
		"| `retest-failed` | repeats the tests that failed |",
		"| `cancel` | stops what is still running |",
		"| `propose-downstream` | on an issue: proposes the newest release to dist-git; on the issue about a failure: what failed of it |",
		"| `pull-from-upstream` | in dist-git: proposes the newest version, or that of `--version V`; `--resolve-bug rhbz#1,rhbz#2` says what it " +
			"resolves, `--with-pr-config` takes the package config of the pull request |",
		"| `koji-build` | in dist-git: builds the branch that the pull request is for |",
		"| `create-update` | in dist-git: makes an update of the newest build for that branch |",
		"| `koji-tag` | in dist-git: puts the stable build into the side tag of its group; `--all-branches` for all branches |",
		"| `help` | shows this |",
	}
	return fmt.Sprintf("A command is a line that begins with `%s`; `--package NAME` before the command chooses a package. "+
		"In comments on commits `--commit BRANCH` or `--release TAG` says what the commit is.\n\n%s", r.Prefix, strings.Join(lines, "\n"))
}

// finish writes down what came of the commands in a comment, and tells in a
// comment of ours what there is to tell.
func (r *Runner) finish(ctx context.Context, tx *store.Tx, e *models.Event, o outcome) error {
	reason := strings.Join(o.said, " ")
	if o.usage {
		o.answers = append(o.answers, r.usage())
	}
	if len(o.answers) > 0 {
		url := fmt.Sprintf("%s/events/%d", r.Base, e.ID)
		err := r.want(ctx, tx, []*models.Report{{
			ProjectID: e.ProjectID, CommitID: e.CommitID, EventID: e.ID, SHA: e.Commit.SHA, Name: fmt.Sprintf("%sanswer:%d", commentPrefix, e.ID),
			Wanted: models.CheckNeutral, Title: reason, Body: strings.Join(o.answers, "\n\n") + "\n\n" + url, URL: url,
		}})
		if err != nil {
			return err
		}
	}
	return r.decided(ctx, tx, e, o.state, reason)
}

// cancelOrdered stops everything that still runs for the commit.
func (r *Runner) cancelOrdered(ctx context.Context, o *order, c *models.Command) error {
	e := o.event
	newest, err := r.Store.NewestAt(ctx, e.ProjectID, e.Commit.Kind, e.Commit.Ref, e.Commit.SHA)
	if err != nil {
		return err
	}
	stopped := 0
	for _, p := range newest {
		if !c.About(p.Package) {
			continue
		}
		attempts, err := r.Store.Attempts(ctx, p)
		if err != nil {
			return err
		}
		for _, a := range attempts {
			if a.State.Finished() {
				continue
			}
			n, err := r.Cancel(ctx, CancelRequest{Requester: Requester{Actor: e.Actor, Via: models.ViaComment}, Pipeline: a.ID})
			if err != nil && !errors.Is(err, models.ErrNothing) {
				return err
			}
			stopped += n
		}
	}
	if stopped == 0 {
		const reason = "Nothing is running for this commit."
		o.note(models.EventNothing, reason, reason)
		return nil
	}
	o.note(models.EventApplied, fmt.Sprintf("Stopped: %s.", count(stopped, "run", "runs")), "")
	return nil
}
