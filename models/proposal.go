package models

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
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
	Push            string // where it can be pushed to over SSH; empty if that is not known
	Head            string // our branch
	Author          string // our account, which opens the pull request
	Gates           []BuildGate
	RunURL          string // our page of how it was made
}

// BuildGate is whose commits a job of a package has built in Koji.
type BuildGate struct{ PRAuthors, Committers []string }

// BuildGates are those of the jobs that build commits on a branch of a package. Two
// jobs that let in the same people are told of once.
func (c *PackageConfig) BuildGates(r Releases, defaultBranch, branch string) []BuildGate {
	var gates []BuildGate
	for i := range c.Jobs {
		view := &c.Jobs[i]
		if view.Type != JobKojiBuild || view.Trigger != TriggerCommit || view.Scratch || !view.ForBranch(r, defaultBranch, branch) {
			continue
		}
		gate := BuildGate{view.AllowedPRAuthors, view.AllowedCommitters}
		if !slices.ContainsFunc(gates, func(g BuildGate) bool {
			return slices.Equal(g.PRAuthors, gate.PRAuthors) && slices.Equal(g.Committers, gate.Committers)
		}) {
			gates = append(gates, gate)
		}
	}
	return gates
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

// DescriptionHash is what a description is known by, to see whether anybody edited it.
// What forges do to its ends, and browsers to its lines, does not count.
func DescriptionHash(text string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))))
	return hex.EncodeToString(sum[:])
}

// Body is in Markdown: where the release comes from, how to change it, who has
// it built, and what to look at before it is merged.
func (p *Proposal) Body() string {
	parts := []string{p.change()}
	if text := p.builds(); text != "" {
		parts = append(parts, text)
	}
	parts = append(parts, checklist)
	return p.origin() + "\n---\n\n" + strings.Join(parts, "\n---\n\n") + "\n---\n" + p.logs()
}

// News is what a comment says of a release that a pull request got whose description
// is left alone, as somebody edited it. Its first line is the same for each try.
func (p *Proposal) News() string {
	return p.NewsLine() + "\n\n" + p.origin() + p.logs()
}

// NewsLine is the first line of News.
func (p *Proposal) NewsLine() string {
	return fmt.Sprintf("This pull request brings version %s now.", inline(p.Version))
}

// origin says where the release comes from, a line each.
func (p *Proposal) origin() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if p.Tag != "" {
		line("Upstream tag: %s", link(p.Tag, p.TagURL))
		line("Upstream commit: %s", link(fmt.Sprintf("%.8s", p.Commit), p.CommitURL))
	}
	if p.Monitoring > 0 {
		line("Release monitoring project: [%d](https://release-monitoring.org/project/%d)", p.Monitoring, p.Monitoring)
	}
	for _, bug := range p.Bugs {
		_, number, _ := strings.Cut(bug, "#")
		line("Resolves: %s", link(bug, "https://bugzilla.redhat.com/show_bug.cgi?id="+number))
	}
	return b.String()
}

func (p *Proposal) logs() string {
	return "Logs and details of the syncing: " + link("how this was made", p.RunURL) + "\n"
}

// change says how to change our branch. To clone it takes no account.
func (p *Proposal) change() string {
	var b strings.Builder
	b.WriteString("Who may commit to the package may change this pull request too, by commits to its branch. The next release makes that branch anew.\n```\n")
	fmt.Fprintf(&b, "git clone --branch %s %s %s\ncd %s\n", shellWord(p.Head), shellWord(p.Fork), shellWord(p.Package), shellWord(p.Package))
	if p.Push != "" {
		fmt.Fprintf(&b, "git remote set-url --push origin %s\n", shellWord(p.Push))
	}
	fmt.Fprintf(&b, "git push origin %s\n```\n", shellWord(p.Head))
	return b.String()
}

// builds says what becomes of the commit when it is merged, so that nobody waits for
// a build that does not come.
func (p *Proposal) builds() string {
	var b strings.Builder
	for _, g := range p.Gates {
		fmt.Fprintf(&b, "Merged here, it is built in Koji if %s, who opened this pull request, is among `allowed_pr_authors` of the package's job `koji_build`: %s. ",
			codes([]string{p.Author}), people(g.PRAuthors))
		fmt.Fprintf(&b, "What is pushed to %s by hand is built if who pushed it is among `allowed_committers`: %s.\n", codes([]string{p.Branch}), people(g.Committers))
	}
	return b.String()
}

const checklist = `Before you merge it, please look whether

* the new sources contain nothing that Fedora may not ship,
* the licence is still what the spec file says,
* the programming or binary interface changed in ways that other packages must follow,
* the changelog, most of which was written by a program, says what users should know.
`

// special is what Markdown makes something of within a line, as far as all forges of
// dist-git take it with a backslash.
var special = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", "&", "&amp;", "@", "&#64;", "\n", " ", "\r", " ")

// inline is a text within a line of Markdown that stands for itself.
func inline(text string) string { return special.Replace(text) }

// link is a link in Markdown; a text alone if there is no address.
func link(text, address string) string {
	if address == "" {
		return inline(text)
	}
	return "[" + inline(text) + "](" + strings.NewReplacer("(", "%28", ")", "%29", " ", "%20", "<", "%3C", ">", "%3E", "\n", "").Replace(address) + ")"
}

// people are names as code in Markdown, or that there are none.
func people(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return codes(names)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9._/@:+~-]+$`)

// shellWord is a text as one word of a command that people copy out of a block of
// code. Names of branches may have more in them than one would like to run.
func shellWord(text string) string {
	text = strings.NewReplacer("`", "", "\n", "", "\r", "").Replace(text)
	if plainWord.MatchString(text) && !strings.HasPrefix(text, "-") && !strings.HasPrefix(text, "~") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
