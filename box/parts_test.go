package box

import (
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"millrace/clients/copr"
	"millrace/models/specfile"

	"github.com/google/go-cmp/cmp"
)

func TestParseDiff(t *testing.T) {
	t.Parallel()
	text := "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@ func main\n one\n-two\n+zwei\n+drei\n" +
		"diff --git a/y b/y\nnew file mode 100644\nBinary files /dev/null and b/y differ\n"
	want := diff{Files: []diffFile{
		{Path: "x", Added: 2, Removed: 1, Lines: []diffLine{{"at", "@@ -1,2 +1,3 @@"}, {"", " one"}, {"del", "-two"}, {"add", "+zwei"}, {"add", "+drei"}}},
		{Path: "y"},
	}}
	if d := cmp.Diff(want, parseDiff(text)); d != "" {
		t.Errorf("diff (-want +got):\n%s", d)
	}
	long := "diff --git a/x b/x\n@@ -1 +1 @@\n" + strings.Repeat("+x\n", maxDiffLines+5)
	if f := parseDiff(long).Files[0]; !f.Cut || len(f.Lines) != maxDiffLines || f.Added != maxDiffLines+5 {
		t.Errorf("a long file: cut %v, %d lines, %d added", f.Cut, len(f.Lines), f.Added)
	}
	if d := parseDiff(strings.Repeat("diff --git a/x b/x\n", maxDiffFiles+3)); len(d.Files) != maxDiffFiles || d.More != 3 {
		t.Errorf("many files: %d and %d more", len(d.Files), d.More)
	}
}

func FuzzParseDiff(f *testing.F) {
	f.Add("diff --git a/x b/x\n@@ -1 +1 @@\n-a\n+b\n")
	f.Add("@@")
	f.Add("diff --git \n@@@")
	f.Fuzz(func(t *testing.T, text string) {
		d := parseDiff(text)
		if len(d.Files) > maxDiffFiles {
			t.Errorf("%d files", len(d.Files))
		}
		for _, file := range d.Files {
			if len(file.Lines) > maxDiffLines {
				t.Errorf("%d lines", len(file.Lines))
			}
		}
	})
}

func TestBreaks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		spec, chroot string
		said         string // empty: it does not break
	}{
		{"%build\nmake\n", "fedora-44-x86_64", ""},
		{"%build\nfalse\n", "fedora-44-x86_64", "+ false"},
		{"%check\n  exit 1\n", "epel-9-aarch64", "+ exit 1"},
		{"%description\nfalse\n%build\nmake\n", "fedora-44-x86_64", ""},
		{"%build\n" + breakage("fc44", "too old") + "\n", "fedora-44-x86_64", "too old"},
		{"%build\n" + breakage("fc44", "too old") + "\n", "fedora-43-x86_64", ""},
		{"%build\n" + breakage("fc45", "too new") + "\n", "fedora-rawhide-x86_64", "too new"},
		{"%build\n" + breakage("el9", "too old") + "\n", "centos-stream-9-x86_64", "too old"},
		{"%build\ntest -e x || exit 1\n", "fedora-44-x86_64", ""},
	}
	for _, test := range tests {
		file, err := specfile.Parse([]byte(test.spec))
		if err != nil {
			t.Fatal(err)
		}
		said, problem := breaks(file, test.chroot)
		if said != test.said || (problem != "") != (test.said != "") {
			t.Errorf("%q in %s: said %q, problem %q, want %q", test.spec, test.chroot, said, problem, test.said)
		}
	}
}

func TestDist(t *testing.T) {
	t.Parallel()
	for chroot, want := range map[string]string{"fedora-43-x86_64": "fc43", "fedora-rawhide-aarch64": "fc45", "epel-9-x86_64": "el9",
		"centos-stream-10-x86_64": "el10", "fedora": "", "": ""} {
		if got := dist(chroot); got != want {
			t.Errorf("dist of %s = %q, want %q", chroot, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for age, want := range map[time.Duration]string{0: "just now", time.Minute: "1 min ago", 90 * time.Minute: "2 h ago", 50 * time.Hour: "2 d ago",
		30 * 24 * time.Hour: "2026-10-21"} {
		if got := ago(now, now.Add(-age)); got != want {
			t.Errorf("%s ago = %q, want %q", age, got, want)
		}
	}
}

// The samples can really be built, where that is possible.
func TestRealBuild(t *testing.T) {
	t.Parallel()
	s := newService(t)
	b := open(t, seeded(t), s, func(o *Options) { o.Builds = BuildsAuto })
	if yes, why := b.RealBuilds(); !yes {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no real builds: %s", why)
		}
		t.Skipf("no real builds: %s", why)
	}
	c, _, _ := clients(b)
	chroots := []string{"epel-9-x86_64", "fedora-44-x86_64"}
	if _, err := c.CreateProject(t.Context(), "millrace", "cauldron", copr.ProjectOptions{Chroots: chroots}); err != nil {
		t.Fatal(err)
	}
	build, err := c.SubmitCustom(t.Context(), copr.CustomBuild{BuildOptions: copr.BuildOptions{Owner: "millrace", Project: "cauldron"},
		Script: "#!/bin/sh\nset -e\ngit clone -q " + b.URL() + "/osbuild-demo/cauldron work\n" +
			"git -C work archive --prefix=cauldron-3.2/ -o $PWD/cauldron-3.2.tar.gz HEAD\ncp work/cauldron.spec .\n"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, c, build.ID)
	full, _ := b.Copr.Build(build.ID)
	states := map[string]string{}
	for _, part := range parts(&full) {
		states[part.Chroot] = part.State
	}
	want := map[string]string{copr.SourceChroot: copr.Succeeded, "fedora-44-x86_64": copr.Succeeded, "epel-9-x86_64": copr.Failed}
	if d := cmp.Diff(want, states); d != "" {
		for _, part := range parts(&full) {
			_, _, log := get(t, b.URL()+logURL(&full, part))
			t.Logf("%s:\n%s", part.Chroot, log)
		}
		t.Errorf("states (-want +got):\n%s", d)
	}
}

func TestAgain(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"/":                                     "/?refresh=1",
		"/?refresh=1":                           "/",
		"/bugzilla/show_bug.cgi?id=7":           "/bugzilla/show_bug.cgi?id=7&refresh=1",
		"/bugzilla/show_bug.cgi?id=7&refresh=1": "/bugzilla/show_bug.cgi?id=7",
		"/a%2Fb":                                "/a%2Fb?refresh=1",
		"//elsewhere.test/x":                    "",
	} {
		at, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		got := again(at)
		if want == "" {
			if strings.HasPrefix(got, "//") {
				t.Errorf("%s leads elsewhere: %s", address, got)
			}
		} else if got != want {
			t.Errorf("%s leads to %s, want %s", address, got, want)
		}
	}
}
