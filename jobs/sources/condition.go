package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"millrace/clients/git"
	"millrace/models"
)

// ConditionRequest says about what the action run-condition is asked.
type ConditionRequest struct {
	Package *models.ConfigPackage
	Version string // of the project; empty if it is not known

	// What is cloned first, if the package wants that.
	DistGit  git.Remote
	Ref      string     // a branch or commit of dist-git
	Upstream git.Remote // without URL: there is no git repository upstream, or it does not matter
	Tag      string     // of the release upstream

	Work string    // an empty directory for our use
	Log  io.Writer // what happens, for people to read; may be nil
}

// UndecidedError says why it could not be found out whether something may be done,
// although nobody said no: a whole sentence for people.
type UndecidedError struct{ Reason string }

func (e *UndecidedError) Error() string { return e.Reason }

// Temporary says that nothing would be different the next time.
func (*UndecidedError) Temporary() bool { return false }

// RunCondition runs the action run-condition of a package, by which it decides
// itself whether something is done. Without error it may be done. A *SkipError
// is the package's no, a command that ended with another status than 0; an
// *UndecidedError means that a command was ended by a limit of ours; other errors are
// those of SyncRelease.
func (b *Builder) RunCondition(ctx context.Context, req ConditionRequest) error {
	p := &preparation{
		Builder: b, log: newLogger(req.Log), until: time.Now().Add(b.timeout()), pkg: *req.Package, version: req.Version,
		req: Request{Remote: req.Upstream, Ref: req.Tag, Package: req.Package, Work: req.Work, Log: req.Log},
	}
	var err error
	if p.work, err = openTree(req.Work); err != nil {
		return fmt.Errorf("asking run-condition: %w", err)
	}
	defer p.work.close()
	err = p.condition(ctx, req)
	if _, skipped := errors.AsType[*SkipError](err); skipped {
		p.log.step("Skipped: %s", err)
	} else if err != nil {
		p.log.printf("Error: %s\n", err)
	}
	return err
}

func (p *preparation) condition(ctx context.Context, req ConditionRequest) error {
	if _, err := p.pkg.Settings.Actions[runCondition].Commands(); err != nil {
		return &UserError{Message: "The action run-condition cannot be run:", Err: err}
	}
	env, err := p.placeOfCondition(ctx, req)
	defer func() {
		for _, t := range append(p.also, p.tree) {
			if t != nil {
				t.close()
			}
		}
	}()
	if err != nil {
		return err
	}
	_, err = p.runAction(ctx, runCondition, env)
	if ended, ok := errors.AsType[*commandError](err); ok && ended.result.OutOfMemory {
		return &UndecidedError{fmt.Sprintf("The action run-condition did not decide: its command %s %s.", ended.command, ended.result.Explain())}
	} else if ok {
		return skip("The action run-condition says no: its command %s ended with %s.", ended.command, ended.result.Explain())
	}
	if errors.Is(err, errTimeout) {
		return &UndecidedError{fmt.Sprintf("The action run-condition did not decide within its %s limit.", inMinutes(p.timeout()))}
	}
	return err
}

const runCondition = "run-condition"

// placeOfCondition makes the directory in which the commands run: the clone of the
// repository upstream, or else of dist-git, or an empty one.
func (p *preparation) placeOfCondition(ctx context.Context, req ConditionRequest) (variables, error) {
	env := p.baseEnv()
	if p.version != "" {
		env["PACKIT_PROJECT_VERSION"] = p.version
	}
	if !p.pkg.Settings.CloneReposBeforeRunCondition {
		var err error
		if p.tree, err = p.emptyPlace(); err != nil {
			return nil, err
		}
		p.cwd = "."
		return env, nil
	}
	dist, err := p.cloneBeside(ctx, "dist-git", req.DistGit, req.Ref)
	if err != nil {
		return nil, err
	}
	p.home, p.tree, p.cwd = dist.home, dist.tree, "."
	env["PACKIT_DOWNSTREAM_REPO"] = dist.tree.dir
	if req.Upstream.URL == "" {
		return env, nil
	}
	p.also = []*tree{dist.tree}
	p.tree = nil
	up, err := p.cloneBeside(ctx, "upstream", req.Upstream, req.Tag)
	if err != nil {
		return nil, err
	}
	p.home, p.tree = up.home, up.tree
	env["PACKIT_UPSTREAM_REPO"] = up.tree.dir
	return env, p.setDirectory()
}

// emptyPlace makes a directory for commands that need no repository.
func (p *preparation) emptyPlace() (*tree, error) {
	p.home = p.work.abs("home")
	for _, name := range []string{"home", "upstream"} {
		if err := p.work.root.Mkdir(name, 0o755); err != nil {
			return nil, fmt.Errorf("making a directory for actions: %w", err)
		}
	}
	place, err := openTree(p.work.abs("upstream"))
	if err != nil {
		return nil, fmt.Errorf("opening a directory for actions: %w", err)
	}
	return place, nil
}

// cloneBeside checks a repository out below a directory of its own.
func (p *preparation) cloneBeside(ctx context.Context, dir string, remote git.Remote, ref string) (*preparation, error) {
	if err := p.work.root.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making a directory for a clone: %w", err)
	}
	work, err := openTree(filepath.Join(p.work.dir, dir))
	if err != nil {
		return nil, fmt.Errorf("opening a directory for a clone: %w", err)
	}
	defer work.close()
	c := &preparation{Builder: p.Builder, log: p.log, until: p.until, pkg: p.pkg, work: work, req: Request{Remote: remote, Ref: ref}}
	if err := c.checkout(ctx); err != nil {
		if c.tree != nil {
			c.tree.close()
		}
		return nil, err
	}
	return c, nil
}
