package models

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// autumn are releases shortly after a branch was made of Rawhide.
var autumn = Releases{
	{"F45", "Fedora 45", "45", "FEDORA", "rawhide", "pending"},
	{"F42", "Fedora 42", "42", "FEDORA", "f42", "current"},
	{"F44", "Fedora 44", "44", "FEDORA", "f44", "frozen"},
	{"F43", "Fedora 43", "43", "FEDORA", "f43", "current"},
	{"F41", "Fedora 41", "41", "FEDORA", "f41", "archived"},
	{"F43C", "Fedora 43 Containers", "43", "FEDORA-CONTAINER", "f43", "current"},
	{"ELN", "Fedora ELN", "eln", "FEDORA", "eln", "pending"},
	{"EPEL-6", "Fedora EPEL 6", "6", "FEDORA-EPEL", "el6", "current"},
	{"EPEL-8", "Fedora EPEL 8", "8", "FEDORA-EPEL", "epel8", "current"},
	{"EPEL-9", "Fedora EPEL 9", "9", "FEDORA-EPEL", "epel9", "current"},
	{"EPEL-10.10", "Fedora EPEL 10.10", "10.10", "FEDORA-EPEL", "epel10", "current"},
	{"EPEL-10.9", "Fedora EPEL 10.9", "10.9", "FEDORA-EPEL", "epel10.9", "current"},
}

// The snapshots were expanded by Packit, whose sets have no order.
func TestReleasesAsPackitExpandsThem(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/aliases.expect.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Snapshots map[string]struct {
			Releases Releases `json:"bodhi_releases"`
			Aliases  map[string][][2]string
			Lookups  map[string]struct {
				Branches    []string
				WithRawhide []string `json:"branches_with_rawhide_alias"`
				KojiTargets []string `json:"koji_targets"`
				Chroots     []string
			}
			FastForward map[string]json.RawMessage `json:"fast_forward"`
		}
	}
	if err := json.Unmarshal(text, &file); err != nil || len(file.Snapshots) == 0 {
		t.Fatalf("%d snapshots, %v", len(file.Snapshots), err)
	}
	same := func(what string, want, got []string) {
		t.Helper()
		want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
		if !slices.Equal(want, got) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	for name, s := range file.Snapshots {
		aliases := map[string][][2]string{}
		for _, a := range s.Releases.Aliases() {
			for _, d := range a.Distros {
				aliases[a.Name] = append(aliases[a.Name], [2]string{d.Name, d.Branch})
			}
		}
		if diff := cmp.Diff(s.Aliases, aliases); diff != "" {
			t.Errorf("%s: aliases (-want +got):\n%s", name, diff)
		}
		for alias, want := range s.Lookups {
			same(name+" branches of "+alias, want.Branches, s.Releases.Branches("main", alias))
			same(name+" branches and rawhide of "+alias, want.WithRawhide, s.Releases.BranchesAndRawhide("main", alias))
			same(name+" Koji targets of "+alias, want.KojiTargets, s.Releases.KojiTargets(alias))
			same(name+" chroots of "+alias, want.Chroots, s.Releases.Chroots(alias))
		}
		for branch, raw := range s.FastForward {
			if branch == "config" {
				continue
			}
			var want []string
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			config := []DistGitBranch{{"rawhide", []string{"fedora-branched"}}, {"epel9", nil}}
			same(name+" fast forward of "+branch, want, s.Releases.FastForward("main", branch, config))
		}
	}
}

func TestReleasesOrder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		names []string
		want  []string
	}{
		{[]string{"fedora-all"}, []string{"fedora-42-x86_64", "fedora-43-x86_64", "fedora-44-x86_64", "fedora-rawhide-x86_64"}},
		{[]string{"epel-all"}, []string{"epel-6-x86_64", "epel-8-x86_64", "epel-9-x86_64", "rhel+epel-10-x86_64", "epel-10-x86_64"}},
		{[]string{"f43-aarch64", "fedora-stable", "f43-aarch64"}, []string{"fedora-43-aarch64", "fedora-42-x86_64", "fedora-43-x86_64"}},
		{[]string{"centos-stream", "opensuse-leap-all", "x"}, []string{"centos-stream-8-x86_64", "opensuse-leap-16.0-x86_64", "x-x86_64"}},
		{nil, nil},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, autumn.Chroots(test.names...)); diff != "" {
			t.Errorf("chroots of %v (-want +got):\n%s", test.names, diff)
		}
	}
	if diff := cmp.Diff([]string{"epel6", "epel8", "epel9", "epel10.9", "epel10"}, autumn.KojiTargets("epel-all")); diff != "" {
		t.Errorf("Koji targets (-want +got):\n%s", diff)
	}
}

func TestReleasesCorrectRawhide(t *testing.T) {
	t.Parallel()
	branching := Releases{
		{"ELN", "Fedora ELN", "99", "FEDORA", "eln", "pending"}, // never the highest Fedora
		{"F46", "Fedora 46", "46", "FEDORA", "f46", "pending"},
		{"F45", "Fedora 45", "45", "FEDORA", "rawhide", "pending"},
	}
	if diff := cmp.Diff([]string{"f45", "main"}, branching.Branches("main", "fedora-all")); diff != "" {
		t.Errorf("branches while branching (-want +got):\n%s", diff)
	}
	// No releases at all: what is literal stays, aliases are empty.
	if diff := cmp.Diff([]string{"x", "eln"}, Releases{}.Branches("main", "fedora-all", "fedora-latest", "x", "eln")); diff != "" {
		t.Errorf("branches without releases (-want +got):\n%s", diff)
	}
}

func FuzzChroots(f *testing.F) {
	f.Add("fedora-all", "10.2", "epel10.2", "F46")
	f.Add("epel-10", "", "", "ELN")
	f.Fuzz(func(t *testing.T, name, version, branch, release string) {
		rs := append(slices.Clone(autumn), Release{release, "Fedora " + version, version, "FEDORA", branch, "current"},
			Release{release, release, version, "FEDORA-EPEL", branch, "pending"})
		for _, c := range rs.Chroots(name) {
			if _, arch := SplitArchitecture(c); arch == "" {
				t.Errorf("chroot %q of %q has no architecture", c, name)
			}
		}
		rs.Branches("main", name)
		rs.KojiTargets(name)
	})
}

// TestDist: releases of packages end like the distribution that they are for.
func TestDist(t *testing.T) {
	t.Parallel()
	releases := Releases{
		{Name: "F45", LongName: "Fedora 45", Version: "45", IDPrefix: "FEDORA", Branch: "rawhide", State: "pending"},
		{Name: "F44", LongName: "Fedora 44", Version: "44", IDPrefix: "FEDORA", Branch: "f44", State: "current"},
		{Name: "EPEL-9", LongName: "Fedora EPEL 9", Version: "9", IDPrefix: "FEDORA-EPEL", Branch: "epel9", State: "current"},
		{Name: "EPEL-10.2", LongName: "Fedora EPEL 10.2", Version: "10.2", IDPrefix: "FEDORA-EPEL", Branch: "epel10.2", State: "current"},
		{Name: "EPEL-10.3", LongName: "Fedora EPEL 10.3", Version: "10.3", IDPrefix: "FEDORA-EPEL", Branch: "epel10", State: "current"},
		{Name: "F41", LongName: "Fedora 41", Version: "41", IDPrefix: "FEDORA", Branch: "f41", State: "archived"},
	}
	for branch, want := range map[string]string{
		"rawhide": ".fc45", "main": ".fc45", "f44": ".fc44", "epel9": ".el9", "epel10.2": ".el10_2", "epel10": ".el10_3", "f41": "", "topic": "", "eln": "",
	} {
		if got := releases.Dist(branch); got != want {
			t.Errorf("%s: %q, want %q", branch, got, want)
		}
	}
}
