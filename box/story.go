package box

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"millrace/clients/github/githubfake"
	"millrace/models"
)

// Story is something that happens upstream, and what must come of it.
type Story struct {
	Name    string // for command lines: one-chroot-fails
	Summary string // a sentence
	Play    func(ctx context.Context, t *Teller) error
}

// View is what the service says of what happens in the box.
type View interface {
	// Pipelines returns the pipelines of a pull request, the oldest first, with
	// steps, targets and runs. project is the full name at the forge.
	Pipelines(ctx context.Context, project string, pull int) ([]*models.Pipeline, error)
	// Events returns the events of a pull request, the oldest first, with their
	// commits.
	Events(ctx context.Context, project string, pull int) ([]*models.Event, error)
}

// Teller plays stories in a box and watches what the service makes of them.
type Teller struct {
	Box  *Box
	View View
	// Ways and Hands are for the stories of releases.
	Ways  Ways
	Hands Hands
	// Patience is for how long a story waits for each of its endings; if zero, two
	// minutes, and five of a release.
	Patience time.Duration
	Every    time.Duration // between looks; 200 ms if zero
	Say      func(format string, args ...any)

	seen map[int64]*models.Pipeline
}

// Pipelines returns the pipelines that the stories told so far have seen, as
// they were last, by number.
func (t *Teller) Pipelines() []*models.Pipeline {
	var all []*models.Pipeline
	for _, id := range slices.Sorted(maps.Keys(t.seen)) {
		all = append(all, t.seen[id])
	}
	return all
}

// Ending is how a story says that a pull request ends.
type Ending struct {
	// Event is what became of the event of the newest commit; Reason is a part
	// of its reason or of one of its decisions'.
	Event  models.EventState
	Reason string
	// Pipelines are those of the pull request, the oldest first.
	Pipelines []PipelineEnding
	// Checks are conclusions of check runs or states of statuses at the newest
	// commit, by name; a name ending in * stands for all that begin so, of
	// which there must be one at least. NoChecks means that there are none.
	Checks   map[string]string
	NoChecks bool
	Comment  string // a part of some comment below the pull request
}

// PipelineEnding is how a story says that a pipeline ends.
type PipelineEnding struct {
	State models.State
	// Targets are final states by step and target: "copr_build/fedora-44-x86_64".
	// The step may be its kind or its name.
	Targets map[string]models.State
}

func (t *Teller) say(format string, args ...any) {
	if t.Say != nil {
		t.Say(format, args...)
	}
}

// Expect waits until everything is as the ending says. Once nothing can change
// any more it does not wait any longer, but says what is different.
func (t *Teller) Expect(ctx context.Context, repo string, pull int, want Ending) error {
	return t.until(ctx, repo, pull, func(s sight) (differences []string, hopeless bool) {
		return want.differences(s), want.hopeless(s)
	})
}

// Reach waits until reached says yes of the newest pipeline of a pull request.
func (t *Teller) Reach(ctx context.Context, repo string, pull int, what string, reached func(*models.Pipeline) bool) error {
	return t.until(ctx, repo, pull, func(s sight) (differences []string, hopeless bool) {
		if len(s.pipelines) == 0 {
			return []string{"there is no pipeline"}, false
		}
		last := s.pipelines[len(s.pipelines)-1]
		if reached(last) {
			return nil, false
		}
		return []string{fmt.Sprintf("pipeline %d, which is %s, has not come to this: %s", last.ID, last.State, what)}, last.State.Finished()
	})
}

// sight is what can be seen of a pull request.
type sight struct {
	head      string // commit
	events    []*models.Event
	pipelines []*models.Pipeline
	checks    map[string]string
	comments  []githubfake.Comment
}

func (t *Teller) patience() time.Duration { return cmp.Or(t.Patience, 2*time.Minute) }

func (t *Teller) every() time.Duration { return cmp.Or(t.Every, 200*time.Millisecond) }

func (t *Teller) until(ctx context.Context, repo string, pull int, look func(sight) (differences []string, hopeless bool)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, t.patience(), errors.New("patience is over"))
	defer cancel()
	hopelessFor := 0
	differences := []string{"it could not be looked at in time"}
	for {
		s, err := t.look(ctx, repo, pull)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil {
			hopeless := false
			if differences, hopeless = look(s); len(differences) == 0 {
				return nil
			}
			// Two looks, since what is seen was not read at one moment.
			if hopelessFor++; !hopeless {
				hopelessFor = 0
			}
			if hopelessFor > 1 {
				return different(repo, pull, differences, nil)
			}
		}
		select {
		case <-ctx.Done():
			return different(repo, pull, differences, context.Cause(ctx))
		case <-time.After(t.every()):
		}
	}
}

func different(repo string, pull int, differences []string, cause error) error {
	text := fmt.Sprintf("pull request %d of %s:\n\t%s", pull, repo, strings.Join(differences, "\n\t"))
	if cause != nil {
		return fmt.Errorf("%w; %s", cause, text)
	}
	return errors.New(text)
}

func (t *Teller) look(ctx context.Context, repo string, number int) (sight, error) {
	pull, err := t.Box.Forge.Pull(repo, number)
	if err != nil {
		return sight{}, err
	}
	s := sight{head: pull.HeadSHA, comments: t.Box.Forge.Comments(repo, number), checks: make(map[string]string)}
	if s.events, err = t.View.Events(ctx, repo, number); err != nil {
		return s, fmt.Errorf("asking for events: %w", err)
	}
	if s.pipelines, err = t.View.Pipelines(ctx, repo, number); err != nil {
		return s, fmt.Errorf("asking for pipelines: %w", err)
	}
	for _, status := range t.Box.Forge.Statuses(repo, pull.HeadSHA) {
		s.checks[status.Context] = status.State
	}
	for _, c := range t.Box.Forge.CheckRuns(repo, pull.HeadSHA) {
		s.checks[c.Name] = cmp.Or(c.Conclusion, c.Status)
	}
	for _, p := range s.pipelines {
		t.saw(p)
	}
	return s, nil
}

// saw remembers a pipeline as it was last.
func (t *Teller) saw(p *models.Pipeline) {
	if t.seen == nil {
		t.seen = make(map[int64]*models.Pipeline)
	}
	t.seen[p.ID] = p
}

// event is that of the newest commit, or nil.
func (s sight) event() *models.Event {
	for _, e := range slices.Backward(s.events) {
		if e.Kind == models.PullRequestEvent && e.Commit != nil && e.Commit.SHA == s.head {
			return e
		}
	}
	return nil
}

// hopeless reports whether what differs must remain so: all is decided and
// finished, and not as it should be.
func (want Ending) hopeless(s sight) bool {
	e := s.event()
	if e == nil || e.State == models.EventNew {
		return false
	}
	if want.Event != "" && e.State != want.Event {
		return true
	}
	if len(s.pipelines) > len(want.Pipelines) {
		return true
	}
	for i, p := range s.pipelines {
		if len(want.Pipelines[i].differences(p)) > 0 && p.State.Finished() {
			return true
		}
	}
	return false
}

func (want Ending) differences(s sight) []string {
	var d []string
	differ := func(format string, args ...any) { d = append(d, fmt.Sprintf(format, args...)) }
	e := s.event()
	switch {
	case e == nil:
		differ("no event for commit %.12s has arrived", s.head)
	case want.Event != "" && e.State != want.Event:
		differ("event %d is %s, want %s (%s)", e.ID, e.State, want.Event, cmp.Or(e.Reason, "it gives no reason"))
	case !says(e, want.Reason):
		differ("event %d does not say %q but %q", e.ID, want.Reason, e.Reason)
	}
	if len(s.pipelines) != len(want.Pipelines) {
		differ("there are %d pipelines, want %d", len(s.pipelines), len(want.Pipelines))
	}
	for i, p := range s.pipelines[:min(len(s.pipelines), len(want.Pipelines))] {
		d = append(d, want.Pipelines[i].differences(p)...)
	}
	d = append(d, want.checkDifferences(s)...)
	if want.Comment != "" && !slices.ContainsFunc(s.comments, func(c githubfake.Comment) bool { return strings.Contains(c.Body, want.Comment) }) {
		differ("none of the %d comments says %q", len(s.comments), want.Comment)
	}
	return d
}

func says(e *models.Event, words string) bool {
	return strings.Contains(e.Reason, words) || slices.ContainsFunc(e.Decisions, func(d models.Decision) bool {
		return strings.Contains(d.Reason, words)
	})
}

func (want Ending) checkDifferences(s sight) []string {
	if want.NoChecks && len(s.checks) > 0 {
		return []string{fmt.Sprintf("the forge shows checks (%s), want none", strings.Join(slices.Sorted(maps.Keys(s.checks)), ", "))}
	}
	var d []string
	for _, pattern := range slices.Sorted(maps.Keys(want.Checks)) {
		conclusion, found := want.Checks[pattern], false
		for _, name := range slices.Sorted(maps.Keys(s.checks)) {
			begin, many := strings.CutSuffix(pattern, "*")
			if name != pattern && !(many && strings.HasPrefix(name, begin)) {
				continue
			}
			found = true
			if is := s.checks[name]; is != conclusion {
				d = append(d, fmt.Sprintf("the check %s is %s, want %s", name, is, conclusion))
			}
		}
		if !found {
			d = append(d, fmt.Sprintf("the forge shows no check %s", pattern))
		}
	}
	return d
}

func (want PipelineEnding) differences(p *models.Pipeline) []string {
	var d []string
	if p.State != want.State {
		d = append(d, fmt.Sprintf("pipeline %d is %s, want %s", p.ID, p.State, want.State))
	}
	for _, key := range slices.Sorted(maps.Keys(want.Targets)) {
		step, name, _ := strings.Cut(key, "/")
		target := target(p, step, name)
		switch {
		case target == nil:
			d = append(d, fmt.Sprintf("pipeline %d has no target %s", p.ID, key))
		case target.Run == nil:
			d = append(d, fmt.Sprintf("pipeline %d: the run of %s is not known", p.ID, key))
		case target.Run.State != want.Targets[key]:
			d = append(d, fmt.Sprintf("pipeline %d: %s is %s, want %s (%s)", p.ID, key, target.Run.State, want.Targets[key],
				cmp.Or(target.Run.Reason, "no reason")))
		}
	}
	return d
}

// target finds a target by its step's kind or name, or returns nil.
func target(p *models.Pipeline, step, name string) *models.Target {
	for _, s := range p.Steps {
		if string(s.Kind) != step && s.Name != step {
			continue
		}
		for _, t := range s.Targets {
			if t.Name == name {
				return t
			}
		}
	}
	return nil
}
