package sources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"millrace/clients/git"
	"millrace/jobs/sandbox"
	"millrace/models"
	"millrace/models/specfile"
)

// syncSpec brings the spec file of dist-git to the release, unless the package
// does so itself.
func (s *syncing) syncSpec(ctx context.Context) error {
	if s.overrides("prepare-files") {
		if _, err := s.runAction(ctx, "prepare-files", s.commonEnv()); err != nil {
			return err
		}
		return s.reread()
	}
	if s.pkg.Settings.SyncChangelog && !s.sync.Pull {
		s.log.step("Taking %s over as it is upstream, because of sync_changelog", s.specPath)
		return s.replaceSpec(s.spec)
	}
	s.log.step("Updating %s to %s", s.distSpec, s.version)
	old := s.old
	if old == nil {
		old = s.spec
	}
	release := specfile.SyncedRelease(old, s.spec, s.version)
	updated := s.spec.Clone()
	if !s.sync.Pull {
		updated = s.spec.WithChangelogOf(old)
	}
	options := specfile.VersionOptions{PrereleasePattern: s.pkg.Settings.PrereleaseSuffixPattern}
	if macro := s.pkg.Settings.PrereleaseSuffixMacro; macro != nil {
		options.PrereleaseMacro = *macro
	}
	if err := updated.SetVersion(s.version, options); err != nil {
		return specRefused("Version", err)
	}
	if err := updated.SetRawRelease(release); err != nil {
		return specRefused("Release", err)
	}
	s.spec = updated
	if err := s.addReleaseEntry(ctx); err != nil {
		return err
	}
	return s.replaceSpec(s.spec)
}

func (s *syncing) replaceSpec(f *specfile.File) error {
	if err := s.dist.write(s.distSpec, f.Bytes()); err != nil {
		return unreadable(s.distSpec, err)
	}
	return s.reread()
}

// addReleaseEntry writes the changelog entry of the release.
func (s *syncing) addReleaseEntry(ctx context.Context) error {
	var lines []string
	if s.overrides("changelog-entry") {
		var err error
		if lines, err = s.actionEntry(ctx); err != nil {
			return err
		}
	}
	if len(lines) == 0 {
		lines = []string{fmt.Sprintf("- Update to version %s", s.version)}
		if text := strings.TrimSpace(s.sync.Description); s.pkg.Settings.CopyUpstreamReleaseDescription && text != "" {
			lines = strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
		}
		for _, bug := range s.sync.ResolvedBugs {
			lines = append(lines, "- Resolves: "+bug)
		}
	}
	return s.addEntryLines(lines)
}

// syncPatches makes the patches of a source-git repository, beside the spec file of
// dist-git, which then names them.
func (s *syncing) syncPatches(ctx context.Context) error {
	if s.pkg.Settings.UpstreamRef == nil {
		return nil
	}
	if s.overrides("create-patches") {
		if _, err := s.runAction(ctx, "create-patches", s.commonEnv()); err != nil {
			return err
		}
		return s.reread()
	}
	if s.repo == nil {
		return userError("upstream_ref is set, so patches are made of commits, and there is no git repository to make them of: set upstream_project_url.")
	}
	spec := s.old.Clone()
	if err := s.addPatches(ctx, patchPlace{s.dist, ".", s.patchBefore(ctx)}, spec); err != nil {
		return err
	}
	return s.replaceSpec(spec)
}

// patchBefore returns patches as the branch of dist-git has them.
func (s *syncing) patchBefore(ctx context.Context) func(name string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		text, err := s.distRepo.ShowFile(ctx, s.base, name, maxPatchSize)
		if errors.Is(err, git.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, s.gitError(err)
		}
		return text, nil
	}
}

// syncFiles carries the files of files_to_sync over to dist-git.
func (s *syncing) syncFiles(ctx context.Context) error {
	items := s.pkg.Settings.FilesToSync
	if len(items) == 0 {
		return s.syncConfig()
	}
	for _, item := range items {
		if err := s.rsync(ctx, item); err != nil {
			return err
		}
	}
	return nil
}

// syncConfig carries the package config over, as is done without a list of
// files. Dist-git's own counts where releases are pulled.
func (s *syncing) syncConfig() error {
	name := s.pkg.Settings.ConfigFilePath
	if s.sync.Pull || name == nil || !s.tree.isFile(*name) {
		return nil
	}
	if _, err := s.tree.copyTo(*name, s.dist, path.Base(*name), specfile.MaxSize); err != nil {
		return unreadable(*name, err)
	}
	return nil
}

// rsync carries one item over. The spec file is left out: it is not copied but
// brought up to date.
func (s *syncing) rsync(ctx context.Context, item models.SyncFiles) error {
	args := []string{"rsync", "--archive", "--ignore-missing-args"}
	if item.Delete {
		args = append(args, "--delete")
	}
	if item.MkPath {
		args = append(args, "--mkpath")
	}
	for _, filter := range item.Filters {
		args = append(args, "--filter="+filter)
	}
	args = append(args, "--filter=- .git")
	var sources []string
	for _, src := range item.Src {
		found, err := s.globbed(src)
		if err != nil {
			return err
		}
		sources = append(sources, found...)
	}
	if !s.pkg.Settings.SyncChangelog && !s.overrides("prepare-files") {
		kept := sources[:0]
		for _, src := range sources {
			if path.Clean(src) != s.specPath || s.sync.Pull {
				kept = append(kept, src)
			}
		}
		sources = kept
		args = append(args, "--filter=- "+path.Base(s.distSpec))
	}
	if len(sources) == 0 {
		return nil
	}
	dest, err := inside(s.dist, item.Dest)
	if err != nil {
		return err
	}
	args = append(args, "--")
	for _, src := range sources {
		args = append(args, s.tree.abs(src)+trailingSlash(src))
	}
	args = append(args, dest)
	s.log.command(args)
	r, err := s.runCommand(ctx, sandbox.Command{Args: args, Dir: s.tree.dir, Output: s.log.w})
	if err != nil {
		return err
	}
	if r.ExitCode == 127 {
		return errors.New("files_to_sync needs rsync, which is not installed here")
	}
	if !r.Passed() {
		return userError("Syncing files to %s failed: %s.", item.Dest, r.Explain())
	}
	return nil
}

// globbed are the paths in the upstream tree that a source of files_to_sync
// stands for. A slash at its end keeps its meaning for rsync.
func (s *syncing) globbed(src string) ([]string, error) {
	pattern := path.Clean(strings.TrimPrefix(src, "./"))
	if pattern != "." && git.CheckPath(pattern) != nil {
		return nil, userError("Sync files: Illegal path! %s is not in the subpath of the upstream repository.", src)
	}
	if !strings.ContainsAny(pattern, "*?[") {
		return []string{pattern + trailingSlash(src)}, nil
	}
	found, err := filepath.Glob(s.tree.abs(pattern))
	if err != nil {
		return nil, userError("Sync files: %q is no pattern: %v.", src, err)
	}
	var names []string
	for _, name := range found {
		if rel, ok := s.tree.rel(".", name); ok {
			names = append(names, rel+trailingSlash(src))
		}
	}
	return names, nil
}

// inside is the path on this machine of a destination in a tree.
func inside(t *tree, dest string) (string, error) {
	clean := path.Clean(strings.TrimPrefix(dest, "./"))
	if clean != "." && git.CheckPath(clean) != nil {
		return "", userError("Sync files: Illegal path! %s is not in the subpath of dist-git.", dest)
	}
	return t.abs(clean) + trailingSlash(dest), nil
}

func trailingSlash(name string) string {
	if strings.HasSuffix(name, "/") {
		return "/"
	}
	return ""
}
