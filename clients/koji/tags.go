package koji

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"millrace/models"
)

// Tag is a named set of builds, which may inherit those of others.
type Tag struct {
	ID     int64
	Name   string
	Arches []string // for which a build in its buildroot is made
	Locked bool
	// SideTagOwner is whose side tag this is; empty if it is none.
	SideTagOwner string
}

// Target says in which tag's buildroot a build is made, and how it is tagged.
type Target struct {
	Name     string `json:"name"`
	BuildTag string `json:"build_tag_name"`
	DestTag  string `json:"dest_tag_name"`
}

// Tag returns a tag. models.ErrNotFound is in the chain of the error if there
// is none.
func (c *Client) Tag(ctx context.Context, name string) (Tag, error) {
	var in struct {
		ID     int64  `json:"id"`
		Name   string `json:"name"`
		Arches string `json:"arches"`
		Locked bool   `json:"locked"`
		Extra  struct {
			SideTag bool   `json:"sidetag"`
			User    string `json:"sidetag_user"`
		} `json:"extra"`
	}
	if err := c.call(ctx, "getTag", &in, name); err != nil {
		return Tag{}, err
	}
	if in.ID <= 0 {
		return Tag{}, fmt.Errorf("tag %s in koji: %w", name, models.ErrNotFound)
	}
	t := Tag{ID: in.ID, Name: in.Name, Arches: strings.Fields(in.Arches), Locked: in.Locked}
	if in.Extra.SideTag {
		t.SideTagOwner = in.Extra.User
	}
	return t, nil
}

// Target returns a target. models.ErrNotFound is in the chain of the error if
// there is none.
func (c *Client) Target(ctx context.Context, name string) (Target, error) {
	var t Target
	if err := c.call(ctx, "getBuildTarget", &t, name); err != nil {
		return Target{}, err
	}
	if t.Name == "" {
		return Target{}, fmt.Errorf("target %s in koji: %w", name, models.ErrNotFound)
	}
	return t, nil
}

// Targets lists all targets, by name.
func (c *Client) Targets(ctx context.Context) ([]Target, error) {
	var targets []Target
	err := c.call(ctx, "getBuildTargets", &targets)
	slices.SortFunc(targets, func(a, b Target) int { return cmp.Compare(a.Name, b.Name) })
	return targets, err
}

// Inheritance lists the tags that a tag inherits from, nearest first.
func (c *Client) Inheritance(ctx context.Context, tag string) ([]string, error) {
	var in []struct {
		Name string `json:"name"`
	}
	if err := c.call(ctx, "getFullInheritance", &in, tag); err != nil {
		return nil, err
	}
	names := make([]string, len(in))
	for i, t := range in {
		names[i] = t.Name
	}
	return names, nil
}

// StableTags picks, of the tags that a candidate tag inherits from, those whose
// builds have reached users. The rule is Fedora's way of naming tags.
func StableTags(names []string) []string {
	var stable []string
	for _, name := range names {
		if !strings.Contains(name, "-") || strings.HasSuffix(name, "-updates") {
			stable = append(stable, name)
		}
	}
	return stable
}

// TagsOf lists the names of the tags that a build has.
func (c *Client) TagsOf(ctx context.Context, nvr string) ([]string, error) {
	var in []struct {
		Name string `json:"name"`
	}
	if err := c.call(ctx, "listTags", &in, nvr); err != nil {
		return nil, err
	}
	names := make([]string, len(in))
	for i, t := range in {
		names[i] = t.Name
	}
	slices.Sort(names)
	return names, nil
}

// TaggedFilter chooses builds of a tag. Without a package, a tag has tens of
// thousands.
type TaggedFilter struct {
	Package string
	Inherit bool // also those in the tags that it inherits from
	Latest  bool // only the build of a package that was tagged last
}

// Tagged lists complete builds in a tag, that tagged last first.
func (c *Client) Tagged(ctx context.Context, tag string, f TaggedFilter) ([]Build, error) {
	in := Keywords{"inherit": f.Inherit, "latest": f.Latest}
	if f.Package != "" {
		in["package"] = f.Package
	}
	var list []buildJSON
	err := c.call(ctx, "listTagged", &list, tag, in)
	return builds(list), err
}

// LatestBuild returns the build of a package that was tagged last with a tag,
// or with one it inherits from. models.ErrNotFound is in the chain of the
// error if there is none.
func (c *Client) LatestBuild(ctx context.Context, tag, pkg string) (Build, error) {
	var list []buildJSON
	if err := c.call(ctx, "getLatestBuilds", &list, tag, Keywords{"package": pkg}); err != nil {
		return Build{}, err
	}
	if len(list) == 0 {
		return Build{}, fmt.Errorf("a build of %s in the tag %s: %w", pkg, tag, models.ErrNotFound)
	}
	return list[0].build(), nil
}

// TagBuild asks for a complete build to be tagged, and returns the task that
// does it.
func (c *Client) TagBuild(ctx context.Context, tag, nvr string) (int64, error) {
	var task int64
	err := c.callIn(ctx, "tagBuild", &task, tag, nvr)
	return task, err
}

// UntagBuild takes a tag from a build.
func (c *Client) UntagBuild(ctx context.Context, tag, nvr string) error {
	return c.callIn(ctx, "untagBuild", nil, tag, nvr)
}

// SideTag is a tag of somebody's own, with a target of the same name, for
// builds that need each other.
type SideTag struct {
	ID    int64
	Name  string
	Owner string // a user's name; empty in the answer to CreateSideTag
}

// CreateSideTag makes a side tag of ours above a build tag, which is that of a
// Target, such as "f43-build". Each call makes another one.
func (c *Client) CreateSideTag(ctx context.Context, buildTag string) (SideTag, error) {
	var in struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	if err := c.callIn(ctx, "createSideTag", &in, buildTag); err != nil {
		return SideTag{}, err
	}
	if in.Name == "" {
		return SideTag{}, c.garbled(fmt.Errorf("the new side tag of %s has no name", buildTag))
	}
	return SideTag{ID: in.ID, Name: in.Name}, nil
}

// RemoveSideTag removes a side tag of ours. Its builds stay, without it.
func (c *Client) RemoveSideTag(ctx context.Context, name string) error {
	return c.callIn(ctx, "removeSideTag", nil, name)
}

// SideTags lists side tags above a build tag, or all if it is empty, and of a
// user, or of everybody if that is empty, newest first.
func (c *Client) SideTags(ctx context.Context, buildTag, user string) ([]SideTag, error) {
	in := Keywords{"queryOpts": map[string]any{"order": "-id", "limit": 1000}}
	if buildTag != "" {
		in["basetag"] = buildTag
	}
	if user != "" {
		in["user"] = user
	}
	var list []struct {
		ID    int64  `json:"id"`
		Name  string `json:"name"`
		Owner string `json:"user_name"`
	}
	if err := c.call(ctx, "listSideTags", &list, in); err != nil {
		return nil, err
	}
	tags := make([]SideTag, len(list))
	for i, t := range list {
		tags[i] = SideTag(t)
	}
	return tags, nil
}

// SideTagEdit is a change of a side tag; what is nil stays as it is. The tag
// below it says what may be changed.
type SideTagEdit struct {
	DebugInfo    *bool             // its repositories have packages for debuggers
	Macros       map[string]string // of rpm, that builds in it see
	RemoveMacros []string
}

// EditSideTag changes a side tag of ours.
func (c *Client) EditSideTag(ctx context.Context, name string, e SideTagEdit) error {
	in := Keywords{}
	if e.DebugInfo != nil {
		in["debuginfo"] = *e.DebugInfo
	}
	if len(e.Macros) > 0 {
		macros := make(map[string]any, len(e.Macros))
		for name, value := range e.Macros {
			macros[name] = value
		}
		in["rpm_macros"] = macros
	}
	if len(e.RemoveMacros) > 0 {
		in["remove_rpm_macros"] = e.RemoveMacros
	}
	return c.callIn(ctx, "editSideTag", nil, name, in)
}

// Repo is the repository of a tag that buildroots are made from.
type Repo struct {
	ID    int64
	Event int64 // the change of Koji's that it has in it, and all before
}

// Repo returns the newest repository of a build tag that is ready.
// models.ErrNotFound is in the chain of the error if there is none.
func (c *Client) Repo(ctx context.Context, tag string) (Repo, error) {
	var in struct {
		ID    int64 `json:"id"`
		Event int64 `json:"create_event"`
	}
	if err := c.call(ctx, "getRepo", &in, tag); err != nil {
		return Repo{}, err
	}
	if in.ID <= 0 {
		return Repo{}, fmt.Errorf("a repository of the tag %s in koji: %w", tag, models.ErrNotFound)
	}
	return Repo{ID: in.ID, Event: in.Event}, nil
}
