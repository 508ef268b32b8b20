package kojifake

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"millrace/clients/koji"
)

// Release is a branch with the tags and the target that Fedora gives it.
type Release struct {
	Branch string // such as "f43", "rawhide", "epel9"
	Tag    string // the first part of its tags, such as "f43"
	Dist   string // such as ".fc43"
}

// DefaultReleases are what a Fake builds for if it is not told.
func DefaultReleases() []Release {
	return []Release{
		{Branch: "rawhide", Tag: "f45", Dist: ".fc45"}, {Branch: "f44", Tag: "f44", Dist: ".fc44"}, {Branch: "f43", Tag: "f43", Dist: ".fc43"},
		{Branch: "f42", Tag: "f42", Dist: ".fc42"}, {Branch: "epel9", Tag: "epel9", Dist: ".el9"}, {Branch: "epel10", Tag: "epel10", Dist: ".el10"},
	}
}

const arches = "x86_64 aarch64"

// debuginfoAllowed is what a build tag must say for its side tags to be edited.
const debuginfoAllowed, macrosAllowed = "sidetag_debuginfo_allowed", "sidetag_rpm_macros_allowed"

func (f *Fake) makeWorld() {
	f.world = world{LastTask: f.options.FirstID - 1, LastID: 4900, Event: 118000000,
		Users: map[string]*User{}, Packages: map[string]int64{}, Tags: map[int64]*Tag{}, Targets: map[int64]*Target{}}
	for _, u := range f.options.Users {
		u.ID = cmp.Or(u.ID, f.nextID())
		f.world.Users[u.Name] = &u
	}
	for _, r := range f.options.Releases {
		f.makeRelease(r)
	}
	f.touchWorld()
}

func (f *Fake) makeRelease(r Release) {
	stable := f.makeTag(r.Tag, r.Dist)
	updates, testing, candidate := stable, "-testing", "-testing-candidate"
	if !strings.HasPrefix(r.Branch, "epel") {
		updates = f.makeTag(r.Tag+"-updates", r.Dist, stable)
		testing, candidate = "-updates-testing", "-updates-candidate"
	}
	f.makeTag(r.Tag+testing, r.Dist, updates)
	dest := f.makeTag(r.Tag+candidate, r.Dist, updates)
	build := f.makeTag(r.Tag+"-build", r.Dist, updates)
	build.Extra = map[string]any{debuginfoAllowed: int64(1), macrosAllowed: []any{"dist", "_with_bootstrap"}}
	name := r.Branch + "-candidate"
	if r.Branch == "rawhide" {
		name = r.Branch
	}
	f.makeTarget(name, build.ID, dest.ID)
	if r.Branch != "rawhide" {
		f.makeTarget(r.Branch, build.ID, dest.ID) // what scratch builds of upstream name
	}
}

func (f *Fake) makeTag(name, dist string, parents ...*Tag) *Tag {
	t := &Tag{ID: f.nextID(), Name: name, Arches: arches, Dist: dist, Extra: map[string]any{}, Event: f.nextEvent()}
	for _, p := range parents {
		t.Parents = append(t.Parents, p.ID)
	}
	f.world.Tags[t.ID] = t
	return t
}

func (f *Fake) makeTarget(name string, build, dest int64) {
	t := &Target{ID: f.nextID(), Name: name, BuildTag: build, DestTag: dest}
	f.world.Targets[t.ID] = t
}

func (f *Fake) nextEvent() int64 {
	f.world.Event++
	f.touchWorld()
	return f.world.Event
}

// user returns the account of a name, and makes it if there is none.
func (f *Fake) user(name string) *User {
	u, ok := f.world.Users[name]
	if !ok {
		u = &User{ID: f.nextID(), Name: name}
		f.world.Users[name] = u
	}
	return u
}

// packageID is the number of a package; those that were never built have none
// until then.
func (f *Fake) packageID(name string) int64 {
	id, ok := f.world.Packages[name]
	if !ok {
		id = f.nextID()
		f.world.Packages[name] = id
	}
	return id
}

func (f *Fake) tagNamed(name string) *Tag {
	for _, t := range f.world.Tags {
		if t.Name == name {
			return t
		}
	}
	return nil
}

func (f *Fake) targetNamed(name string) *Target {
	for _, t := range f.world.Targets {
		if t.Name == name {
			return t
		}
	}
	return nil
}

func (f *Fake) buildNamed(nvr string) *Build {
	for _, b := range f.builds {
		if b.nvr() == nvr {
			return b
		}
	}
	return nil
}

// lineage is a tag and all that it inherits from, nearest first.
func (f *Fake) lineage(t *Tag) []*Tag {
	out := []*Tag{t}
	for i := 0; i < len(out); i++ {
		for _, id := range out[i].Parents {
			if p := f.world.Tags[id]; p != nil && !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// tagged is a build in a tag.
type tagged struct {
	build *Build
	tag   *Tag
}

// taggedIn lists the builds of a tag, and of those it inherits from if wanted,
// that tagged last first; of the nearest tag before those of others.
func (f *Fake) taggedIn(t *Tag, inherit bool, pkg string) []tagged {
	tags := []*Tag{t}
	if inherit {
		tags = f.lineage(t)
	}
	var out []tagged
	for _, t := range tags {
		for _, id := range slices.Backward(t.Builds) {
			if b := f.builds[id]; b != nil && b.State == koji.BuildComplete && (pkg == "" || b.Spec.Name == pkg) {
				out = append(out, tagged{b, t})
			}
		}
	}
	return out
}

// latest keeps the first n builds of each package.
func latest(list []tagged, n int64) []tagged {
	seen := map[string]int64{}
	return slices.DeleteFunc(list, func(x tagged) bool {
		seen[x.build.Spec.Name]++
		return seen[x.build.Spec.Name] > n
	})
}

// tagBuild and untagBuild change a tag, and report whether that was a change.
func (f *Fake) tagBuild(t *Tag, b *Build, by string) bool {
	if slices.Contains(t.Builds, b.ID) {
		return false
	}
	t.Builds = append(t.Builds, b.ID)
	t.Event = f.nextEvent()
	f.announceTag("buildsys.tag", t, b, by)
	return true
}

func (f *Fake) untagBuild(t *Tag, b *Build, by string) bool {
	i := slices.Index(t.Builds, b.ID)
	if i < 0 {
		return false
	}
	t.Builds = slices.Delete(t.Builds, i, i+1)
	t.Event = f.nextEvent()
	f.announceTag("buildsys.untag", t, b, by)
	return true
}

// Move takes a tag from a build, if from is not empty, and gives it another, if
// to is not empty, as Bodhi does when an update goes on.
func (f *Fake) Move(nvr, from, to, by string) error {
	f.mu.Lock()
	defer f.unlock()
	b := f.buildNamed(nvr)
	if b == nil || b.State != koji.BuildComplete {
		return fmt.Errorf("there is no complete build %s", nvr)
	}
	old, next := f.tagNamed(from), f.tagNamed(to)
	if (from != "" && old == nil) || (to != "" && next == nil) {
		return fmt.Errorf("there is no tag %s, or no tag %s", from, to)
	}
	if next != nil {
		f.tagBuild(next, b, by)
	}
	if old != nil {
		f.untagBuild(old, b, by)
	}
	return nil
}

// TagsOf lists the tags of a complete build, and says whether there is one.
func (f *Fake) TagsOf(nvr string) (tags []string, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.buildNamed(nvr)
	if b == nil || b.State != koji.BuildComplete {
		return nil, false
	}
	for _, t := range byID(f.world.Tags) {
		if slices.Contains(t.Builds, b.ID) {
			tags = append(tags, t.Name)
		}
	}
	return tags, true
}

// TaggedIn lists the newest build of each package in a tag, and says whether there
// is the tag.
func (f *Fake) TaggedIn(name string) (nvrs []string, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tagNamed(name)
	if t == nil {
		return nil, false
	}
	for _, x := range latest(f.taggedIn(t, false, ""), 1) {
		nvrs = append(nvrs, x.build.nvr())
	}
	return nvrs, true
}

// RemoveSideTag removes a side tag, as Bodhi does when its update is stable.
func (f *Fake) RemoveSideTag(name string) error {
	f.mu.Lock()
	defer f.unlock()
	t := f.tagNamed(name)
	if t == nil || !isSideTag(t) {
		return fmt.Errorf("there is no side tag %s", name)
	}
	f.removeSideTag(t)
	return nil
}

func (f *Fake) removeSideTag(t *Tag) {
	delete(f.world.Tags, t.ID)
	if target := f.targetNamed(t.Name); target != nil {
		delete(f.world.Targets, target.ID)
	}
	f.touchWorld()
}

func isSideTag(t *Tag) bool {
	is, _ := t.Extra["sidetag"].(bool)
	return is
}

// TagNames lists all tags by name.
func (f *Fake) TagNames() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, t := range f.world.Tags {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}

// AddBuild makes a complete build with tags, as if it had been there always.
// Nobody is told.
func (f *Fake) AddBuild(owner string, s Spec, tags ...string) (int64, error) {
	f.mu.Lock()
	defer f.unlock()
	if f.buildNamed(s.NVR()) != nil {
		return 0, fmt.Errorf("there is a build %s", s.NVR())
	}
	at := f.now()
	b := &Build{ID: f.nextID(), Spec: s, State: koji.BuildComplete, Owner: owner, Created: at, Completed: at}
	f.user(owner)
	f.packageID(s.Name)
	for _, name := range tags {
		t := f.tagNamed(name)
		if t == nil {
			return 0, fmt.Errorf("there is no tag %s", name)
		}
		t.Builds = append(t.Builds, b.ID)
		t.Event = f.nextEvent()
	}
	f.builds[b.ID] = b
	f.touchBuild(b)
	return b.ID, nil
}

// byID lists the values of a map by their keys.
func byID[T any](m map[int64]T) []T {
	out := make([]T, 0, len(m))
	for _, id := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[id])
	}
	return out
}
