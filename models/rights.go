package models

import "slices"

// Viewer is who looks at a page or asks for something. A nil Viewer is somebody
// who is not logged in.
type Viewer struct {
	ID       int64 // of the User
	Login    string
	Name     string // may be empty
	Groups   []string
	Operator bool // member of a group that operates this service
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

// Right is a kind of thing that somebody may do.
type Right string

const (
	ReadRight      Right = "read"           // public pages, logs, feeds
	RerunRight     Right = "rerun"          // builds and tests, nothing that writes to dist-git
	CancelRight    Right = "cancel"         // what is running or waiting
	AllowlistRight Right = "edit allowlist" // see and change who may use the service
	AuditRight     Right = "read audit"     // see who did what
)

const (
	needsLogin   = "You are not logged in."
	howToLogin   = "Log in with your Fedora account."
	howToOperate = "Ask an operator of this service, or to become one: their groups are in the setting login.operator_groups. After joining a group, log in again."
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
	Object    string // what it is, for people: "packit/hello-world"
	Role      Role   // that the project's own forge gives the viewer: Committer, Maintainer, or Anyone
	Author    string // login here of who opened the pull request; an account elsewhere is not one
	Requester string // login here of who asked for what is to be canceled
}

// Verdict says whether somebody may do something, and if not, why, and what they
// can do to be let.
type Verdict struct {
	Allowed bool
	Reason  string // why not; empty if allowed
	HowTo   string // how to get the right; empty if allowed
}

// May decides whether the viewer may do r to the object that f describes. All
// doors ask here: pages, before they show a button and when it is pressed, and
// jobs before they act.
func May(viewer *Viewer, r Right, f About) Verdict {
	role := roleOf(viewer, f)
	switch r {
	case ReadRight:
		return Verdict{Allowed: true}
	case RerunRight:
		own := viewer != nil && f.Author != "" && viewer.Login == f.Author
		return allow(own || role >= Committer, role, needsCommit(f),
			"Ask somebody who may write to it, or ask there to be made a committer. Who opened a pull request may rerun its builds and tests.")
	case CancelRight:
		own := viewer != nil && f.Requester != "" && viewer.Login == f.Requester
		return allow(own || role >= Committer, role, needsCommit(f),
			"Ask somebody who may write to it, or ask there to be made a committer. What you asked for yourself you may cancel.")
	case AllowlistRight:
		return allow(role == Operator, role, "Only operators of this service see and change who may use it.", howToOperate)
	case AuditRight:
		return allow(role == Operator, role, "Only operators of this service see who did what.", howToOperate)
	}
	return Verdict{Reason: "Nobody may do this.", HowTo: "There is no way."}
}

func needsCommit(f About) string {
	return "This needs the right to write to " + firstOf(f.Object, "the project") + "."
}

func allow(allowed bool, role Role, reason, howTo string) Verdict {
	switch {
	case allowed:
		return Verdict{Allowed: true}
	case role == Anyone:
		return Verdict{Reason: needsLogin, HowTo: howToLogin}
	}
	return Verdict{Reason: reason, HowTo: howTo}
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
