package sources

import (
	"context"
	"maps"
	"slices"
	"strings"

	"millrace/clients/git"
	"millrace/jobs/sandbox"
	"millrace/models/specfile"
)

var describeAll = git.DescribeOptions{Tags: true, Long: true, Match: "*"}

// fallbackMacros stand in for those of Fedora where rpm comes from elsewhere.
// They are just enough for spec files to be read and packed: the binary
// packages are built by others.
var fallbackMacros = []struct{ name, signature, body string }{
	{"autorelease", "autorelease(e:s:pb:n)", "1%{?-e:.%{-e*}}%{?dist}"},
	{"autochangelog", "autochangelog", "%{nil}"},
	{"forgemeta", "forgemeta(i:z:va)", "%{nil}"},
	{"gometa", "gometa(fz:L:iv)", "%{nil}"},
	{"py3_dist", "py3_dist()", "python3dist(%1)"},
}

// macroArgs define, for rpmbuild and rpmspec, the macros of the operator and
// of the package config, and those of fallbackMacros that rpm does not know.
func (b *Builder) macroArgs(known string, parseTime map[string]any) []string {
	var args []string
	for _, m := range fallbackMacros {
		if !slices.Contains(strings.Fields(known), m.name) {
			args = append(args, "--define", m.signature+" "+m.body)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Macros)) {
		args = append(args, "--define", name+" "+b.Macros[name])
	}
	for _, name := range slices.Sorted(maps.Keys(parseTime)) {
		if value := parseTime[name]; value == nil {
			args = append(args, "--undefine", name)
		} else {
			args = append(args, "--define", name+" "+plainValue(value))
		}
	}
	return args
}

// knownProbe makes rpm print the names of those fallback macros that it knows.
func knownProbe() string {
	var b strings.Builder
	for _, m := range fallbackMacros {
		b.WriteString("%{?" + m.name + ":" + m.name + "} ")
	}
	return b.String()
}

// knownMacros asks rpm which of fallbackMacros it has itself.
func (p *preparation) knownMacros(ctx context.Context) (string, error) {
	r, err := p.runCommand(ctx, sandbox.Command{Args: []string{"rpm", "--eval", knownProbe()}, Dir: p.tree.dir})
	if err != nil {
		return "", err
	}
	return string(r.Stdout), nil
}

// rpmspec runs rpmspec on the spec file and returns what it printed.
func (p *preparation) rpmspec(ctx context.Context, args ...string) (string, error) {
	known, err := p.knownMacros(ctx)
	if err != nil {
		return "", err
	}
	dir := p.tree.abs(p.specDir())
	command := append([]string{"rpmspec"}, args...)
	command = append(command, p.macroArgs(known, p.pkg.Settings.ParseTimeMacros)...)
	command = append(command, "--define", "_sourcedir "+dir, "--", p.tree.abs(p.specPath))
	r, err := p.runCommand(ctx, sandbox.Command{Args: command, Dir: dir})
	if err != nil {
		return "", err
	}
	if r.ExitCode == 127 || r.ExitCode == 126 {
		return "", &UserError{Message: "The spec file has values that only rpm can tell, and", Err: errNoRPM}
	}
	if !r.Passed() {
		p.log.command(command)
		p.log.printf("%s", r.Output)
		p.log.endLine(r.Output)
		return "", userError("rpm cannot read the spec file %s: %s.", p.specPath, firstError(r))
	}
	return string(r.Stdout), nil
}

// firstError is the first line in which rpm speaks of an error.
func firstError(r *sandbox.Result) string {
	for line := range strings.Lines(string(r.Stderr)) { // alone: rpm writes a line in pieces
		if text, ok := strings.CutPrefix(line, "error: "); ok {
			return shorten(strings.TrimSpace(text), 300)
		}
	}
	return r.Explain()
}

// allSources are the sources and patches of true branches. If they contain
// what only rpm can expand, rpm does.
func (p *preparation) allSources(ctx context.Context) ([]specfile.Source, error) {
	all := valid(p.spec)
	if !slices.ContainsFunc(all, func(s specfile.Source) bool { return !specfile.IsExpanded(s.Expanded) }) {
		return all, nil
	}
	out, err := p.rpmspec(ctx, "-P")
	if err != nil {
		return nil, err
	}
	expanded, err := specfile.Parse([]byte(out))
	if err != nil {
		return nil, unreadable(p.specPath, err)
	}
	return valid(expanded), nil
}

func valid(f *specfile.File) []specfile.Source {
	all := append(f.Sources(), f.Patches()...)
	return slices.DeleteFunc(all, func(s specfile.Source) bool { return !s.Valid })
}
