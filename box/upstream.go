package box

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"millrace/clients/git"
	"millrace/clients/github/githubfake"
	"millrace/models/specfile"
)

// serveArchive sends the archive of a tag, as the forge does.
func (b *Box) serveArchive(w http.ResponseWriter, r *http.Request) {
	repo, err := b.repository(repoOf(r))
	tag := r.PathValue("tag")
	if err == nil {
		_, err = b.bare(repo.FullName()).RevParse(r.Context(), "refs/tags/"+tag)
	}
	if err != nil || !strings.HasSuffix(r.PathValue("file"), ".tar.gz") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/gzip")
	if err := b.archive(r.Context(), w, repo.FullName(), tag); err != nil && r.Context().Err() == nil {
		b.log.ErrorContext(r.Context(), "an archive is not sent", "repository", repo.FullName(), "tag", tag, "error", err)
		panic(http.ErrAbortHandler) // net/http's way to break a connection: half an archive must not look whole
	}
}

// archive writes the archive of a tag.
func (b *Box) archive(ctx context.Context, w io.Writer, repo, tag string) error {
	return b.bare(repo).Archive(ctx, w, git.ArchiveOptions{Rev: "refs/tags/" + tag, Format: "tar.gz", Prefix: path.Base(repo) + "-" + tag + "/"})
}

// Release makes the next release of a repository whose programs we know, and has
// release monitoring find it where it watches.
func (b *Box) Release(ctx context.Context, repo string) (githubfake.Release, error) {
	sample := sampleOf(repo)
	if sample == nil || len(sample.programs) == 0 {
		return githubfake.Release{}, cannot("Nobody knows how to make a release of %s.", repo)
	}
	b.releasing.Lock()
	defer b.releasing.Unlock()
	version, files := "", map[string]string{}
	for _, p := range sample.programs {
		text, err := b.bare(sample.fullName()).ShowFile(ctx, "refs/heads/main", p.path(p.name+".spec"), maxText)
		if err != nil {
			return githubfake.Release{}, err
		}
		spec, err := specfile.Parse(text)
		if err != nil {
			return githubfake.Release{}, cannot("The spec file of %s cannot be read: %v.", p.name, err)
		}
		if version == "" {
			version = after(spec.Version())
		}
		if err := spec.SetVersionLiteral(version); err != nil {
			return githubfake.Release{}, cannot("The spec file of %s has no version to change: %v.", p.name, err)
		}
		files[p.path(p.name)], files[p.path(p.name+".spec")] = p.script(version), string(spec.Bytes())
	}
	release, err := b.publish(ctx, sample, version, files)
	if err != nil {
		return release, err
	}
	for _, project := range b.Anitya.Projects() {
		if slices.ContainsFunc(sample.programs, func(p program) bool { return p.name == project.Name }) {
			if err := b.Anitya.Release(project.ID, []string{version}, []string{version}); err != nil {
				return release, err
			}
		}
	}
	return release, nil
}

func (b *Box) publish(ctx context.Context, sample *sample, version string, files map[string]string) (githubfake.Release, error) {
	change := githubfake.Change{Message: "Release " + version, Author: sample.maintainer(), Files: files}
	if _, err := b.Forge.Commit(ctx, sample.fullName(), change); err != nil {
		return githubfake.Release{}, fmt.Errorf("committing to %s: %w", sample.fullName(), err)
	}
	return b.Forge.PublishRelease(ctx, sample.fullName(), githubfake.NewRelease{
		Tag: version, Name: sample.name + " " + version, Body: "- Better in many ways\n- Faster in some", Author: sample.maintainer(),
	})
}

// after is the next version.
func after(version string) string {
	i := strings.LastIndexByte(version, '.') + 1
	n, err := strconv.Atoi(version[i:])
	if err != nil {
		return version + ".1"
	}
	return version[:i] + strconv.Itoa(n+1)
}
