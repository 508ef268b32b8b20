package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/clients/bodhi"
	"millrace/clients/git"
	"millrace/clients/koji"
	"millrace/jobs/sources"
	"millrace/models"
	"millrace/models/rpm"
	"millrace/models/store"
)

// BodhiUpdate makes updates of builds in Bodhi.
type BodhiUpdate struct {
	*Koji
	Client *bodhi.Client
	User   string // our account there
}

// startsAtOnce is part of local: the work begins when a worker claims it.
func (*BodhiUpdate) startsAtOnce() {}

// Submit is part of Kind. An update that an earlier try made is found by its
// builds; one that others made, too, and is left to them.
func (k *BodhiUpdate) Submit(ctx context.Context, w *Work) (Outcome, error) {
	run := w.Runs[0]
	tag, builds, err := k.builds(ctx, w, run.Target)
	if skip, ok := errors.AsType[*skipped](err); ok {
		return everyRun(w, models.Skipped, skip.reason), nil
	}
	if err != nil {
		return Outcome{}, err
	}
	stop, err := k.condition(ctx, w, run, builds)
	if err != nil {
		return Outcome{}, err
	}
	if stop != nil {
		return *stop, nil
	}
	if tag == "" {
		return k.submit(ctx, w, run, nil, tag, builds)
	}
	var o Outcome // two packages of a side tag make one update, one after the other
	err = k.Engine.alone(ctx, "bodhi:"+tag, w.Group.Key, func(ctx context.Context) error {
		edited, err := k.edited(ctx, tag)
		if err == nil {
			o, err = k.submit(ctx, w, run, edited, tag, builds)
		}
		return err
	})
	return o, err
}

// condition asks run-condition about the package's build, unless there is an update
// already, perhaps by an earlier try.
func (k *BodhiUpdate) condition(ctx context.Context, w *Work, run *models.Run, builds []koji.Build) (*Outcome, error) {
	if !w.View.HasCondition() {
		return nil, nil
	}
	known, err := k.Client.FindUpdate(ctx, nvrsOf(builds))
	if err != nil || known != nil {
		return nil, err
	}
	return k.Conditions.check(ctx, w, run, func() (sources.ConditionRequest, error) {
		own := builds[0]
		if i := slices.IndexFunc(builds, func(b koji.Build) bool { return b.Package == w.Pipeline.Project.Name }); i >= 0 {
			own = builds[i]
		}
		ref := commitOfSource(own.Source)
		if own.Package != w.Pipeline.Project.Name || !git.IsSHA(ref) {
			ref = run.Target
		}
		r, err := k.Koji.condition(ctx, w, ref)
		r.Version = own.Version
		return r, err
	})
}

// submit makes an update of builds, or makes edited have them too.
func (k *BodhiUpdate) submit(ctx context.Context, w *Work, run *models.Run, edited *bodhi.Update, tag string, builds []koji.Build) (Outcome, error) {
	known, err := k.Client.FindUpdate(ctx, nvrsOf(builds))
	if err != nil {
		return Outcome{}, err
	}
	if known != nil {
		return k.known(w, run, known, builds), nil
	}
	if edited != nil {
		if builds, err = k.withOthers(ctx, edited, tag, builds); err != nil {
			return Outcome{}, err
		}
	}
	draft, notes, err := k.draft(ctx, w, run.Target, tag, builds)
	if err != nil {
		return Outcome{}, err
	}
	var saved *bodhi.Saved
	if edited != nil {
		saved, err = k.Client.EditUpdate(ctx, edited.Alias, draft)
	} else {
		saved, err = k.Client.CreateUpdate(ctx, draft)
	}
	switch {
	case bodhi.IsExisting(err):
		return k.taken(ctx, w, run, builds, err)
	case bodhi.IsNotComposed(err):
		return everyRun(w, models.Skipped, fmt.Sprintf("Bodhi makes updates for %s by itself, one for each build.", run.Target)), nil
	case err != nil:
		return Outcome{}, k.refused(err)
	}
	o := k.outcome(w, run, saved.Updates[0], builds, models.Passed, "")
	o.Runs[0].Data.Notes = append(notes, saved.Caveats...)
	for _, u := range saved.Updates[1:] {
		o.Products = append(o.Products, k.made(w, run, u, builds))
	}
	return o, nil
}

// Poll is part of Kind; nothing is waited for.
func (k *BodhiUpdate) Poll(context.Context, *Work) (Outcome, error) { return Outcome{}, nil }

// Cancel is part of Kind: an update that was made is for people to take back.
func (k *BodhiUpdate) Cancel(context.Context, *Work) error { return nil }

// FetchLog hides that of Koji: an update has no log.
func (k *BodhiUpdate) FetchLog(context.Context, *models.Run, int) ([]byte, int64, error) {
	return nil, 0, broken(nil, "An update has no log.")
}

func nvrsOf(builds []koji.Build) []string {
	nvrs := make([]string, len(builds))
	for i, b := range builds {
		nvrs[i] = b.NVR
	}
	slices.Sort(nvrs)
	return nvrs
}

// builds are those that the update is to have, and the side tag that they are in.
func (k *BodhiUpdate) builds(ctx context.Context, w *Work, branch string) (tag string, builds []koji.Build, err error) {
	name := w.Pipeline.Project.Name
	if group := w.View.Group(); group != "" {
		return k.sideTagBuilds(ctx, group, branch, append([]string{name}, w.View.Dependencies...))
	}
	var b koji.Build
	if m := w.Pipeline.Event.Message; m != nil && m.Kind == models.KojiBuildEvent {
		b, err = k.Koji.Client.Build(ctx, m.NVR)
		if errors.Is(err, models.ErrNotFound) {
			return "", nil, &skipped{fmt.Sprintf("The build %s is no longer in Koji.", m.NVR)}
		}
		return "", []koji.Build{b}, err
	}
	target, err := k.Koji.Client.Target(ctx, kojiTarget(branch))
	if err == nil {
		b, err = k.Koji.Client.LatestBuild(ctx, target.DestTag, name)
	}
	if errors.Is(err, models.ErrNotFound) {
		return "", nil, &skipped{fmt.Sprintf("There is no build of %s for %s in Koji.", name, branch)}
	}
	return "", []koji.Build{b}, err
}

// sideTagBuilds are the newest builds of packages in the side tag of a group, as
// far as they are newer than what users have. All packages must have one.
func (k *BodhiUpdate) sideTagBuilds(ctx context.Context, group, branch string, packages []string) (string, []koji.Build, error) {
	tag, err := k.knownSideTag(ctx, group, branch)
	if err != nil {
		return "", nil, err
	}
	if tag == nil {
		return "", nil, &skipped{fmt.Sprintf("There is no side tag of the group %s for %s.", group, branch)}
	}
	missing, err := k.missing(ctx, tag.Name, packages)
	if err != nil {
		return "", nil, err
	}
	if len(missing) > 0 {
		return "", nil, &skipped{fmt.Sprintf("The side tag %s has no build yet of %s.", tag.Name, strings.Join(missing, ", "))}
	}
	all, err := k.Koji.Client.Tagged(ctx, tag.Name, koji.TaggedFilter{})
	if err != nil {
		return "", nil, fmt.Errorf("looking into the side tag %s: %w", tag.Name, err)
	}
	best := newestBuilds(all)
	var builds []koji.Build
	for _, name := range slices.Compact(slices.Sorted(slices.Values(packages))) {
		stable, err := k.stable(ctx, branch, name)
		if err != nil {
			return "", nil, err
		}
		if b := best[name]; stable == nil || evrOf(b).Compare(evrOf(*stable)) > 0 {
			builds = append(builds, b)
		}
	}
	if len(builds) == 0 {
		return "", nil, &skipped{fmt.Sprintf("The builds in the side tag %s are not newer than what is stable.", tag.Name)}
	}
	return tag.Name, builds, nil
}

// stable is the build of a package that users of a branch have, or nil.
func (k *Koji) stable(ctx context.Context, branch, pkg string) (*koji.Build, error) {
	target, err := k.Client.Target(ctx, kojiTarget(branch))
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := k.Client.Inheritance(ctx, target.DestTag)
	if err != nil {
		return nil, fmt.Errorf("asking what %s inherits: %w", target.DestTag, err)
	}
	for _, tag := range koji.StableTags(names) {
		b, err := k.Client.LatestBuild(ctx, tag, pkg)
		if err == nil {
			return &b, nil
		}
		if !errors.Is(err, models.ErrNotFound) {
			return nil, err
		}
	}
	return nil, nil
}

// edited is the update of a side tag that is to get the builds, or nil: one that
// is stable is left alone.
func (k *BodhiUpdate) edited(ctx context.Context, tag string) (*bodhi.Update, error) {
	if tag == "" {
		return nil, nil
	}
	found, err := k.Client.Updates(ctx, bodhi.Query{SideTag: tag})
	if err != nil {
		return nil, err
	}
	for _, u := range found {
		if u.FromTag == tag && u.Lives() && u.Status != bodhi.Stable {
			return u, nil
		}
	}
	return nil, nil
}

// withOthers adds to builds those of other packages that an update of a side tag
// has already, as they are in the tag now.
func (k *BodhiUpdate) withOthers(ctx context.Context, edited *bodhi.Update, tag string, builds []koji.Build) ([]koji.Build, error) {
	tagged, err := k.Koji.Client.Tagged(ctx, tag, koji.TaggedFilter{})
	if err != nil {
		return nil, fmt.Errorf("looking into the side tag %s: %w", tag, err)
	}
	best := newestBuilds(tagged)
	for _, nvr := range edited.Builds {
		name, err := rpm.ParseNEVR(nvr)
		if err != nil || slices.ContainsFunc(builds, func(b koji.Build) bool { return b.Package == name.Name }) {
			continue
		}
		if b, ok := best[name.Name]; ok {
			builds = append(builds, b)
		}
	}
	return builds, nil
}

// draft is what the update shall be, and what of the package config Bodhi is not
// told.
func (k *BodhiUpdate) draft(ctx context.Context, w *Work, branch, tag string, builds []koji.Build) (d *bodhi.Draft, notes []string, err error) {
	var updated []models.UpdatedBuild
	for _, b := range builds {
		news, err := k.news(ctx, branch, b)
		if err != nil {
			return nil, nil, err
		}
		updated = append(updated, models.UpdatedBuild{NVR: b.NVR, Package: b.Package, News: news})
	}
	d, unknown, err := draftOf(w.View.BodhiExtraParams)
	if err != nil {
		return nil, nil, fail("bodhi_extra_params cannot be used: %v.", err)
	}
	if len(unknown) > 0 {
		notes = append(notes, fmt.Sprintf("Bodhi was not told of %s in bodhi_extra_params, which it does not know.", strings.Join(unknown, ", ")))
	}
	d.Builds, d.FromTag, d.Notes = nvrsOf(builds), tag, bodhi.CutNotes(models.UpdateNotes(updated))
	d.Bugs = nil
	for _, text := range rpm.ClosedBugs(d.Notes) {
		if id, err := strconv.Atoi(text); err == nil && !slices.Contains(d.Bugs, id) {
			d.Bugs = append(d.Bugs, id)
		}
	}
	return d, notes, nil
}

// draftOf reads bodhi_extra_params. What we fill in ourselves is overwritten
// later. A type that is given counts: Packit reads it and then makes each update an
// enhancement all the same, which nobody who writes one can want.
func draftOf(params map[string]any) (d *bodhi.Draft, unknown []string, err error) {
	d = &bodhi.Draft{Type: "enhancement"}
	text, err := json.Marshal(params)
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(text, d); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, nil, fmt.Errorf("%s must not be a %s", wrong.Field, wrong.Value)
		}
		return nil, nil, err
	}
	all, err := json.Marshal(d)
	if err != nil {
		return nil, nil, err
	}
	var taken map[string]any
	if err := json.Unmarshal(all, &taken); err != nil {
		return nil, nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if _, ok := taken[name]; !ok && params[name] != nil {
			unknown = append(unknown, name)
		}
	}
	return d, unknown, nil
}

// news are the entries of a build's changelog that the stable one has not.
func (k *BodhiUpdate) news(ctx context.Context, branch string, b koji.Build) ([]models.ChangelogEntry, error) {
	changelog, err := k.changelog(ctx, b.NVR)
	if err != nil {
		return nil, err
	}
	stable, err := k.stable(ctx, branch, b.Package)
	if err != nil {
		return nil, err
	}
	var earlier []models.ChangelogEntry
	if stable != nil && stable.NVR != b.NVR {
		if earlier, err = k.changelog(ctx, stable.NVR); err != nil {
			return nil, err
		}
	}
	return models.NewEntries(changelog, earlier), nil
}

func (k *BodhiUpdate) changelog(ctx context.Context, nvr string) ([]models.ChangelogEntry, error) {
	found, err := k.Koji.Client.Changelog(ctx, nvr)
	if err != nil {
		return nil, fmt.Errorf("reading the changelog of %s: %w", nvr, err)
	}
	entries := make([]models.ChangelogEntry, len(found))
	for i, e := range found {
		entries[i] = models.ChangelogEntry(e)
	}
	return entries, nil
}

// known is the outcome where there is an update with all the builds: ours, whose
// answer may have been lost, or somebody else's.
func (k *BodhiUpdate) known(w *Work, run *models.Run, u *bodhi.Update, builds []koji.Build) Outcome {
	switch {
	case u.User != k.User:
		return k.outcome(w, run, u, builds, models.Skipped, fmt.Sprintf("The builds are in the update %s already, which %s made.", u.Alias, orSomebody(u.User)))
	case w.Group.Epoch <= 1:
		return k.outcome(w, run, u, builds, models.Skipped, fmt.Sprintf("The builds are in the update %s already.", u.Alias))
	}
	return k.outcome(w, run, u, builds, models.Passed, "")
}

func orSomebody(login string) string {
	if login == "" {
		return "somebody else"
	}
	return login
}

// taken is the outcome where Bodhi says that one of the builds is in an update.
func (k *BodhiUpdate) taken(ctx context.Context, w *Work, run *models.Run, builds []koji.Build, refusal error) (Outcome, error) {
	o := everyRun(w, models.Skipped, sentence(bodhi.Text(refusal)))
	found, err := k.Client.Updates(ctx, bodhi.Query{Builds: nvrsOf(builds)})
	if err != nil {
		return Outcome{}, err
	}
	for _, u := range found {
		if u.Lives() {
			o.Products = append(o.Products, k.made(w, run, u, builds))
		}
	}
	return o, nil
}

// outcome is that with an update.
func (k *BodhiUpdate) outcome(w *Work, run *models.Run, u *bodhi.Update, builds []koji.Build, state models.State, reason string) Outcome {
	data := run.Data
	data.SideTag, data.Builds, data.ServiceState = u.FromTag, u.Builds, string(u.Status)
	o := Outcome{Runs: []Update{{
		Run: run, State: state, Reason: reason, ExternalID: u.Alias, ExternalURL: u.URL, Data: &data,
	}}}
	o.Products = append(o.Products, k.made(w, run, u, builds))
	if state != models.Passed {
		o.Products[0].RunID = 0
	}
	return o
}

// made is an update on the way of all the builds that it has.
func (k *BodhiUpdate) made(w *Work, run *models.Run, u *bodhi.Update, builds []koji.Build) Made {
	project := *w.Pipeline.Project
	p := updateProduct(u, project.Name, run.Target)
	p.RunID, p.PollAt = run.ID, store.Now().Add(k.Engine.Timing.Poll)
	m := Made{Product: p, Project: &project}
	for _, b := range builds {
		m.From = append(m.From, buildRef(b))
	}
	return m
}

var updateStates = map[bodhi.Status]models.ProductState{
	bodhi.Pending: models.ProductPending, bodhi.Testing: models.ProductTesting, bodhi.Stable: models.ProductStable,
	bodhi.Unpushed: models.ProductDropped, bodhi.Obsoleted: models.ProductDropped,
}

// gatingWords are ours for Bodhi's, where these differ.
var gatingWords = map[string]string{
	bodhi.GatingQueued: "waiting", bodhi.GatingRunning: "waiting", bodhi.GatingBroken: "waiting",
}

// updateProduct is an update as it is now.
func updateProduct(u *bodhi.Update, pkg, branch string) *models.Product {
	p := &models.Product{
		Kind: models.UpdateProduct, Key: models.UpdateRefOf(u.Alias).Key, Package: pkg, Branch: branch, Name: u.Alias,
		State: updateStates[u.Status], URL: u.URL,
		Data: models.ProductData{
			Author: u.User, SideTag: u.FromTag, NVRs: u.Builds, Karma: u.Karma, NeedsKarma: u.StableKarma,
			TestingAt: u.Tested, StableAt: u.Stabled, Gating: u.Gating,
		},
	}
	if p.State == "" {
		p.State = models.ProductPending // a status that Bodhi has learnt since
	}
	if word, ok := gatingWords[u.Gating]; ok {
		p.Data.Gating = word
	}
	if u.Status == bodhi.Testing && u.AutoTime && !u.Tested.IsZero() {
		p.Data.StableAt = u.Tested.Add(time.Duration(u.StableDays) * 24 * time.Hour)
	}
	switch u.Status {
	case bodhi.Unpushed:
		p.Data.Reason = "It was unpushed in Bodhi."
	case bodhi.Obsoleted:
		p.Data.Reason = "A newer update took its place."
	}
	return p
}

// refused turns a final answer of Bodhi into one for people.
func (k *BodhiUpdate) refused(err error) error {
	if _, ours := errors.AsType[*bodhi.LoginError](err); ours && !temporary(err) || errors.Is(err, bodhi.ErrNoAccount) {
		return broken(err, "Bodhi does not accept this service's login; an operator must look at it.")
	}
	if wrong, ok := errors.AsType[*bodhi.DraftError](err); ok {
		return fail("Bodhi would not take the update: %s.", wrong.Reason)
	}
	switch {
	case bodhi.IsTooEarly(err):
		return again{err} // Koji tags a build a moment after it is complete
	case temporary(err):
		return err
	case bodhi.IsPermission(err):
		return fail("%s may not make updates of it; Bodhi says: %s", k.User, sentence(bodhi.Text(err)))
	}
	return fail("Bodhi did not take the update; it says: %s", sentence(bodhi.Text(err)))
}
