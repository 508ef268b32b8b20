package models

import (
	"fmt"
	"slices"
	"strings"
)

// Viewer is who looks at a page or asks for something. A nil Viewer is somebody
// who is not logged in.
type Viewer struct {
	ID       int64 // of the User
	Login    string
	Name     string // may be empty
	Groups   []string
	Operator bool // member of a group that operates this service
	// Silent is the source that could not confirm that they still are an operator;
	// empty if nobody needs to.
	Silent string

	ByToken bool         // a token speaks for them, which may do no more than its scopes say
	Scopes  []TokenScope // of that token
}

// NewViewer is what a user is while the groups named operators operate the
// service.
func NewViewer(u *User, operators []string) *Viewer {
	v := &Viewer{ID: u.ID, Login: u.Login, Name: u.Name, Groups: u.Groups}
	for _, group := range operators {
		v.Operator = v.Operator || slices.Contains(u.Groups, group)
	}
	return v
}

// TokenScope is what a token lets its bearer do of what its user may do.
type TokenScope string

const (
	ReadScope     TokenScope = "read" // what everybody may read, as oneself
	RerunScope    TokenScope = "rerun"
	CancelScope   TokenScope = "cancel"
	HooksScope    TokenScope = "hooks"
	SettingsScope TokenScope = "settings"
	AdminScope    TokenScope = "admin" // what operators may do
)

// TokenScopes lists them all, from the least.
var TokenScopes = []TokenScope{ReadScope, RerunScope, CancelScope, HooksScope, SettingsScope, AdminScope}

// Right is a kind of thing that somebody may do.
type Right string

const (
	ReadRight      Right = "read"           // public pages, logs, feeds
	PersonalRight  Right = "own things"     // own tokens, what one pins and hides
	RerunRight     Right = "rerun"          // and start; About.Production says whether it writes to Fedora
	CancelRight    Right = "cancel"         // what is running or waiting
	RedeliverRight Right = "redeliver"      // have a message of the project handled again
	SettingsRight  Right = "settings"       // of a project
	AutomateRight  Right = "automate"       // switch jobs on and off for a package, which then write to Fedora
	HooksRight     Right = "hooks"          // webhooks of a project, and their secrets
	AllowlistRight Right = "edit allowlist" // see and change who may use the service
	AuditRight     Right = "read audit"     // see who did what
	OperateRight   Right = "operate"        // pause the queue, break a lock, handle an event again
)

// rule says who has a right. Who owns the object may be less than that.
type rule struct {
	role  Role
	scope TokenScope                   // that a token needs; empty: no token will do
	own   func(*Viewer, About) bool    // nil: owning it gives no right
	need  func(About) (string, string) // what is missing, and how to get it
}

var rules = map[Right]rule{
	PersonalRight:  {role: LoggedIn},
	RerunRight:     {role: Committer, scope: RerunScope, own: ownPull, need: needsCommitToRerun},
	CancelRight:    {role: Committer, scope: CancelScope, own: ownRequest, need: needsCommitToCancel},
	RedeliverRight: {role: Committer, scope: HooksScope, need: needsWrite},
	SettingsRight:  {role: Maintainer, scope: SettingsScope, need: needsAdmin},
	AutomateRight:  {role: Committer, scope: SettingsScope, need: needsCommit},
	HooksRight:     {role: Maintainer, scope: HooksScope, need: needsAdmin},
	AllowlistRight: {role: Operator, scope: AdminScope, need: operatorsOnly("Only operators of this service see and change who may use it.")},
	AuditRight:     {role: Operator, scope: AdminScope, need: operatorsOnly("Only operators of this service see who did what.")},
	OperateRight:   {role: Operator, scope: AdminScope, need: operatorsOnly("This is for operators of this service.")},
}

// ScopeOf returns the scope that a token needs to use a right; no token will do
// if it reports false.
func ScopeOf(r Right) (scope TokenScope, byToken bool) {
	scope = rules[r].scope
	return scope, scope != ""
}

const (
	needsLogin   = "You are not logged in."
	howToLogin   = "Log in with your Fedora account."
	howToOperate = "Ask an operator of this service, or to become one: their groups are in the setting login.operator_groups. After joining a group, log in again."
	howToTell    = "Try again in a moment."
)

// Role is what somebody is to the object of an action. Each may do what the
// ones before it may.
type Role int

const (
	Anyone Role = iota
	LoggedIn
	Committer  // may write to the project
	Maintainer // administers the project
	Operator   // of this service
)

// About is what is known of the object of an action. What could not be found
// out stays empty, and gives no right.
type About struct {
	Object     string // what it is, for people: "packit/hello-world", "rpms/hello"
	Role       Role   // that the forge or dist-git gives the viewer there: Committer, Maintainer, or Anyone
	Production bool   // it would write to dist-git, Koji or Bodhi: Object and Role are those of the package there
	Author     string // login here of who opened the pull request; an account elsewhere is not one
	Requester  string // login here of who asked for what is to be canceled

	Silent   []string // names of sources that could not be asked, and might have said more
	Unlinked string   // forge where no account of the viewer is known
	Unproved Link     // account at a forge that the viewer names, and that may be another's
}

// Verdict says whether somebody may do something, and if not, why, and what they
// can do to be let.
type Verdict struct {
	Allowed bool
	Unknown bool   // it cannot be told now, and is not allowed until it can
	Silence string // what is in the way of telling, if it is unknown: "dist-git does not answer"
	Reason  string // why not; empty if allowed
	HowTo   string // how to get the right; empty if allowed
}

// May decides whether the viewer may do r to the object that f describes. All
// doors ask here: pages, before they show a button and when it is pressed, and
// jobs before they act.
func May(viewer *Viewer, r Right, f About) Verdict {
	if r == ReadRight {
		return Verdict{Allowed: true}
	}
	rule, known := rules[r]
	role := roleOf(viewer, f)
	switch {
	case !known:
		return Verdict{Reason: "Nobody may do this.", HowTo: "There is no way."}
	case role == Anyone:
		return Verdict{Reason: needsLogin, HowTo: howToLogin}
	case viewer.ByToken && rule.scope == "":
		return Verdict{Reason: "This cannot be done with a token.", HowTo: "Log in on the pages of this service."}
	case viewer.ByToken && !slices.Contains(viewer.Scopes, rule.scope):
		return Verdict{Reason: fmt.Sprintf("Your token has not the scope %s.", rule.scope), HowTo: "Make a token that has it."}
	case role >= rule.role, rule.own != nil && rule.own(viewer, f):
		return Verdict{Allowed: true}
	case len(f.Silent) > 0 && rule.role < Operator, viewer.Silent != "":
		why := silence(f.silentFor(viewer))
		return Verdict{Unknown: true, Silence: why, Reason: fmt.Sprintf("Whether you may cannot be told now: %s.", why), HowTo: howToTell}
	}
	reason, howTo := rule.need(f)
	if rule.role < Operator {
		howTo += f.howToLink()
	}
	return Verdict{Reason: reason, HowTo: howTo}
}

func ownPull(v *Viewer, f About) bool {
	return !f.Production && f.Author != "" && v.Login == f.Author
}

func ownRequest(v *Viewer, f About) bool { return f.Requester != "" && v.Login == f.Requester }

func needsCommitToRerun(f About) (reason, howTo string) {
	if f.Production {
		return needsCommit(f)
	}
	reason, howTo = needsWrite(f)
	return reason, howTo + " Who opened a pull request may rerun its builds and tests."
}

func needsCommit(f About) (reason, howTo string) {
	return fmt.Sprintf("This writes to Fedora, and needs the right to commit to %s in dist-git.", firstOf(f.Object, "the package")),
		"Ask somebody who may commit there, or ask the package's maintainers to be made a committer."
}

func needsCommitToCancel(f About) (reason, howTo string) {
	reason, howTo = needsWrite(f)
	return reason, howTo + " What you asked for yourself you may cancel."
}

func needsWrite(f About) (reason, howTo string) {
	return "This needs the right to write to " + firstOf(f.Object, "the project") + ".",
		"Ask somebody who may write to it, or ask there to be made a committer."
}

func needsAdmin(f About) (reason, howTo string) {
	return "This needs the right to administer " + firstOf(f.Object, "the project") + ".",
		"Ask somebody who administers it, or ask there to be made an administrator."
}

func operatorsOnly(reason string) func(About) (string, string) {
	return func(About) (string, string) { return reason, howToOperate }
}

// silentFor are the sources that might say more about the viewer.
func (f About) silentFor(viewer *Viewer) []string {
	if viewer.Silent == "" || slices.Contains(f.Silent, viewer.Silent) {
		return f.Silent
	}
	return append(slices.Clip(f.Silent), viewer.Silent)
}

func silence(names []string) string {
	if len(names) == 1 {
		return names[0] + " does not answer"
	}
	return strings.Join(names, " and ") + " do not answer"
}

func roleOf(viewer *Viewer, f About) Role {
	switch {
	case viewer == nil:
		return Anyone
	case viewer.Operator:
		return Operator
	}
	return min(max(LoggedIn, f.Role), Maintainer)
}
