package models

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Release is a release of a distribution as Bodhi lists it.
type Release struct {
	Name     string `json:"name"`      // such as "F44", "EPEL-10.1"
	LongName string `json:"long_name"` // such as "Fedora 44"
	Version  string `json:"version"`   // such as "44"
	IDPrefix string `json:"id_prefix"` // product: "FEDORA", "FEDORA-EPEL", ...
	Branch   string `json:"branch"`    // in dist-git
	State    string `json:"state"`     // disabled, pending, frozen, current, archived
}

// Releases are the releases that branch and chroot aliases are made of, in any
// order. What its methods return is in the order of the aliases given to them,
// and for each by version, Rawhide last, without repetitions.
type Releases []Release

// Distro is what an alias stands for: a release under the name that chroots
// use and the name of its branch.
type Distro struct {
	Name   string // such as "fedora-44", "fedora-rawhide", "epel-10.1"
	Branch string // such as "f44", "rawhide", "epel10.1"
}

// Alias is a name for several releases.
type Alias struct {
	Name    string
	Distros []Distro
}

var eln = Distro{"fedora-eln", "eln"}

// release is a row of Bodhi that takes part, with its version in numbers.
type release struct {
	Distro
	state        string
	major, minor int
}

// active returns the Fedoras and EPELs that aliases are made of, by version.
// ELN, archived releases and other products are left out.
func (rs Releases) active() (fedora, epel []release) {
	for _, r := range rs {
		// A disabled release is one Bodhi is not asked for either.
		if r.Name == "ELN" || r.State == "archived" || r.State == "disabled" {
			continue
		}
		major, minor, ok := versionNumbers(r.Version)
		if !ok {
			continue
		}
		row := release{Distro{Branch: r.Branch}, r.State, major, minor}
		switch r.IDPrefix {
		case "FEDORA":
			row.Name = strings.ReplaceAll(strings.ToLower(r.LongName), " ", "-")
			fedora = append(fedora, row)
		case "FEDORA-EPEL":
			row.Name = strings.ToLower(r.Name)
			epel = append(epel, row)
		}
	}
	byVersion := func(a, b release) int {
		return cmp.Or(cmp.Compare(a.major, b.major), cmp.Compare(a.minor, b.minor), cmp.Compare(a.Name, b.Name))
	}
	slices.SortFunc(fedora, byVersion)
	slices.SortFunc(epel, byVersion)

	// The highest Fedora is Rawhide whatever its row says, and for a while
	// after branching the row of the new branch still says rawhide.
	if n := len(fedora); n > 0 {
		fedora[n-1].Distro = Distro{"fedora-rawhide", "rawhide"}
		if n > 1 && fedora[n-2].Branch == "rawhide" {
			fedora[n-2].Branch = "f" + strconv.Itoa(fedora[n-2].major)
		}
	}
	return fedora, epel
}

func versionNumbers(version string) (major, minor int, ok bool) {
	a, b, _ := strings.Cut(version, ".")
	major, err := strconv.Atoi(a)
	if err != nil || major < 0 {
		return 0, 0, false
	}
	if b == "" {
		return major, 0, true
	}
	minor, err = strconv.Atoi(b)
	return major, minor, err == nil && minor >= 0
}

func distros(rows []release) []Distro {
	ds := make([]Distro, len(rows))
	for i, r := range rows {
		ds[i] = r.Distro
	}
	return ds
}

// Aliases are all aliases that these releases give, Fedora's first. EPEL has
// some for each major version from 10 on, where there are minor ones.
func (rs Releases) Aliases() []Alias {
	fedora, epel := rs.active()
	aliases := fedoraAliases(fedora)
	aliases = append(aliases, Alias{"epel-all", distros(epel)})
	for i, r := range epel {
		if r.major < 10 || i > 0 && epel[i-1].major == r.major {
			continue
		}
		var minors, branched, leading []Distro
		for _, m := range epel[i:] {
			if m.major != r.major {
				break
			}
			minors = append(minors, m.Distro)
			if strings.Contains(m.Branch, ".") {
				branched = append(branched, m.Distro)
			} else {
				leading = append(leading, m.Distro)
			}
		}
		name := "epel-" + strconv.Itoa(r.major)
		aliases = append(aliases, Alias{name + "-all", minors}, Alias{name + "-branched", branched}, Alias{name, leading})
	}
	return aliases
}

func fedoraAliases(fedora []release) []Alias {
	var stable, devel []Distro
	for _, r := range fedora {
		switch r.state {
		case "current":
			stable = append(stable, r.Distro)
		case "pending", "frozen":
			devel = append(devel, r.Distro)
		}
	}
	branched, latestStable := slices.Clone(stable), lastOf(stable)
	latest := latestStable
	if n := len(devel); n > 0 {
		branched = append(branched, devel[:n-1]...)
		if n > 1 {
			latest = devel[n-2 : n-1]
		}
	}
	return []Alias{
		{"fedora-all", distros(fedora)},
		{"fedora-stable", stable},
		{"fedora-development", devel},
		{"fedora-latest", latest},
		{"fedora-latest-stable", latestStable},
		{"fedora-branched", branched},
	}
}

func lastOf(ds []Distro) []Distro { return ds[max(0, len(ds)-1):] }

// expand replaces aliases and names of known releases by those releases. Any
// other name stays what it is: a Distro with that name and no branch.
func (rs Releases) expand(names ...string) []Distro {
	aliases := append(rs.Aliases(), openSUSEAliases...)
	var result []Distro
	add := func(ds ...Distro) {
		for _, d := range ds {
			if !slices.Contains(result, d) {
				result = append(result, d)
			}
		}
	}
	for _, name := range names {
		if i := slices.IndexFunc(aliases, func(a Alias) bool { return a.Name == name }); i >= 0 {
			add(aliases[i].Distros...)
			continue
		}
		known := false
		for _, a := range aliases {
			if a.Name != "fedora-all" && a.Name != "epel-all" {
				continue
			}
			for _, d := range append(slices.Clone(a.Distros), eln) {
				if d.Name == name || d.Branch == name {
					add(d)
					known = true
				}
			}
		}
		if !known {
			add(Distro{Name: name})
		}
	}
	return result
}

// Branches are the dist-git branches that the names stand for. Rawhide is
// called as the repository's default branch is.
func (rs Releases) Branches(defaultBranch string, names ...string) []string {
	return unique(rs.expand(names...), func(d Distro) string {
		switch d.Branch {
		case "":
			return d.Name
		case "rawhide":
			return defaultBranch
		}
		return d.Branch
	})
}

// Dist is how the releases of packages end that are built for a branch of
// dist-git: ".fc44", ".el10_1"; empty for a branch that no active release has.
// main is another name of rawhide.
func (rs Releases) Dist(branch string) string {
	if branch == "main" {
		branch = "rawhide"
	}
	fedora, epel := rs.active()
	for _, r := range fedora {
		if r.Branch == branch {
			return ".fc" + strconv.Itoa(r.major)
		}
	}
	for _, r := range epel {
		if r.Branch == branch {
			return ".el" + strings.ReplaceAll(strings.TrimPrefix(r.Name, "epel-"), ".", "_")
		}
	}
	return ""
}

// BranchesAndRawhide is Branches, and "rawhide" too if the default branch is
// among them, so that an event on either name is found.
func (rs Releases) BranchesAndRawhide(defaultBranch string, names ...string) []string {
	branches := rs.Branches(defaultBranch, names...)
	if slices.Contains(branches, defaultBranch) && !slices.Contains(branches, "rawhide") {
		branches = append(branches, "rawhide")
	}
	return branches
}

// KojiTargets are the targets of builds that do not come from dist-git.
func (rs Releases) KojiTargets(names ...string) []string {
	return unique(rs.expand(names...), func(d Distro) string {
		switch {
		case d.Branch == "":
			return d.Name
		case strings.HasPrefix(d.Branch, "el") && d.Branch != "eln": // EPEL 6 and older
			return strings.ReplaceAll(d.Name, "-", "")
		}
		return d.Branch
	})
}

// Chroots are the build chroots that the names stand for. A name may end in an
// architecture; x86_64 is meant otherwise.
func (rs Releases) Chroots(names ...string) []string {
	var chroots []string
	for _, name := range names {
		name, arch := SplitArchitecture(name)
		if arch == "" {
			arch = "x86_64"
		}
		if name == "centos-stream" { // from the time when there was only one
			name = "centos-stream-8"
		}
		for _, d := range rs.expand(name) {
			if c := joinArchitecture(d.chroot(), arch); !slices.Contains(chroots, c) {
				chroots = append(chroots, c)
			}
		}
	}
	return chroots
}

// chroot is the name that mock gives d. It does not tell EPEL's minor versions
// apart: the leading one is built against CentOS Stream, the others on RHEL.
func (d Distro) chroot() string {
	version, isEPEL := strings.CutPrefix(d.Name, "epel-")
	if d.Branch == "" || !isEPEL {
		return d.Name
	}
	major, _, ok := versionNumbers(version)
	switch {
	case !ok || major < 10:
		return d.Name
	case strings.Contains(d.Branch, "."):
		return "rhel+epel-" + strconv.Itoa(major)
	}
	return "epel-" + strconv.Itoa(major)
}

// FastForward are the branches that follow when branch has changed, by what
// the config says. Names that stand for branch may be aliases; the last one
// that does is right.
func (rs Releases) FastForward(defaultBranch, branch string, config []DistGitBranch) []string {
	for _, b := range slices.Backward(config) {
		if slices.Contains(rs.BranchesAndRawhide(defaultBranch, b.Name), branch) {
			if len(b.FastForwardMergeInto) == 0 {
				return nil
			}
			return rs.Branches(defaultBranch, b.FastForwardMergeInto...)
		}
	}
	return nil
}

// Architectures are the ends of target names that mean an architecture.
var Architectures = []string{"aarch64", "armhfp", "i386", "ppc64le", "s390x", "x86_64"}

// SplitArchitecture splits "fedora-44-x86_64" into "fedora-44" and "x86_64".
// arch is "" if the name does not end in one.
func SplitArchitecture(name string) (distro, arch string) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 || !slices.Contains(Architectures, name[i+1:]) {
		return name, ""
	}
	return name[:i], name[i+1:]
}

func joinArchitecture(distro, arch string) string {
	if arch == "" {
		return distro
	}
	return distro + "-" + arch
}

func unique(ds []Distro, name func(Distro) string) []string {
	names := []string{}
	for _, d := range ds {
		if n := name(d); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// openSUSEAliases are the only ones that do not come from Bodhi. They change
// about once a year. Last looked over: 2026-11-20.
var openSUSEAliases = []Alias{
	{"opensuse-all", []Distro{{Name: "opensuse-leap-16.0"}, {Name: "opensuse-leap-micro-6.2"}, {Name: "opensuse-tumbleweed"}}},
	{"opensuse-leap-all", []Distro{{Name: "opensuse-leap-16.0"}}},
	{"opensuse-leap-micro-all", []Distro{{Name: "opensuse-leap-micro-6.2"}}},
	{"opensuse-tumbleweed-all", []Distro{{Name: "opensuse-tumbleweed"}}},
}
