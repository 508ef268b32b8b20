package koji

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"millrace/clients/xmlrpc"
	"millrace/models"
)

// BuildState is where a build stands.
type BuildState int

// States of builds, by Koji's numbers.
const (
	BuildBuilding BuildState = 0
	BuildComplete BuildState = 1
	BuildDeleted  BuildState = 2
	BuildFailed   BuildState = 3
	BuildCanceled BuildState = 4
)

var buildStates = []string{"BUILDING", "COMPLETE", "DELETED", "FAILED", "CANCELED"}

// String is Koji's word for the state.
func (s BuildState) String() string {
	if s < 0 || int(s) >= len(buildStates) {
		return fmt.Sprintf("state %d", int(s))
	}
	return buildStates[s]
}

// Build is a package of one version and release, or the making of it. Scratch
// builds are not among them: they are tasks only.
type Build struct {
	ID        int64
	NVR       string
	Package   string
	Version   string
	Release   string
	Epoch     int64
	State     BuildState
	TaskID    int64  // 0 for those that were imported
	OwnerName string // who built it
	Source    string // address of a repository, with the commit after "#"; may be empty
	Key       string // of the submission, if it was ours; see BuildRequest
	Created   time.Time
	Completed time.Time // zero if it is not
	Tag       string    // in which it was found; only in lists of a tag
}

type buildJSON struct {
	ID         int64      `json:"build_id"`
	NVR        string     `json:"nvr"`
	Name       string     `json:"package_name"`
	Version    string     `json:"version"`
	Release    string     `json:"release"`
	Epoch      *int64     `json:"epoch"`
	State      BuildState `json:"state"`
	TaskID     *int64     `json:"task_id"`
	OwnerName  string     `json:"owner_name"`
	Source     *string    `json:"source"`
	Creation   *stamp     `json:"creation_ts"`
	Completion *stamp     `json:"completion_ts"`
	TagName    string     `json:"tag_name"`
	Extra      *struct {
		Custom map[string]any `json:"custom_user_metadata"`
	} `json:"extra"`
}

func (in buildJSON) build() Build {
	b := Build{ID: in.ID, NVR: in.NVR, Package: in.Name, Version: in.Version, Release: in.Release, Epoch: deref(in.Epoch),
		State: in.State, TaskID: deref(in.TaskID), OwnerName: in.OwnerName, Source: deref(in.Source),
		Created: in.Creation.time(), Completed: in.Completion.time(), Tag: in.TagName}
	if in.Extra != nil {
		b.Key, _ = in.Extra.Custom[keyMember].(string)
	}
	return b
}

func builds(list []buildJSON) []Build {
	out := make([]Build, len(list))
	for i, in := range list {
		out[i] = in.build()
	}
	return out
}

// Build returns the build with an NVR. models.ErrNotFound is in the chain of
// the error if there is none.
func (c *Client) Build(ctx context.Context, nvr string) (Build, error) {
	return c.build(ctx, nvr)
}

// BuildByID returns a build by its id.
func (c *Client) BuildByID(ctx context.Context, id int64) (Build, error) {
	return c.build(ctx, id)
}

func (c *Client) build(ctx context.Context, key any) (Build, error) {
	var in buildJSON
	if err := c.call(ctx, "getBuild", &in, key); err != nil {
		return Build{}, err
	}
	if in.ID <= 0 {
		return Build{}, fmt.Errorf("build %v in koji: %w", key, models.ErrNotFound)
	}
	return in.build(), nil
}

// Builds returns those of the builds that exist, by NVR, by one request.
func (c *Client) Builds(ctx context.Context, nvrs []string) (map[string]Build, error) {
	calls := make([]Call, len(nvrs))
	for i, nvr := range nvrs {
		calls[i] = Call{Method: "getBuild", Args: []any{nvr}}
	}
	answers, err := c.MultiCall(ctx, calls)
	if err != nil {
		return nil, err
	}
	found := make(map[string]Build, len(nvrs))
	for i, a := range answers {
		if a.Err != nil {
			return nil, a.Err
		}
		var in buildJSON
		if err := xmlrpc.Into(a.Value, &in); err != nil {
			return nil, c.garbled(err)
		}
		if in.ID > 0 {
			found[nvrs[i]] = in.build()
		}
	}
	return found, nil
}

// BuildFilter chooses builds; a zero field leaves all.
type BuildFilter struct {
	Package string
	Owner   int64 // a User
	TaskID  int64
	State   *BuildState
	Source  string // as Build.Source; "*" stands for anything
	After   time.Time
	Limit   int // 0 means 100
}

// ListBuilds returns the newest builds of a choice, newest first.
func (c *Client) ListBuilds(ctx context.Context, f BuildFilter) ([]Build, error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	in := Keywords{"queryOpts": map[string]any{"order": "-build_id", "limit": f.Limit}}
	if f.Package != "" {
		var id *int64
		if err := c.call(ctx, "getPackageID", &id, f.Package); err != nil {
			return nil, err
		}
		if id == nil {
			return nil, nil
		}
		in["packageID"] = *id
	}
	if f.Owner != 0 {
		in["userID"] = f.Owner
	}
	if f.TaskID != 0 {
		in["taskID"] = f.TaskID
	}
	if f.State != nil {
		in["state"] = int(*f.State)
	}
	if f.Source != "" {
		in["source"] = f.Source
	}
	if !f.After.IsZero() {
		in["createdAfter"] = seconds(f.After)
	}
	var list []buildJSON
	err := c.call(ctx, "listBuilds", &list, in)
	return builds(list), err
}

// CancelBuild cancels a build of ours, and reports whether there was anything
// to cancel.
func (c *Client) CancelBuild(ctx context.Context, id int64) (bool, error) {
	var canceled bool
	err := c.callIn(ctx, "cancelBuild", &canceled, id)
	return canceled, err
}

// BuildLogURL is where a log of a complete build is, such as "build.log" of
// "x86_64".
func (c *Client) BuildLogURL(b Build, arch, name string) string {
	address := c.files() + "/packages"
	for _, part := range []string{b.Package, b.Version, b.Release, "data", "logs", arch, name} {
		address += "/" + url.PathEscape(part)
	}
	return address
}

// ChangelogEntry is an entry of a package's changelog, as rpm stores it.
type ChangelogEntry struct {
	Time time.Time // of a day at noon, UTC
	Name string    // who wrote it, with address, often with the EVR after " - "
	Text string
}

// Changelog returns the changelog of a complete build, newest entry first. It
// is empty if the source package has none.
func (c *Client) Changelog(ctx context.Context, nvr string) ([]ChangelogEntry, error) {
	var in struct {
		Times []int64  `json:"changelogtime"`
		Names []string `json:"changelogname"`
		Texts []string `json:"changelogtext"`
	}
	// The hub knows the source package by this name, whatever its file's is.
	err := c.call(ctx, "getRPMHeaders", &in, Keywords{"rpmID": nvr + ".src", "headers": []string{"changelogtime", "changelogname", "changelogtext"}})
	if err != nil {
		return nil, err
	}
	n := min(len(in.Times), len(in.Names), len(in.Texts))
	entries := make([]ChangelogEntry, n)
	for i := range n {
		entries[i] = ChangelogEntry{Time: time.Unix(in.Times[i], 0).UTC(), Name: in.Names[i], Text: strings.TrimSpace(in.Texts[i])}
	}
	return entries, nil
}

// seconds is a time as the hub's filters take it.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
