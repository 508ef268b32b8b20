package box

import (
	"context"
	"fmt"
	"time"

	"millrace/models"
)

// Stories lists all stories.
func Stories() []Story {
	return append([]Story{
		{"passes", "A pull request is built in three chroots, and tested in each as soon as it is built there.", playPasses},
		{"chroot-fails", "A pull request cannot be built in one chroot; only the tests there are skipped.", playChrootFails},
		{"test-fails", "A pull request is built everywhere, but a test says no.", playTestFails},
		{"config-invalid", "A pull request breaks the package config; its author is told where.", playConfigInvalid},
		{"nothing-matches", "The package config has no job for pull requests; the event says so.", playNothingMatches},
		{"push-supersedes", "A second push while the first is being built; the first pipeline is stopped.", playPushSupersedes},
		{"rerun-by-comment", "Everything passes; a comment to repeat what failed is answered, and one to test again makes the next attempt.", playRerunByComment},
		{"newcomer-approved", "Somebody whom nobody knows installs the App, proves with a comment who they are, and their pull request goes on.", playNewcomer},
		{"copr-outage", "Copr is down for a while and its messages are lost; everything passes all the same.", playCoprOutage},
	}, releaseStories...)
}

// StoryNamed finds a story.
func StoryNamed(name string) (Story, bool) {
	for _, s := range Stories() {
		if s.Name == name {
			return s, true
		}
	}
	return Story{}, false
}

const (
	hello    = "packit/hello-world"
	cauldron = "osbuild-demo/cauldron"
	windmill = "windmill-club/windmill"
)

// all gives the same state to a list of targets.
func all(state models.State, targets ...string) map[string]models.State {
	m := make(map[string]models.State)
	for _, t := range targets {
		m[t] = state
	}
	return m
}

// with returns more, and what of base it does not change.
func with(base, more map[string]models.State) map[string]models.State {
	m := make(map[string]models.State)
	for k, v := range base {
		m[k] = v
	}
	for k, v := range more {
		m[k] = v
	}
	return m
}

var helloPasses = all(models.Passed, "srpm/source",
	"copr_build/fedora-43-x86_64", "copr_build/fedora-44-x86_64", "copr_build/fedora-rawhide-x86_64",
	"tests/fedora-43-x86_64", "tests/fedora-44-x86_64", "tests/fedora-rawhide-x86_64")

func (t *Teller) open(ctx context.Context, repo string, s Scenario) (int, error) {
	p, err := t.Box.Open(ctx, repo, s)
	if err != nil {
		return 0, err
	}
	t.say("%s opens pull request %d of %s: %s", p.Author, p.Number, repo, p.Title)
	return p.Number, nil
}

func (t *Teller) tell(ctx context.Context, repo string, s Scenario, want Ending) error {
	number, err := t.open(ctx, repo, s)
	if err != nil {
		return err
	}
	return t.Expect(ctx, repo, number, want)
}

func playPasses(ctx context.Context, t *Teller) error {
	return t.tell(ctx, hello, Passes, Ending{
		Event:     models.EventPlanned,
		Pipelines: []PipelineEnding{{models.Passed, helloPasses}},
		Checks:    map[string]string{"rpm-build:fedora-*": "success", "testing-farm:fedora-*": "success"},
	})
}

func playChrootFails(ctx context.Context, t *Teller) error {
	return t.tell(ctx, cauldron, Passes, Ending{
		Event: models.EventPlanned,
		Pipelines: []PipelineEnding{{models.Failed, with(
			all(models.Passed, "srpm/source", "copr_build/fedora-44-x86_64", "copr_build/fedora-rawhide-x86_64",
				"tests/fedora-44-x86_64", "tests/fedora-rawhide-x86_64"),
			map[string]models.State{"copr_build/epel-9-x86_64": models.Failed, "tests/centos-stream-9-x86_64": models.Skipped},
		)}},
		Checks: map[string]string{"rpm-build:fedora-*": "success", "testing-farm:fedora-*": "success", "rpm-build:epel-9-x86_64": "failure"},
	})
}

func playTestFails(ctx context.Context, t *Teller) error {
	tests := all(models.Failed, "tests/fedora-43-x86_64", "tests/fedora-44-x86_64", "tests/fedora-rawhide-x86_64")
	return t.tell(ctx, hello, BreaksTest, Ending{
		Event:     models.EventPlanned,
		Pipelines: []PipelineEnding{{models.Failed, with(helloPasses, tests)}},
		Checks:    map[string]string{"rpm-build:fedora-*": "success", "testing-farm:fedora-*": "failure"},
	})
}

func playConfigInvalid(ctx context.Context, t *Teller) error {
	return t.tell(ctx, hello, BreaksConfig, Ending{Event: models.EventRefused, Reason: "pull_request", NoChecks: true, Comment: "pull_request"})
}

func playNothingMatches(ctx context.Context, t *Teller) error {
	return t.tell(ctx, hello, MatchesNothing, Ending{Event: models.EventNothing, Reason: "a release", NoChecks: true})
}

func playPushSupersedes(ctx context.Context, t *Teller) error {
	number, err := t.open(ctx, hello, Passes)
	if err != nil {
		return err
	}
	err = t.Reach(ctx, hello, number, "it has begun", func(p *models.Pipeline) bool { return p.State == models.Running })
	if err != nil {
		return err
	}
	sha, err := t.Box.Push(ctx, hello, number)
	if err != nil {
		return err
	}
	t.say("a push makes %.12s the head of pull request %d", sha, number)
	return t.Expect(ctx, hello, number, Ending{
		Event:     models.EventPlanned,
		Pipelines: []PipelineEnding{{State: models.Superseded}, {models.Passed, helloPasses}},
		Checks:    map[string]string{"rpm-build:fedora-*": "success", "testing-farm:fedora-*": "success"},
	})
}

// comment writes below a pull request as somebody.
func (t *Teller) comment(repo string, number int, who, text string) error {
	t.say("%s writes below #%d of %s: %s", who, number, repo, text)
	_, err := t.Box.Forge.Comment(repo, number, who, text)
	return err
}

func playRerunByComment(ctx context.Context, t *Teller) error {
	number, err := t.open(ctx, hello, Passes)
	if err != nil {
		return err
	}
	want := Ending{
		Event: models.EventPlanned, Pipelines: []PipelineEnding{{models.Passed, helloPasses}},
		Checks: map[string]string{"rpm-build:fedora-*": "success", "testing-farm:fedora-*": "success"},
	}
	if err := t.Expect(ctx, hello, number, want); err != nil {
		return err
	}
	if err := t.comment(hello, number, visitor, "/packit rebuild-failed"); err != nil {
		return err
	}
	want.Comment = "No build of this commit has failed. So nothing was started."
	if err := t.Expect(ctx, hello, number, want); err != nil {
		return err
	}
	if err := t.comment(hello, number, visitor, "Once more, please.\n/packit test"); err != nil {
		return err
	}
	want.Pipelines = append(want.Pipelines, PipelineEnding{models.Passed, helloPasses})
	return t.Expect(ctx, hello, number, want)
}

func playCoprOutage(ctx context.Context, t *Teller) error {
	// The messages are lost to the end of the story, so that only asking helps.
	if err := t.Box.Trouble(BusLoses, time.Hour); err != nil {
		return err
	}
	defer t.Box.Trouble(BusLoses, -1) // it exists
	number, err := t.open(ctx, hello, Passes)
	if err != nil {
		return err
	}
	err = t.Reach(ctx, hello, number, "it has begun", func(p *models.Pipeline) bool { return p.State == models.Running })
	if err != nil {
		return err
	}
	if err := t.Box.Trouble(CoprDown, 0); err != nil {
		return err
	}
	until, ok := t.Box.Troubles()[CoprDown]
	if !ok {
		return fmt.Errorf("copr is not down")
	}
	t.say("Copr is down until %s, and the bus loses messages", until.Format(time.TimeOnly))
	return t.Expect(ctx, hello, number, Ending{
		Event:     models.EventPlanned,
		Pipelines: []PipelineEnding{{models.Passed, helloPasses}},
		Checks:    map[string]string{"rpm-build:fedora-*": "success", "testing-farm:fedora-*": "success"},
	})
}
