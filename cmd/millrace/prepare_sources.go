package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"millrace/clients/git"
	"millrace/jobs/sandbox"
	"millrace/jobs/sources"
)

const prepareUsage = `Usage: millrace prepare-sources --result-dir DIR [OPTIONS] URL

Checks out the repository at URL, runs the actions of its package config, makes
the archive, updates the spec file and downloads sources. The spec file and all
sources are then in DIR. URL may be a directory of this machine.

RPM_PACKAGER ('Name <mail>') writes merge commits and changelog entries.

Options:
`

const trustedTimeout = 4 * time.Hour

// preparation is what the command line asks for.
type preparation struct {
	request sources.Request
	srpm    bool

	trusted, unsandboxed bool
}

func prepareSourcesCommand(args []string, stdout, stderr io.Writer) int {
	p, code := prepareFlags(args, stdout, stderr)
	if p == nil {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := p.run(ctx, stdout); err != nil {
		fmt.Fprintf(stderr, "millrace: %v\n", err)
		return 1
	}
	return 0
}

// prepareFlags returns nil and the exit status if there is nothing to do.
func prepareFlags(args []string, stdout, stderr io.Writer) (*preparation, int) {
	flags := flag.NewFlagSet("prepare-sources", flag.ContinueOnError)
	explain(flags, args, stdout, stderr, prepareUsage)
	p := &preparation{}
	r := &p.request
	r.Choice.Job = -1
	for _, name := range []string{"p", "package"} {
		flags.StringVar(&r.Choice.Package, name, "", "`name` of the package in the config")
	}
	for _, name := range []string{"c", "config"} {
		flags.StringVar(&r.Choice.File, name, "", "package config: `file` of the repository, or absolute path")
	}
	flags.StringVar(&r.ResultDir, "result-dir", "", "`directory` for the spec file and the sources")
	flags.StringVar(&r.Ref, "ref", "", "`branch, tag or commit` to check out, or commit of the pull request")
	flags.IntVar(&r.PR, "pr-id", 0, "`number` of a pull request")
	merge := flags.Bool("merge-pr", true, "merge the pull request into its target branch")
	noMerge := flags.Bool("no-merge-pr", false, "take the pull request as it is")
	flags.StringVar(&r.TargetBranch, "target-branch", "", "`branch` that the pull request goes to")
	flags.IntVar(&r.Choice.Job, "job-config-index", -1, "`index` of the job in the config whose settings count; -1: those of the package")
	update := flags.Bool("update-release", true, "change Release, whatever the config says")
	noUpdate := flags.Bool("no-update-release", false, "leave Release alone")
	suffix := flags.String("release-suffix", "", "`text` for Release in place of the config's release_suffix")
	flags.StringVar(&r.MergedRef, "merged-ref", "", "consider only tags that are merged into this `ref`")
	flags.BoolVar(&r.CopyArchive, "no-create-symlinks", false, "copy the archive beside the spec file instead of linking to it")
	flags.Bool("create-symlinks", true, "link to the archive")
	flags.BoolVar(&p.srpm, "srpm", false, "build the source RPM too, into the same directory")
	flags.BoolVar(&p.trusted, "trusted-environment", false, "run actions without a sandbox, because this machine is thrown away afterwards")
	flags.BoolVar(&p.unsandboxed, "allow-unsandboxed", false, "run actions with limits only if there is no sandbox")

	words, err := parseInterspersed(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		return nil, 0
	}
	if err != nil {
		return nil, 2
	}
	if len(words) != 1 || r.ResultDir == "" || r.PR < 0 {
		fmt.Fprintln(stderr, "millrace prepare-sources: give one URL and --result-dir; --help explains")
		return nil, 2
	}
	r.Remote.URL = localURL(words[0])
	r.NoMerge = *noMerge || !*merge
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "release-suffix":
			r.ReleaseSuffix = suffix
		case "update-release":
			r.UpdateRelease = update
		case "no-update-release":
			no := !*noUpdate
			r.UpdateRelease = &no
		}
	})
	return p, 0
}

// localURL makes the name of a directory absolute and leaves addresses alone.
func localURL(word string) string {
	if strings.Contains(word, "://") {
		return word
	}
	if abs, err := filepath.Abs(word); err == nil {
		return abs
	}
	return word
}

func (p *preparation) run(ctx context.Context, stdout io.Writer) error {
	work, err := os.MkdirTemp("", "millrace-sources-")
	if err != nil {
		return fmt.Errorf("making a directory to work in: %w", err)
	}
	defer sandbox.RemoveAll(work)
	p.request.Work, p.request.Log = filepath.Join(work, "work"), stdout
	if err := os.Mkdir(p.request.Work, 0o755); err != nil {
		return fmt.Errorf("making a directory to work in: %w", err)
	}
	b, err := p.builder()
	if err != nil {
		return err
	}
	target := p.request.ResultDir
	if p.srpm {
		// rpmbuild must not be given a directory that is for other purposes too.
		p.request.ResultDir = filepath.Join(work, "result")
	}
	result, err := b.Prepare(ctx, p.request)
	if err != nil || !p.srpm {
		return err
	}
	for _, name := range append(result.Files, result.Spec) {
		if err := copyFile(result.Dir, target, name); err != nil {
			return fmt.Errorf("copying the sources: %w", err)
		}
	}
	built, err := b.BuildSRPM(ctx, sources.SRPMRequest{
		Dir: result.Dir, Spec: result.Spec, Out: filepath.Join(work, "srpm"), ParseTimeMacros: result.ParseTimeMacros, Log: stdout,
	})
	if err != nil {
		return err
	}
	if err := copyFile(filepath.Dir(built), target, filepath.Base(built)); err != nil {
		return fmt.Errorf("copying the source RPM: %w", err)
	}
	_, err = fmt.Fprintln(stdout, filepath.Join(target, filepath.Base(built)))
	return err
}

func (p *preparation) builder() (*sources.Builder, error) {
	identity := git.Identity{Name: "Millrace", Email: "noreply@localhost"}
	if packager := os.Getenv("RPM_PACKAGER"); packager != "" {
		name, rest, ok := strings.Cut(packager, " <")
		email, closed := strings.CutSuffix(rest, ">")
		if !ok || !closed {
			return nil, fmt.Errorf("RPM_PACKAGER is %q, and not 'Name <mail>'", packager)
		}
		identity = git.Identity{Name: name, Email: email}
	}
	agent := os.Getenv("PACKIT_USER_AGENT")
	var timeout time.Duration
	if p.trusted {
		timeout = trustedTimeout // who owns the machine has a limit too
	}
	return &sources.Builder{
		// Whoever runs this command may read the directories of this machine.
		Git:      &git.Git{AllowFile: true},
		Sandbox:  &sandbox.Sandbox{Trusted: p.trusted, AllowUnsandboxed: p.unsandboxed},
		Identity: identity,
		Timeout:  timeout,
		// The machine that is thrown away has the network it shall have.
		ActionNetwork: p.trusted,
		Download:      sources.Download{AllowPrivate: p.trusted, UserAgent: agent},
	}, nil
}

func copyFile(fromDir, toDir, name string) error {
	if err := os.MkdirAll(toDir, 0o755); err != nil {
		return err
	}
	in, err := os.Open(filepath.Join(fromDir, name))
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(toDir, name))
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
