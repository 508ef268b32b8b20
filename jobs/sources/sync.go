package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"millrace/clients/git"
	"millrace/clients/lookaside"
	"millrace/models"
	"millrace/models/rpm"
	"millrace/models/specfile"
)

// SyncRequest says which upstream release goes to which branch of a package in
// dist-git.
type SyncRequest struct {
	Upstream git.Remote // without URL: there is no git repository upstream
	DistGit  git.Remote // of the package
	Package  *models.ConfigPackage

	// Pull takes the spec file of dist-git for the one to bring up to date.
	// Otherwise it is that of the upstream repository.
	Pull    bool
	Tag     string // of the release; found by the version if it is empty
	Version string // found by the tag if it is empty

	Branch string // of dist-git, to which the release is proposed
	Head   string // name of the branch to make for it
	// Masked says that version_update_mask is for this branch.
	Masked bool

	ResolvedBugs []string // "rhbz#2300001"
	Description  string   // upstream's of the release

	Lookaside Lookaside // nil: archives are neither looked for nor kept there
	MadeBy    string    // the program and its version, for the note; may be empty

	Work string    // an empty directory for our use
	Log  io.Writer // what happens, for people to read; may be nil
}

// Lookaside is where dist-git keeps archives: *lookaside.Client, for packages such
// as "rpms/hello".
type Lookaside interface {
	Exists(ctx context.Context, pkg string, e lookaside.Entry) (bool, error)
	Upload(ctx context.Context, pkg string, e lookaside.Entry, path string, progress func(sent, size int64)) error
	Download(ctx context.Context, pkg string, e lookaside.Entry, path string) error
}

// Synced is a commit that brings a release to a branch of dist-git, in a work
// tree of this machine.
type Synced struct {
	Repo           *git.Repo // HEAD is the commit
	Commit         string
	Title, Message string // of the commit: its first line, and all of it
	Version        string // upstream's
	Tag            string // empty without a git repository upstream
	UpstreamCommit string // empty likewise
	Base           string // commit of the branch that it comes after
	Uploaded       []string
}

// SkipError says why a release is not proposed to a branch, although nothing
// went wrong: a whole sentence for people.
type SkipError struct{ Reason string }

func (e *SkipError) Error() string { return e.Reason }

func skip(format string, args ...any) error { return &SkipError{fmt.Sprintf(format, args...)} }

// syncing is one call of SyncRelease. The upstream repository is the tree of the
// preparation, where actions run too.
type syncing struct {
	*preparation
	sync     SyncRequest
	distRepo *git.Repo
	dist     *tree
	distSpec string         // path of the spec file in dist
	old      *specfile.File // as dist-git has it; nil if it has none
	base     string
	signers  *signers // who may have signed base; nil: anybody
	upstream string   // commit
	uploaded []string
}

// SyncRelease commits an upstream release to a branch of dist-git: the steps of
// Packit's sync_release up to the push. Its error is a *SkipError if the release
// is not for the branch, a *UserError if a repository or config is at fault,
// and any other if we are or the network is.
func (b *Builder) SyncRelease(ctx context.Context, req SyncRequest) (*Synced, error) {
	p := &preparation{
		Builder: b, log: newLogger(req.Log), until: time.Now().Add(b.timeout()), pkg: *req.Package,
		req: Request{Remote: req.Upstream, Ref: req.Tag, Package: req.Package, ResolvedBugs: req.ResolvedBugs, Work: req.Work, Log: req.Log},
	}
	var err error
	if p.work, err = openTree(req.Work); err != nil {
		return nil, fmt.Errorf("syncing a release: %w", err)
	}
	defer p.work.close()
	s := &syncing{preparation: p, sync: req}
	synced, err := s.run(ctx)
	if _, skipped := errors.AsType[*SkipError](err); skipped {
		p.log.step("Skipped: %s", err)
	} else if err != nil {
		p.log.printf("Error: %s\n", err)
	}
	return synced, err
}

func (s *syncing) run(ctx context.Context) (*Synced, error) {
	defer func() {
		for _, t := range []*tree{s.tree, s.dist} {
			if t != nil {
				t.close()
			}
		}
	}()
	for _, step := range []func(context.Context) error{
		s.nameRelease, s.checkoutUpstream, s.checkoutDistGit, s.findSigners, s.findSpecs, s.compare,
		s.hook("post-upstream-clone"), s.applyPolicy, s.checkSigner, s.hook("pre-sync"), s.syncFiles, s.syncSpec, s.syncPatches,
		s.fetchArchives, s.hook("post-modifications"), s.storeArchives,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s.commit(ctx)
}

// hook runs an action after which the spec files may be different.
func (s *syncing) hook(action string) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := s.runHook(ctx, action); err != nil {
			return err
		}
		return s.reread()
	}
}

// nameRelease finds the tag by the version, or the version by the tag.
func (s *syncing) nameRelease(context.Context) error {
	settings := &s.pkg.Settings
	switch {
	case s.sync.Version == "" && s.sync.Tag == "":
		return userError("Could not figure out version of latest upstream release. You can specify it as an argument.")
	case s.sync.Version == "":
		version, err := rpm.VersionFromTag(settings.UpstreamTagTemplate, s.sync.Tag)
		if err != nil {
			return &UserError{Message: "The tag " + s.sync.Tag + " gives no version:", Err: err}
		}
		s.sync.Version = version
	case s.sync.Tag == "" && s.sync.Upstream.URL != "":
		name := ""
		if settings.UpstreamPackageName != nil {
			name = *settings.UpstreamPackageName
		}
		tag, err := rpm.TagFromVersion(settings.UpstreamTagTemplate, s.sync.Version, name)
		if err != nil {
			return &UserError{Message: "The version " + s.sync.Version + " gives no tag:", Err: err}
		}
		s.sync.Tag = tag
	}
	s.version = s.sync.Version
	s.req.Ref, s.tag, s.tagDone = s.sync.Tag, s.sync.Tag, true
	if s.sync.Pull && settings.UpstreamRef != nil {
		s.req.Ref = "" // the tag is upstream's own; what the distribution changes is on the default branch
	}
	return nil
}

// checkoutUpstream checks the release's tag out. Without a repository actions run
// in an empty directory.
func (s *syncing) checkoutUpstream(ctx context.Context) error {
	if s.sync.Upstream.URL == "" {
		s.cwd = "."
		var err error
		s.tree, err = s.emptyPlace()
		return err
	}
	err := s.checkout(ctx)
	if errors.Is(err, git.ErrNotFound) {
		return &UserError{Message: "Cannot checkout release tag. Please, check whether the 'upstream_tag_template' needs to be configured.", Err: err}
	}
	if err != nil {
		return err
	}
	if s.upstream, err = s.gitHash(ctx); err != nil {
		return err
	}
	return s.setDirectory()
}

// checkoutDistGit makes the new branch, at the tip of the one that it is for: what
// an earlier attempt left on it does not count.
func (s *syncing) checkoutDistGit(ctx context.Context) error {
	s.log.step("Fetching %s", s.sync.DistGit.URL)
	cache := s.Cache
	if cache == nil {
		cache = &git.Cache{Git: s.Git, Dir: s.work.abs("mirror")}
	}
	mirror, err := cache.Mirror(ctx, s.sync.DistGit)
	if err != nil {
		return s.gitError(err)
	}
	if err := mirror.Fetch(ctx); err != nil {
		return s.gitError(err)
	}
	dir := s.work.abs(path.Join("dist-git", repositoryName(s.sync.DistGit.URL)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making a directory for dist-git: %w", err)
	}
	if s.distRepo, err = mirror.Clone(ctx, dir); err != nil {
		return s.gitError(err)
	}
	err = s.distRepo.CheckoutBranch(ctx, s.sync.Head, remoteBranches+s.sync.Branch)
	if errors.Is(err, git.ErrNotFound) {
		return userError("The package has no branch %s in dist-git.", s.sync.Branch)
	}
	if err != nil {
		return s.gitError(err)
	}
	if s.base, err = s.distRepo.RevParse(ctx, "HEAD"); err != nil {
		return s.gitError(err)
	}
	s.log.step("Branch %s of dist-git is at %s", s.sync.Branch, s.base)
	if s.dist, err = openTree(dir); err != nil {
		return fmt.Errorf("opening the work tree of dist-git: %w", err)
	}
	s.also = []*tree{s.dist}
	return nil
}

// findSpecs reads the spec files. That of dist-git is called after the package.
func (s *syncing) findSpecs(context.Context) error {
	s.distSpec = s.pkg.Settings.Downstream() + ".spec"
	if err := git.CheckPath(s.distSpec); err != nil || !isBaseName(s.distSpec) {
		return userError("The package name %q cannot be that of a spec file.", s.pkg.Settings.Downstream())
	}
	if s.sync.Pull {
		if !s.dist.isFile(s.distSpec) {
			return userError("Branch %s of dist-git has no file %s.", s.sync.Branch, s.distSpec)
		}
		return s.reread()
	}
	if err := s.findSpec(); err != nil {
		return err
	}
	return s.reread()
}

// reread reads both spec files as they are now.
func (s *syncing) reread() error {
	s.old = nil
	if s.dist.isFile(s.distSpec) {
		old, err := s.dist.readSpec(s.distSpec)
		if err != nil {
			return err
		}
		s.defineMacros(old)
		s.old = old
	}
	if s.sync.Pull {
		s.spec = s.old
		if s.spec == nil {
			return userError("The file %s is not there any more.", s.distSpec)
		}
		return nil
	}
	return s.rereadSpec()
}

// compare skips what dist-git is ahead of.
func (s *syncing) compare(context.Context) error {
	if s.old == nil {
		return nil
	}
	s.previous = s.old.Version()
	return notOlder(s.previous, s.version)
}

// applyPolicy skips what the package config does not want here.
func (s *syncing) applyPolicy(context.Context) error {
	return wanted(&s.pkg.Settings, s.sync.Branch, s.spec.Version(), s.version, s.sync.Masked)
}

// commit commits what is different from the branch.
func (s *syncing) commit(ctx context.Context) (*Synced, error) {
	if err := s.writeNote(ctx); err != nil {
		return nil, err
	}
	title, message, err := s.commitMessage(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.distRepo.Add(ctx); err != nil {
		return nil, s.gitError(err)
	}
	sha, err := s.distRepo.Commit(ctx, message, s.Identity)
	if errors.Is(err, git.ErrNothingToCommit) {
		return nil, skip("Branch %s of dist-git has version %s already, with nothing to change.", s.sync.Branch, s.version)
	}
	if err != nil {
		return nil, s.gitError(err)
	}
	s.log.step("Committed %s: %s", sha, title)
	return &Synced{
		Repo: s.distRepo, Commit: sha, Title: title, Message: message, Version: s.version, Tag: s.tag,
		UpstreamCommit: s.upstream, Base: s.base, Uploaded: s.uploaded,
	}, nil
}

// syncNote is the file that says whose repository this is.
const syncNote = "README.packit"

// writeNote writes the note, if the package wants it, into a commit that changes
// something else too: that the note names another version of this program is no
// reason for a commit, nor for a pull request.
func (s *syncing) writeNote(ctx context.Context) error {
	if !s.pkg.Settings.CreateSyncNote {
		return nil
	}
	changes, err := s.distRepo.Dirty(ctx)
	if err != nil {
		return s.gitError(err)
	}
	if len(changes) == 0 {
		return nil
	}
	text := "This repository is maintained by packit.\nhttps://packit.dev/\n"
	if s.sync.MadeBy != "" {
		text += "The file was generated using " + s.sync.MadeBy + ".\n"
	}
	if err := s.dist.write(syncNote, []byte(text)); err != nil {
		return unreadable(syncNote, err)
	}
	return nil
}

// snipped is the line after which the output of commit-message counts.
const snipped = "---%<--- snip ---%<--- here ---%<---"

// commitMessage is what the action says, or Packit's words.
func (s *syncing) commitMessage(ctx context.Context) (title, message string, err error) {
	title = fmt.Sprintf("Update to %s upstream release", s.version)
	var body strings.Builder
	for _, bug := range s.sync.ResolvedBugs {
		fmt.Fprintf(&body, "- Resolves: %s\n", bug)
	}
	if len(s.sync.ResolvedBugs) > 0 {
		body.WriteByte('\n')
	}
	if s.upstream != "" {
		fmt.Fprintf(&body, "Upstream tag: %s\nUpstream commit: %.8s\n\n", s.tag, s.upstream)
	}
	body.WriteString("Commit authored by Packit automation (https://packit.dev/)\n")
	text := body.String()
	if s.overrides("commit-message") {
		outputs, err := s.runAction(ctx, "commit-message", s.commonEnv().with(variables{
			"PACKIT_UPSTREAM_TAG": s.tag, "PACKIT_UPSTREAM_COMMIT": s.upstream, "PACKIT_DEBUG_DIVIDER": snipped,
			"PACKIT_RESOLVED_BUGS": strings.Join(s.sync.ResolvedBugs, " "),
		}))
		if err != nil {
			return "", "", err
		}
		said := strings.Join(outputs, "")
		if i := strings.LastIndex(said, snipped); i >= 0 {
			said = said[i+len(snipped):]
		}
		first, rest, _ := strings.Cut(strings.TrimSpace(said), "\n\n")
		if first = strings.TrimSpace(first); first != "" {
			title, text = first, strings.TrimSpace(rest)
		}
	}
	return title, strings.TrimRight(title+"\n\n"+text, "\n") + "\n", nil
}

// tracked are the files that git has of dist-git.
func (s *syncing) tracked(ctx context.Context) (map[string]bool, error) {
	entries, err := s.distRepo.LsTree(ctx, "HEAD", "", true)
	if err != nil {
		return nil, s.gitError(err)
	}
	names := make(map[string]bool, len(entries))
	for _, e := range entries {
		names[e.Path] = true
	}
	return names, nil
}

// unique keeps the first of each.
func unique(names []string) []string {
	var kept []string
	for _, name := range names {
		if !slices.Contains(kept, name) {
			kept = append(kept, name)
		}
	}
	return kept
}
