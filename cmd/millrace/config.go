package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"millrace/clients/bodhi"
	"millrace/models"
	"millrace/models/packageconfig"
)

const configUsage = `Usage:
  millrace config check [--json] [--repo-name NAME] [--repo-file F]... FILE
  millrace config aliases --releases FILE.json [--default-branch NAME] [NAME...]

check reads a package config as the service would, and says what is wrong with
it or what it makes us do. FILE may be - for standard input. If FILE stands at
the top of a git checkout, the name of the repository and its files are taken
from there; --repo-name and --repo-file say otherwise.

aliases expands branch and chroot aliases over a snapshot of Bodhi's releases.
`

// configCommand is `millrace config`.
func configCommand(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		io.WriteString(stderr, configUsage)
		return 2
	}
	switch args[0] {
	case "check":
		return configCheck(args[1:], stdout, stderr)
	case "aliases":
		return configAliases(args[1:], stdout, stderr)
	case "help", "-h", "--help":
		io.WriteString(stdout, configUsage)
		return 0
	}
	fmt.Fprintf(stderr, "millrace: there is no command \"config %s\"\n\n%s", args[0], configUsage)
	return 2
}

type listFlag []string

func (l *listFlag) String() string     { return strings.Join(*l, ",") }
func (l *listFlag) Set(s string) error { *l = append(*l, s); return nil }

// configFlags parses args, in which flags may stand behind words, and returns
// the words. code is the exit status to leave with, or -1.
func configFlags(f *flag.FlagSet, args []string, stdout, stderr io.Writer) (words []string, code int) {
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	for {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				io.WriteString(stdout, configUsage)
				return nil, 0
			}
			fmt.Fprintf(stderr, "millrace config %s: %v\n\n%s", f.Name(), err, configUsage)
			return nil, 2
		}
		rest := f.Args()
		if len(rest) == 0 {
			return words, -1
		}
		if n := len(args) - len(rest); n > 0 && args[n-1] == "--" {
			return append(words, rest...), -1
		}
		words, args = append(words, rest[0]), rest[1:]
	}
}

func configCheck(args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("check", flag.ContinueOnError)
	asJSON := f.Bool("json", false, "")
	repoName := f.String("repo-name", "", "")
	var repoFiles listFlag
	f.Var(&repoFiles, "repo-file", "")
	words, code := configFlags(f, args, stdout, stderr)
	if code >= 0 {
		return code
	}
	if len(words) != 1 {
		fmt.Fprintf(stderr, "millrace config check: one FILE is needed\n\n%s", configUsage)
		return 2
	}
	file := words[0]
	text, err := readInput(file, packageconfig.MaxSize)
	if err != nil {
		fmt.Fprintf(stderr, "millrace config check: %v\n", err)
		return 2
	}
	opts := packageconfig.Options{RepoName: *repoName, RepoFiles: repoFiles}
	if file != "-" {
		opts.FileName = filepath.Base(file)
		fromCheckout(file, &opts)
	}
	config, err := packageconfig.Parse(text, opts)
	mistakes, wrong := packageconfig.AsErrors(err)
	switch {
	case err != nil && !wrong:
		fmt.Fprintf(stderr, "millrace config check: %v\n", err)
		return 1
	case *asJSON:
		return printConfigJSON(stdout, stderr, config, mistakes)
	}
	if file == "-" {
		file = "standard input"
	}
	var out strings.Builder
	printConfig(&out, file, config, mistakes)
	if _, err := io.WriteString(stdout, printable(out.String())); err != nil || wrong {
		return 1
	}
	return 0
}

// printable replaces what would steer a terminal: the file is anybody's.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// readInput reads a file, or standard input for "-", of which it takes a little
// more than limit bytes: enough for its parser to see that it is too large.
func readInput(file string, limit int64) ([]byte, error) {
	from := os.Stdin
	if file != "-" {
		var err error
		if from, err = os.Open(file); err != nil {
			return nil, err
		}
		defer from.Close()
	}
	text, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return text, nil
}

// maxRepoFiles is how many files of a checkout are looked at.
const maxRepoFiles = 50_000

// fromCheckout fills in what opts do not say yet if file stands at the top of a
// git checkout.
func fromCheckout(file string, opts *packageconfig.Options) {
	top, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return
	}
	if _, err := os.Lstat(filepath.Join(top, ".git")); err != nil {
		return
	}
	if opts.RepoName == "" {
		opts.RepoName = filepath.Base(top)
	}
	if len(opts.RepoFiles) > 0 {
		return
	}
	// What cannot be read is not there for us.
	_ = fs.WalkDir(os.DirFS(top), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && d != nil && d.IsDir():
			return fs.SkipDir
		case err != nil:
			return nil
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case len(opts.RepoFiles) >= maxRepoFiles:
			return fs.SkipAll
		case !d.IsDir():
			opts.RepoFiles = append(opts.RepoFiles, path)
		}
		return nil
	})
	// Files at the top come first, as they do when nothing is recursive.
	slices.SortStableFunc(opts.RepoFiles, func(a, b string) int {
		return min(1, strings.Count(a, "/")) - min(1, strings.Count(b, "/"))
	})
}

func printConfigJSON(stdout, stderr io.Writer, config *models.PackageConfig, mistakes packageconfig.Errors) int {
	var answer any
	code := 0
	if mistakes != nil {
		code = 1
		answer = struct {
			OK     bool                 `json:"ok"`
			Errors packageconfig.Errors `json:"errors"`
		}{false, mistakes}
	} else {
		packages := map[string]any{}
		for _, p := range config.Packages {
			packages[p.Name] = p.Settings.Changed()
		}
		jobs := make([]any, len(config.Jobs))
		for i := range config.Jobs {
			jobs[i] = config.Jobs[i].Changed()
		}
		answer = struct {
			OK       bool                   `json:"ok"`
			Packages map[string]any         `json:"packages"`
			Jobs     []any                  `json:"jobs"`
			Warnings []models.ConfigProblem `json:"warnings,omitempty"`
		}{true, packages, jobs, config.Warnings}
	}
	if err := writeJSON(stdout, answer); err != nil {
		fmt.Fprintf(stderr, "millrace config check: %v\n", err)
		return 1
	}
	return code
}

// writeJSON writes v for people and programs alike: indented, and without the
// escapes that only HTML needs.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func printConfig(w io.Writer, file string, config *models.PackageConfig, mistakes packageconfig.Errors) {
	for _, m := range mistakes {
		printProblem(w, file, "error", m)
	}
	if mistakes != nil {
		fmt.Fprintf(w, "%s is not valid: %s.\n", file, count(len(mistakes), "mistake"))
		return
	}
	for _, p := range config.Warnings {
		printProblem(w, file, "warning", p)
	}
	if len(config.Warnings) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s is valid: %s, %s.\n", file, count(len(config.Packages), "package"), count(len(config.Jobs), "job"))
	releases := bodhi.LastKnown()
	for i := range config.Jobs {
		printJob(w, &config.Jobs[i], config.Monorepo(), releases)
	}
	if len(config.Jobs) > 0 {
		fmt.Fprintf(w, "\nReleases as of %s.\n", bodhi.LastKnownDate)
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func printProblem(w io.Writer, file, sort string, p models.ConfigProblem) {
	fmt.Fprintf(w, "%s:%d:%d: %s: ", file, p.Line, p.Column, sort)
	if p.Key != "" {
		fmt.Fprintf(w, "%s: ", p.Key)
	}
	fmt.Fprintf(w, "%s\n", strings.ReplaceAll(p.Message, "\n", "\n    "))
	if p.Hint != "" {
		fmt.Fprintf(w, "    %s\n", p.Hint)
	}
}

// printJob says what one view of a job does, and on what.
func printJob(w io.Writer, v *models.JobView, monorepo bool, releases models.Releases) {
	where := fmt.Sprintf("jobs[%d]", v.FileIndex)
	if v.FileIndex < 0 {
		where = "by default"
	}
	fmt.Fprintf(w, "\n%s: %s", where, v.Type)
	if monorepo {
		fmt.Fprintf(w, " of %s", v.Package)
	}
	if id := v.ID(); id != "" && !(monorepo && id == v.Package) {
		fmt.Fprintf(w, " (%s)", id)
	}
	fmt.Fprintf(w, " %s\n", when(v))
	for _, line := range whatRuns(v, releases) {
		fmt.Fprintf(w, "   %s\n", line)
	}
}

// when says in words what a job waits for.
func when(v *models.JobView) string {
	if !v.Type.CanRun(v.Trigger) {
		return "never runs"
	}
	if v.Type == models.JobVMImageBuild {
		return "when asked for on a pull request"
	}
	trigger := v.Trigger
	if v.Type == models.JobBodhiUpdate { // both of its triggers mean the same
		trigger = models.TriggerKojiBuild
	}
	s := map[models.Trigger]string{
		models.TriggerRelease:     "on each release",
		models.TriggerPullRequest: "on each pull request",
		models.TriggerCommit:      "on each push",
		models.TriggerKojiBuild:   "on each Koji build",
	}[trigger]
	switch {
	case v.Branch != nil && v.Trigger != models.TriggerRelease:
		s += " to branches beginning with " + *v.Branch
	case trigger == models.TriggerCommit && len(v.DistGitBranches.List) == 0:
		s += " to the default branch"
	}
	if present := v.Require.Label.Present; len(present) > 0 {
		s += ", if labelled " + strings.Join(present, " or ")
	}
	if absent := v.Require.Label.Absent; len(absent) > 0 {
		s += ", unless labelled " + strings.Join(absent, " or ")
	}
	if v.ManualTrigger {
		s += ", only when asked for"
	}
	return s
}

// whatRuns lists what a job would run, a line for each target or branch.
func whatRuns(v *models.JobView, releases models.Releases) []string {
	if !v.Type.CanRun(v.Trigger) {
		return nil
	}
	const defaultBranch = "rawhide"
	var lines []string
	switch v.Type {
	case models.JobCoprBuild:
		lines = v.Chroots(releases)
		if v.Owner != nil && v.Project != nil {
			lines = append(lines, "in "+*v.Owner+"/"+*v.Project)
		}
	case models.JobTests:
		for _, t := range v.TestTargets(releases, nil) {
			if t.Chroot == t.Name {
				lines = append(lines, t.Name)
			} else {
				lines = append(lines, t.Name+" (with packages of "+t.Chroot+")")
			}
		}
	case models.JobUpstreamKojiBuild:
		lines = v.KojiTargets(releases)
	case models.JobProposeDownstream, models.JobPullFromUpstream, models.JobKojiBuild, models.JobBodhiUpdate:
		for _, branch := range v.Branches(releases, defaultBranch) {
			line := branch
			if into := v.FastForward(releases, defaultBranch, branch); len(into) > 0 {
				line += ", then fast-forward " + strings.Join(into, ", ")
			}
			lines = append(lines, line)
		}
	}
	return lines
}
