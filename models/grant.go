package models

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Grant is what one source says somebody may do with one object. The zero value
// is nothing.
type Grant struct {
	Role     Role     // Committer, Maintainer, or Anyone
	Branches []string // patterns of branches; on these the role is at least Committer
}

// maxBranchPatterns is how many patterns are kept; more can only be a mistake.
const maxBranchPatterns = 100

// On is the role for what is about all of these branches. Without any it is
// about the whole object: patterns then help only if they leave out nothing.
func (g Grant) On(branches ...string) Role {
	if g.Role >= Committer {
		return g.Role
	}
	if slices.Contains(g.Branches, "*") {
		return Committer
	}
	for _, branch := range branches {
		if !slices.ContainsFunc(g.Branches, func(p string) bool { return matchBranch(p, branch) }) {
			return g.Role
		}
	}
	if len(branches) == 0 {
		return g.Role
	}
	return Committer
}

// Merge is what two grants for the same object are together.
func (g Grant) Merge(other Grant) Grant {
	g.Role = max(g.Role, other.Role)
	g.Branches = append(slices.Clone(g.Branches), other.Branches...)
	return g
}

// matchBranch matches a branch with a pattern as a shell does file names, but
// with stars that match slashes too, as Pagure's do.
func matchBranch(pattern, branch string) bool {
	// What stands for a slash here is in no name of a branch.
	plain := strings.NewReplacer("/", "\x01", "[!", "[^")
	ok, err := path.Match(plain.Replace(pattern), strings.ReplaceAll(branch, "/", "\x01"))
	return err == nil && ok
}

// grantWords are the roles as they are stored.
var grantWords = map[Role]string{Anyone: "none", Committer: "commit", Maintainer: "admin"}

// String is the grant as it is stored; ParseGrant reads it.
func (g Grant) String() string {
	word, ok := grantWords[g.Role]
	if !ok {
		word = grantWords[Anyone]
	}
	for _, pattern := range g.Branches[:min(len(g.Branches), maxBranchPatterns)] {
		if pattern != "" && !strings.ContainsAny(pattern, " \t\r\n") { // no branch has spaces
			word += " " + pattern
		}
	}
	return word
}

// ParseGrant reads what String wrote.
func ParseGrant(text string) (Grant, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return Grant{}, fmt.Errorf("an empty text is no grant")
	}
	for role, word := range grantWords {
		if word == words[0] {
			return Grant{Role: role, Branches: slices.Clip(words[1:])}, nil
		}
	}
	return Grant{}, fmt.Errorf("%q is no grant", words[0])
}

// Concern is a package in dist-git that an action is about, and the branches of
// it; none: the whole package.
type Concern struct {
	Package  string // rpms/hello
	Branches []string
}

// packageName is what dist-git allows in the name of a package.
var packageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)

// WritesToFedora reports whether carrying the step out writes to dist-git, Koji
// or Bodhi. Scratch builds leave nothing there.
func (s *Step) WritesToFedora() bool {
	switch s.Kind {
	case ProposeStep, PullFromUpstreamStep, KojiBuildStep, KojiTagStep, BodhiUpdateStep:
		return true
	}
	return false
}

// Concerns are the packages that these steps are about, by the package config;
// which says nothing about who may do what there. ok is false if one is about
// none that could be.
func Concerns(steps []*Step) (concerns []Concern, ok bool) {
	ok = true
	for _, s := range steps {
		view, err := s.View()
		if err != nil || !packageName.MatchString(view.Downstream()) || len(view.Downstream()) > maxProjectPart {
			ok = false
			continue
		}
		name := "rpms/" + view.Downstream()
		i := slices.IndexFunc(concerns, func(c Concern) bool { return c.Package == name })
		if i < 0 {
			i, concerns = len(concerns), append(concerns, Concern{Package: name})
		}
		for _, t := range s.Targets {
			if s.WritesToFedora() && !slices.Contains(concerns[i].Branches, t.Name) {
				concerns[i].Branches = append(concerns[i].Branches, t.Name)
			}
		}
	}
	return concerns, ok
}
