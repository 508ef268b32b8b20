package kojifake

import (
	"fmt"
	"slices"
	"strconv"

	"millrace/clients/koji"
)

func sideTagMethods() map[string]method {
	return map[string]method{
		"createSideTag": {params: []string{"basetag", "debuginfo?", "suffix?"}, login: true, run: (*Fake).createSideTag},
		"removeSideTag": {params: []string{"sidetag"}, login: true, run: (*Fake).removeSideTagCall},
		"listSideTags":  {params: []string{"basetag?", "user?", "queryOpts?"}, run: (*Fake).listSideTags},
		"editSideTag": {params: []string{"sidetag", "debuginfo?", "rpm_macros?", "remove_rpm_macros?", "extra?", "remove_extra?"},
			login: true, run: (*Fake).editSideTag},
	}
}

func (f *Fake) createSideTag(c *call) (any, error) {
	base, err := f.findTag(c.args["basetag"])
	if err != nil {
		return nil, err
	}
	if suffix := c.text("suffix"); suffix != "" {
		return nil, fault(koji.GenericFault, suffix+" suffix is not allowed for sidetag")
	}
	debuginfo := c.flag("debuginfo")
	if c.err != nil {
		return nil, c.err
	}
	t := f.makeTag("", base.Dist, base)
	t.Name = fmt.Sprintf("%s-side-%d", base.Name, t.ID)
	t.Arches = base.Arches
	t.Extra = map[string]any{"sidetag": true, "sidetag_user": c.user, "sidetag_user_id": f.user(c.user).ID}
	if debuginfo {
		t.Extra["with_debuginfo"] = true
	}
	f.makeTarget(t.Name, t.ID, t.ID)
	return map[string]any{"name": t.Name, "id": t.ID, "task_id": nil, "request": nil}, nil
}

// ownSideTag finds a side tag that the caller may change.
func (f *Fake) ownSideTag(c *call) (*Tag, error) {
	t, err := f.findTag(c.args["sidetag"])
	switch {
	case err != nil:
		return nil, err
	case !isSideTag(t):
		return nil, fault(koji.GenericFault, "Not a sidetag: "+t.Name)
	case t.Extra["sidetag_user"] != c.user && !f.user(c.user).Admin:
		return nil, fault(koji.DeniedFault, "This is not your sidetag")
	}
	return t, nil
}

func (f *Fake) removeSideTagCall(c *call) (any, error) {
	t, err := f.ownSideTag(c)
	if err == nil {
		f.removeSideTag(t)
	}
	return nil, err
}

func (f *Fake) listSideTags(c *call) (any, error) {
	user, query := c.text("user"), c.members("queryOpts")
	var base *Tag
	var err error
	if info := c.args["basetag"]; info != nil {
		base, err = f.findTag(info)
	}
	if err := cmpErr(err, c.err); err != nil {
		return nil, err
	}
	rows := []map[string]any{}
	for _, t := range byID(f.world.Tags) {
		owner, _ := t.Extra["sidetag_user"].(string)
		if !isSideTag(t) || (user != "" && owner != user) || (base != nil && !slices.Contains(t.Parents, base.ID)) {
			continue
		}
		// The number comes out of a table of texts.
		rows = append(rows, map[string]any{"id": t.ID, "name": t.Name, "user_id": strconv.FormatInt(f.user(owner).ID, 10), "user_name": owner})
	}
	return selectRows(rows, query)
}

func (f *Fake) editSideTag(c *call) (any, error) {
	t, err := f.ownSideTag(c)
	if err != nil {
		return nil, err
	}
	macros, remove := c.members("rpm_macros"), argument[[]any](c, "remove_rpm_macros")
	parent := f.world.Tags[t.Parents[0]]
	allowed, _ := parent.Extra[macrosAllowed].([]any)
	switch {
	case c.err != nil:
		return nil, c.err
	case (c.args["extra"] != nil || c.args["remove_extra"] != nil) && !f.user(c.user).Admin:
		return nil, fault(koji.GenericFault, "Extra can be modified only with sidetag_admin or admin permissions.")
	case c.args["debuginfo"] != nil && parent.Extra[debuginfoAllowed] == nil:
		return nil, fault(koji.GenericFault, "Debuginfo setting is not allowed in parent tag.")
	case len(macros)+len(remove) > 0 && len(allowed) == 0:
		return nil, fault(koji.GenericFault, "RPM macros change is not allowed in parent tag.")
	}
	for name := range macros {
		if !slices.Contains(allowed, any(name)) {
			return nil, fault(koji.GenericFault, fmt.Sprintf("RPM macro %s editing is not allowed via parent tag", name))
		}
	}
	if c.args["debuginfo"] != nil {
		t.Extra["with_debuginfo"] = c.flag("debuginfo")
	}
	for name, value := range macros {
		t.Extra["rpm.macro."+name] = value
	}
	for _, name := range remove {
		delete(t.Extra, fmt.Sprint("rpm.macro.", name))
	}
	f.touchWorld()
	return nil, nil
}
