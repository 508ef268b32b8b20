package kojifake

import (
	"fmt"
	"slices"
	"strings"

	"millrace/clients/koji"
)

func tagMethods() map[string]method {
	return map[string]method{
		"getTag":             {params: []string{"tagInfo", "strict?", "event?", "blocked?"}, run: (*Fake).getTag},
		"getBuildTarget":     {params: []string{"info", "event?", "strict?"}, run: (*Fake).getBuildTarget},
		"getBuildTargets":    {params: []string{"info?", "event?", "buildTagID?", "destTagID?", "queryOpts?"}, run: (*Fake).getBuildTargets},
		"getFullInheritance": {params: []string{"tag", "event?", "reverse?"}, run: (*Fake).getFullInheritance},
		"listTags":           {params: []string{"build?", "package?", "perms?", "queryOpts?", "pattern?"}, run: (*Fake).listTags},
		"listTagged": {params: []string{"tag", "event?", "inherit?", "prefix?", "latest?", "package?", "owner?", "type?", "strict?", "extra?", "draft?"},
			run: (*Fake).listTagged},
		"getLatestBuilds": {params: []string{"tag", "event?", "package?", "type?", "draft?"}, run: (*Fake).getLatestBuilds},
		"getRepo":         {params: []string{"tag", "state?", "event?", "dist?", "min_event?"}, run: (*Fake).getRepo},
		"tagBuild":        {params: []string{"tag", "build", "force?", "fromtag?"}, login: true, run: (*Fake).tagBuildCall},
		"untagBuild":      {params: []string{"tag", "build", "strict?", "force?"}, login: true, run: (*Fake).untagBuildCall},
	}
}

// findTag finds a tag by name or number; to be strict is to refuse others.
func (f *Fake) findTag(info any) (*Tag, error) {
	var t *Tag
	switch info := info.(type) {
	case string:
		t = f.tagNamed(info)
	case int64:
		t = f.world.Tags[info]
	}
	if t == nil {
		return nil, fault(koji.GenericFault, fmt.Sprintf("No such tagInfo: %v", info))
	}
	return t, nil
}

func (f *Fake) getTag(c *call) (any, error) {
	t, err := f.findTag(c.args["tagInfo"])
	if err != nil {
		if c.flag("strict") {
			return nil, err
		}
		return nil, c.err
	}
	return map[string]any{"id": t.ID, "name": t.Name, "arches": t.Arches, "locked": false, "perm": nil, "perm_id": nil,
		"maven_support": false, "maven_include_all": false, "extra": t.Extra}, nil
}

func (f *Fake) targetRow(t *Target) map[string]any {
	return map[string]any{"id": t.ID, "name": t.Name, "build_tag": t.BuildTag, "build_tag_name": f.tagName(t.BuildTag),
		"dest_tag": t.DestTag, "dest_tag_name": f.tagName(t.DestTag)}
}

func (f *Fake) getBuildTarget(c *call) (any, error) {
	var t *Target
	switch info := c.args["info"].(type) {
	case string:
		t = f.targetNamed(info)
	case int64:
		t = f.world.Targets[info]
	}
	switch {
	case t != nil:
		return f.targetRow(t), nil
	case c.flag("strict"):
		return nil, fault(koji.GenericFault, fmt.Sprintf("No such build target: %v", c.args["info"]))
	}
	return nil, c.err
}

func (f *Fake) getBuildTargets(c *call) (any, error) {
	rows := []map[string]any{}
	for _, t := range byID(f.world.Targets) {
		rows = append(rows, f.targetRow(t))
	}
	query := c.members("queryOpts")
	if c.err != nil {
		return nil, c.err
	}
	return selectRows(rows, query)
}

func (f *Fake) getFullInheritance(c *call) (any, error) {
	t, err := f.findTag(c.args["tag"])
	if err != nil {
		return nil, err
	}
	rows := []any{}
	for i, p := range f.lineage(t)[1:] {
		rows = append(rows, map[string]any{"name": p.Name, "parent_id": p.ID, "priority": int64(i), "currdepth": int64(i + 1), "maxdepth": nil, "noconfig": false})
	}
	return rows, nil
}

func (f *Fake) listTags(c *call) (any, error) {
	pattern := c.text("pattern")
	var of *Build
	if info := c.args["build"]; info != nil {
		if of = f.findBuild(info); of == nil {
			return nil, noBuild(info)
		}
	}
	rows := []any{}
	for _, t := range byID(f.world.Tags) {
		if (of == nil || slices.Contains(t.Builds, of.ID)) && (pattern == "" || pattern == t.Name) {
			rows = append(rows, map[string]any{"id": t.ID, "name": t.Name, "arches": t.Arches, "locked": false})
		}
	}
	return rows, c.err
}

func (f *Fake) taggedRows(list []tagged) []any {
	rows := make([]any, 0, len(list))
	for _, x := range list {
		row := f.buildRow(x.build)
		delete(row, "source")
		delete(row, "extra")
		row["id"], row["tag_id"], row["tag_name"] = x.build.ID, x.tag.ID, x.tag.Name
		row["create_event"], row["creation_event_id"] = x.tag.Event, x.tag.Event
		rows = append(rows, row)
	}
	return rows
}

func (f *Fake) listTagged(c *call) (any, error) {
	inherit, pkg, prefix, owner := c.flag("inherit"), c.text("package"), c.text("prefix"), c.text("owner")
	if c.err != nil {
		return nil, c.err
	}
	t, err := f.findTag(c.args["tag"])
	if err != nil {
		if c.args["strict"] == false {
			return []any{}, nil
		}
		return nil, err
	}
	list := slices.DeleteFunc(f.taggedIn(t, inherit, pkg), func(x tagged) bool {
		return !strings.HasPrefix(x.build.Spec.Name, prefix) || (owner != "" && x.build.Owner != owner)
	})
	switch n := c.args["latest"].(type) {
	case bool:
		if n {
			list = latest(list, 1)
		}
	case int64: // so many of each
		list = latest(list, n)
	}
	return f.taggedRows(list), nil
}

func (f *Fake) getLatestBuilds(c *call) (any, error) {
	pkg := c.text("package")
	t, err := f.findTag(c.args["tag"])
	if err != nil || c.err != nil {
		return nil, cmpErr(err, c.err)
	}
	return f.taggedRows(latest(f.taggedIn(t, true, pkg), 1)), nil
}

// getRepo has a repository with all that is in the tag: it is made at once.
func (f *Fake) getRepo(c *call) (any, error) {
	t, err := f.findTag(c.args["tag"])
	if err != nil {
		return nil, err
	}
	event := int64(0)
	for _, p := range f.lineage(t) {
		event = max(event, p.Event)
	}
	return map[string]any{"id": event, "state": int64(1), "create_event": event, "dist": false, "task_id": nil}, nil
}

func (f *Fake) tagBuildCall(c *call) (any, error) {
	t, err := f.findTag(c.args["tag"])
	if err != nil {
		return nil, err
	}
	b := f.findBuild(c.args["build"])
	switch {
	case b == nil:
		return nil, noBuild(c.args["build"])
	case b.State != koji.BuildComplete:
		return nil, fault(koji.TagFault, fmt.Sprintf("build %s not complete: state %s", b.nvr(), b.State))
	case isSideTag(t) && t.Extra["sidetag_user"] != c.user && !f.user(c.user).Admin:
		return nil, fault(koji.DeniedFault, "policy violation (tag)")
	case f.options.Packages != nil && !slices.Contains(f.options.Packages, b.Spec.Name):
		return nil, fault(koji.TagFault, fmt.Sprintf("Package %s not in list for %s", b.Spec.Name, t.Name))
	}
	task := f.newTask(nil, "tagBuild", "", "noarch", c.user, t.ID, b.ID, false, nil, false)
	task.Priority, task.TagID, task.BuildID = 10, t.ID, b.ID
	return task.ID, nil
}

func (f *Fake) untagBuildCall(c *call) (any, error) {
	t, err := f.findTag(c.args["tag"])
	if err != nil {
		return nil, err
	}
	b := f.findBuild(c.args["build"])
	if b == nil {
		return nil, noBuild(c.args["build"])
	}
	if !f.untagBuild(t, b, c.user) {
		return nil, fault(koji.TagFault, fmt.Sprintf("build %s not in tag %s", b.nvr(), t.Name))
	}
	return nil, nil
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
