package models

import (
	"fmt"
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
