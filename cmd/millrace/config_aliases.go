package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"

	"millrace/models"
)

func configAliases(args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("aliases", flag.ContinueOnError)
	file := f.String("releases", "", "")
	defaultBranch := f.String("default-branch", "main", "")
	names, code := configFlags(f, args, stdout, stderr)
	if code >= 0 {
		return code
	}
	if *file == "" {
		fmt.Fprintf(stderr, "millrace config aliases: --releases is needed\n\n%s", configUsage)
		return 2
	}
	const limit = 8 << 20
	text, err := readInput(*file, limit)
	if err != nil {
		fmt.Fprintf(stderr, "millrace config aliases: %v\n", err)
		return 2
	}
	releases, err := parseReleases(text)
	if err != nil {
		fmt.Fprintf(stderr, "millrace config aliases: reading %s: %v\n", *file, err)
		return 1
	}
	if err := writeJSON(stdout, expandAliases(releases, *defaultBranch, names)); err != nil {
		fmt.Fprintf(stderr, "millrace config aliases: %v\n", err)
		return 1
	}
	return 0
}

// parseReleases reads a list of releases, or an object that has it as Bodhi
// does or as "bodhi_releases".
func parseReleases(text []byte) (models.Releases, error) {
	var list models.Releases
	if json.Unmarshal(text, &list) == nil && list != nil {
		return list, nil
	}
	var object struct {
		Releases models.Releases `json:"releases"`
		Bodhi    models.Releases `json:"bodhi_releases"`
	}
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, err
	}
	if object.Releases == nil {
		object.Releases = object.Bodhi
	}
	if object.Releases == nil {
		return nil, errors.New("there are no releases in it")
	}
	return object.Releases, nil
}

type aliasLookup struct {
	Branches    []string `json:"branches"`
	WithRawhide []string `json:"branches_with_rawhide_alias"`
	KojiTargets []string `json:"koji_targets"`
	Chroots     []string `json:"chroots"`
}

type aliasTable struct {
	Aliases  map[string][][2]string `json:"aliases"`
	Lookups  map[string]aliasLookup `json:"lookups"`
	Defaults struct {
		Branches []string `json:"branches"`
		Chroots  []string `json:"chroots"`
	} `json:"defaults"`
}

// expandAliases looks up every alias, every single release by its name and its
// branch, and the given names.
func expandAliases(releases models.Releases, defaultBranch string, names []string) aliasTable {
	table := aliasTable{Aliases: map[string][][2]string{}, Lookups: map[string]aliasLookup{}}
	lookUp := func(name string) {
		table.Lookups[name] = aliasLookup{
			Branches:    sorted(releases.Branches(defaultBranch, name)),
			WithRawhide: sorted(releases.BranchesAndRawhide(defaultBranch, name)),
			KojiTargets: sorted(releases.KojiTargets(name)),
			Chroots:     sorted(releases.Chroots(name)),
		}
	}
	for _, a := range releases.Aliases() {
		pairs := [][2]string{}
		for _, d := range a.Distros {
			pairs = append(pairs, [2]string{d.Name, d.Branch})
			lookUp(d.Name)
			lookUp(d.Branch)
		}
		table.Aliases[a.Name] = pairs
		lookUp(a.Name)
	}
	for _, name := range append([]string{"fedora-eln", "eln", defaultBranch}, names...) {
		lookUp(name)
	}
	table.Defaults.Branches = table.Lookups[models.DefaultTargets].Branches
	table.Defaults.Chroots = table.Lookups[models.DefaultTargets].Chroots
	return table
}

func sorted(names []string) []string {
	names = append([]string{}, names...)
	slices.Sort(names)
	return names
}
