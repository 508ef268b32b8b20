// Package sources turns an upstream repository into what a source RPM is made
// of: it checks the repository out, runs the package's actions, makes the
// archive, brings the spec file up to date and fetches what else the spec file
// names. It also builds the source RPM, and writes the script by which Copr
// does all that elsewhere.
//
// Everything in a repository and all that its commands leave behind is taken
// for hostile: commands run in a sandbox, files are opened below their root
// only, and git is run on nothing that was not put in order before.
package sources

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"millrace/clients/git"
	"millrace/clients/gpg"
	"millrace/jobs/sandbox"
	"millrace/models"
)

// UserError is the answer "no": what a user wrote does not work. Trying again
// is of no use before they change it.
type UserError struct {
	Message string // for the user; a sentence or several
	Err     error  // the cause, if there is one that helps
}

func (e *UserError) Error() string {
	if e.Err != nil {
		return e.Message + " " + e.Err.Error()
	}
	return e.Message
}

func (e *UserError) Unwrap() error { return e.Err }

func userError(format string, args ...any) *UserError {
	return &UserError{Message: fmt.Sprintf(format, args...)}
}

// IsUserError reports whether err is the user's to repair, and not ours, nor
// gone by itself after a while.
func IsUserError(err error) bool {
	if _, passes := errors.AsType[temporaryError](err); passes {
		return false
	}
	_, ok := errors.AsType[*UserError](err)
	return ok
}

// temporaryError is an error that may be gone on the next attempt.
type temporaryError struct{ error }

func (temporaryError) Temporary() bool { return true }
func (e temporaryError) Unwrap() error { return e.error }

// DefaultTimeout is how long the commands of one preparation or build may take
// together.
const DefaultTimeout = 10 * time.Minute

// Builder prepares sources and builds source RPMs. Git and Sandbox must be
// set. It is safe for concurrent use.
type Builder struct {
	Git     *git.Git
	Cache   *git.Cache // mirrors of repositories; nil means none is kept
	Sandbox *sandbox.Sandbox

	// Identity writes merge commits and changelog entries, and is the git
	// identity of actions.
	Identity git.Identity

	Timeout time.Duration  // for all commands together; DefaultTimeout if zero
	Limits  sandbox.Limits // of each command; its Time is ignored
	// ActionNetwork gives actions the network of this machine, its loopback
	// included.
	ActionNetwork bool

	// Keyring has the keys of those who may sign commits of dist-git. Without one,
	// packages with allowed_gpg_keys are refused.
	Keyring *gpg.Keyring

	Download   Download
	MaxSources int64 // bytes of all sources together, and of all downloads; 4 GiB if zero
	// Macros are defined for rpm in addition to, and before, those of the
	// machine, as "dist" to ".fc44".
	Macros map[string]string

	Now func() time.Time // time.Now if nil; the result's location dates snapshots
}

// Download says how sources are fetched over HTTP.
type Download struct {
	AllowPrivate bool              // also from addresses of private networks and this machine
	MaxSize      int64             // bytes of one file; 1 GiB if zero
	Timeout      time.Duration     // of one file; 10 minutes if zero
	UserAgent    string            // "millrace" if empty
	Transport    http.RoundTripper // nil means one that keeps AllowPrivate
}

// Request is what to prepare.
type Request struct {
	Remote git.Remote // of the project; for a pull request, the one it goes to

	// Package is the package to prepare. If it is nil, the config in the
	// checked out repository is read, as Choice says.
	Package *models.ConfigPackage
	Choice  Choice

	// Ref is a branch, a tag or a commit; empty means the default branch. With
	// PR it may be a commit of the pull request to take instead of its head.
	Ref          string
	PR           int    // number of a pull request, or 0
	PRRef        string // where the forge keeps its head; found out if empty
	NoMerge      bool   // build the pull request as it is, unmerged
	TargetBranch string // of the pull request; the default branch if empty

	MergedRef     string  // only tags reachable from here count; empty: all
	UpdateRelease *bool   // nil means as the package config says
	ReleaseSuffix *string // nil means as the package config says
	CopyArchive   bool    // instead of a symbolic link to it
	ResolvedBugs  []string

	Work      string    // an empty directory for our use
	ResultDir string    // where spec file and sources go; made if missing
	Log       io.Writer // what happens, for people to read; may be nil
}

// Choice says which package of a config file to prepare.
type Choice struct {
	File    string // path in the repository, or absolute on this machine; empty means to look for it
	Package string // name in the config; empty means the only or first one
	Job     int    // index of the job whose settings count; negative means those of the package
}

// Result is what a preparation came to.
type Result struct {
	Dir     string   // ResultDir
	Spec    string   // file name of the spec file in Dir
	Package string   // name of the package in dist-git
	Version string   // of the spec file as it is now; empty if only rpm can tell
	Release string   // without dist; empty if only rpm can tell
	Commit  string   // what is checked out, after a merge the merge commit
	Tag     string   // from which the version comes, or empty
	Files   []string // file names in Dir besides Spec, sorted

	ParseTimeMacros map[string]any // of the package, for BuildSRPM
}

func (b *Builder) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}

func (b *Builder) maxSources() int64 {
	if b.MaxSources > 0 {
		return b.MaxSources
	}
	return maxSources
}

func (b *Builder) timeout() time.Duration {
	if b.Timeout > 0 {
		return b.Timeout
	}
	return DefaultTimeout
}
