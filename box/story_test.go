package box

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/clients/git/fakeforge"
	"millrace/clients/github"
	"millrace/models"
)

func repoNamed(fullName string) github.Repo {
	owner, name, _ := strings.Cut(fullName, "/")
	return github.Repo{Owner: owner, Name: name}
}

// scripted is a service that makes of each commit of a pull request what a test
// says, and reports it.
type scripted struct {
	box   *Box
	forge *github.Client
	// plays returns the event of the n-th commit and its pipeline, if any, on
	// the given look at it, and what is said at the forge.
	plays func(n, look int) (*models.Event, *models.Pipeline, outcome)

	mu    sync.Mutex
	shas  []string
	looks map[string]int
	said  map[string]bool
	fail  error
}

type outcome struct {
	checks  map[string]string
	comment string
}

func (s *scripted) see(ctx context.Context, repo string, number int) ([]*models.Event, []*models.Pipeline, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, nil, s.fail
	}
	p, err := s.box.Forge.Pull(repo, number)
	if err != nil {
		return nil, nil, err
	}
	if len(s.shas) == 0 || s.shas[len(s.shas)-1] != p.HeadSHA {
		s.shas = append(s.shas, p.HeadSHA)
	}
	var events []*models.Event
	var pipelines []*models.Pipeline
	for n, sha := range s.shas {
		s.looks[sha]++
		e, g, said := s.plays(n, s.looks[sha])
		if e != nil {
			e.ID, e.Kind, e.Commit = int64(n+1), models.PullRequestEvent, &models.Commit{SHA: sha}
			events = append(events, e)
		}
		if g != nil {
			g.ID, g.Kind, g.Ref, g.SHA = int64(100+n), models.PullRequestRef, strconv.Itoa(number), sha
			pipelines = append(pipelines, g)
		}
		if err := s.report(ctx, repo, number, sha, said); err != nil {
			return nil, nil, err
		}
	}
	for _, c := range s.box.Forge.Comments(repo, number) {
		switch {
		case strings.HasSuffix(c.Body, "/packit rebuild-failed"):
			if err := s.report(ctx, repo, number, "answer", outcome{comment: "No build of this commit has failed. So nothing was started."}); err != nil {
				return nil, nil, err
			}
		case strings.HasSuffix(c.Body, "/packit test") && len(pipelines) > 0:
			again := *pipelines[len(pipelines)-1]
			again.ID += 100
			pipelines = append(pipelines, &again)
		}
	}
	return events, pipelines, s.verify(ctx)
}

// verify answers those who prove who they are: the first is not believed.
func (s *scripted) verify(ctx context.Context) error {
	asked := 0
	for _, c := range s.box.Forge.Comments(notifications, 1) {
		if !strings.HasSuffix(c.Body, "verify-fas nils") {
			continue
		}
		asked++
		if p, _ := s.box.People.Person("nils"); p.GitHub != "" && asked > 1 {
			return s.forge.CloseIssue(ctx, repoNamed(notifications), 1)
		}
	}
	if asked == 0 || s.said["verify"] {
		return nil
	}
	s.said["verify"] = true
	_, err := s.forge.CreateComment(ctx, repoNamed(notifications), 1, "The Fedora account nils names no GitHub username.")
	return err
}

func (s *scripted) report(ctx context.Context, repo string, number int, sha string, said outcome) error {
	for name, conclusion := range said.checks {
		if s.said[sha+name] {
			continue
		}
		s.said[sha+name] = true
		if _, err := s.forge.CreateCheckRun(ctx, repoNamed(repo), github.CheckRun{Name: name, HeadSHA: sha, Status: github.Completed,
			Conclusion: conclusion, Title: "so it is", Summary: "so it is", DetailsURL: "http://127.0.0.1/runs/1"}); err != nil {
			return err
		}
	}
	if said.comment == "" || s.said[sha] {
		return nil
	}
	s.said[sha] = true
	_, err := s.forge.CreateComment(ctx, repoNamed(repo), number, said.comment)
	return err
}

func (s *scripted) Pipelines(ctx context.Context, repo string, number int) ([]*models.Pipeline, error) {
	_, pipelines, err := s.see(ctx, repo, number)
	return pipelines, err
}

func (s *scripted) Events(ctx context.Context, repo string, number int) ([]*models.Event, error) {
	events, _, err := s.see(ctx, repo, number)
	return events, err
}

// pipeline makes one out of states by step and target.
func pipeline(state models.State, targets map[string]models.State) *models.Pipeline {
	p := &models.Pipeline{State: state}
	steps := map[string]*models.Step{}
	for key, state := range targets {
		kind, name, _ := strings.Cut(key, "/")
		step := steps[kind]
		if step == nil {
			step = &models.Step{Kind: models.StepKind(kind), Name: kind}
			steps[kind] = step
			p.Steps = append(p.Steps, step)
		}
		step.Targets = append(step.Targets, &models.Target{Name: name, Run: &models.Run{State: state, Reason: "it is " + string(state)}})
	}
	return p
}

var cauldronFails = with(
	all(models.Passed, "srpm/source", "copr_build/fedora-44-x86_64", "copr_build/fedora-rawhide-x86_64", "tests/fedora-44-x86_64", "tests/fedora-rawhide-x86_64"),
	map[string]models.State{"copr_build/epel-9-x86_64": models.Failed, "tests/centos-stream-9-x86_64": models.Skipped})

func checksOf(build, tests string) map[string]string {
	m := map[string]string{}
	for _, chroot := range []string{"fedora-43-x86_64", "fedora-44-x86_64", "fedora-rawhide-x86_64"} {
		m["rpm-build:"+chroot], m["testing-farm:"+chroot] = build, tests
	}
	return m
}

// goods are services that do what the stories say, after a while.
var goods = map[string]func(n, look int) (*models.Event, *models.Pipeline, outcome){
	"passes": func(_, look int) (*models.Event, *models.Pipeline, outcome) {
		switch {
		case look < 3:
			return nil, nil, outcome{}
		case look < 6:
			return &models.Event{State: models.EventPlanned}, pipeline(models.Running, with(helloPasses, all(models.Running, "srpm/source"))), outcome{}
		}
		return &models.Event{State: models.EventPlanned}, pipeline(models.Passed, helloPasses), outcome{checks: checksOf("success", "success")}
	},
	"chroot-fails": func(_, look int) (*models.Event, *models.Pipeline, outcome) {
		checks := checksOf("success", "success")
		checks["rpm-build:epel-9-x86_64"] = "failure"
		return &models.Event{State: models.EventPlanned}, pipeline(models.Failed, cauldronFails), outcome{checks: checks}
	},
	"test-fails": func(_, look int) (*models.Event, *models.Pipeline, outcome) {
		tests := all(models.Failed, "tests/fedora-43-x86_64", "tests/fedora-44-x86_64", "tests/fedora-rawhide-x86_64")
		return &models.Event{State: models.EventPlanned}, pipeline(models.Failed, with(helloPasses, tests)), outcome{checks: checksOf("success", "failure")}
	},
	"config-invalid": func(_, look int) (*models.Event, *models.Pipeline, outcome) {
		e := &models.Event{State: models.EventRefused, Reason: "The package config has 1 mistake.",
			Decisions: []models.Decision{{JobIndex: -1, Reason: ".packit.yaml:8:12: there is no trigger pull_requests"}}}
		return e, nil, outcome{comment: "There is no trigger pull_requests."}
	},
	"nothing-matches": func(_, look int) (*models.Event, *models.Pipeline, outcome) {
		return &models.Event{State: models.EventNothing, Decisions: []models.Decision{{Reason: "It waits for a release."}}}, nil, outcome{}
	},
	"push-supersedes": func(n, look int) (*models.Event, *models.Pipeline, outcome) {
		state, said := models.Running, outcome{}
		switch {
		case n == 1 && look > 3:
			state, said = models.Passed, outcome{checks: checksOf("success", "success")}
		case n == 0 && look > 9:
			state = models.Superseded
		}
		return &models.Event{State: models.EventPlanned}, pipeline(state, helloPasses), said
	},
	"rerun-by-comment": func(_, look int) (*models.Event, *models.Pipeline, outcome) {
		return &models.Event{State: models.EventPlanned}, pipeline(models.Passed, helloPasses), outcome{checks: checksOf("success", "success")}
	},
	"newcomer-approved": func(_, look int) (*models.Event, *models.Pipeline, outcome) {
		if look < 9 {
			return &models.Event{State: models.EventRefused, Reason: "Write `verify-fas ACCOUNT` there."}, nil, outcome{}
		}
		return &models.Event{State: models.EventPlanned}, pipeline(models.Passed, all(models.Passed, "srpm/source", "copr_build/fedora-44-x86_64")),
			outcome{checks: map[string]string{"rpm-build:fedora-44-x86_64": "success"}}
	},
	"copr-outage": func(_, look int) (*models.Event, *models.Pipeline, outcome) {
		if look < 9 {
			return &models.Event{State: models.EventPlanned}, pipeline(models.Running, helloPasses), outcome{}
		}
		return &models.Event{State: models.EventPlanned}, pipeline(models.Passed, helloPasses), outcome{checks: checksOf("success", "success")}
	},
}

func newTeller(t *testing.T, plays func(n, look int) (*models.Event, *models.Pipeline, outcome)) (*Teller, *scripted) {
	b, _ := newBox(t)
	_, _, forge := clients(b)
	if _, err := forge.CreateIssue(t.Context(), repoNamed(notifications), "Organization windmill-club needs to be approved.", "Say who you are."); err != nil {
		t.Fatal(err)
	}
	s := &scripted{box: b, forge: forge, plays: plays, looks: map[string]int{}, said: map[string]bool{}}
	return &Teller{Box: b, View: s, Patience: time.Minute, Every: 5 * time.Millisecond, Say: t.Logf}, s
}

// Every story ends well if the service does what it says.
func TestStories(t *testing.T) {
	t.Parallel()
	for _, story := range Stories() {
		t.Run(story.Name, func(t *testing.T) {
			t.Parallel()
			if found, ok := StoryNamed(story.Name); !ok || found.Summary != story.Summary || !strings.HasSuffix(story.Summary, ".") {
				t.Errorf("the story is not found by its name, or has no sentence: %q", story.Summary)
			}
			if slices.ContainsFunc(releaseStories, func(r Story) bool { return r.Name == story.Name }) {
				return // the command's tests play them with the service itself
			}
			teller, _ := newTeller(t, goods[story.Name])
			if err := story.Play(t.Context(), teller); err != nil {
				t.Fatal(err)
			}
			if len(teller.Box.Troubles()) > 0 && story.Name != "copr-outage" {
				t.Errorf("it leaves troubles behind: %v", teller.Box.Troubles())
			}
			_, planned, _ := goods[story.Name](0, 99)
			if got := len(teller.Pipelines()); (got > 0) != (planned != nil) {
				t.Errorf("%d pipelines were seen", got)
			}
		})
	}
	if _, ok := StoryNamed("none"); ok {
		t.Error("there is a story called none")
	}
}

// A story that goes otherwise is told as different, and in which way.
func TestStoriesThatGoWrong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, story string
		plays       func(n, look int) (*models.Event, *models.Pipeline, outcome)
		patience    time.Duration
		words       []string
	}{
		{"nothing happens", "passes", func(_, _ int) (*models.Event, *models.Pipeline, outcome) { return nil, nil, outcome{} },
			1500 * time.Millisecond, []string{"patience is over", "no event for commit", "there are 0 pipelines, want 1", "no check rpm-build:fedora-*"}},
		{"a target fails", "passes", func(_, _ int) (*models.Event, *models.Pipeline, outcome) {
			states := with(helloPasses, map[string]models.State{"copr_build/fedora-43-x86_64": models.Failed})
			return &models.Event{State: models.EventPlanned}, pipeline(models.Failed, states), outcome{checks: checksOf("success", "success")}
		}, 0, []string{"pipeline 100 is failed, want passed", "copr_build/fedora-43-x86_64 is failed, want passed (it is failed)"}},
		{"everything passes", "chroot-fails", goods["passes"], 0, []string{"pipeline 100 is passed, want failed", "has no target copr_build/epel-9-x86_64"}},
		{"a check is wrong", "passes", func(_, _ int) (*models.Event, *models.Pipeline, outcome) {
			return &models.Event{State: models.EventPlanned}, pipeline(models.Passed, helloPasses), outcome{checks: checksOf("success", "failure")}
		}, 1500 * time.Millisecond, []string{"the check testing-farm:fedora-43-x86_64 is failure, want success"}},
		{"it is refused", "passes", func(_, _ int) (*models.Event, *models.Pipeline, outcome) {
			return &models.Event{State: models.EventRefused, Reason: "You are a stranger."}, nil, outcome{}
		}, 0, []string{"event 1 is refused, want planned (You are a stranger.)"}},
		{"the reason is missing", "nothing-matches", func(_, _ int) (*models.Event, *models.Pipeline, outcome) {
			return &models.Event{State: models.EventNothing, Reason: "So it is."}, nil, outcome{}
		}, 1500 * time.Millisecond, []string{`does not say "a release" but "So it is."`}},
		{"there are checks", "nothing-matches", func(_, _ int) (*models.Event, *models.Pipeline, outcome) {
			return &models.Event{State: models.EventNothing, Reason: "a release"}, nil, outcome{checks: map[string]string{"x": "neutral"}}
		}, 1500 * time.Millisecond, []string{"the forge shows checks (x), want none"}},
		{"no comment", "config-invalid", func(_, _ int) (*models.Event, *models.Pipeline, outcome) {
			return &models.Event{State: models.EventRefused, Reason: "pull_requests"}, nil, outcome{}
		}, 1500 * time.Millisecond, []string{`none of the 0 comments says "pull_request"`}},
		{"it is over before the push", "push-supersedes", func(_, _ int) (*models.Event, *models.Pipeline, outcome) {
			return &models.Event{State: models.EventPlanned}, pipeline(models.Passed, helloPasses), outcome{}
		}, 0, []string{"has not come to this: it has begun"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			teller, _ := newTeller(t, test.plays)
			began := time.Now()
			if test.patience > 0 {
				teller.Patience = test.patience
			}
			story, _ := StoryNamed(test.story)
			err := story.Play(t.Context(), teller)
			if err == nil {
				t.Fatal("the story ended well")
			}
			for _, words := range test.words {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("error %q does not say %q", err, words)
				}
			}
			if test.patience == 0 && time.Since(began) > teller.Patience/2 {
				t.Error("it waited although nothing could change")
			}
		})
	}
}

func TestTellerStopsAtErrors(t *testing.T) {
	t.Parallel()
	teller, s := newTeller(t, goods["passes"])
	s.fail = errors.New("the database is gone")
	story, _ := StoryNamed("passes")
	if err := story.Play(t.Context(), teller); err == nil || !strings.Contains(err.Error(), "the database is gone") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.fail = nil
	if err := teller.Expect(ctx, hello, 1, Ending{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want a canceled context", err)
	}
}

// By itself the box does always the same, once.
func TestAmbient(t *testing.T) {
	t.Parallel()
	s := newService(t)
	dir := seeded(t)
	quick := func(o *Options) { o.Ambient, o.Pace = true, FastPace; o.Pace.Stroll = time.Millisecond }
	// Something is proposed to two branches, of which one is merged by itself.
	b := open(t, dir, nil, nil)
	for _, branch := range []string{"rawhide", "f43"} {
		_, err := b.Packages.Commit(t.Context(), "rpms/hello-world", fakeforge.Change{Branch: "update-" + branch, From: branch, Message: "Update", Files: map[string]string{"news": branch}})
		if err == nil {
			_, err = b.Packages.OpenPull(t.Context(), "rpms/hello-world", fakeforge.NewPull{Title: "Update", Author: "maren", Branch: branch, HeadBranch: "update-" + branch})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	before := len(b.Forge.Releases("packit/hello-world"))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir, s, quick)
	opened := func() string {
		var all []string
		for _, r := range b.Forge.Repos() {
			if r.ForkOf == "" {
				for _, p := range b.Forge.Pulls(r.FullName()) {
					all = append(all, fmt.Sprintf("%s %d %s", r.FullName(), p.Number, p.Author))
				}
			}
		}
		return strings.Join(all, "\n")
	}
	done := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.state.Ambient == len(ambient)
	}
	until(t, "everything is done", done)
	want := "fedora-crafts/loom 1 yuki-tanaka\nmill/monorepo 1 rosa-lindqvist\nosbuild-demo/cauldron 1 chidi-obi\n" +
		"packit/hello-world 1 tomasz-wilk\nwindmill-club/windmill 1 ines-moreau"
	if got := opened(); got != want {
		t.Errorf("opened\n%s\nwant\n%s", got, want)
	}
	if got := b.Forge.Releases("packit/hello-world"); len(got) != before+1 {
		t.Errorf("there are %d releases, want one more than the %d of before", len(got), before)
	}
	ends := func() string {
		var all []string
		pulls, err := b.Packages.Pulls("rpms/hello-world")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pulls {
			all = append(all, fmt.Sprintf("%s %s", p.Branch, p.State))
		}
		slices.Sort(all)
		return strings.Join(all, ", ")
	}
	if got := ends(); got != "f43 Open, rawhide Merged" {
		t.Errorf("what was proposed is %s", got)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir, s, quick)
	if !b.awaitService(t.Context()) {
		t.Fatal("the service is not seen")
	}
	time.Sleep(100 * time.Millisecond) // in which nothing is to happen
	if got := opened(); got != want {
		t.Errorf("opened again\n%s\nwant\n%s", got, want)
	}
}
