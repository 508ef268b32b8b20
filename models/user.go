package models

import (
	"time"

	"github.com/uptrace/bun"
)

// User is a person who has logged in, as the account system described them the
// last time.
type User struct {
	bun.BaseModel `bun:"table:users,alias:person"`

	ID        int64  `bun:",pk,autoincrement"`
	Login     string // unique; lower and upper case differ
	Name      string
	Email     string
	Groups    []string
	CreatedAt time.Time
	SeenAt    time.Time `bun:",nullzero"` // of the last login
}

// AuditEntry says who did what, from where, and what came of it.
type AuditEntry struct {
	bun.BaseModel `bun:"table:audit,alias:entry"`

	ID     int64 `bun:",pk,autoincrement"`
	At     time.Time
	Actor  string // login, or who acted by other ways
	UserID int64  `bun:",nullzero"` // 0: nobody who logged in
	Via    AuditVia
	Action string // such as "allowlist.allow"
	Object string // what it was done to, in words for people
	Detail map[string]string
	Result AuditResult

	ProjectID int64 `bun:",nullzero"` // that the object is part of; 0: none
}

// AuditVia is the door through which somebody acted.
type AuditVia string

const (
	ViaButton  AuditVia = "button" // of a page
	ViaAPI     AuditVia = "API"
	ViaCommand AuditVia = "command line"
	ViaCheck   AuditVia = "check"   // a button of a check at the forge
	ViaComment AuditVia = "comment" // a command in a comment
	ViaInstall AuditVia = "install" // of our App at the forge
	ViaMail    AuditVia = "mail"    // an address in one
	ViaList    AuditVia = "list"    // of repositories, that people send pull requests to
)

// AuditResult is what came of an action.
type AuditResult string

const (
	AuditDone    AuditResult = "done"
	AuditRefused AuditResult = "refused" // the right was missing
	AuditNothing AuditResult = "nothing" // it was not done, for the reason in Detail
)

// AuditList is a part of the audit log, newest first.
type AuditList struct {
	Rows []*AuditEntry
	Cursors
}
