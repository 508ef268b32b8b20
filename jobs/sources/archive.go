package sources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"millrace/clients/git"
	"millrace/jobs/sandbox"
	"millrace/models/rpm"
)

// makeSources makes the archive, or for a source-git repository the patches.
func (p *preparation) makeSources(ctx context.Context) error {
	if p.pkg.Settings.UpstreamRef != nil {
		return p.makeSourceGit(ctx)
	}
	if p.overrides("create-archive") {
		return p.runCreateArchive(ctx)
	}
	root := p.pkg.Settings.Upstream() + "-" + p.version
	name := root + ".tar.gz"
	if !isBaseName(name) {
		return userError("An archive cannot be called %q.", name)
	}
	p.log.step("Packing %s", name)
	f, err := p.tree.create(path.Join(p.specDir(), name))
	if err != nil {
		return unreadable(name, err)
	}
	err = p.repo.Archive(ctx, f, git.ArchiveOptions{Prefix: root + "/", Limit: p.fileLimit()})
	if err := errors.Join(err, f.Close()); err != nil {
		return p.gitError(err)
	}
	p.archive, p.archiveRoot = name, root
	return nil
}

func (p *preparation) fileLimit() int64 {
	if p.Limits.FileSize > 0 {
		return p.Limits.FileSize
	}
	return sandbox.DefaultFileSize
}

// runCreateArchive lets the package's action make the archive, and finds it.
func (p *preparation) runCreateArchive(ctx context.Context) error {
	env := p.baseEnv().with(variables{
		"PACKIT_PROJECT_VERSION":      p.version,
		"PACKIT_PROJECT_NAME_VERSION": p.pkg.Settings.Upstream() + "-" + p.version,
	})
	outputs, err := p.runAction(ctx, "create-archive", env)
	if err != nil {
		return err
	}
	if strings.TrimSpace(strings.Join(outputs, "")) == "" {
		return userError("No output from create-archive action.")
	}
	made, ok := p.archiveIn(outputs)
	if !ok {
		return userError("The create-archive action did not output a path to the generated archive. " +
			"Please make sure that one of its last lines of output is the path of a file in the repository.")
	}
	p.archive = path.Base(made)
	if strings.ContainsAny(p.archive, " %\\\t") {
		return userError("An archive called %q cannot be a source of a spec file.", p.archive)
	}
	p.log.printf("The archive is %s\n", made)
	if err := p.placeArchive(made); err != nil {
		return err
	}
	p.archiveRoot, err = p.rootOfArchive(ctx, path.Join(p.specDir(), p.archive))
	return err
}

// archiveIn is the first line that names a file, from the last one on.
func (p *preparation) archiveIn(outputs []string) (string, bool) {
	for _, output := range slices.Backward(outputs) {
		for _, line := range slices.Backward(strings.Split(output, "\n")) {
			line = strings.TrimSpace(line)
			if line == "" || len(line) > 4096 {
				continue
			}
			for _, base := range []string{".", p.cwd} {
				if name, ok := p.tree.rel(base, line); ok && p.tree.isFile(name) {
					return name, true
				}
			}
		}
	}
	return "", false
}

// placeArchive makes the archive appear beside the spec file.
func (p *preparation) placeArchive(made string) error {
	place := path.Join(p.specDir(), p.archive)
	if made == place {
		return nil
	}
	err := p.tree.root.Remove(filepath.FromSlash(place))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unreadable(place, err)
	}
	if p.req.CopyArchive {
		_, err = p.tree.copyTo(made, p.tree, place, maxSources)
	} else {
		var target string
		target, err = filepath.Rel(filepath.FromSlash(p.specDir()), filepath.FromSlash(made))
		if err == nil {
			err = p.tree.root.Symlink(target, filepath.FromSlash(place))
		}
	}
	if err != nil {
		return unreadable(made, err)
	}
	return nil
}

// rootOfArchive is the one directory at the top of an archive. If there is not
// exactly one, or it is no tar archive, the template of the config tells.
func (p *preparation) rootOfArchive(ctx context.Context, name string) (string, error) {
	r, err := p.runCommand(ctx, sandbox.Command{
		Args: []string{"tar", "--list", "--quoting-style=literal", "--file", p.tree.abs(name), "--force-local"},
		Dir:  p.tree.dir,
	})
	if err != nil {
		return "", err
	}
	if r.Passed() && r.Dropped == 0 {
		if root, ok := singleRoot(string(r.Stdout)); ok {
			return root, nil
		}
	}
	s := &p.pkg.Settings
	root, err := rpm.Format(s.ArchiveRootDirTemplate, map[string]string{
		"upstream_pkg_name": s.Upstream(), "version": p.version,
	})
	if err != nil {
		return "", &UserError{Message: "archive_root_dir_template cannot be used:", Err: err}
	}
	return root, nil
}

// singleRoot finds the one directory at the top among the names of an archive.
// Some archives list no directories; then the files' first ones count.
func singleRoot(listing string) (string, bool) {
	root := ""
	for line := range strings.Lines(listing) {
		name := strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "./")
		first, _, inDirectory := strings.Cut(name, "/")
		if !inDirectory || first == "" {
			continue
		}
		if root != "" && first != root {
			return "", false
		}
		root = first
	}
	return root, root != ""
}

func plainValue(v any) string { return fmt.Sprint(v) }
