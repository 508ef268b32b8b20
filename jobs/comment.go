package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"millrace/models"
	"millrace/models/packageconfig"
	"millrace/models/store"
)

// order is a command in a comment on a pull request, with what is known about
// it.
type order struct {
	*models.Command
	event *models.Event
	forge Forge
	pull  PullRequest
}

// handleComment carries out the command in a comment, if there is one.
func (r *Runner) handleComment(ctx context.Context, e *models.Event, m *models.Message) error {
	if isOurs(m.Author, m.Comment) {
		return r.conclude(ctx, e, models.EventNothing, "It is a comment of this service.")
	}
	command, mistake := models.ParseCommand(r.Prefix, m.Comment)
	switch {
	case command == nil && mistake == nil:
		return r.conclude(ctx, e, models.EventNothing, fmt.Sprintf("No line of it begins with %s.", r.Prefix))
	case m.CommentOn != "pull_request":
		return r.conclude(ctx, e, models.EventNothing, "Commands are carried out in comments on pull requests only.")
	}
	forge, err := r.Forge(e.Project)
	if err != nil {
		return err
	}
	pull, err := forge.PullRequest(ctx, e.Project, m.PR)
	if err != nil {
		return fmt.Errorf("reading pull request %d of %s: %w", m.PR, e.Project.Path(), err)
	}
	if err := r.remember(ctx, forge, e, commitOf(e, m, pull)); err != nil {
		return err
	}
	if err := forge.React(ctx, e.Project, m.CommentID, "eyes"); err != nil { // a courtesy: what counts is done anyway
		r.Log.WarnContext(ctx, "comment not acknowledged", "event", e.ID, "error", err)
	}
	if mistake != nil {
		return r.answer(ctx, e, models.EventRefused, mistake.Error(), fmt.Sprintf(
			"There appears to be a syntax error in the command provided. %s\n\n%s", mistake, r.usage()))
	}
	o := &order{command, e, forge, pull}
	reason, err := r.forbidden(ctx, o)
	if err != nil {
		return err
	}
	if reason != "" {
		return r.answer(ctx, e, models.EventRefused, reason, reason+"\n\nWhat can be asked for: `"+r.Prefix+" help`.")
	}
	return r.carryOut(ctx, o)
}

// forbidden says why nothing is done about an order, or nothing. Anybody may ask
// for help.
func (r *Runner) forbidden(ctx context.Context, o *order) (string, error) {
	switch {
	case o.Name == models.HelpCommand:
		return "", nil
	case !o.Name.Served():
		return fmt.Sprintf("This service understands the command %s, but does not carry it out.", o.Name), nil
	case o.Commit != "" || o.Release != "":
		return "The options --commit and --release are for comments on commits; here the pull request's newest commit is taken.", nil
	case len(o.Pulls) > 0:
		return "Builds of other pull requests cannot be installed for tests here.", nil
	case !o.pull.Open:
		return "The pull request is closed.", nil
	}
	reason, err := r.notAllowed(ctx, o.event.Project)
	if reason != "" || err != nil {
		return reason, err
	}
	actor := o.event.Actor
	if actor != "" && strings.EqualFold(actor, o.pull.Author) {
		return "", nil
	}
	can, err := o.forge.CanMerge(ctx, o.event.Project, actor)
	if err != nil {
		return "", fmt.Errorf("asking what %s may do in %s: %w", actor, o.event.Project.Path(), err)
	}
	if !can {
		return "This is for the author of the pull request, and for those who may merge it. Ask one of them to write the command.", nil
	}
	return "", nil
}

func (r *Runner) carryOut(ctx context.Context, o *order) error {
	switch o.Name {
	case models.HelpCommand:
		return r.answer(ctx, o.event, models.EventApplied, "The commands were listed.", r.usage())
	case models.CancelCommand:
		return r.cancelOrdered(ctx, o)
	}
	return r.untilAgreed(func() error { return r.startOrdered(ctx, o) })
}

// usage lists the commands, in Markdown.
func (r *Runner) usage() string {
	lines := []string{
		"| command | what it does |", "|---|---|",
		"| `build`, `copr-build` | makes the source RPM and all builds again, and the tests that follow them |",
		"| `rebuild-failed` | repeats what failed of source RPMs and builds, and the tests that follow |",
		"| `test` | runs tests again. `--id ID` or `--labels A,B` choose jobs; `--env NAME=VALUE` sets a variable |",
		"| `retest-failed` | repeats the tests that failed |",
		"| `cancel` | stops what is still running |",
		"| `help` | shows this |",
	}
	return fmt.Sprintf("A command is a line that begins with `%s`; `--package NAME` before the command chooses a package.\n\n%s", r.Prefix, strings.Join(lines, "\n"))
}

// answer writes down what was decided about a comment, and says it in a comment
// of ours.
func (r *Runner) answer(ctx context.Context, e *models.Event, state models.EventState, reason, text string) error {
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := r.reply(ctx, tx, e, reason, text); err != nil {
			return err
		}
		return r.decided(ctx, tx, e, state, reason)
	})
}

func (r *Runner) reply(ctx context.Context, tx *store.Tx, e *models.Event, title, text string) error {
	url := fmt.Sprintf("%s/events/%d", r.Base, e.ID)
	return r.want(ctx, tx, []*models.Report{{
		ProjectID: e.ProjectID, CommitID: e.CommitID, EventID: e.ID, SHA: e.Commit.SHA, Name: fmt.Sprintf("%sanswer:%d", commentPrefix, e.ID),
		Wanted: models.CheckNeutral, Title: title, Body: text + "\n\n" + url, URL: url,
	}})
}

// startOrdered runs again what is there already for the pull request's newest
// commit, and plans what is not: jobs with manual_trigger, or all of them.
func (r *Runner) startOrdered(ctx context.Context, o *order) error {
	plans, requests, have, err := r.ordered(ctx, o)
	if err != nil {
		return err
	}
	planned, decided, err := r.planOrdered(ctx, o, have)
	if err != nil || decided {
		return err
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		if err := r.lockPlans(ctx, tx, plans...); err != nil {
			return err
		}
		now, err := tx.LockEvent(ctx, o.event.ID)
		if err != nil || now.State != models.EventNew {
			return err
		}
		said, made, err := r.rerunOrdered(ctx, tx, o, plans, requests)
		if err != nil {
			return err
		}
		for _, p := range planned {
			g, err := r.createOne(ctx, tx, o.event, p)
			if err != nil {
				return err
			}
			said = append(said, fmt.Sprintf("Pipeline %d was planned.", g.ID))
		}
		if err := r.want(ctx, tx, r.unplanned(o.event)); err != nil {
			return err
		}
		return r.decideOrder(ctx, tx, o, said, made, len(planned) > 0)
	})
}

func (r *Runner) rerunOrdered(ctx context.Context, tx *store.Tx, o *order, plans []readied, requests []models.RerunRequest) (said []string, made bool, err error) {
	for i, ready := range plans {
		id, err := r.rerun(ctx, tx, ready, RerunRequest{
			RerunRequest: requests[i], Requester: Requester{Actor: o.event.Actor, Via: models.ViaComment},
			Key: fmt.Sprintf("event %d, plan %d %s", o.event.ID, ready.newest.EventID, ready.newest.Package),
		})
		if reason, no := refusedRerun(err); no {
			said = append(said, reason)
			continue
		}
		if err != nil {
			return nil, false, err
		}
		made = true
		said = append(said, fmt.Sprintf("Attempt %d is pipeline %d.", ready.newest.Attempt+1, id))
	}
	return said, made, nil
}

// decideOrder writes down what came of an order. Only if that is nothing it is
// told in words: otherwise the checks move.
func (r *Runner) decideOrder(ctx context.Context, tx *store.Tx, o *order, said []string, made, planned bool) error {
	reason := strings.Join(said, " ")
	switch {
	case planned:
		return r.decided(ctx, tx, o.event, models.EventPlanned, reason)
	case made:
		return r.decided(ctx, tx, o.event, models.EventApplied, reason)
	}
	if reason == "" {
		reason = nothingOrdered[o.Name]
	}
	if err := r.reply(ctx, tx, o.event, reason, reason+" So nothing was started."); err != nil {
		return err
	}
	return r.decided(ctx, tx, o.event, models.EventNothing, reason)
}

var nothingOrdered = map[models.CommandName]string{
	models.BuildCommand:    "The package config has no build for this pull request that the command means.",
	models.TestCommandName: "The package config has no tests for this pull request that the command means.",
	models.RebuildFailed:   "No build of the newest commit has failed.",
	models.RetestFailed:    "No tests of the newest commit have failed.",
}

// ordered finds what an order means among what was planned for the commit, and
// which jobs that covers. Of a job that is in several plans the newest counts.
func (r *Runner) ordered(ctx context.Context, o *order) (plans []readied, requests []models.RerunRequest, have map[models.JobRef]int64, err error) {
	e := o.event
	newest, err := r.Store.NewestAt(ctx, e.ProjectID, e.Commit.Kind, e.Commit.Ref, e.Commit.SHA)
	if err != nil {
		return nil, nil, nil, err
	}
	have = map[models.JobRef]int64{}
	for _, p := range slices.Backward(newest) {
		if o.Package != "" && p.Package != o.Package {
			continue
		}
		ready, err := r.prepareRerun(ctx, p)
		if err != nil {
			return nil, nil, nil, err
		}
		picks, err := o.picks(ready.newest, have)
		if err != nil {
			return nil, nil, nil, err
		}
		for _, step := range ready.newest.Steps {
			ref := models.JobRef{Index: step.JobIndex, Package: p.Package}
			if step.JobIndex >= 0 && have[ref] == 0 {
				have[ref] = p.ID
			}
		}
		if len(picks) > 0 {
			plans = append(plans, ready)
			requests = append(requests, models.RerunRequest{Scope: models.ScopeChosen, Picks: picks, Env: o.Env})
		}
	}
	return plans, requests, have, nil
}

// picks are the parts of a pipeline that an order means, but for jobs that a
// newer plan has.
func (o *order) picks(p *models.Pipeline, newer map[models.JobRef]int64) ([]models.Pick, error) {
	var picks []models.Pick
	failed := p.Failed()
	for _, step := range p.Steps {
		if newer[models.JobRef{Index: step.JobIndex, Package: p.Package}] != 0 {
			continue
		}
		view, err := step.View()
		if err != nil {
			return nil, err
		}
		built := step.Kind == models.SRPMStep || step.Kind == models.CoprBuildStep
		switch {
		case o.Name == models.BuildCommand && built && buildsNew(p, step, newer),
			o.Name == models.TestCommandName && step.Kind == models.TestsStep && o.MatchesTest(view):
			picks = append(picks, models.Pick{Step: step.Name})
		case o.Name == models.RebuildFailed && built, o.Name == models.RetestFailed && step.Kind == models.TestsStep:
			for _, pick := range failed {
				skipped := pick.Step == step.Name && step.Target(pick.Target).Run.State == models.Skipped
				if pick.Step == step.Name && !(skipped && step.Kind == models.TestsStep) {
					picks = append(picks, pick)
				}
			}
		}
	}
	return picks, nil
}

// buildsNew reports whether a step is a build, or makes the source of one, that
// no newer plan has.
func buildsNew(p *models.Pipeline, step *models.Step, newer map[models.JobRef]int64) bool {
	return step.Kind == models.CoprBuildStep || slices.ContainsFunc(buildsOf(p, step), func(s *models.Step) bool {
		return newer[models.JobRef{Index: s.JobIndex, Package: p.Package}] == 0
	})
}

// planOrdered plans the jobs that an order means and no pipeline has. decided
// says that there is nothing more to do about the order.
func (r *Runner) planOrdered(ctx context.Context, o *order, have map[models.JobRef]int64) (planned []models.Planned, decided bool, err error) {
	if o.Name != models.BuildCommand && o.Name != models.TestCommandName {
		return nil, false, nil
	}
	config, err := r.readConfig(ctx, o.forge, o.event)
	if problems, ok := packageconfig.AsErrors(err); ok {
		return nil, true, r.refuseConfig(ctx, o.event, problems)
	}
	if err != nil || config == nil {
		return nil, true, err
	}
	asked := &models.Asked{Command: o.Command, Have: have}
	wants := func(view models.JobView) bool { return view.Trigger == models.TriggerPullRequest && asked.Wants(&view) }
	if !slices.ContainsFunc(config.Jobs, wants) {
		return nil, false, nil
	}
	facts, err := r.facts(ctx, o.event, config, o.pull.Labels)
	if err != nil {
		return nil, true, err
	}
	facts.Asked = asked
	planned, o.event.Decisions = models.Plan(o.event, config, facts)
	return planned, false, nil
}

// cancelOrdered stops everything that still runs for the pull request's newest
// commit.
func (r *Runner) cancelOrdered(ctx context.Context, o *order) error {
	e := o.event
	newest, err := r.Store.NewestAt(ctx, e.ProjectID, e.Commit.Kind, e.Commit.Ref, e.Commit.SHA)
	if err != nil {
		return err
	}
	stopped := 0
	for _, p := range newest {
		if o.Package != "" && p.Package != o.Package {
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
		const reason = "Nothing is running for the newest commit."
		return r.answer(ctx, e, models.EventNothing, reason, reason)
	}
	return r.conclude(ctx, e, models.EventApplied, fmt.Sprintf("Stopped: %s.", count(stopped, "run", "runs")))
}
