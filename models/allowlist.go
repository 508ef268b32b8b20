package models

import (
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// AllowState says whether a namespace or project may use the service.
type AllowState string

const (
	AllowedState AllowState = "allowed"
	DeniedState  AllowState = "denied"
	PendingState AllowState = "waiting" // asked for; nobody has decided
)

// Allowance is an entry of the allowlist: a namespace, or one project of it.
type Allowance struct {
	bun.BaseModel `bun:"table:allowlist,alias:allowance"`

	ID        int64 `bun:",pk,autoincrement"`
	Forge     string
	Namespace string
	Name      string // empty: all projects of the namespace and of those below it
	State     AllowState
	Reason    string // why, for people
	Actor     string // who decided
	Requester string // login at the forge of who asked for it; empty: nobody did
	Account   string // of the account system, by which they proved who they are
	Issue     int    // where they can, in the repository for that; 0: nowhere
	IssueURL  string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Path is forge/namespace or forge/namespace/name.
func (a *Allowance) Path() string {
	path := a.Forge
	for _, part := range []string{a.Namespace, a.Name} {
		if part != "" {
			path += "/" + part
		}
	}
	return path
}

// Why is the reason of an entry in a whole sentence.
func (a *Allowance) Why() string { return firstOf(a.Reason, "an operator decided so.") }

// Advice is what there is to say about how to become allowed.
type Advice struct {
	Base   string // address of our pages
	Prefix string // of commands in comments
}

// Refusal says why a project may not use the service, and what to do about it,
// or nothing if it may. entries are those about the project, its namespace, the
// namespaces above and the forge, the closest first. A denial counts wherever it
// stands; otherwise the closest entry that somebody decided does.
func Refusal(project *Project, entries []*Allowance, advice Advice) string {
	for _, e := range entries {
		if e.State == DeniedState {
			return fmt.Sprintf("%s is denied: %s Only an operator of this service can change that.", e.Path(), sentenceEnd(e.Why()))
		}
	}
	for _, e := range entries {
		if e.State == AllowedState {
			return ""
		}
	}
	list := advice.Base + "/admin/allowlist"
	for _, e := range entries {
		switch {
		case e.State == PendingState && e.IssueURL != "":
			return fmt.Sprintf("%s is waiting to be allowed. %s can do that with the comment `%s verify-fas ACCOUNT` (of the Fedora account that names them) on %s; "+
				"or an operator of this service does, on %s. What was refused then goes on by itself.", e.Path(), e.Requester, advice.Prefix, e.IssueURL, list)
		case e.State == PendingState:
			return fmt.Sprintf("%s is waiting for an operator of this service to allow it, on %s. What was refused then goes on by itself.", e.Path(), list)
		}
	}
	return fmt.Sprintf("%s is not on the allowlist of this service. Ask an operator to allow %s/%s, on %s. What was refused then goes on by itself.",
		project.URL, project.Forge, project.Namespace, list)
}

// sentenceEnd is text with a full stop.
func sentenceEnd(text string) string {
	if strings.HasSuffix(text, ".") || strings.HasSuffix(text, "!") || strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}

// Facts is what the audit log says about an entry besides its path.
func (a *Allowance) Facts() map[string]string {
	facts := map[string]string{"of": "namespace"}
	if a.Name != "" {
		facts["of"] = "project"
	}
	if a.Reason != "" {
		facts["reason"] = a.Reason
	}
	return facts
}

// ParseAllowance reads forge/namespace, or forge/namespace/name of a project.
// Addresses of web pages will do too. Namespaces of the forge flat have no slash
// in them.
func ParseAllowance(path string, project bool, flat string) (*Allowance, error) {
	const field = "path"
	_, bare, isURL := strings.Cut(path, "://")
	if !isURL {
		bare = path
	}
	forge, rest, ok := strings.Cut(strings.Trim(bare, "/"), "/")
	if !ok || rest == "" || forge == "" || len(path) > 500 || strings.Contains(rest, "//") || strings.ContainsFunc(path, notInPath) {
		return nil, &InputError{field, fmt.Sprintf("%q: want FORGE/NAMESPACE, or FORGE/NAMESPACE/NAME of a project, such as github.com/packit", path)}
	}
	a := &Allowance{Forge: strings.ToLower(forge), Namespace: rest}
	if project {
		i := strings.LastIndex(rest, "/")
		if i < 0 {
			return nil, &InputError{field, fmt.Sprintf("%q: of a project there must be a name after the namespace", path)}
		}
		a.Namespace, a.Name = rest[:i], rest[i+1:]
	}
	if a.Forge == flat && strings.Contains(a.Namespace, "/") {
		return nil, &InputError{field, fmt.Sprintf("%q: namespaces of %s have no slash in them; if this is a project, say so", path, a.Forge)}
	}
	return a, nil
}

func notInPath(c rune) bool { return c <= ' ' || c == 0x7f || c == '?' || c == '#' }

// AllowList is a part of the allowlist, the newest entries first.
type AllowList struct {
	Rows []*Allowance
	Cursors
}
