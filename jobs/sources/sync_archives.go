package sources

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"millrace/clients/lookaside"
	"millrace/models/specfile"
)

// sourcesFile is the list of archives that dist-git has in its lookaside cache.
const sourcesFile = "sources"

// maxSourcesFile bounds that list, in bytes.
const maxSourcesFile = 1 << 20

// archiveKeeper tells whether archives of the package are kept in a lookaside
// cache.
func (s *syncing) archiveKeeper() bool {
	tool := s.pkg.Settings.PkgTool
	return s.sync.Lookaside != nil && (tool == nil || *tool == "fedpkg" || *tool == "fedpkg-stage")
}

// distPackage is the package's name for the lookaside cache.
func (s *syncing) distPackage() string {
	namespace := "rpms"
	if n := s.pkg.Settings.DistGitNamespace; n != nil && *n != "" {
		namespace = *n
	}
	return namespace + "/" + s.pkg.Settings.Downstream()
}

// fetchArchives fetches what the spec file and the config name and is not there
// yet.
func (s *syncing) fetchArchives(ctx context.Context) error {
	if !s.archiveKeeper() {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 3*s.Download.timeout(), errLong)
	defer cancel()
	for _, source := range s.pkg.Settings.Sources {
		if !isBaseName(path.Clean(source.Path)) {
			return userError("The path %q of a source is not directly in dist-git.", source.Path)
		}
		if err := s.fetchTo(ctx, s.dist, source.URL, path.Clean(source.Path)); err != nil {
			return err
		}
	}
	all, err := s.distSources(ctx)
	if err != nil {
		return err
	}
	for _, source := range all {
		if !source.Remote || !specfile.IsExpanded(source.Expanded) {
			continue
		}
		if !isBaseName(source.FileName) {
			return userError("Failed to download source from %s: the address does not end with a file name.", source.Expanded)
		}
		if err := s.fetchTo(ctx, s.dist, source.Expanded, source.FileName); err != nil {
			return notYetThere(err)
		}
	}
	return s.fetchKept(ctx, all)
}

// notYetThere makes of an archive that is missing one that may come: archives are
// often made only after a release was announced.
func notYetThere(err error) error {
	if errors.Is(err, errNotThere) {
		return temporaryError{fmt.Errorf("the archive of the release is not there yet: %w", err)}
	}
	return err
}

// fetchKept fetches those sources that only the lookaside cache has. It is of no
// matter if it does not have them.
func (s *syncing) fetchKept(ctx context.Context, all []specfile.Source) error {
	lines, err := s.listed()
	if err != nil {
		return err
	}
	for _, e := range lines {
		wanted := slices.ContainsFunc(all, func(source specfile.Source) bool { return source.FileName == e.Name })
		if !wanted || !isBaseName(e.Name) || s.dist.exists(e.Name) {
			continue
		}
		if err := s.fetchEntry(ctx, e); err != nil {
			s.log.printf("%s cannot be had from the lookaside cache: %v\n", e.Name, err)
		}
	}
	return nil
}

// fetchEntry fetches a file from the lookaside cache, by way of a directory where
// no command of the package can interfere.
func (s *syncing) fetchEntry(ctx context.Context, e lookaside.Entry) error {
	private, err := s.private()
	if err != nil {
		return err
	}
	defer private.close()
	if err := s.sync.Lookaside.Download(ctx, s.distPackage(), e, private.abs(e.Name)); err != nil {
		return err
	}
	_, err = private.copyTo(e.Name, s.dist, e.Name, s.maxSources())
	return errors.Join(err, private.root.Remove(e.Name))
}

// private is a directory that no command of the package can write to.
func (s *syncing) private() (*tree, error) {
	if err := s.work.root.MkdirAll("archives", 0o700); err != nil {
		return nil, fmt.Errorf("making a directory for archives: %w", err)
	}
	return openTree(s.work.abs("archives"))
}

// listed are the archives that dist-git has so far.
func (s *syncing) listed() (lookaside.Sources, error) {
	if !s.dist.exists(sourcesFile) {
		return nil, nil
	}
	text, err := s.dist.read(sourcesFile, maxSourcesFile)
	if err != nil {
		return nil, unreadable(sourcesFile, err)
	}
	lines, err := lookaside.ParseSources(text)
	if err != nil {
		return nil, &UserError{Message: "The list of archives in dist-git cannot be read:", Err: err}
	}
	return lines, nil
}

// distSources are the sources and patches of dist-git's spec file as it is now.
func (s *syncing) distSources(ctx context.Context) ([]specfile.Source, error) {
	tree, spec, name := s.tree, s.spec, s.specPath
	defer func() { s.tree, s.spec, s.specPath = tree, spec, name }()
	s.tree, s.spec, s.specPath = s.dist, s.old, s.distSpec
	return s.allSources(ctx)
}

// storeArchives brings new archives to the lookaside cache, and lists them.
func (s *syncing) storeArchives(ctx context.Context) error {
	if !s.archiveKeeper() {
		return nil
	}
	names, err := s.archives(ctx)
	if err != nil || len(names) == 0 {
		return err
	}
	private, err := s.private()
	if err != nil {
		return err
	}
	defer private.close()
	var entries, missing lookaside.Sources
	for _, name := range names {
		// What is counted is what is uploaded, whatever becomes of the file in the
		// tree; and a link there leads nowhere.
		if _, err := s.dist.copyTo(name, private, name, s.maxSources()); err != nil {
			return unreadable(name, err)
		}
		e, err := lookaside.FileEntry(ctx, private.abs(name))
		if err != nil {
			return err
		}
		entries = append(entries, e)
		has, err := s.sync.Lookaside.Exists(ctx, s.distPackage(), e)
		if err != nil {
			return fmt.Errorf("asking the lookaside cache for %s: %w", name, err)
		}
		if !has {
			missing = append(missing, e)
		}
	}
	known, err := s.listed()
	if err != nil {
		return err
	}
	unlisted := slices.ContainsFunc(entries, func(e lookaside.Entry) bool { return !slices.Contains(known, e) })
	if len(missing) == 0 && !unlisted {
		return nil
	}
	if s.pkg.Settings.UploadSources {
		for _, e := range missing {
			s.log.step("Uploading %s", e.Name)
			if err := s.sync.Lookaside.Upload(ctx, s.distPackage(), e, private.abs(e.Name), nil); err != nil {
				return fmt.Errorf("uploading %s to the lookaside cache: %w", e.Name, err)
			}
			s.uploaded = append(s.uploaded, e.Name)
		}
	}
	return s.list(entries)
}

// archives are the files that belong into the lookaside cache: what comes from
// elsewhere, and what is not in git.
func (s *syncing) archives(ctx context.Context) ([]string, error) {
	all, err := s.distSources(ctx)
	if err != nil {
		return nil, err
	}
	tracked, err := s.tracked(ctx)
	if err != nil {
		return nil, err
	}
	id, _ := specfile.SourceNumber(s.pkg.Settings.SpecSourceID)
	patches := map[string]bool{}
	for _, p := range s.old.Patches() {
		patches[p.FileName] = true
	}
	var names []string
	for _, source := range all {
		name := source.FileName
		if !isBaseName(name) || tracked[name] {
			continue
		}
		upstream := source.Remote || (!patches[name] && source.Number == id)
		if !s.dist.isFile(name) {
			if upstream {
				return nil, userError("Upstream archive was not downloaded. Check that %s exists in dist-git.", name)
			}
			continue
		}
		if upstream || !patches[name] {
			names = append(names, name)
		}
	}
	return unique(names), nil
}

// list writes the list of archives anew, and has git leave the files alone.
func (s *syncing) list(entries lookaside.Sources) error {
	if err := s.dist.write(sourcesFile, entries.Bytes()); err != nil {
		return unreadable(sourcesFile, err)
	}
	const ignoreFile = ".gitignore"
	var before []byte
	if s.dist.exists(ignoreFile) {
		var err error
		if before, err = s.dist.read(ignoreFile, maxSourcesFile); err != nil {
			return unreadable(ignoreFile, err)
		}
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	after := lookaside.Ignore(before, names...)
	if bytes.Equal(before, after) {
		return nil
	}
	if err := s.dist.write(ignoreFile, after); err != nil {
		return unreadable(ignoreFile, err)
	}
	return nil
}
