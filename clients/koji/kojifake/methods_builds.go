package kojifake

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"millrace/clients/koji"
)

func buildMethods() map[string]method {
	return map[string]method{
		"getBuild":     {params: []string{"buildInfo", "strict?"}, run: (*Fake).getBuild},
		"getPackageID": {params: []string{"name", "strict?"}, run: (*Fake).getPackageID},
		"listBuilds": {params: []string{"packageID?", "userID?", "taskID?", "prefix?", "state?", "volumeID?", "source?", "createdBefore?",
			"createdAfter?", "completeBefore?", "completeAfter?", "type?", "typeInfo?", "queryOpts?", "pattern?", "cgID?", "draft?"}, run: (*Fake).listBuilds},
		"cancelBuild":   {params: []string{"buildID", "strict?"}, login: true, run: (*Fake).cancelBuild},
		"getBuildLogs":  {params: []string{"build"}, run: (*Fake).getBuildLogs},
		"getRPMHeaders": {params: []string{"rpmID?", "taskID?", "filepath?", "headers?", "strict?"}, run: (*Fake).getRPMHeaders},
	}
}

func (f *Fake) buildRow(b *Build) map[string]any {
	extra := map[string]any{}
	if b.Source != "" {
		extra["source"] = map[string]any{"original_url": b.Source}
	}
	if b.Metadata != nil {
		extra["custom_user_metadata"] = b.Metadata
	}
	row := map[string]any{"build_id": b.ID, "package_id": f.packageID(b.Spec.Name), "package_name": b.Spec.Name, "name": b.Spec.Name,
		"version": b.Spec.Version, "release": b.Spec.Release, "epoch": nil, "nvr": b.nvr(), "draft": false, "state": int64(b.State), "task_id": nil,
		"owner_id": f.user(b.Owner).ID, "owner_name": b.Owner, "volume_id": int64(0), "volume_name": "DEFAULT",
		"creation_time": timeText(b.Created), "creation_ts": timeStamp(b.Created), "start_time": nil, "start_ts": nil,
		"completion_time": timeText(b.Completed), "completion_ts": timeStamp(b.Completed), "source": orNil(b.Source), "extra": extra}
	if b.Spec.Epoch > 0 {
		row["epoch"] = b.Spec.Epoch
	}
	if b.TaskID > 0 {
		row["task_id"] = b.TaskID
	}
	return row
}

// findBuild finds a build by all that the hub takes for one.
func (f *Fake) findBuild(info any) *Build {
	switch info := info.(type) {
	case int64:
		return f.builds[info]
	case string:
		return f.buildNamed(info)
	case map[string]any:
		return f.buildNamed(fmt.Sprintf("%v-%v-%v", info["name"], info["version"], info["release"]))
	}
	return nil
}

func noBuild(info any) error { return fault(koji.GenericFault, fmt.Sprintf("No such build: %v", info)) }

func (f *Fake) getBuild(c *call) (any, error) {
	strict := c.flag("strict")
	b := f.findBuild(c.args["buildInfo"])
	if b != nil {
		row := f.buildRow(b)
		row["id"] = b.ID
		return row, c.err
	}
	if strict {
		return nil, noBuild(c.args["buildInfo"])
	}
	return nil, c.err
}

func (f *Fake) getPackageID(c *call) (any, error) {
	if id, ok := f.world.Packages[c.text("name")]; ok {
		return id, nil
	}
	return nil, c.err
}

func (f *Fake) listBuilds(c *call) (any, error) {
	source, prefix := c.text("source"), c.text("prefix")
	after, _ := c.args["createdAfter"].(float64)
	query := c.members("queryOpts")
	if c.err != nil {
		return nil, c.err
	}
	rows := []map[string]any{}
	for _, b := range byID(f.builds) {
		row := f.buildRow(b)
		fits := true
		for arg, member := range map[string]string{"packageID": "package_id", "userID": "owner_id", "taskID": "task_id", "state": "state"} {
			if want := c.args[arg]; want != nil && row[member] != want && row[strings.TrimSuffix(member, "_id")+"_name"] != want {
				fits = false
			}
		}
		if source != "" {
			// The hub's patterns know "*" and "?"; a slash is nothing special.
			flat := strings.NewReplacer("/", "\x00", "[", "\\[")
			matched, err := path.Match(flat.Replace(source), flat.Replace(b.Source))
			fits = fits && err == nil && matched
		}
		fits = fits && strings.HasPrefix(b.Spec.Name, prefix) && float64(b.Created.UnixMicro())/1e6 > after
		if fits {
			rows = append(rows, row)
		}
	}
	return selectRows(rows, query)
}

func (f *Fake) cancelBuild(c *call) (any, error) {
	b := f.builds[c.number("buildID")]
	switch {
	case c.err != nil:
		return nil, c.err
	case b == nil || b.State != koji.BuildBuilding:
		return false, nil
	case b.Owner != c.user && !f.user(c.user).Admin:
		return false, nil
	}
	if t := f.tasks[b.TaskID]; t != nil {
		f.cancelTask(t)
	}
	return true, nil
}

func (f *Fake) getBuildLogs(c *call) (any, error) {
	b := f.findBuild(c.args["build"])
	if b == nil {
		return nil, noBuild(c.args["build"])
	}
	logs := []any{}
	for _, t := range f.children(&Task{ID: b.TaskID}) {
		if t.Method == "buildArch" && b.State == koji.BuildComplete {
			logs = append(logs, map[string]any{"name": koji.BuildLog, "dir": t.Arch, "path": path.Join(logDir(b.Spec), t.Arch, koji.BuildLog)})
		}
	}
	return logs, nil
}

// getRPMHeaders knows source packages, of which it has the changelog.
func (f *Fake) getRPMHeaders(c *call) (any, error) {
	nvr, isSource := strings.CutSuffix(c.text("rpmID"), ".src")
	b := f.buildNamed(nvr)
	if c.err != nil || b == nil || !isSource {
		return map[string]any{}, c.err
	}
	times, names, texts := []any{}, []any{}, []any{}
	for _, e := range b.Spec.Changelog {
		times, names, texts = append(times, e.Time.Unix()), append(names, e.Name), append(texts, e.Text)
	}
	return map[string]any{"changelogtime": times, "changelogname": names, "changelogtext": texts}, nil
}

// selectRows orders and cuts a list as queryOpts say.
func selectRows(rows []map[string]any, query map[string]any) (any, error) {
	if query["countOnly"] == true {
		return int64(len(rows)), nil
	}
	order, _ := query["order"].(string)
	if member, down := strings.CutPrefix(order, "-"); member != "" {
		for _, row := range rows {
			if _, ok := row[member]; !ok {
				return nil, fault(koji.GenericFault, "Invalid order: "+order)
			}
		}
		slices.SortStableFunc(rows, func(a, b map[string]any) int {
			x, _ := a[member].(int64)
			y, _ := b[member].(int64)
			if down {
				x, y = y, x
			}
			return cmp.Compare(x, y)
		})
	}
	offset, _ := query["offset"].(int64)
	rows = rows[min(max(offset, 0), int64(len(rows))):]
	if limit, ok := query["limit"].(int64); ok {
		rows = rows[:min(max(limit, 0), int64(len(rows)))]
	}
	out := make([]any, len(rows))
	for i, row := range rows {
		out[i] = row
	}
	return out, nil
}
