package sources

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"millrace/clients/git"
	"millrace/jobs/sandbox"
	"millrace/models/specfile"
)

const (
	maxPatches   = 2000
	maxPatchSize = 64 << 20
)

// patch is a commit, or several that share a name, as a file for rpm.
type patch struct {
	file      string // in the directory of the spec file
	comment   string
	inSpec    bool // the spec file names it already
	noPrefix  bool
	ignored   bool
	finalName string // from the commit message, or ""
}

// patchPlace is where patches are written.
type patchPlace struct {
	tree *tree
	dir  string // in the tree
	// before returns a patch of that name as it was, nil if there was none; nil: none
	// was there.
	before func(name string) ([]byte, error)
}

// addPatches makes patches of the commits since upstream_ref, and names them in a spec
// file where it does not do so already. A patch that means what the one before it
// meant stays as that was.
func (p *preparation) addPatches(ctx context.Context, to patchPlace, spec *specfile.File) error {
	base, err := p.upstreamBase(ctx)
	if err != nil {
		return err
	}
	p.log.step("Making patches of the commits since %s", *p.pkg.Settings.UpstreamRef)
	commits, err := p.repo.Commits(ctx, git.Range{From: base}, maxPatches+1)
	if err != nil {
		return p.gitError(err)
	}
	if len(commits) > maxPatches {
		return userError("There are more than %d commits since upstream_ref %s.", maxPatches, *p.pkg.Settings.UpstreamRef)
	}
	slices.Reverse(commits)
	names := map[string]bool{}
	for _, named := range spec.Patches() {
		names[named.FileName] = true
	}
	var files []string
	for i, c := range commits {
		if len(c.Parents) > 1 {
			continue
		}
		made, err := p.formatPatch(ctx, to, c, i+1)
		if err != nil {
			return err
		}
		if made.file != "" && !slices.Contains(files, made.file) {
			files = append(files, made.file)
		}
		if made.file == "" || made.inSpec || names[made.file] {
			continue
		}
		names[made.file] = true
		digits := p.pkg.Settings.PatchGenerationPatchIDDigits
		if _, err := spec.AddPatch(specfile.Patch{Location: made.file, Comment: made.comment, Digits: digits}); err != nil {
			return specRefused("A patch", err)
		}
		p.log.printf("%s\n", made.file)
	}
	return p.keepSame(to, files)
}

// keepSame puts back the patches that mean the same as those that were there.
func (p *preparation) keepSame(to patchPlace, files []string) error {
	if to.before == nil {
		return nil
	}
	for _, file := range files {
		name := path.Join(to.dir, file)
		before, err := to.before(name)
		if err != nil {
			return err
		}
		after, err := to.tree.read(name, maxPatchSize)
		if err != nil {
			return unreadable(name, err)
		}
		if before == nil || bytes.Equal(before, after) || !samePatch(before, after) {
			continue
		}
		p.log.printf("%s stays as it is: it changes the same\n", file)
		if err := to.tree.write(name, before); err != nil {
			return unreadable(name, err)
		}
	}
	return nil
}

// formatPatch writes the patch of one commit. Its file is empty if there is
// nothing to write.
func (p *preparation) formatPatch(ctx context.Context, to patchPlace, c git.Commit, number int) (patch, error) {
	made, err := patchOf(c)
	if err != nil || made.ignored {
		return patch{}, err
	}
	args := []string{"git", "-c", "core.hooksPath=/dev/null", "format-patch", "--no-signature", "--no-stat", "--no-renames",
		"--no-ext-diff", "--no-textconv", "--stdout", "--start-number", strconv.Itoa(number)}
	if made.noPrefix {
		args = append(args, "--no-prefix")
	}
	args = append(args, c.SHA+"^!", "--", ".")
	for _, name := range p.notInPatches() {
		args = append(args, ":(exclude,top,literal)"+name)
	}
	r, err := p.runCommand(ctx, sandbox.Command{Args: args, Dir: p.tree.dir, Env: []string{"GIT_CONFIG_NOSYSTEM=1"}})
	if err != nil {
		return patch{}, err
	}
	text := bytes.TrimSpace(r.Stdout)
	switch {
	case !r.Passed():
		return patch{}, userError("git could not make a patch of the commit %s: %s.", c.SHA, r.Explain())
	case r.Dropped > 0:
		return patch{}, userError("The patch of the commit %s is too large.", c.SHA)
	case len(text) == 0:
		return patch{}, nil // all of its files are excluded
	}
	made.file = made.finalName
	if made.file == "" {
		made.file = fmt.Sprintf("%04d-%s.patch", number, slug(c.Subject))
	}
	return made, p.writePatch(to, made, append(text, '\n'))
}

// writePatch adds to a patch of the same name from an earlier commit.
func (p *preparation) writePatch(to patchPlace, made patch, text []byte) error {
	name := path.Join(to.dir, made.file)
	if made.finalName != "" && p.patches[name] {
		before, err := to.tree.read(name, maxPatchSize)
		if err != nil {
			return unreadable(name, err)
		}
		text = append(append(before, '\n'), text...)
	} else if err := to.tree.root.Remove(filepath.FromSlash(name)); err == nil {
		p.log.printf("%s is replaced\n", name)
	}
	if p.patches == nil {
		p.patches = map[string]bool{}
	}
	p.patches[name] = true
	if err := to.tree.write(name, text); err != nil {
		return unreadable(name, err)
	}
	return nil
}

// notInPatches are paths whose changes are for the distribution's files alone.
func (p *preparation) notInPatches() []string {
	s := &p.pkg.Settings
	names := slices.Clone(s.PatchGenerationIgnorePaths)
	for _, f := range s.FilesToSync {
		names = append(names, f.Src...)
	}
	names = append(names, p.specPath)
	for i, name := range names {
		names[i] = path.Clean(strings.TrimLeft(name, "/"))
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "." || strings.HasPrefix(name, "..") })
}

// patchOf reads what the trailers of a commit say about its patch.
func patchOf(c git.Commit) (patch, error) {
	made := patch{comment: c.Subject + "\nAuthor: " + c.Author.Name + " <" + c.Author.Email + ">"}
	for key, value := range trailers(c.Body) {
		yes := strings.EqualFold(value, "true")
		switch key {
		case "ignore-patch":
			made.ignored = yes
		case "no-prefix":
			made.noPrefix = yes
		case "patch-present-in-specfile":
			made.inSpec = yes
		case "patch-status":
			made.comment += "\nPatch-status: " + value
		case "patch-name":
			made.finalName = value
		}
	}
	if made.finalName != "" && (!isBaseName(made.finalName) || strings.ContainsAny(made.finalName, " %\\\t")) {
		return patch{}, userError("The commit %s calls its patch %q, which cannot be a file name in a spec file.", c.SHA, made.finalName)
	}
	return made, nil
}

// trailers are the "Key: value" lines of the last paragraph of a message, with
// keys in lower case.
func trailers(body string) map[string]string {
	body = strings.TrimSpace(body)
	if i := strings.LastIndex(body, "\n\n"); i >= 0 {
		body = body[i+2:]
	}
	found := map[string]string{}
	for line := range strings.Lines(body) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok && key != "" && !strings.ContainsAny(key, " \t") {
			found[strings.ToLower(key)] = strings.TrimSpace(value)
		}
	}
	return found
}

// slug makes a file name out of a subject, as git does.
func slug(subject string) string {
	name := strings.Trim(nameBytes.ReplaceAllString(subject, "-"), "-.")
	for strings.Contains(name, "..") {
		name = strings.ReplaceAll(name, "..", ".")
	}
	if len(name) > 52 {
		name = strings.TrimRight(name[:52], "-.")
	}
	if name == "" {
		return "patch"
	}
	return name
}
