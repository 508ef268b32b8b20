package sources

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"millrace/models/specfile"
)

// sourcesFile is the list of archives that dist-git has in its lookaside cache.
const sourcesFile = "sources"

// maxSourcesFile bounds that list, in bytes.
const maxSourcesFile = 1 << 20

// SourceLine is a line of the file "sources": an archive in the lookaside cache.
type SourceLine struct {
	HashType string // such as "SHA512"
	Hash     string // hexadecimal digits
	File     string
}

func (l SourceLine) String() string { return fmt.Sprintf("%s (%s) = %s", l.HashType, l.File, l.Hash) }

var (
	newLine = regexp.MustCompile(`^([^ ]+) \(([^ )]+)\) = ([0-9a-fA-F]+)$`)
	oldLine = regexp.MustCompile(`^([0-9a-fA-F]{32})  ?([^ ]+)$`)
)

// ParseSources reads the file "sources" of dist-git, in its new style or the old
// one. What is no such line is an error that names it.
func ParseSources(text []byte) ([]SourceLine, error) {
	var lines []SourceLine
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		l := SourceLine{}
		if m := newLine.FindStringSubmatch(line); m != nil {
			l = SourceLine{m[1], strings.ToLower(m[3]), m[2]}
		} else if m := oldLine.FindStringSubmatch(line); m != nil {
			l = SourceLine{"MD5", strings.ToLower(m[1]), m[2]}
		}
		if !isBaseName(l.File) {
			return nil, fmt.Errorf("line %d of sources is malformed: %q", n, shorten(line, 200))
		}
		lines = append(lines, l)
	}
	return lines, nil
}

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
	for _, line := range lines {
		wanted := slices.ContainsFunc(all, func(source specfile.Source) bool { return source.FileName == line.File })
		if !wanted || s.dist.exists(line.File) {
			continue
		}
		if err := s.fetchLine(ctx, line); err != nil {
			s.log.printf("%s is not in the lookaside cache: %v\n", line.File, err)
		}
	}
	return nil
}

func (s *syncing) fetchLine(ctx context.Context, line SourceLine) error {
	f, err := s.dist.create(line.File)
	if err != nil {
		return err
	}
	err = errors.Join(s.sync.Lookaside.Fetch(ctx, s.distPackage(), line, f), f.Close())
	if err != nil {
		return errors.Join(err, s.dist.root.Remove(line.File))
	}
	return nil
}

// listed are the archives that dist-git has so far.
func (s *syncing) listed() ([]SourceLine, error) {
	if !s.dist.exists(sourcesFile) {
		return nil, nil
	}
	text, err := s.dist.read(sourcesFile, maxSourcesFile)
	if err != nil {
		return nil, unreadable(sourcesFile, err)
	}
	lines, err := ParseSources(text)
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
	lines := make([]SourceLine, len(names))
	var missing []SourceLine
	for i, name := range names {
		hash, err := s.hash(name)
		if err != nil {
			return err
		}
		lines[i] = SourceLine{"SHA512", hash, name}
		has, err := s.sync.Lookaside.Has(ctx, s.distPackage(), name, hash)
		if err != nil {
			return fmt.Errorf("asking the lookaside cache for %s: %w", name, err)
		}
		if !has {
			missing = append(missing, lines[i])
		}
	}
	known, err := s.listed()
	if err != nil {
		return err
	}
	unlisted := slices.ContainsFunc(lines, func(l SourceLine) bool { return !slices.Contains(known, l) })
	if len(missing) == 0 && !unlisted {
		return nil
	}
	if s.pkg.Settings.UploadSources {
		for _, line := range missing {
			s.log.step("Uploading %s", line.File)
			if err := s.sync.Lookaside.Upload(ctx, s.distPackage(), line.File, line.Hash, s.dist.abs(line.File)); err != nil {
				return fmt.Errorf("uploading %s to the lookaside cache: %w", line.File, err)
			}
			s.uploaded = append(s.uploaded, line.File)
		}
	}
	return s.list(lines)
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

func (s *syncing) hash(name string) (string, error) {
	f, err := s.dist.open(name)
	if err != nil {
		return "", unreadable(name, err)
	}
	defer f.Close()
	h := sha512.New()
	if _, err := io.Copy(h, io.LimitReader(f, s.maxSources())); err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// list writes the list of archives anew, and has git leave the files alone.
func (s *syncing) list(lines []SourceLine) error {
	var text strings.Builder
	for _, line := range lines {
		fmt.Fprintln(&text, line)
	}
	if err := s.dist.write(sourcesFile, []byte(text.String())); err != nil {
		return unreadable(sourcesFile, err)
	}
	const ignoreFile = ".gitignore"
	var ignored []byte
	if s.dist.exists(ignoreFile) {
		var err error
		if ignored, err = s.dist.read(ignoreFile, maxSourcesFile); err != nil {
			return unreadable(ignoreFile, err)
		}
	}
	added := string(ignored)
	for _, line := range lines {
		if !ignores(string(ignored), line.File) {
			if added != "" && !strings.HasSuffix(added, "\n") {
				added += "\n"
			}
			added += "/" + line.File + "\n"
		}
	}
	if added == string(ignored) {
		return nil
	}
	if err := s.dist.write(ignoreFile, []byte(added)); err != nil {
		return unreadable(ignoreFile, err)
	}
	return nil
}

// ignores reports whether a line of a .gitignore covers a file at the top.
func ignores(text, name string) bool {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		if ok, err := path.Match(strings.TrimPrefix(line, "/"), name); err == nil && ok {
			return true
		}
	}
	return false
}
