package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace/clients/git"
	"millrace/jobs/sandbox"
	"millrace/models"
	"millrace/models/specfile"
)

// preparation is one call of Prepare.
type preparation struct {
	*Builder
	req   Request
	log   *logger
	until time.Time // end of the time for commands

	pkg     models.ConfigPackage
	work    *tree
	repo    *git.Repo
	patches map[string]bool // made of commits, by path
	tree    *tree           // the checked out repository
	also    []*tree         // others that actions may change; the first is dist-git's
	home    string

	specPath string // of the spec file in the repository
	spec     *specfile.File
	cwd      string // directory of the package in the repository, "." for its top

	tag         string // newest that counts, or ""
	tagDone     bool
	downloaded  int64 // bytes
	version     string
	previous    string // in dist-git, before a release comes to it
	archive     string // its file name in the directory of the spec file
	archiveRoot string // the directory in it, if it is known
}

// Prepare makes everything that a source RPM needs. Its error is a *UserError
// if the repository or its config is at fault, and any other if we are or the
// network is; Temporary of the latter says whether another attempt helps.
func (b *Builder) Prepare(ctx context.Context, req Request) (*Result, error) {
	p := &preparation{Builder: b, req: req, log: newLogger(req.Log), until: time.Now().Add(b.timeout())}
	var err error
	p.work, err = openTree(req.Work)
	if err != nil {
		return nil, fmt.Errorf("preparing sources: %w", err)
	}
	defer p.work.close()
	result, err := p.run(ctx)
	if err != nil {
		p.log.printf("Error: %s\n", err)
		return nil, err
	}
	return result, nil
}

func (p *preparation) run(ctx context.Context) (*Result, error) {
	defer func() {
		if p.tree != nil {
			p.tree.close()
		}
	}()
	if err := p.checkout(ctx); err != nil {
		return nil, err
	}
	if err := p.choosePackage(ctx); err != nil {
		return nil, err
	}
	p.log.step("Preparing package %s", p.pkg.Settings.Downstream())
	if err := p.runHook(ctx, "post-upstream-clone"); err != nil {
		return nil, err
	}
	if err := p.findSpec(); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{
		p.findVersion, p.makeSources, p.fixSpec, p.download,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if err := p.runHook(ctx, "post-modifications"); err != nil {
		return nil, err
	}
	if err := p.rereadSpec(); err != nil {
		return nil, err
	}
	return p.collect(ctx)
}

// findSpec reads the spec file. Its path counts from the top of the
// repository, or else from the directory of the package.
func (p *preparation) findSpec() error {
	name := p.pkg.Settings.Specfile()
	if name == "" {
		return userError("Specfile path is not defined: set specfile_path in the package config.")
	}
	clean := path.Clean(strings.TrimPrefix(name, "./"))
	if err := git.CheckPath(clean); err != nil {
		return userError("The path %q cannot be that of a spec file in the repository.", name)
	}
	p.specPath = clean
	if below := path.Join(p.cwd, clean); !p.tree.isFile(clean) && p.tree.isFile(below) {
		p.specPath = below
	}
	return p.rereadSpec()
}

func (p *preparation) rereadSpec() (err error) {
	p.spec, err = p.tree.readSpec(p.specPath)
	if err != nil {
		return err
	}
	p.defineMacros(p.spec)
	return nil
}

// defineMacros gives a spec file the macros of the operator and of the package.
func (p *preparation) defineMacros(f *specfile.File) {
	for name, body := range p.Macros {
		f.Define(name, body)
	}
	for name, value := range p.pkg.Settings.ParseTimeMacros {
		if value != nil {
			f.Define(name, fmt.Sprint(value))
		}
	}
}

func (p *preparation) writeSpec() error {
	if err := p.tree.write(p.specPath, p.spec.Bytes()); err != nil {
		return unreadable(p.specPath, err)
	}
	return nil
}

// specDir is where the spec file is, and where rpm looks for sources.
func (p *preparation) specDir() string { return path.Dir(p.specPath) }

// collect copies the spec file and its sources to where they are wanted.
func (p *preparation) collect(ctx context.Context) (*Result, error) {
	if err := os.MkdirAll(p.req.ResultDir, 0o755); err != nil {
		return nil, fmt.Errorf("making the directory for sources: %w", err)
	}
	to, err := openTree(p.req.ResultDir)
	if err != nil {
		return nil, fmt.Errorf("opening the directory for sources: %w", err)
	}
	defer to.close()
	names, err := p.wantedFiles(ctx)
	if err != nil {
		return nil, err
	}
	r := &Result{
		Dir: to.dir, Spec: path.Base(p.specPath), Package: p.pkg.Settings.Downstream(), Tag: p.tag,
		ParseTimeMacros: p.pkg.Settings.ParseTimeMacros,
	}
	if _, err := p.tree.copyTo(p.specPath, to, r.Spec, specfile.MaxSize); err != nil {
		return nil, unreadable(p.specPath, err)
	}
	left := p.maxSources()
	for _, name := range names {
		from := path.Join(p.specDir(), name)
		if name == r.Spec || !p.tree.exists(from) {
			continue // rpmbuild says so, in its own words
		}
		size, err := p.tree.copyTo(from, to, name, left)
		if err != nil {
			return nil, unreadable(from, err)
		}
		left -= size
		r.Files = append(r.Files, name)
	}
	if v := p.spec.Version(); specfile.IsExpanded(v) {
		r.Version = v
	}
	if rel := p.spec.Release(); specfile.IsExpanded(rel) {
		r.Release = rel
	}
	r.Commit, err = p.repo.RevParse(ctx, "HEAD")
	if err != nil {
		return nil, p.gitError(err)
	}
	p.log.step("Ready: %s and %d other files", r.Spec, len(r.Files))
	return r, nil
}

// wantedFiles are the names under which rpm looks for sources and patches.
func (p *preparation) wantedFiles(ctx context.Context) ([]string, error) {
	all, err := p.allSources(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range all {
		if isBaseName(s.FileName) {
			names = append(names, s.FileName)
		}
	}
	if p.archive != "" {
		names = append(names, p.archive)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// gitError tells mistakes of the user from ours. git speaks of the repository
// in words that the user understands.
func (p *preparation) gitError(err error) error {
	conflict, isConflict := errors.AsType[*git.ConflictError](err)
	refused, isRefusal := errors.AsType[*git.Error](err)
	switch {
	case isConflict:
		return &UserError{
			Message: fmt.Sprintf("Merging the pull request into %s led to conflicts in: %s.",
				p.req.TargetBranch, strings.Join(conflict.Files, ", ")),
		}
	case errors.Is(err, git.ErrNotFound), errors.Is(err, git.ErrBadName), errors.Is(err, git.ErrTampered), errors.Is(err, git.ErrTooLarge):
		return &UserError{Message: "The repository cannot be used:", Err: err}
	case isRefusal && !refused.Temporary():
		return &UserError{Message: "git refused:", Err: err}
	}
	return err
}

func (t *tree) exists(name string) bool {
	_, err := t.root.Stat(filepath.FromSlash(name))
	return err == nil
}

// logger writes what people read when a build fails.
type logger struct{ w io.Writer }

func newLogger(w io.Writer) *logger {
	if w == nil {
		w = io.Discard
	}
	return &logger{w}
}

func (l *logger) printf(format string, args ...any) {
	// Who reads the log must not stop the work.
	_, _ = fmt.Fprintf(l.w, format, args...)
}

func (l *logger) step(format string, args ...any) { l.printf("==> "+format+"\n", args...) }

func (l *logger) command(args []string) { l.printf("$ %s\n", quoteCommand(args)) }

// runCommand runs c in the sandbox with the rights and limits of actions. It
// is the user's error if the time is over.
func (p *preparation) runCommand(ctx context.Context, c sandbox.Command) (*sandbox.Result, error) {
	left := time.Until(p.until)
	if left <= 0 {
		return nil, p.tookTooLong()
	}
	c.Limits = p.Limits
	c.Limits.Time = left
	// Each is a mount of its own, so that no command can put something else in
	// its place.
	c.Writable = []string{p.tree.dir}
	for _, t := range p.also {
		if t.dir != p.tree.dir {
			c.Writable = append(c.Writable, t.dir)
		}
	}
	c.Home = p.home
	// Commands must be able to change what we wrote meanwhile.
	if err := p.own(ctx, append(slices.Clone(c.Writable), p.home)...); err != nil {
		return nil, err
	}
	r, err := p.Sandbox.Run(ctx, c)
	if err != nil {
		return nil, err
	}
	if r.TimedOut {
		return nil, p.tookTooLong()
	}
	return r, nil
}

// errTimeout says that commands took longer than they may.
var errTimeout = errors.New("the commands took too long")

// timeoutError is a *UserError in Packit's words alone.
type timeoutError struct{ *UserError }

func (timeoutError) Is(target error) bool { return target == errTimeout }
func (e timeoutError) Unwrap() error      { return e.UserError }

func (b *Builder) tookTooLong() error {
	return timeoutError{userError("You have reached %s timeout while creating SRPM.", inMinutes(b.timeout()))}
}

// inMinutes writes a time as 10-minute, or 30-second if it is less than one.
func inMinutes(d time.Duration) string {
	if d >= time.Minute {
		return fmt.Sprintf("%d-minute", int(d.Minutes()))
	}
	return fmt.Sprintf("%d-second", int(d.Seconds()))
}
