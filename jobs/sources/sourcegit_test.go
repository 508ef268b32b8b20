package sources

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace/clients/git"
	"millrace/models"
)

// sourceGit is a repository of upstream's files with changes of a distribution.
func sourceGit(t *testing.T) *upstream {
	u := newUpstream(t)
	u.write("hello.txt", "hello\n")
	u.commit("Begin")
	u.git("tag", "0.9")
	u.git("tag", "v/0.9")
	u.write("dist/hello.spec", strings.NewReplacer("https://mill.example/", "", "Release:        3", "Release:        3").Replace(helloSpec))
	u.write("dist/hello-0.9.tar.gz", "archive")
	u.write("dist/old.patch", "old")
	u.commit("Add the distribution's files")
	u.write("hello.txt", "hello, mill\n")
	u.write("dist/note", "x")
	u.commit("Greet the 100% mill")
	u.write("internal.txt", "x")
	u.commit("Keep to ourselves\n\nFor us.\n\nIgnore-patch: true")
	u.write("a.txt", "a\n")
	u.commit("First half\n\nPatch-name: halves.patch\nPatch-status: sent upstream")
	u.write("b.txt", "b\n")
	u.commit("Second half\n\nPatch-name: halves.patch")
	u.write("c.txt", "c\n")
	u.commit("Known\n\nPatch-name: old.patch\nPatch-present-in-specfile: true\nNo-prefix: true")
	return u
}

func sourceGitPackage(ref string) *models.ConfigPackage {
	return helloPackage(func(s *models.PackageSettings) {
		s.SpecfilePath, s.UpstreamRef = ptr("dist/hello.spec"), &ref
		s.PatchGenerationIgnorePaths = []string{"dist"}
	})
}

func TestSourceGit(t *testing.T) {
	t.Parallel()
	b, u := newBuilder(t), sourceGit(t)
	short := u.git("rev-parse", "--short=8", "HEAD")
	for _, ref := range []string{"0.9", "v/*", "v*"} {
		o := succeed(t, b, u, func(r *Request) { r.Package = sourceGitPackage(ref) })
		o.wantLines(t, "Version:        0.9", "Release:        4.g"+short+"%{?dist}", "- Downstream changes ("+short+")",
			"# Greet the 100%% mill", "# Author: Ada <ada@mill.example>", "# Patch-status: sent upstream")
		if want := []string{"0002-Greet-the-100-mill.patch", "halves.patch", "hello-0.9.tar.gz"}; !slices.Equal(o.Files, want) {
			t.Errorf("files %q, want %q", o.Files, want)
		}
		if strings.Contains(o.spec, "old.patch") || !strings.Contains(o.spec, "Patch0000: ") || !strings.Contains(o.spec, "Patch0001: ") {
			t.Errorf("the spec file is\n%s", o.spec)
		}
		first := readFile(t, o.Dir, "0002-Greet-the-100-mill.patch")
		if !strings.Contains(first, "+hello, mill") || strings.Contains(first, "dist/note") {
			t.Errorf("the patch is\n%s", first)
		}
		halves := readFile(t, o.Dir, "halves.patch")
		if strings.Count(halves, "From: Ada <ada@mill.example>") != 2 || !strings.Contains(halves, "b/b.txt") {
			t.Errorf("the joined patch is\n%s", halves)
		}
		known := readFile(t, o.work, "hello/dist/old.patch")
		if !strings.Contains(known, "diff --git c.txt c.txt") {
			t.Errorf("the known patch is\n%s", known)
		}
	}
	o := succeed(t, b, u, func(r *Request) { r.Package, r.ReleaseSuffix = sourceGitPackage("0.9"), ptr("x") })
	o.wantLines(t, "Release:        3.x%{?dist}")
	refused(t, b, u, "Nothing in the repository matches upstream_ref", func(r *Request) { r.Package = sourceGitPackage("w*") })
	refused(t, b, u, "is not in the repository", func(r *Request) { r.Package = sourceGitPackage("nowhere") })
	u.write("d.txt", "d")
	u.commit("Evil\n\nPatch-name: ../../x.patch")
	refused(t, b, u, "cannot be a file name", func(r *Request) { r.Package = sourceGitPackage("0.9") })
}

func TestSourceGitBranchPattern(t *testing.T) {
	t.Parallel()
	b, u := newBuilder(t), sourceGit(t)
	u.git("branch", "rel-9", "0.9")
	u.git("branch", "rel-10", "HEAD~1")
	o := succeed(t, b, u, func(r *Request) { r.Package = sourceGitPackage("branches/rel-*") })
	if !slices.Equal(o.Files, []string{"hello-0.9.tar.gz"}) {
		t.Errorf("files %q: the base is not rel-10", o.Files)
	}
}

func TestSourceGitAction(t *testing.T) {
	t.Parallel()
	b, u := newBuilder(t), sourceGit(t)
	o := succeed(t, b, u, func(r *Request) {
		r.Package = sourceGitPackage("0.9")
		r.Package.Settings.Actions["create-patches"] = models.ConfigAction{Raw: "sed -i s/^Source0/Patch7:x.patch\\nSource0/ dist/hello.spec"}
	})
	if !strings.Contains(o.spec, "Patch7:x.patch") || strings.Contains(o.spec, "halves") {
		t.Errorf("the spec file is\n%s", o.spec)
	}
}

func readFile(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTrailers(t *testing.T) {
	t.Parallel()
	got := trailers("Text: not a trailer\n\nPatch-Name: x: y\nno trailer\nTwo words: no\n:empty\n")
	if len(got) != 1 || got["patch-name"] != "x: y" {
		t.Errorf("got %q", got)
	}
}

func FuzzPatchNames(f *testing.F) {
	f.Add("Subject", "Patch-name: a.patch")
	f.Add("../..", "Patch-name: ../x")
	f.Add("...", "")
	f.Fuzz(func(t *testing.T, subject, body string) {
		if s := slug(subject); !isBaseName(s+".patch") || strings.ContainsAny(s, " %/") {
			t.Errorf("slug(%q) = %q", subject, s)
		}
		made, err := patchOf(commitOf(subject, body))
		if err == nil && made.finalName != "" && (!isBaseName(made.finalName) || strings.ContainsAny(made.finalName, " %")) {
			t.Errorf("patch name %q", made.finalName)
		}
	})
}

func commitOf(subject, body string) git.Commit { return git.Commit{Subject: subject, Body: body} }
