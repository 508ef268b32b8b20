package copr

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// States of builds and their chroots, in Copr's words.
const (
	Failed    = "failed"
	Succeeded = "succeeded"
	Canceled  = "canceled"
	Running   = "running"
	Pending   = "pending"
	Skipped   = "skipped"
	Starting  = "starting"
	Importing = "importing"
	Forked    = "forked"
	Waiting   = "waiting"
	Unknown   = "unknown"
)

// SourceChroot is the name under which messages and results speak of the
// build of the SRPM.
const SourceChroot = "srpm-builds"

// Finished reports whether no other state can follow.
func Finished(state string) bool {
	switch state {
	case Succeeded, Failed, Canceled, Skipped, Forked:
		return true
	}
	return false
}

// Build is a build: one SRPM, and RPMs from it in each chroot. Its state is
// made of theirs: it fails with its SRPM; after that it is running while any
// chroot is, and then failed if any has.
type Build struct {
	ID             int64
	State          string
	Owner, Project string
	Dirname        string   // differs from Project for "project:pr:12"
	Chroots        []string // empty until Copr has imported the SRPM
	RepoURL        string
	Package        string // these three are empty until the SRPM is known
	Version        string // with the release
	SourceURL      string
	Submitter      string
	Submitted      time.Time
	Started        time.Time
	Ended          time.Time
	Background     bool
}

// Build returns a build.
func (c *Client) Build(ctx context.Context, id int64) (Build, error) {
	var out buildJSON
	err := c.call(ctx, "build.get", http.MethodGet, "/build/"+decimal(id), nil, nil, &out)
	return out.build(), err
}

// Builds lists the newest builds of a project, newest first.
func (c *Client) Builds(ctx context.Context, owner, project string, limit, offset int) ([]Build, error) {
	query := url.Values{"ownername": {owner}, "projectname": {project}, "limit": {strconv.Itoa(limit)},
		"offset": {strconv.Itoa(offset)}, "order": {"id"}, "order_type": {"DESC"}}
	var out struct {
		Items []buildJSON `json:"items"`
	}
	err := c.call(ctx, "build.list", http.MethodGet, "/build/list", query, nil, &out)
	builds := make([]Build, len(out.Items))
	for i, item := range out.Items {
		builds[i] = item.build()
	}
	return builds, err
}

// CancelBuild stops a build in all chroots. Canceling a finished build is a
// conflict.
func (c *Client) CancelBuild(ctx context.Context, id int64) (Build, error) {
	var out buildJSON
	err := c.call(ctx, "build.cancel", http.MethodPut, "/build/cancel/"+decimal(id), nil, nil, &out)
	return out.build(), err
}

// DeleteBuild deletes a finished build and its results.
func (c *Client) DeleteBuild(ctx context.Context, id int64) error {
	return c.call(ctx, "build.delete", http.MethodDelete, "/build/delete/"+decimal(id), nil, nil, nil)
}

// BuildChroot is the part of a build that one chroot makes. For the SRPM, Name
// is SourceChroot, and Copr does not tell the times.
type BuildChroot struct {
	Name      string
	State     string
	Started   time.Time
	Ended     time.Time
	ResultURL string // of the directory with logs and packages; empty until there is one
}

// LogURL is the address of the log, which moves when the chroot is finished;
// empty if there is none yet.
func (b BuildChroot) LogURL() string {
	if b.ResultURL == "" {
		return ""
	}
	base := strings.TrimSuffix(b.ResultURL, "/")
	if Finished(b.State) || b.State == Importing {
		return base + "/builder-live.log.gz"
	}
	return base + "/builder-live.log"
}

// BuildChroots returns the chroots of a build, the SRPM not among them.
func (c *Client) BuildChroots(ctx context.Context, id int64) ([]BuildChroot, error) {
	var out struct {
		Items []chrootJSON `json:"items"`
	}
	query := url.Values{"build_id": {decimal(id)}}
	err := c.call(ctx, "build_chroot.list", http.MethodGet, "/build-chroot/list", query, nil, &out)
	chroots := make([]BuildChroot, len(out.Items))
	for i, item := range out.Items {
		chroots[i] = item.chroot()
	}
	return chroots, err
}

// BuildChroot returns one chroot of a build; that of the SRPM if it is named
// SourceChroot.
func (c *Client) BuildChroot(ctx context.Context, id int64, chroot string) (BuildChroot, error) {
	var out chrootJSON
	if chroot == SourceChroot {
		err := c.call(ctx, "build.source_chroot", http.MethodGet, "/build/source-chroot/"+decimal(id), nil, nil, &out)
		out.Name = SourceChroot
		return out.chroot(), err
	}
	query := url.Values{"build_id": {decimal(id)}, "chrootname": {chroot}}
	err := c.call(ctx, "build_chroot.get", http.MethodGet, "/build-chroot/", query, nil, &out)
	return out.chroot(), err
}

// Source is where a build got its SRPM from.
type Source struct {
	Type string            // "custom", "link", "upload", ...
	Data map[string]string // for "custom": script, chroot, builddeps, resultdir, repos
}

// Source returns what was submitted to make the SRPM of a build.
func (c *Client) Source(ctx context.Context, id int64) (Source, error) {
	var out struct {
		Type string         `json:"source_type"`
		Data map[string]any `json:"source_dict"`
	}
	err := c.call(ctx, "build.source_config", http.MethodGet, "/build/source-build-config/"+decimal(id), nil, nil, &out)
	source := Source{Type: out.Type, Data: make(map[string]string)}
	for key, value := range out.Data {
		if text, ok := value.(string); ok {
			source.Data[key] = text
		}
	}
	return source, err
}

// Package is an RPM that was built.
type Package struct {
	Name    string `json:"name"`
	Epoch   int    `json:"epoch"`
	Version string `json:"version"`
	Release string `json:"release"`
	Arch    string `json:"arch"`
}

// NEVRA is the full name, with the epoch unless it is zero.
func (p Package) NEVRA() string {
	version := p.Version
	if p.Epoch != 0 {
		version = strconv.Itoa(p.Epoch) + ":" + version
	}
	return fmt.Sprintf("%s-%s-%s.%s", p.Name, version, p.Release, p.Arch)
}

// BuiltPackages returns what was built, by chroot, SRPMs included.
func (c *Client) BuiltPackages(ctx context.Context, id int64) (map[string][]Package, error) {
	var out map[string]struct {
		Packages []packageJSON `json:"packages"`
	}
	err := c.call(ctx, "build.packages", http.MethodGet, "/build/built-packages/"+decimal(id), nil, nil, &out)
	packages := make(map[string][]Package, len(out))
	for chroot, built := range out {
		packages[chroot] = make([]Package, len(built.Packages))
		for i, p := range built.Packages {
			packages[chroot][i] = Package(p)
		}
	}
	return packages, err
}

// packageJSON reads a package whose epoch is a number, null, or either as text.
type packageJSON Package

func (p *packageJSON) UnmarshalJSON(b []byte) error {
	var wire struct {
		Name    string          `json:"name"`
		Epoch   json.RawMessage `json:"epoch"`
		Version string          `json:"version"`
		Release string          `json:"release"`
		Arch    string          `json:"arch"`
	}
	if err := json.Unmarshal(b, &wire); err != nil {
		return err
	}
	// An epoch that is no number means that there is none.
	epoch, _ := strconv.Atoi(strings.Trim(string(wire.Epoch), `"`))
	*p = packageJSON{wire.Name, epoch, wire.Version, wire.Release, wire.Arch}
	return nil
}

type buildJSON struct {
	ID         int64    `json:"id"`
	State      string   `json:"state"`
	Owner      string   `json:"ownername"`
	Project    string   `json:"projectname"`
	Dirname    string   `json:"project_dirname"`
	Chroots    []string `json:"chroots"`
	RepoURL    string   `json:"repo_url"`
	Submitter  *string  `json:"submitter"`
	Background bool     `json:"is_background"`
	Submitted  *epoch   `json:"submitted_on"`
	Started    *epoch   `json:"started_on"`
	Ended      *epoch   `json:"ended_on"`
	Source     struct {
		Name    *string `json:"name"`
		Version *string `json:"version"`
		URL     *string `json:"url"`
	} `json:"source_package"`
}

func (b buildJSON) build() Build {
	return Build{ID: b.ID, State: b.State, Owner: b.Owner, Project: b.Project, Dirname: b.Dirname, Chroots: b.Chroots,
		RepoURL: b.RepoURL, Package: text(b.Source.Name), Version: text(b.Source.Version), SourceURL: text(b.Source.URL),
		Submitter: text(b.Submitter), Submitted: b.Submitted.time(), Started: b.Started.time(), Ended: b.Ended.time(),
		Background: b.Background}
}

type chrootJSON struct {
	Name      string  `json:"name"`
	State     string  `json:"state"`
	Started   *epoch  `json:"started_on"`
	Ended     *epoch  `json:"ended_on"`
	ResultURL *string `json:"result_url"`
}

func (c chrootJSON) chroot() BuildChroot {
	return BuildChroot{Name: c.Name, State: c.State, Started: c.Started.time(), Ended: c.Ended.time(), ResultURL: text(c.ResultURL)}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func decimal(id int64) string { return strconv.FormatInt(id, 10) }
