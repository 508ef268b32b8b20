package models

import (
	"fmt"
	"strings"
)

// Proposal is what a pull request in dist-git that brings a release says.
type Proposal struct {
	Branch, Version string
	Tag, TagURL     string // empty without a git repository upstream
	Commit          string
	CommitURL       string
	Monitoring      int64    // number of the project in release monitoring; 0: not known
	Bugs            []string // "rhbz#2300001"
	Package         string
	Fork            string // address from which our branch can be cloned
	Head            string // our branch
	RunURL          string // our page of how it was made
}

// Title is Packit's.
func (p *Proposal) Title() string {
	return fmt.Sprintf("Update %s to upstream release %s", p.Branch, p.Version)
}

// ProposedVersion is the version that a pull request of that title brings to a
// branch, empty if it is not a title of ours.
func ProposedVersion(title, branch string) string {
	version, ok := strings.CutPrefix(title, (&Proposal{Branch: branch}).Title())
	if !ok || strings.ContainsAny(version, " \t\n") {
		return ""
	}
	return version
}

// Body is in Markdown: where the release comes from, what to look at before it
// is merged, and how to change it.
func (p *Proposal) Body() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if p.Tag != "" {
		line("Upstream tag: [%s](%s)", p.Tag, p.TagURL)
		line("Upstream commit: [%.8s](%s)", p.Commit, p.CommitURL)
	}
	if p.Monitoring > 0 {
		line("Release monitoring project: [%d](https://release-monitoring.org/project/%d)", p.Monitoring, p.Monitoring)
	}
	for _, bug := range p.Bugs {
		line("Resolves: [%s](https://bugzilla.redhat.com/show_bug.cgi?id=%s)", bug, strings.TrimPrefix(bug, "rhbz#"))
	}
	b.WriteString("\n---\n\n")
	line("To change this pull request, commit to its branch:")
	line("```")
	line("git clone %s %s", p.Fork, p.Package)
	line("cd %s && git switch %s", p.Package, p.Head)
	line("```")
	b.WriteString("\n---\n\n")
	line("Before you merge it, please look whether")
	line("* the new sources contain nothing that Fedora may not ship,")
	line("* the licence is still what the spec file says,")
	line("* the programming interface changed in ways that other packages must follow,")
	line("* the changelog says what users should know.")
	b.WriteString("\n---\n")
	line("Logs and details of the syncing: [%s](%s)", "how this was made", p.RunURL)
	return b.String()
}
