package box

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"millrace/clients/anitya/anityafake"
	"millrace/clients/bodhi/bodhifake"
	"millrace/clients/bugzilla/bugzillafake"
	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
	"millrace/clients/koji/kojifake"
	"millrace/clients/lookaside/lookasidefake"
)

// packager is who the service is for dist-git and what is behind it.
const packager = "packit"

// ticket is what stands for somebody's ticket of Kerberos.
func ticket(login string) string { return "sim:" + login }

// startFedora makes what is downstream: dist-git with its cache of archives, Koji,
// Bodhi, release monitoring and bugs.
func (b *Box) startFedora(ctx context.Context) (err error) {
	for _, dir := range []string{"anitya", "bugzilla", "koji-sources"} {
		if err := os.MkdirAll(b.path(dir), 0o755); err != nil {
			return err
		}
	}
	b.Bugzilla = new(bugzillafake.Server)
	if err := b.Bugzilla.Open(b.path("bugzilla")); err != nil {
		return err
	}
	b.Anitya = &anityafake.Server{Publish: b.bus.publish, FileBug: b.fileBug}
	if err := b.Anitya.Open(b.path("anitya")); err != nil {
		return err
	}
	if err := b.startPackages(ctx); err != nil {
		return err
	}
	if err := b.startBodhi(); err != nil { // before Koji, which tells it what is tagged
		return err
	}
	p := b.options.Pace
	b.Koji, err = kojifake.New(kojifake.Options{
		Dir: b.path("koji"), BaseURL: b.access.DistGitURL, Releases: kojiReleases, Publish: b.kojiSays, Fails: b.kojiFails, Log: b.log,
		Source: kojifake.FromGit(&git.Git{}, b.path("koji-sources")),
		Pace:   kojifake.Pace{Queue: p.Queue, SRPM: p.SRPM / 2, Arch: p.Chroot, Repo: p.Queue, Tag: p.Queue},
	})
	return err
}

// kojiReleases are Bodhi's, as far as packages of the box have branches.
var kojiReleases = []kojifake.Release{
	{Branch: "rawhide", Tag: "f46", Dist: ".fc46"}, {Branch: "f45", Tag: "f45", Dist: ".fc45"}, {Branch: "f44", Tag: "f44", Dist: ".fc44"},
	{Branch: "f43", Tag: "f43", Dist: ".fc43"}, {Branch: "epel9", Tag: "epel9", Dist: ".el9"}, {Branch: "epel10", Tag: "epel10.4", Dist: ".el10_4"},
}

// startPackages opens dist-git, with the packages that every new box has.
func (b *Box) startPackages(ctx context.Context) (err error) {
	if err := b.seedPackages(ctx); err != nil {
		return err
	}
	if b.Packages, err = fakeforge.New(fakeforge.Config{Dir: b.path("dist-git"), Log: b.log}); err != nil {
		return err
	}
	if err := b.Packages.SetToken(b.access.PackagesToken, fakeforge.Token{Login: packager}); err != nil {
		return err
	}
	if b.distGit, err = newDistGit(b.options.Packages, b.Packages, b.access.DistGitURL, b.bus.publish, b.log); err != nil {
		return err
	}
	if err := b.setMonitoring(); err != nil {
		return err
	}
	b.Lookaside, err = lookasidefake.New(lookasidefake.Config{
		Dir: b.path("lookaside"), Users: map[string]string{base64.StdEncoding.EncodeToString([]byte(b.access.KerberosToken)): packager},
		Known:   func(pkg string) bool { _, err := b.Packages.Repo(pkg); return err == nil },
		Publish: b.bus.publish,
	})
	if err != nil {
		return err
	}
	// What was pushed when the box died is told of now.
	return b.Packages.CatchUp(ctx)
}

func (b *Box) startBodhi() error {
	b.Bodhi = bodhifake.New()
	b.Bodhi.Address, b.Bodhi.Publish = b.access.BodhiURL, b.bus.publish
	b.Bodhi.Users = map[string][]string{packager: {"packager"}}
	b.Bodhi.Commits = func(user, pkg string) bool { return b.Packages.MayCommit("rpms/"+pkg, user, "rawhide") }
	b.Bodhi.Tags = func(nvr string) ([]string, bool) { return b.Koji.TagsOf(nvr) }
	b.Bodhi.Tagged = func(tag string) ([]string, bool) { return b.Koji.TaggedIn(tag) }
	b.Bodhi.Moved = b.moved
	return b.Bodhi.Open(b.path("bodhi"))
}

// moved has Koji move the tags of an update's builds.
func (b *Box) moved(u bodhifake.Update) {
	tags, _ := b.Bodhi.TagsOf(u.Release)
	from, to := tags.Candidate, tags.Testing
	if u.Status == "stable" {
		from, to = tags.Testing, tags.Stable
	}
	for _, nvr := range u.Builds {
		// Those of a side tag have never been in the tag before.
		if err := b.Koji.Move(nvr, from, to, "bodhi"); err != nil {
			b.log.Warn("koji does not move a build", "build", nvr, "to", to, "error", err)
		}
	}
	if u.FromTag == "" || u.Status != "stable" {
		return
	}
	if err := b.Koji.RemoveSideTag(u.FromTag); err != nil {
		b.log.Info("the side tag of an update is not removed", "tag", u.FromTag, "error", err)
	}
}

// kojiSays sends Koji's messages on, and lets Bodhi hear that a build was tagged:
// it makes Rawhide's updates by itself.
func (b *Box) kojiSays(topic string, body []byte) {
	if !b.kojiSilent.Load() {
		b.bus.publish(topic, body)
	}
	if !strings.HasSuffix(topic, ".buildsys.tag") {
		return
	}
	var said struct{ Tag, Name, Version, Release, Owner string }
	if err := json.Unmarshal(body, &said); err != nil || said.Tag != "f46-updates-candidate" {
		return
	}
	if err := b.Bodhi.Automatic(said.Name+"-"+said.Version+"-"+said.Release, said.Owner); err != nil {
		b.log.Error("bodhi makes no automatic update", "error", err)
	}
}

// FailBuild has the next build in Koji fail whose name, version and release have
// part in them. It does not outlive the box.
func (b *Box) FailBuild(part string) {
	b.failing.Lock()
	defer b.failing.Unlock()
	b.failures = append(b.failures, part)
}

// Failing are the parts of FailBuild that wait for their build.
func (b *Box) Failing() []string {
	b.failing.Lock()
	defer b.failing.Unlock()
	return slices.Clone(b.failures)
}

// kojiFails decides that a task fails.
func (b *Box) kojiFails(t kojifake.Task) bool {
	if t.Method != "buildArch" || len(t.Request) == 0 {
		return false
	}
	source, _ := t.Request[0].(string)
	b.failing.Lock()
	defer b.failing.Unlock()
	i := slices.IndexFunc(b.failures, func(part string) bool { return strings.Contains(source, part) })
	if i < 0 {
		return false
	}
	b.failures = slices.Delete(b.failures, i, i+1)
	return true
}

// Pass lets time pass where Fedora waits for it: updates come from testing to
// stable in a week or two, composed once a day.
func (b *Box) Pass(d time.Duration) error {
	b.Koji.Advance(d)
	return b.Bodhi.Advance(d)
}

// runBodhi has Bodhi look at its updates, and composes them now and then.
func (b *Box) runBodhi() {
	next := time.Now().Add(b.options.Pace.Compose)
	for sleep(b.ctx, b.options.Pace.Compose/10) {
		var err error
		if now := time.Now(); now.After(next) {
			next, err = now.Add(b.options.Pace.Compose), b.Bodhi.Compose()
		} else {
			err = b.Bodhi.Advance(0)
		}
		if err != nil {
			b.log.Error("bodhi does not go on", "error", err)
		}
	}
}

// closeFedora ends what is downstream.
func (b *Box) closeFedora() error {
	if b.distGit != nil {
		b.distGit.pagure.Close()
	}
	if b.Packages != nil {
		b.Packages.Close()
	}
	if b.Koji == nil {
		return nil
	}
	// It is closed once: a box that ends in an error is closed by whoever opened it,
	// too.
	if err := b.Koji.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// serveFedora answers at dist-git's address, where Koji is too.
func (b *Box) serveFedora(w http.ResponseWriter, r *http.Request) {
	p := r.URL.Path
	switch {
	case within(p, "/repo/pkgs"):
		b.Lookaside.ServeHTTP(w, r)
	case slices.ContainsFunc([]string{"/kojihub", "/koji", "/work", "/packages"}, func(dir string) bool { return within(p, dir) }):
		b.Koji.ServeHTTP(w, r)
	default:
		b.distGit.ServeHTTP(w, r)
	}
}
