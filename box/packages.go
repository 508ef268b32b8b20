package box

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace/clients/anitya"
	"millrace/clients/git/fakeforge"
)

// pack is a package that every new box has in dist-git.
type pack struct {
	name     string
	upstream string // repository at the forge
	owner    string
	rights   fakeforge.Access // of the others
	branches []string         // besides rawhide
	known    bool             // release monitoring knows what it is made of
	watched  bool             // its owners want to be told of new versions
	config   string           // .packit.yaml in dist-git, with the upstream's address for %s; empty: none
}

var olderBranches = []string{"f45", "f44", "f43", "epel9"}

const chainJobs = `jobs:
- job: koji_build
  trigger: commit
  dist_git_branches:
  - fedora-all
  - epel-9
- job: bodhi_update
  trigger: koji_build
  dist_git_branches:
  - fedora-branched
  - epel-9
`

var packs = []pack{
	{
		name: "hello-world", upstream: "packit/hello-world", owner: "jonas-lind", rights: fakeforge.Access{Committers: []string{"pavel", packager}}, branches: olderBranches,
		config: "# Releases are proposed by the config upstream.\nupstream_project_url: %s\n" + chainJobs,
	},
	{
		name: "loom", upstream: "fedora-crafts/loom", owner: "pavel", rights: fakeforge.Access{Admins: []string{"maren"}, Committers: []string{packager}}, branches: olderBranches,
		known: true, watched: true,
		config: "# What release monitoring finds is proposed here.\nupstream_project_url: %s\n" + strings.Replace(chainJobs, "jobs:\n", `jobs:
- job: pull_from_upstream
  trigger: release
  dist_git_branches:
  - fedora-rawhide
  - f44
`, 1),
	},
	{
		name: "sluice", upstream: "mill/monorepo", owner: "wren-okafor", rights: fakeforge.Access{Admins: []string{"pavel"}, Committers: []string{packager}}, branches: []string{"f44"},
		known: true,
		config: `# It is built first, and its update waits for wheel.
jobs:
- job: koji_build
  trigger: commit
  allowed_committers:
  - wren-okafor
  sidetag_group: mill
  dependents:
  - wheel
  dist_git_branches:
  - f44
`,
	},
	{
		name: "wheel", upstream: "mill/monorepo", owner: "wren-okafor", rights: fakeforge.Access{Admins: []string{"pavel"}, Committers: []string{packager}}, branches: []string{"f44"},
		config: `# It is built against sluice, in the same side tag, and both are one update.
jobs:
- job: koji_build
  trigger: koji_build
  sidetag_group: mill
  dependencies:
  - sluice
  dist_git_branches:
  - f44
- job: bodhi_update
  trigger: koji_build
  sidetag_group: mill
  dependencies:
  - sluice
  dist_git_branches:
  - f44
`,
	},
	{
		name: "almanac", upstream: "mill/almanac", owner: "maren", rights: fakeforge.Access{Admins: []string{"pavel"}, Committers: []string{packager}}, branches: olderBranches,
		known: true, watched: true,
	},
}

// seedPackages makes the packages of a new box, their archives, and what release
// monitoring watches, all or nothing.
func (b *Box) seedPackages(ctx context.Context) error {
	if _, err := os.Stat(b.path("dist-git")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	next := b.path("dist-git.new")
	if err := os.RemoveAll(next); err != nil {
		return err
	}
	clock := time.Now().Add(-60 * 24 * time.Hour)
	forge, err := fakeforge.New(fakeforge.Config{Dir: next, Log: b.log, Now: func() time.Time { return clock }})
	if err != nil {
		return err
	}
	defer forge.Close()
	for _, login := range []string{packager, visitor} {
		if err := forge.AddPerson(login, login); err != nil {
			return err
		}
	}
	for i := range packs {
		if err := b.pack(ctx, forge, &packs[i]); err != nil {
			return fmt.Errorf("making the package %s: %w", packs[i].name, err)
		}
	}
	return os.Rename(next, b.path("dist-git"))
}

// pack makes a package with what its upstream released last.
func (b *Box) pack(ctx context.Context, forge *fakeforge.Forge, p *pack) error {
	sample := sampleOf(p.upstream)
	i := slices.IndexFunc(sample.programs, func(q program) bool { return q.name == p.name })
	program := sample.programs[i]
	version := program.versions[len(program.versions)-1]
	home := b.access.URL + "/" + p.upstream
	files := map[string]string{p.name + ".spec": program.spec(version, home), "README.md": "# " + p.name + "\n\nThe package of " + home + "\n"}
	if p.config != "" {
		files[".packit.yaml"] = strings.Replace(p.config, "%s", home, 1)
	}
	if program.dir == "" {
		line, err := b.seedArchive(ctx, p, version)
		if err != nil {
			return err
		}
		files["sources"], files[".gitignore"] = line, "/"+p.name+"-*.tar.gz\n"
	}
	repo := "rpms/" + p.name
	if err := forge.CreateRepo(ctx, repo, p.owner); err != nil {
		return err
	}
	access := p.rights
	access.Owner = p.owner
	// Who looks at the box merges what is proposed in it.
	access.Admins = append(slices.Clone(access.Admins), visitor)
	if err := forge.SetAccess(repo, access); err != nil {
		return err
	}
	if _, err := forge.Commit(ctx, repo, fakeforge.Change{Message: "Package " + version, Author: p.owner, Files: files}); err != nil {
		return err
	}
	for _, branch := range p.branches {
		if err := forge.Branch(ctx, repo, branch, ""); err != nil {
			return err
		}
	}
	if !p.known {
		return nil
	}
	id := b.Anitya.Add(anitya.Project{
		Name: p.name, Homepage: home, Backend: "GitHub", Ecosystem: home, Version: version, Versions: []string{version}, StableVersions: []string{version},
	})
	return b.Anitya.Map(anitya.Fedora, p.name, id)
}

// setMonitoring says in dist-git of each package whether its owners want to be told
// of new versions, unless it is said already.
func (b *Box) setMonitoring() error {
	for i := range packs {
		p := &packs[i]
		repo, err := b.Packages.Repo("rpms/" + p.name)
		if err != nil {
			return err
		}
		if repo.Notes["monitoring"] != "" {
			continue
		}
		setting := "no-monitoring"
		if p.watched {
			setting = "monitoring"
		}
		if err := b.distGit.pagure.SetMonitoring(repo.Path, setting); err != nil {
			return err
		}
	}
	return nil
}

// fileBug files the bug about a new version, if the owners of the package want it.
func (b *Box) fileBug(pkg, version string) int {
	if repo, err := b.Packages.Repo("rpms/" + pkg); err != nil || repo.Notes["monitoring"] != "monitoring" {
		return 0
	}
	return b.Bugzilla.Release(pkg, version)
}

// seedArchive puts an archive of upstream into the lookaside cache, and returns its
// line in the file sources.
func (b *Box) seedArchive(ctx context.Context, p *pack, version string) (string, error) {
	var archive bytes.Buffer
	if err := b.archive(ctx, &archive, p.upstream, version); err != nil {
		return "", err
	}
	sum := sha512.Sum512(archive.Bytes())
	name, hash := p.name+"-"+version+".tar.gz", hex.EncodeToString(sum[:])
	dir := b.path("lookaside", "rpms", p.name, name, "sha512", hash)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return fmt.Sprintf("SHA512 (%s) = %s\n", name, hash), os.WriteFile(filepath.Join(dir, name), archive.Bytes(), 0o644)
}
