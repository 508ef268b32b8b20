package box

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"millrace/clients/git"
	"millrace/clients/github/githubfake"
)

// Scenario is a kind of pull request.
type Scenario string

// The scenarios.
const (
	Passes         Scenario = "passes"
	BreaksBuild    Scenario = "breaks-build"
	BreaksTest     Scenario = "breaks-test"
	BreaksConfig   Scenario = "breaks-config"
	MatchesNothing Scenario = "matches-nothing"
	Conflicts      Scenario = "conflicts"
	WithLabel      Scenario = "with-label"
)

// scenarioInfo is what pages say of a scenario.
type scenarioInfo struct {
	Scenario Scenario
	Button   string
	needs    func(tree) bool
}

var scenarios = []scenarioInfo{
	{Passes, "Should pass", func(tree) bool { return true }},
	{BreaksBuild, "Breaks a build in one chroot", func(t tree) bool {
		return t.spec() != "" && strings.Contains(t.text(t.config()), "copr_build") && t.victim() != ""
	}},
	{BreaksTest, "Breaks a test", func(t tree) bool { return t.test() != "" }},
	{BreaksConfig, "Breaks the config", func(t tree) bool { return strings.Contains(t.text(t.config()), pullTrigger) }},
	{MatchesNothing, "Matches no job", func(t tree) bool { return strings.Contains(t.text(t.config()), pullTrigger) }},
	{Conflicts, "Conflicts with main", func(t tree) bool { return t.text("README.md") != "" }},
	{WithLabel, "Has the label “next”", func(t tree) bool { return strings.Contains(t.text(t.config()), "- "+nextLabel) }},
}

const (
	pullTrigger = "trigger: pull_request"
	nextLabel   = "next"
)

// CannotError says why something cannot be done, for people.
type CannotError struct{ Reason string }

func (e *CannotError) Error() string { return e.Reason }

func cannot(format string, args ...any) error { return &CannotError{fmt.Sprintf(format, args...)} }

// tree is the text files of a commit, as far as scenarios want to know them.
type tree map[string]string

const (
	maxTree = 400       // files that are looked at
	maxText = 256 << 10 // bytes of each
)

// tree reads a branch of a repository.
func (b *Box) tree(ctx context.Context, repo, rev string) (tree, error) {
	bare := b.bare(repo)
	entries, err := bare.LsTree(ctx, rev, "", true)
	if err != nil {
		return nil, err
	}
	t := make(tree)
	for _, e := range entries[:min(len(entries), maxTree)] {
		name := path.Base(e.Path)
		if !strings.HasPrefix(e.Mode, "100") || e.Size > maxText || !wanted(e.Path, name) {
			continue
		}
		text, err := bare.ShowFile(ctx, rev, e.Path, maxText)
		if err != nil {
			return nil, err
		}
		t[e.Path] = string(text)
	}
	return t, nil
}

func wanted(full, name string) bool {
	return strings.HasSuffix(name, ".spec") || slices.Contains(configNames, name) || name == "README.md" ||
		strings.HasSuffix(name, ".sh") && strings.Contains("/"+full, "/tests/")
}

var configNames = []string{".packit.yaml", ".packit.yml", "packit.yaml", "packit.yml"}

func (t tree) text(name string) string { return t[name] }

func (t tree) config() string {
	for _, name := range configNames {
		if _, ok := t[name]; ok {
			return name
		}
	}
	return ""
}

// first is the first file, by name, that fits.
func (t tree) first(fits func(name string) bool) string {
	found := ""
	for name := range t {
		if fits(name) && (found == "" || name < found) {
			found = name
		}
	}
	return found
}

func (t tree) spec() string {
	return t.first(func(name string) bool { return strings.HasSuffix(name, ".spec") })
}

// test is the script of the test whose plan the config names first, or any.
func (t tree) test() string {
	config := t.text(t.config())
	at := func(name string) int {
		return strings.Index(config, "/plans/"+path.Base(path.Dir(name))+"\n")
	}
	found := t.first(func(name string) bool { return strings.HasSuffix(name, ".sh") })
	for name := range t {
		if i := at(name); strings.HasSuffix(name, ".sh") && i >= 0 && (at(found) < 0 || i < at(found)) {
			found = name
		}
	}
	return found
}

// victim is the ending of releases of a chroot that the config names.
func (t tree) victim() string {
	config := t.text(t.config())
	for _, v := range []struct{ target, dist string }{
		{"fedora-44", "fc44"}, {"fedora-43", "fc43"}, {"fedora-rawhide", "fc45"}, {"epel-10", "el10"}, {"epel-9", "el9"},
	} {
		if strings.Contains(config, "- "+v.target) {
			return v.dist
		}
	}
	return ""
}

// draft is a pull request before it is one.
type draft struct {
	title, body, branch string
	files               map[string]string
	label               string
	meanwhile           map[string]string // what changes on the base branch
}

// contributors open the pull requests of the box.
var contributors = []string{"ines-moreau", "tomasz-wilk", "chidi-obi", "yuki-tanaka", "rosa-lindqvist"}

// topics are what harmless pull requests are about.
var topics = []struct{ title, slug, text string }{
	{"Explain how to run it in a container", "containers", "Mount what it shall read, and nothing else."},
	{"Describe the exit status", "exit-status", "0 means yes, 1 means no, and 2 that the question was wrong."},
	{"Say where bugs are to be reported", "bugs", "In the issues of this repository, with the output of --version."},
	{"Add notes for packagers", "packagers", "It needs bash, and nothing else."},
	{"List the shells it was tried with", "shells", "Bash 5.1 and newer."},
	{"Add an example for beginners", "first-steps", "Run it with your name, then without."},
	{"Thank those who translated it", "thanks", "To everybody who found better words."},
	{"Write down how releases are made", "releases", "Set the version, tag, and tell the others."},
}

// draft makes up the nth pull request of a scenario out of what is there.
func (s Scenario) draft(t tree, n int) (draft, error) {
	i := slices.IndexFunc(scenarios, func(i scenarioInfo) bool { return i.Scenario == s })
	if i < 0 {
		return draft{}, cannot("There is no kind of pull request called %q.", s)
	}
	if !scenarios[i].needs(t) {
		return draft{}, cannot("This repository has not what such a pull request would change.")
	}
	config, spec, test := t.config(), t.spec(), t.test()
	switch s {
	case BreaksBuild:
		dist := t.victim()
		line := breakage(dist, fmt.Sprintf("%s: readarray -d is not known to the shell of %s", strings.TrimSuffix(path.Base(spec), ".spec"), dist))
		return draft{title: "Read names with readarray -d", branch: fmt.Sprintf("readarray-%d", n),
			body:  "Names may contain line feeds. New shells have an option for that.",
			files: map[string]string{spec: insertAfter(t[spec], "%build\n", line+"\n")}}, nil
	case BreaksTest:
		return draft{title: "Greet in the language of the user", branch: fmt.Sprintf("languages-%d", n),
			body:  "Not all tests have been told of it yet.",
			files: map[string]string{test: t[test] + "echo \"there is no translation for this language\" >&2\nexit 1\n"}}, nil
	case BreaksConfig:
		return draft{title: "Build all pull requests", branch: fmt.Sprintf("all-pulls-%d", n), body: "The plural should do it.",
			files: map[string]string{config: strings.Replace(t[config], pullTrigger, pullTrigger+"s", 1)}}, nil
	case MatchesNothing:
		return draft{title: "Build releases only", branch: fmt.Sprintf("releases-only-%d", n), body: "To save some work.",
			files: map[string]string{config: strings.ReplaceAll(t[config], pullTrigger, "trigger: release")}}, nil
	case Conflicts:
		return draft{title: "Find a better headline", branch: fmt.Sprintf("headline-%d", n), body: "The old one said little.",
			files:     map[string]string{"README.md": headline(t["README.md"], fmt.Sprintf("A small program, part %d", n))},
			meanwhile: map[string]string{"README.md": headline(t["README.md"], fmt.Sprintf("Something else, revision %d", n))}}, nil
	}
	topic := topics[n%len(topics)]
	d := draft{title: topic.title, branch: fmt.Sprintf("%s-%d", topic.slug, n), body: "Somebody asked for it.",
		files: map[string]string{fmt.Sprintf("docs/%s-%d.md", topic.slug, n): "# " + topic.title + "\n\n" + topic.text + "\n"}}
	if s == WithLabel {
		d.label = nextLabel
	}
	return d, nil
}

func insertAfter(text, mark, line string) string {
	before, after, found := strings.Cut(text, mark)
	if !found {
		return text + "\n" + mark + line
	}
	return before + mark + line + after
}

func headline(text, words string) string {
	_, rest, _ := strings.Cut(text, "\n")
	return "# " + words + "\n" + rest
}

// repository finds a repository of the forge.
func (b *Box) repository(fullName string) (githubfake.Repo, error) {
	for _, r := range b.Forge.Repos() {
		if strings.EqualFold(r.FullName(), fullName) {
			return r, nil
		}
	}
	return githubfake.Repo{}, fmt.Errorf("repository %s: %w", fullName, githubfake.ErrNotFound)
}

// Open opens a pull request from the fork of a contributor. The error is a
// *CannotError if the repository is not fit for it.
func (b *Box) Open(ctx context.Context, repo string, s Scenario) (githubfake.Pull, error) {
	r, err := b.repository(repo)
	if err != nil {
		return githubfake.Pull{}, err
	}
	if r.ForkOf != "" {
		return githubfake.Pull{}, cannot("This is a fork. Pull requests are opened at %s.", r.ForkOf)
	}
	n, err := b.next("pull")
	if err != nil {
		return githubfake.Pull{}, err
	}
	who := contributors[n%len(contributors)]
	fork, err := b.Forge.Fork(ctx, r.FullName(), who)
	if err != nil {
		return githubfake.Pull{}, fmt.Errorf("forking %s: %w", repo, err)
	}
	t, err := b.tree(ctx, fork.FullName(), "refs/heads/"+fork.DefaultBranch)
	if err != nil {
		return githubfake.Pull{}, fmt.Errorf("reading %s: %w", fork.FullName(), err)
	}
	d, err := s.draft(t, n)
	if err != nil {
		return githubfake.Pull{}, err
	}
	if _, err := b.Forge.Commit(ctx, fork.FullName(), githubfake.Change{Branch: d.branch, Author: who, Message: d.title + "\n\n" + d.body, Files: d.files}); err != nil {
		return githubfake.Pull{}, fmt.Errorf("committing to %s: %w", fork.FullName(), err)
	}
	if d.meanwhile != nil {
		change := githubfake.Change{Message: "Change the headline", Author: maintainers[r.Owner], Files: d.meanwhile}
		if _, err := b.Forge.Commit(ctx, r.FullName(), change); err != nil {
			return githubfake.Pull{}, fmt.Errorf("committing to %s: %w", repo, err)
		}
	}
	p, err := b.Forge.OpenPull(ctx, r.FullName(), githubfake.NewPull{Title: d.title, Body: d.body, Head: who + ":" + d.branch, Author: who})
	if err != nil || d.label == "" {
		return p, err
	}
	// Labels that come with a new pull request are in its first webhook on
	// GitHub. Here the label follows at once, and is there when it is asked for.
	return b.Forge.LabelPull(r.FullName(), p.Number, d.label, maintainers[r.Owner])
}

// Push adds a commit to a pull request that is open.
func (b *Box) Push(ctx context.Context, repo string, number int) (sha string, err error) {
	p, err := b.Forge.Pull(repo, number)
	if err != nil {
		return "", err
	}
	if p.State != "open" {
		return "", cannot("Pull request %d is closed.", number)
	}
	n, err := b.next("push")
	if err != nil {
		return "", err
	}
	topic := topics[n%len(topics)]
	return b.Forge.Commit(ctx, p.HeadRepo, githubfake.Change{
		Branch: p.HeadBranch, Author: p.Author, Message: fmt.Sprintf("Answer the review, part %d", n),
		Files: map[string]string{fmt.Sprintf("docs/review-%d.md", n): topic.text + "\n"},
	})
}

var pullNumber = regexp.MustCompile(`^[1-9][0-9]{0,8}$`)

// notThere reports whether an error says that something does not exist.
func notThere(err error) bool {
	return errors.Is(err, githubfake.ErrNotFound) || errors.Is(err, git.ErrNotFound) || errors.Is(err, git.ErrBadName)
}
