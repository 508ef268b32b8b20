package box

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"millrace/clients/github/githubfake"
)

// sample is a repository that every new box has.
type sample struct {
	owner, name string
	description string
	stranger    bool // the service is not to know its namespace
	programs    []program
	config      string // .packit.yaml; empty: none
	tests       []string
	more        map[string]string // further files
}

func (s *sample) fullName() string { return s.owner + "/" + s.name }

// program is a small shell script and the package that it comes in.
type program struct {
	name, summary, license string
	says                   string
	dir                    string // below which everything is; empty is the top
	versions               []string
	breaksOn               string // ending of releases of the chroot in which it cannot be built
	because                string // and why
}

func (p *program) path(name string) string {
	if p.dir == "" {
		return name
	}
	return p.dir + "/" + name
}

func (p *program) script(version string) string {
	return fmt.Sprintf(`#!/bin/bash
# %s: %s.
set -eu

version=%s

case "${1:-}" in
--version) echo "%[1]s $version" ;;
--help) echo "Usage: %[1]s [--version | --help | NAME]" ;;
*) echo "%[4]s, ${1:-world}." ;;
esac
`, p.name, strings.ToLower(p.summary[:1])+p.summary[1:], version, p.says)
}

// spec is the spec file of a version; home is the repository that it comes from.
func (p *program) spec(version, home string) string {
	trouble, source := "", "%{name}-%{version}.tar.gz"
	if p.dir == "" {
		source = "%{url}/archive/%{version}/" + source
	}
	if p.breaksOn != "" {
		trouble = breakage(p.breaksOn, p.name+": "+p.because) + "\n"
	}
	return fmt.Sprintf(`Name:           %s
Version:        %s
Release:        1%%{?dist}
Summary:        %s
License:        %s
URL:            %[7]s
Source0:        %[8]s
BuildArch:      noarch

%%description
%[3]s. It is a small program that shows how packages are made.

%%prep
%%autosetup

%%build
%[5]sbash -n %[6]s

%%install
install -D -p -m 0755 %[6]s %%{buildroot}%%{_bindir}/%[1]s

%%check
bash ./%[6]s --version

%%files
%%{_bindir}/%[1]s

%%changelog
* Mon Jun 01 2026 The maintainers <maintainers@example.org> - %[2]s-1
- Release %[2]s
`, p.name, version, p.summary, p.license, trouble, p.path(p.name), home, source)
}

// breakage is a line of %build that fails in the chroots of one release only.
// What is read here is also what the simulated Copr looks for.
func breakage(dist, why string) string {
	return fmt.Sprintf("%%{?%s:echo %q >&2; exit 1}", dist, why)
}

// files are those of a version; forge is the address of the forge.
func (s *sample) files(n int, forge string) map[string]string {
	files := map[string]string{
		"README.md": fmt.Sprintf("# %s\n\n%s.\n\nIt lives in Fedora in a box, and nowhere else.\n", s.name, s.description),
		"LICENSE":   "You may do with this what you like, if you tell others the same.\n",
	}
	for _, p := range s.programs {
		version := p.versions[min(n, len(p.versions)-1)]
		files[p.path(p.name)] = p.script(version)
		files[p.path(p.name+".spec")] = p.spec(version, forge+"/"+s.fullName())
	}
	if len(s.tests) > 0 {
		files[".fmf/version"] = "1\n"
	}
	for _, name := range s.tests {
		program := s.programs[0].name
		files["plans/"+name+".fmf"] = fmt.Sprintf("summary: %s of %s\ndiscover:\n  how: fmf\n  test: /tests/%[1]s\nexecute:\n  how: tmt\n", name, program)
		files["tests/"+name+"/main.fmf"] = "summary: It says what it is\ntest: ./test.sh\nduration: 5m\n"
		files["tests/"+name+"/test.sh"] = fmt.Sprintf("#!/bin/bash\nset -eux\n\n%s --version\n%[1]s --help | grep Usage\ntest -n \"$(%[1]s there)\"\n", program)
	}
	if s.config != "" {
		files[".packit.yaml"] = s.config
	}
	for name, text := range s.more {
		files[name] = text
	}
	return files
}

// maintainer writes the commits of a sample.
func (s *sample) maintainer() string { return maintainers[s.owner] }

var maintainers = map[string]string{
	"packit": "alma-reyes", "fedora-crafts": "jonas-lind", "mill": "wren-okafor", "osbuild-demo": "petra-halas",
	"windmill-club": "sol-andersen", notificationsOwner: "alma-reyes",
}

// Where people prove who they are, in issues.
const notificationsOwner, notificationsName = "millhouse", "notifications"

// strangers are people at the forge who may write to none of the repositories
// that the service knows.
var strangers = []string{"sol-andersen", "remy-falk"}

// seed makes the forge of a new box with all samples, all or nothing.
func (b *Box) seed(ctx context.Context) error {
	if _, err := os.Stat(b.path("forge")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	next := b.path("forge.new")
	if err := os.RemoveAll(next); err != nil {
		return err
	}
	// A history has taken some time.
	clock := time.Now().Add(-90 * 24 * time.Hour)
	forge, err := githubfake.New(githubfake.Config{Dir: next, Log: b.log, Now: func() time.Time { return clock }})
	if err != nil {
		return err
	}
	for i := range samples {
		if err := samples[i].create(ctx, forge, b.access.URL, &clock); err != nil {
			forge.Close()
			return fmt.Errorf("making %s: %w", samples[i].fullName(), err)
		}
	}
	forge.Close()
	return os.Rename(next, b.path("forge"))
}

func (s *sample) create(ctx context.Context, forge *githubfake.Fake, address string, clock *time.Time) error {
	if err := forge.AddOrganization(s.owner); err != nil {
		return err
	}
	collaborators := map[string]string{s.maintainer(): "admin", visitor: "write"}
	if _, err := forge.CreateRepo(ctx, s.owner, s.name, nil, githubfake.RepoOptions{Description: s.description, Collaborators: collaborators}); err != nil {
		return err
	}
	versions := []string{""}
	if len(s.programs) > 0 {
		versions = s.programs[0].versions
	}
	for n, version := range versions {
		message := "Begin"
		if version != "" {
			message = "Release " + version
		}
		files := s.files(n, address)
		if n == 0 {
			// The config and the tests come when there is something to test.
			later := make(map[string]string)
			for name, text := range files {
				if strings.HasPrefix(name, "tests/") || strings.HasPrefix(name, "plans/") || name == ".fmf/version" {
					later[name] = text
					delete(files, name)
				}
			}
			if err := s.commit(ctx, forge, "Begin", files, clock); err != nil {
				return err
			}
			files, message = later, "Add tests"
			if len(later) == 0 {
				files, message = map[string]string{"AUTHORS": s.maintainer() + "\n"}, "Name the authors"
			}
		}
		if err := s.commit(ctx, forge, message, files, clock); err != nil {
			return err
		}
		if version == "" {
			continue
		}
		if err := forge.Tag(ctx, s.fullName(), version, "", "Release "+version, s.maintainer()); err != nil {
			return err
		}
	}
	return nil
}

func (s *sample) commit(ctx context.Context, forge *githubfake.Fake, message string, files map[string]string, clock *time.Time) error {
	*clock = clock.Add(53*time.Hour + 17*time.Minute)
	_, err := forge.Commit(ctx, s.fullName(), githubfake.Change{Message: message, Author: s.maintainer(), Files: files})
	return err
}

// Namespace is an owner of repositories in the box.
type Namespace struct {
	Name    string
	Allowed bool // the service is to have it on its allowlist
}

// Namespaces lists the owners of the box's first repositories, by name. One of
// them is a stranger to the service, to show what strangers see.
func (b *Box) Namespaces() []Namespace {
	var all []Namespace
	for i := range samples {
		n := Namespace{samples[i].owner, !samples[i].stranger}
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b Namespace) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// sampleOf returns the sample that a repository began as, or nil.
func sampleOf(fullName string) *sample {
	for i := range samples {
		if strings.EqualFold(samples[i].fullName(), fullName) {
			return &samples[i]
		}
	}
	return nil
}

var samples = []sample{
	{
		owner: "packit", name: "hello-world", description: "Greets the world in three chroots, and is tested in each",
		programs: []program{{name: "hello-world", summary: "A friendly greeting", license: "MIT", says: "Hello", versions: []string{"1.0.0", "1.1.0", "1.2.0"}}},
		tests:    []string{"smoke"},
		config: `# Build each pull request in three chroots, and test each build.
specfile_path: hello-world.spec
upstream_package_name: hello-world
downstream_package_name: hello-world

jobs:
- job: copr_build
  trigger: pull_request
  targets:
  - fedora-43
  - fedora-44
  - fedora-rawhide
- job: tests
  trigger: pull_request
  targets:
  - fedora-43
  - fedora-44
  - fedora-rawhide
# Propose each release to Fedora and EPEL 9.
- job: propose_downstream
  trigger: release
  dist_git_branches:
  - fedora-all
  - epel-9
`,
	},
	{
		owner: "fedora-crafts", name: "loom", description: "Weaves text; two build jobs, identifiers and a label",
		programs: []program{{name: "loom", summary: "A loom for lines of text", license: "GPL-3.0-or-later", says: "Warp and weft", versions: []string{"0.9", "0.10"}}},
		tests:    []string{"weave", "unravel"},
		config: `specfile_path: loom.spec
upstream_package_name: loom
downstream_package_name: loom

jobs:
- job: copr_build
  identifier: stable
  trigger: pull_request
  targets:
  - fedora-43
  - fedora-44
# What is not released yet is built only for pull requests with the label.
- job: copr_build
  identifier: next
  trigger: pull_request
  require:
    label:
      present:
      - next
  targets:
  - fedora-rawhide
- job: tests
  identifier: stable
  trigger: pull_request
  tmt_plan: /plans/weave
  targets:
  - fedora-43
  - fedora-44
- job: tests
  identifier: next
  trigger: pull_request
  require:
    label:
      present:
      - next
  tmt_plan: /plans/unravel
  targets:
  - fedora-rawhide
`,
	},
	{
		owner: "mill", name: "monorepo", description: "Two packages of one repository, each with a pipeline of its own",
		programs: []program{
			{name: "sluice", dir: "sluice", summary: "A gate for a stream", license: "BSD-3-Clause", says: "Water, stop", versions: []string{"2.0", "2.1"}},
			{name: "wheel", dir: "wheel", summary: "A wheel that turns in a stream", license: "BSD-3-Clause", says: "Round and round", versions: []string{"2.0", "2.1"}},
		},
		config: `packages:
  sluice:
    paths:
    - sluice
    specfile_path: sluice.spec
    upstream_package_name: sluice
    downstream_package_name: sluice
  wheel:
    paths:
    - wheel
    specfile_path: wheel.spec
    upstream_package_name: wheel
    downstream_package_name: wheel

jobs:
- job: copr_build
  trigger: pull_request
  packages:
  - sluice
  - wheel
  targets:
  - fedora-44
  - fedora-rawhide
`,
	},
	{
		owner: "osbuild-demo", name: "cauldron", description: "Brews images, but EPEL 9 lacks an ingredient",
		programs: []program{{
			name: "cauldron", summary: "A cauldron in which images brew", license: "Apache-2.0", says: "Double, double", versions: []string{"3.1", "3.2"},
			breaksOn: "el9", because: "EPEL 9 has CMake 3.26.5, this needs 3.28 or newer",
		}},
		tests: []string{"simmer"},
		config: `specfile_path: cauldron.spec
upstream_package_name: cauldron
downstream_package_name: cauldron

jobs:
- job: copr_build
  trigger: pull_request
  targets:
  - fedora-44
  - fedora-rawhide
  - epel-9
- job: tests
  trigger: pull_request
  targets:
  - fedora-44
  - fedora-rawhide
  - epel-9
`,
	},
	{
		owner: "mill", name: "almanac", description: "Tests only: nothing is built for its pull requests",
		programs: []program{{name: "almanac", summary: "A table of days and tides", license: "MIT", says: "High water", versions: []string{"2026.1", "2026.2"}}},
		tests:    []string{"tides"},
		config: `specfile_path: almanac.spec
upstream_package_name: almanac
downstream_package_name: almanac

jobs:
- job: tests
  trigger: pull_request
  skip_build: true
  targets:
  - fedora-44
  - fedora-rawhide
`,
	},
	{
		owner: "windmill-club", name: "windmill", description: "Grinds by wind; nobody has allowed it to use the service", stranger: true,
		programs: []program{{name: "windmill", summary: "A mill that runs on wind", license: "MIT", says: "Whoosh", versions: []string{"0.3"}}},
		config: `specfile_path: windmill.spec
upstream_package_name: windmill
downstream_package_name: windmill

jobs:
- job: copr_build
  trigger: pull_request
  targets:
  - fedora-44
`,
	},
	{
		owner: notificationsOwner, name: notificationsName, description: "Whoever installs the App and is not known proves here, in an issue, who they are",
		more: map[string]string{"README.md": "# notifications\n\nThe service opens an issue here for everybody who asks to be let in and whom no Fedora account names.\n"},
	},
	{
		owner: "fedora-crafts", name: "notes", description: "Notes on weaving, without any package config",
		more: map[string]string{"notes/warp.md": "The warp is held in tension.\n", "notes/weft.md": "The weft goes over and under.\n"},
	},
}
