package models

import (
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Product is something outside that a release leaves on its way to Fedora: what
// people look at in dist-git, Koji and Bodhi. Products of several events make up
// the way of one release; ProductLink says what followed from what.
type Product struct {
	bun.BaseModel `bun:"table:products,alias:product"`

	ID         int64        `bun:",pk,autoincrement"`
	Kind       ProductKind  //
	Key        string       // unique for its kind; see the functions that make keys
	ProjectID  int64        // in which it is; of a build or update that of the package in dist-git
	Package    string       // name in dist-git
	Branch     string       // of dist-git; empty for a release
	Name       string       // what people call it: "0.29.1", "PR 47", "3f2a1c9", an NVR, an alias
	Version    string       // upstream's, as far as it is known
	State      ProductState //
	URL        string       // its page at its service
	RunID      int64        `bun:",nullzero"` // that made it; 0: somebody else did
	EventID    int64        `bun:",nullzero"` // that told us of it; what was planned for that event came of it
	Data       ProductData  //
	PollAt     time.Time    `bun:",nullzero"` // when its service is asked again; zero: not any more
	Polls      int          // how often it was asked
	CreatedAt  time.Time
	UpdatedAt  time.Time
	FinishedAt time.Time `bun:",nullzero"` // when nothing could follow by itself any more

	Project *Project `bun:"rel:belongs-to,join:project_id=id"`
}

// ProductKind says what a product is.
type ProductKind string

const (
	ReleaseProduct ProductKind = "release"      // a version upstream
	PullProduct    ProductKind = "pull_request" // in dist-git
	CommitProduct  ProductKind = "commit"       // on a branch of dist-git
	BuildProduct   ProductKind = "build"        // in Koji
	UpdateProduct  ProductKind = "update"       // in Bodhi
)

// ProductState is how a product is doing.
type ProductState string

const (
	ProductDone     ProductState = "done"     // a release is out, a commit is on its branch
	ProductOpen     ProductState = "open"     // pull request
	ProductMerged   ProductState = "merged"   // pull request
	ProductClosed   ProductState = "closed"   // pull request, without being merged
	ProductBuilding ProductState = "building" // build
	ProductComplete ProductState = "complete" // build
	ProductFailed   ProductState = "failed"   // build
	ProductCanceled ProductState = "canceled" // build
	ProductPending  ProductState = "pending"  // update: waits for its tests
	ProductTesting  ProductState = "testing"  // update
	ProductStable   ProductState = "stable"   // update
	ProductDropped  ProductState = "dropped"  // update: unpushed or obsolete
)

// Finished reports whether nothing follows by itself.
func (s ProductState) Finished() bool {
	switch s {
	case ProductOpen, ProductBuilding, ProductPending, ProductTesting:
		return false
	}
	return true
}

// ProductData is what only some kinds have.
type ProductData struct {
	Number     int       `json:"number,omitempty"`      // pull request
	Head       string    `json:"head,omitempty"`        // pull request: hash of its newest commit
	Described  string    `json:"described,omitempty"`   // pull request: hash of the description that we gave it
	Commit     string    `json:"commit,omitempty"`      // commit: its hash; pull request: what it was merged as
	Checks     string    `json:"checks,omitempty"`      // pull request: what CI says of its head: passed, failed, running
	Author     string    `json:"author,omitempty"`      // who opened, merged, built it
	TaskID     int64     `json:"task_id,omitempty"`     // build
	BuildID    int64     `json:"build_id,omitempty"`    // build
	SideTag    string    `json:"side_tag,omitempty"`    // build, update
	NVRs       []string  `json:"nvrs,omitempty"`        // update: its builds
	Karma      int       `json:"karma,omitempty"`       // update
	NeedsKarma int       `json:"needs_karma,omitempty"` // update: at which it goes stable
	TestingAt  time.Time `json:"testing_at,omitzero"`   // update: when it came to testing
	StableAt   time.Time `json:"stable_at,omitzero"`    // update: when it goes stable by itself, or went
	Gating     string    `json:"gating,omitempty"`      // update: what its tests say: passed, failed, waiting, ignored
	Reason     string    `json:"reason,omitempty"`      // why it failed or was dropped, for people
}

// ProductRef names a product by what it is, for those who do not know its id.
type ProductRef struct {
	Kind ProductKind
	Key  string
}

// Ref names the product.
func (p *Product) Ref() ProductRef { return ProductRef{p.Kind, p.Key} }

// ProductLink says that a product followed from another.
type ProductLink struct {
	bun.BaseModel `bun:"table:product_links,alias:link"`

	ProductID int64 `bun:",pk"`
	FromID    int64 `bun:",pk"`
}

// ReleaseRefOf names a release of a project: a tag of an upstream repository, or
// a version that was announced for a package in dist-git.
func ReleaseRefOf(project *Project, ref string) ProductRef {
	return ProductRef{ReleaseProduct, project.Path() + "@" + ref}
}

// PullRefOf names a pull request of a repository in dist-git.
func PullRefOf(project *Project, number int) ProductRef {
	return ProductRef{PullProduct, fmt.Sprintf("%s#%d", project.Path(), number)}
}

// CommitRefOf names a commit on a branch of a repository in dist-git. The same
// commit on two branches is two products: each goes its own way.
func CommitRefOf(project *Project, branch, sha string) ProductRef {
	return ProductRef{CommitProduct, fmt.Sprintf("%s@%s@%s", project.Path(), branch, sha)}
}

// BuildRefOf names a build by its task in Koji, which is known before its build
// is.
func BuildRefOf(task int64) ProductRef {
	return ProductRef{BuildProduct, fmt.Sprint("koji:", task)}
}

// ImportRefOf names a build that no task of Koji's made.
func ImportRefOf(build int64) ProductRef {
	return ProductRef{BuildProduct, fmt.Sprint("koji:import:", build)}
}

// UpdateRefOf names an update by its alias in Bodhi.
func UpdateRefOf(alias string) ProductRef { return ProductRef{UpdateProduct, alias} }
