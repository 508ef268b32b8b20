package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// objects reads a repository: what a Mirror and a Repo have in common.
type objects struct {
	git      *Git
	gitDir   string
	workTree string // empty in a bare repository
	sealed   []byte // the configuration that a work tree must have
}

func (o *objects) read(ctx context.Context, args ...string) ([]byte, error) {
	return o.run(ctx, command{args: args})
}

func (o *objects) run(ctx context.Context, c command) ([]byte, error) {
	c.gitDir, c.workTree = o.gitDir, o.workTree
	if o.workTree != "" {
		if err := o.seal(); err != nil {
			return nil, err
		}
	}
	return o.git.run(ctx, c)
}

// RevParse returns the commit that a revision names.
func (o *objects) RevParse(ctx context.Context, rev string) (sha string, err error) {
	if err := CheckRevision(rev); err != nil {
		return "", err
	}
	out, err := o.read(ctx, "rev-parse", "--verify", "--quiet", rev+"^{commit}")
	if e, ok := errors.AsType[*Error](err); ok && e.Code == 1 && e.Err == nil {
		e.Err, e.Said = ErrNotFound, "no such revision"
	}
	if err != nil {
		return "", fmt.Errorf("looking up revision %s: %w", rev, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Find looks for what a user calls name: a commit, then a branch (of the
// remote, in a work tree), then a tag, then a full ref. It returns the ref (or
// the object name) and the commit.
func (o *objects) Find(ctx context.Context, name string) (Ref, error) {
	if err := CheckRef(name); err != nil {
		return Ref{}, err
	}
	candidates := []string{"refs/heads/" + name, "refs/tags/" + name, name}
	if o.workTree != "" {
		candidates = append([]string{"refs/remotes/origin/" + name}, candidates...)
	}
	if IsSHA(name) {
		candidates = []string{name}
	}
	var err error
	for _, candidate := range candidates {
		var sha string
		if sha, err = o.RevParse(ctx, candidate); err == nil {
			return Ref{Name: candidate, SHA: sha}, nil
		}
		if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrBadName) {
			return Ref{}, err
		}
	}
	return Ref{}, err
}

// Entry is a member of a tree.
type Entry struct {
	Mode string // as 100644, 100755, 120000 (symbolic link), 160000 (submodule), 040000
	Type string // blob, tree or commit
	SHA  string
	Size int64 // of a blob
	Path string
}

// LsTree lists a directory of a revision, "" being its top, or with recursive
// all files below it.
func (o *objects) LsTree(ctx context.Context, rev, dir string, recursive bool) ([]Entry, error) {
	args := []string{"ls-tree", "-z", "-l", "--full-tree"}
	if recursive {
		args = append(args, "-r")
	}
	if dir == "" {
		return o.lsTree(ctx, rev, args, "")
	}
	return o.lsTree(ctx, rev, args, dir+"/")
}

func (o *objects) lsTree(ctx context.Context, rev string, args []string, path string) ([]Entry, error) {
	if err := CheckRevision(rev); err != nil {
		return nil, err
	}
	args = append(args, rev, "--")
	if path != "" {
		if err := CheckPath(strings.TrimSuffix(path, "/")); err != nil {
			return nil, err
		}
		args = append(args, path)
	}
	out, err := o.read(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("listing %q at %s: %w", path, rev, err)
	}
	var entries []Entry
	for record := range strings.SplitSeq(string(out), "\x00") {
		meta, name, ok := strings.Cut(record, "\t")
		f := strings.Fields(meta)
		if !ok || len(f) != 4 {
			continue
		}
		size, _ := strconv.ParseInt(f[3], 10, 64) // "-" for trees
		entries = append(entries, Entry{Mode: f[0], Type: f[1], SHA: f[2], Size: size, Path: name})
	}
	return entries, nil
}

// ShowFile returns a regular file of a revision, of at most limit bytes.
func (o *objects) ShowFile(ctx context.Context, rev, path string, limit int64) ([]byte, error) {
	entries, err := o.lsTree(ctx, rev, []string{"ls-tree", "-z", "-l", "--full-tree"}, path)
	if err != nil {
		return nil, err
	}
	if len(entries) != 1 || !strings.HasPrefix(entries[0].Mode, "100") {
		return nil, fmt.Errorf("file %s at %s: %w", path, rev, ErrNotFound)
	}
	if entries[0].Size > limit {
		return nil, fmt.Errorf("file %s at %s has %d bytes: %w", path, rev, entries[0].Size, ErrTooLarge)
	}
	out, err := o.run(ctx, command{args: []string{"cat-file", "blob", entries[0].SHA}, limit: max(limit, 1)})
	if err != nil {
		return nil, fmt.Errorf("reading %s at %s: %w", path, rev, err)
	}
	return out, nil
}

// DescribeOptions say what Describe looks for.
type DescribeOptions struct {
	Rev   string // HEAD if empty
	Tags  bool   // lightweight tags too
	Long  bool   // with distance and hash, even on the tag itself
	Match string // glob that tags match, if not empty
}

// Describe names a revision after the nearest tag before it.
func (o *objects) Describe(ctx context.Context, opts DescribeOptions) (string, error) {
	args := []string{"describe"}
	if opts.Tags {
		args = append(args, "--tags")
	}
	if opts.Long {
		args = append(args, "--long")
	}
	if opts.Match != "" {
		args = append(args, "--match="+opts.Match)
	}
	rev := or(opts.Rev, "HEAD")
	if err := CheckRevision(rev); err != nil {
		return "", err
	}
	out, err := o.read(ctx, append(args, rev)...)
	if err != nil {
		return "", fmt.Errorf("describing %s: %w", rev, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// TagsByDate returns the tags, the newest first; with merged only those that
// can be reached from that revision.
func (o *objects) TagsByDate(ctx context.Context, merged string) ([]string, error) {
	args := []string{"for-each-ref", "--sort=-creatordate", "--format=%(refname:strip=2)"}
	if merged != "" {
		sha, err := o.RevParse(ctx, merged)
		if err != nil {
			return nil, err
		}
		args = append(args, "--merged="+sha)
	}
	out, err := o.read(ctx, append(args, "refs/tags/")...)
	if err != nil {
		return nil, fmt.Errorf("listing tags: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// Refs returns the refs below a prefix, as "refs/heads/", with the commits
// or tags they name.
func (o *objects) Refs(ctx context.Context, prefix string) ([]Ref, error) {
	if err := CheckRef(strings.TrimSuffix(prefix, "/")); err != nil {
		return nil, err
	}
	out, err := o.read(ctx, "for-each-ref", "--format=%(objectname) %(refname)", prefix)
	if err != nil {
		return nil, fmt.Errorf("listing refs: %w", err)
	}
	var refs []Ref
	for line := range strings.Lines(string(out)) {
		sha, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		refs = append(refs, Ref{Name: name, SHA: sha})
	}
	return refs, nil
}

// Range is the commits of To that are not in From. An empty From means the
// whole history, an empty To HEAD.
type Range struct{ From, To string }

func (r Range) arg() (string, error) {
	to := or(r.To, "HEAD")
	if err := CheckRevision(to); err != nil {
		return "", err
	}
	if r.From == "" {
		return to, nil
	}
	if err := CheckRevision(r.From); err != nil {
		return "", err
	}
	return r.From + ".." + to, nil
}

// LogOptions say what Log prints.
type LogOptions struct {
	Range    Range
	Format   string // of git's --pretty=format:
	NoMerges bool
	Max      int // commits; all if zero
	Paths    []string
}

// Log prints commits, the newest first.
func (o *objects) Log(ctx context.Context, opts LogOptions) (string, error) {
	span, err := opts.Range.arg()
	if err != nil {
		return "", err
	}
	if strings.ContainsRune(opts.Format, 0) {
		return "", bad("log format", opts.Format)
	}
	args := []string{"log", "--no-color", "--no-show-signature", "--pretty=format:" + opts.Format}
	if opts.NoMerges {
		args = append(args, "--no-merges")
	}
	if opts.Max > 0 {
		args = append(args, "--max-count="+strconv.Itoa(opts.Max))
	}
	args = append(args, span, "--")
	for _, path := range opts.Paths {
		if err := CheckPath(path); err != nil {
			return "", err
		}
		args = append(args, path)
	}
	out, err := o.read(ctx, args...)
	if err != nil {
		return "", fmt.Errorf("reading the log of %s: %w", span, err)
	}
	return strings.ToValidUTF8(string(out), "�"), nil
}

// Commit is a commit, as far as anybody asked.
type Commit struct {
	SHA     string
	Parents []string
	Author  Identity
	Subject string
	Body    string // without the subject
}

// Commits returns the commits of a range, the newest first, at most so many.
func (o *objects) Commits(ctx context.Context, r Range, most int) ([]Commit, error) {
	out, err := o.Log(ctx, LogOptions{Range: r, Max: most, Format: "%H%x1f%P%x1f%an%x1f%ae%x1f%at%x1f%s%x1f%b%x1e"})
	if err != nil {
		return nil, err
	}
	var commits []Commit
	for record := range strings.SplitSeq(out, "\x1e") {
		f := strings.SplitN(strings.TrimLeft(record, "\n"), "\x1f", 7)
		if len(f) != 7 {
			continue
		}
		seconds, _ := strconv.ParseInt(f[4], 10, 64)
		commits = append(commits, Commit{
			SHA: f[0], Parents: strings.Fields(f[1]), Subject: f[5], Body: strings.TrimSpace(f[6]),
			Author: Identity{Name: f[2], Email: f[3], When: time.Unix(seconds, 0).UTC()},
		})
	}
	return commits, nil
}

// MergeBase returns the best common ancestor of two revisions.
func (o *objects) MergeBase(ctx context.Context, a, b string) (string, error) {
	if err := cmp(CheckRevision(a), CheckRevision(b)); err != nil {
		return "", err
	}
	out, err := o.read(ctx, "merge-base", a, b)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == 1 {
		e.Err = ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("looking for the merge base of %s and %s: %w", a, b, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// IsAncestor reports whether a is b or one of its ancestors.
func (o *objects) IsAncestor(ctx context.Context, a, b string) (bool, error) {
	if err := cmp(CheckRevision(a), CheckRevision(b)); err != nil {
		return false, err
	}
	_, err := o.read(ctx, "merge-base", "--is-ancestor", a, b)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == 1 {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("comparing %s with %s: %w", a, b, err)
	}
	return true, nil
}

// Conflicts lists the files in which two revisions contradict each other when
// they are merged, none if they do not.
func (o *objects) Conflicts(ctx context.Context, ours, theirs string) ([]string, error) {
	if err := cmp(CheckRevision(ours), CheckRevision(theirs)); err != nil {
		return nil, err
	}
	out, err := o.read(ctx, "merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours, theirs)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == 1 {
		if _, names, found := strings.Cut(strings.Trim(string(out), "\x00"), "\x00"); found { // behind the tree
			return strings.Split(names, "\x00"), nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("merging %s and %s: %w", ours, theirs, err)
	}
	return nil, nil
}

// Diff returns the patch from one revision to another, optionally of some
// paths only.
func (o *objects) Diff(ctx context.Context, from, to string, paths ...string) (string, error) {
	out, err := o.diff(ctx, []string{"--patch"}, from, to, paths)
	return strings.ToValidUTF8(string(out), "�"), err
}

// Change is what happened to a file between two revisions.
type Change struct {
	Status string // A, M, D, T
	Path   string
}

// Changes lists the files that differ between two revisions. A renamed file
// is one deleted and one added.
func (o *objects) Changes(ctx context.Context, from, to string, paths ...string) ([]Change, error) {
	out, err := o.diff(ctx, []string{"--name-status", "-z", "--no-renames"}, from, to, paths)
	if err != nil {
		return nil, err
	}
	var changes []Change
	fields := bytes.Split(out, []byte{0})
	for i := 0; i+1 < len(fields); i += 2 {
		changes = append(changes, Change{Status: string(fields[i]), Path: string(fields[i+1])})
	}
	return changes, nil
}

func (o *objects) diff(ctx context.Context, how []string, from, to string, paths []string) ([]byte, error) {
	if err := cmp(CheckRevision(from), CheckRevision(to)); err != nil {
		return nil, err
	}
	args := append([]string{"diff", "--no-color", "--no-ext-diff", "--no-textconv"}, how...)
	args = append(args, from, to, "--")
	for _, path := range paths {
		if err := CheckPath(path); err != nil {
			return nil, err
		}
		args = append(args, path)
	}
	out, err := o.read(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("comparing %s with %s: %w", from, to, err)
	}
	return out, nil
}

// Patch returns a commit as a mail that git-am(1) applies, optionally with the
// changes to some paths only. It is empty for a merge, and if nothing is left.
func (o *objects) Patch(ctx context.Context, rev string, paths ...string) ([]byte, error) {
	sha, err := o.RevParse(ctx, rev)
	if err != nil {
		return nil, err
	}
	args := []string{"diff-tree", "--pretty=email", "--patch", "--root", "--no-ext-diff", "--no-textconv", "--no-renames", "--binary", sha, "--"}
	for _, path := range paths {
		if err := CheckPath(path); err != nil {
			return nil, err
		}
		args = append(args, path)
	}
	out, err := o.read(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("making a patch of %s: %w", rev, err)
	}
	return out, nil
}

// ArchiveOptions say what Archive packs.
type ArchiveOptions struct {
	Rev    string // HEAD if empty
	Prefix string // of each path in the archive, as "hello-1.0/"
	Format string // tar, tar.gz or zip; tar.gz if empty
	Limit  int64  // bytes of the archive; the repository's limit if zero
}

// Archive writes the tree of a revision to w. The same revision gives the same
// bytes.
func (o *objects) Archive(ctx context.Context, w io.Writer, opts ArchiveOptions) error {
	rev, format := or(opts.Rev, "HEAD"), or(opts.Format, "tar.gz")
	if err := CheckRevision(rev); err != nil {
		return err
	}
	if format != "tar" && format != "tar.gz" && format != "zip" {
		return bad("archive format", format)
	}
	args := []string{"archive", "--format=" + format}
	if opts.Prefix != "" {
		if err := CheckPath(strings.TrimSuffix(opts.Prefix, "/")); err != nil {
			return err
		}
		args = append(args, "--prefix="+opts.Prefix)
	}
	_, err := o.run(ctx, command{args: append(args, rev), stdout: w, limit: or(opts.Limit, o.git.maxRepository())})
	if err != nil {
		return fmt.Errorf("packing %s: %w", rev, err)
	}
	return nil
}

// Bare reads a bare repository of this machine that nobody hostile can write
// to but by pushing.
type Bare struct{ objects }

// Bare returns the bare repository in dir.
func (g *Git) Bare(dir string) *Bare { return &Bare{objects{git: g, gitDir: dir}} }
