package box

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/bodhi"
	"millrace/clients/git/fakeforge"
	"millrace/clients/koji"
)

// TestFedora makes a release, has what dist-git says of it built, and carries it to
// stable, with a restart in between.
func TestFedora(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, dir, nil, nil)
	ctx := t.Context()
	release, err := b.Release(ctx, "fedora-crafts/loom")
	if err != nil || release.Tag != "0.11" {
		t.Fatalf("the release = %+v, %v", release, err)
	}
	archive := fetched(t, b.URL()+"/fedora-crafts/loom/archive/0.11/loom-0.11.tar.gz")
	if len(archive) < 200 || archive[:2] != "\x1f\x8b" {
		t.Errorf("the archive is %q", archive)
	}
	if bugs := b.Bugzilla.Bugs(); len(bugs) != 1 || bugs[0].Summary != "loom-0.11 is available" {
		t.Errorf("bugs: %+v", bugs)
	}
	spec, err := b.Packages.Bare("rpms/loom").ShowFile(ctx, "refs/heads/f44", "loom.spec", maxText)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := b.Packages.Bare("rpms/loom").ShowFile(ctx, "refs/heads/f44", "sources", maxText)
	if err != nil {
		t.Fatal(err)
	}
	hash := strings.TrimSpace(string(sources[strings.LastIndexByte(string(sources), ' '):]))
	fetched(t, b.Access().LookasideURL+"/rpms/loom/loom-0.10.tar.gz/sha512/"+hash+"/loom-0.10.tar.gz")
	sha, err := b.Packages.Commit(ctx, "rpms/loom", fakeforge.Change{Branch: "f44", Message: "Update", Author: "pavel", Files: map[string]string{
		"loom.spec": strings.Replace(string(spec), "0.10", "0.11", 1),
	}})
	if err != nil {
		t.Fatal(err)
	}

	token := func(context.Context, string) ([]byte, error) { return []byte(b.Access().KerberosToken), nil }
	hub := &koji.Client{HubURL: b.Access().KojiHubURL, Negotiate: token}
	b.FailBuild("loom-0.11")
	for _, want := range []koji.TaskState{koji.TaskFailed, koji.TaskClosed} {
		task, err := hub.SubmitBuild(ctx, koji.BuildRequest{Source: "git+" + b.Access().DistGitURL + "/rpms/loom.git#" + sha, Target: "f44-candidate"})
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the build ends", func() bool {
			found, err := hub.Task(ctx, task)
			if err == nil && found.State.Finished() && found.State != want {
				t.Fatalf("the build is %s, want %s", found.State, want)
			}
			return err == nil && found.State == want
		})
	}
	const nvr = "loom-0.11-1.fc44"
	until(t, "the build is tagged", func() bool { tags, _ := b.Koji.TagsOf(nvr); return slices.Contains(tags, "f44-updates-candidate") })
	updates := &bodhi.Client{BaseURL: b.Access().BodhiURL, Account: &bodhi.Account{Issuer: b.Access().BodhiIssuer, Negotiate: token}}
	saved, err := updates.CreateUpdate(ctx, &bodhi.Draft{Builds: []string{nvr}, Notes: "New.", Type: "enhancement"})
	if err != nil {
		t.Fatal(err)
	}
	alias := saved.Updates[0].Alias
	until(t, "the update is tested", func() bool { return b.Bodhi.Updates()[0].Status == bodhi.Testing })

	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	before := []any{b.Koji.Builds(), b.Bugzilla.Bugs(), b.Anitya.Projects(), b.Access()}
	b = open(t, dir, nil, nil)
	if d := cmp.Diff(before, []any{b.Koji.Builds(), b.Bugzilla.Bugs(), b.Anitya.Projects(), b.Access()}); d != "" {
		t.Errorf("after a restart (-before +after):\n%s", d)
	}
	if err := b.Pass(14 * 24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	until(t, "the update is stable", func() bool { return b.Bodhi.Updates()[0].Status == bodhi.Stable })
	if tags, _ := b.Koji.TagsOf(nvr); !slices.Equal(tags, []string{"f44-updates"}) {
		t.Errorf("the build has the tags %v", tags)
	}
	if page := fetched(t, b.URL()+"/fedora/"); !strings.Contains(page, alias) || !strings.Contains(page, nvr) {
		t.Error("the page does not have the update and its build")
	}
}

// TestRawhide has Bodhi make Rawhide's update by itself.
func TestRawhide(t *testing.T) {
	t.Parallel()
	b := open(t, t.TempDir(), nil, nil)
	token := func(context.Context, string) ([]byte, error) { return []byte(b.Access().KerberosToken), nil }
	hub := &koji.Client{HubURL: b.Access().KojiHubURL, Negotiate: token}
	head, err := b.Packages.Bare("rpms/hello-world").RevParse(t.Context(), "refs/heads/rawhide")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hub.SubmitBuild(t.Context(), koji.BuildRequest{
		Source: "git+" + b.Access().DistGitURL + "/rpms/hello-world.git#" + head, Target: "rawhide",
	}); err != nil {
		t.Fatal(err)
	}
	until(t, "rawhide has the build", func() bool {
		updates := b.Bodhi.Updates()
		tags, _ := b.Koji.TagsOf("hello-world-1.2.0-1.fc46")
		return len(updates) == 1 && updates[0].Status == bodhi.Stable && slices.Equal(tags, []string{"f46"})
	})
}

// TestFedoraButtons presses the buttons of the page.
func TestFedoraButtons(t *testing.T) {
	t.Parallel()
	b := open(t, t.TempDir(), nil, nil)
	press := func(path string, status int, pairs ...string) {
		t.Helper()
		form := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		res, err := http.PostForm(b.URL()+path, form)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("POST %s %v: status %d, want %d", path, form, res.StatusCode, status)
		}
	}
	if _, err := b.Packages.Commit(t.Context(), "rpms/almanac", fakeforge.Change{Branch: "change", Files: map[string]string{"x": "y\n"}}); err != nil {
		t.Fatal(err)
	}
	pull, err := b.Packages.OpenPull(t.Context(), "rpms/almanac", fakeforge.NewPull{Title: "X", Author: "maren", Branch: "rawhide", HeadBranch: "change"})
	if err != nil {
		t.Fatal(err)
	}
	if page := fetched(t, b.URL()+"/fedora/"); !strings.Contains(page, "#1 rawhide: X") {
		t.Error("the page does not have the pull request")
	}
	press("/fedora/merge/almanac", 200, "number", "1")
	if after, err := b.Packages.Pull("rpms/almanac", pull.Number); err != nil || after.State != fakeforge.Merged {
		t.Errorf("the pull request is %+v, %v", after, err)
	}
	press("/fedora/merge/almanac", 422, "number", "1")
	press("/fedora/merge/almanac", 404, "number", "2")
	press("/fedora/merge/almanac", 422, "number", "x")
	press("/fedora/merge/nothing", 404, "number", "1")
	press("/fedora/pass", 200, "days", "7")
	if ahead := time.Until(b.Bodhi.Now()); ahead < 6*24*time.Hour {
		t.Errorf("bodhi is %s ahead", ahead)
	}
	press("/fedora/pass", 422, "days", "1000")
	press("/fedora/fail", 200)
	press("/fedora/fail", 200)
	if len(b.Failing()) != 1 {
		t.Errorf("%v are to fail", b.Failing())
	}
	press("/fedora/karma/FEDORA-1", 422)
	press("/fedora-crafts/notes/release", 422)
	press("/mill/monorepo/release", 200, "back", "/fedora/")
	if tags := b.Forge.Tags("mill/monorepo"); tags["2.2"] == "" {
		t.Errorf("tags: %v", tags)
	}
}

func fetched(t *testing.T, address string) string {
	t.Helper()
	status, _, body := get(t, address)
	if status != http.StatusOK {
		t.Fatalf("GET %s: status %d", address, status)
	}
	return body
}
