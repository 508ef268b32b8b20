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

// Refusal says why a project may not use the service, or nothing if it may.
// entries are those about the project, its namespace, the namespaces above and
// the forge, the closest first. A denial counts wherever it stands; otherwise
// the closest entry that somebody decided does.
func Refusal(project *Project, entries []*Allowance) string {
	for _, e := range entries {
		if e.State == DeniedState {
			return fmt.Sprintf("%s is denied: %s", e.Path(), firstOf(e.Reason, "an operator decided so."))
		}
	}
	for _, e := range entries {
		if e.State == AllowedState {
			return ""
		}
	}
	for _, e := range entries {
		if e.State == PendingState {
			return fmt.Sprintf("%s is waiting for an operator of this service to allow it.", e.Path())
		}
	}
	return fmt.Sprintf("%s is not on the allowlist of this service. An operator can allow it with `millrace allow %s/%s`.",
		project.URL, project.Forge, project.Namespace)
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
