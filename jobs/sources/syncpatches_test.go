package sources

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"millrace/clients/git"
)

// sourceGitMill is a mill whose upstream is a source-git repository with a release,
// and a package that has the patches of the release before.
func sourceGitMill(t *testing.T) *mill {
	m := newMill(t)
	m.upstream = sourceGit(t)
	m.upstream.git("tag", "1.2")
	m.dist.git("checkout", "--quiet", "f43")
	return m
}

const sourceGitSync = "specfile_path: dist/hello.spec\nupstream_ref: v/0.9\ndownstream_package_name: hello\npatch_generation_ignore_paths: [dist]\n" +
	"files_to_sync: [{src: dist/old.patch, dest: .}]\n" + propose

func TestSyncOfASourceGitRelease(t *testing.T) {
	t.Parallel()
	m := sourceGitMill(t)
	m.upstream.write("dist/hello.spec", strings.Replace(strings.Replace(helloSpec, "https://mill.example/", m.archives.URL+"/", 1),
		"BuildArch:", "Patch0:         old.patch\nBuildArch:", 1))
	m.upstream.commit("Fetch the archive")
	m.upstream.git("tag", "-f", "1.2")
	synced, file := m.must(m.request(sourceGitSync, nil))
	spec := file("hello.spec")
	for _, want := range []string{
		"Version:        1.2\n", "Patch0:         old.patch\n# Greet the 100%% mill\n# Author: Ada <ada@mill.example>\nPatch1:         0002-Greet-the-100-mill.patch\n",
		"# Patch-status: sent upstream\nPatch2:         halves.patch\n", "Grace <grace@mill.example> - 0.9-3",
	} {
		if !strings.Contains(spec, want) {
			t.Errorf("the spec file lacks %q:\n%s", want, spec)
		}
	}
	if strings.Count(spec, "old.patch") != 1 {
		t.Errorf("a patch is named twice:\n%s", spec)
	}
	if text := file("0002-Greet-the-100-mill.patch"); !strings.Contains(text, "+hello, mill") || strings.Contains(text, "dist/note") {
		t.Errorf("the patch is\n%s", text)
	}
	if text := file("old.patch"); !strings.Contains(text, "diff --git c.txt c.txt") {
		t.Errorf("the patch that the spec file knew is\n%s", text)
	}
	entries, err := synced.Repo.LsTree(t.Context(), synced.Commit, "", true)
	if err != nil || slices.ContainsFunc(entries, func(e git.Entry) bool {
		return strings.Contains(e.Path, "ourselves") || strings.HasPrefix(e.Path, "dist/")
	}) {
		t.Errorf("what is upstream's own came along: %v, %v", entries, err)
	}

	// The next release: patches that change the same stay as they are, to the byte.
	if err := synced.Repo.Push(t.Context(), git.Remote{URL: m.dist.dir}, synced.Commit, "refs/heads/merged", git.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	m.dist.git("merge", "--quiet", "--ff-only", "merged")
	kept := strings.Replace(file("0002-Greet-the-100-mill.patch"), "Subject: [PATCH]", "Subject: [PATCH 2/7] Once more:", 1)
	m.dist.write("0002-Greet-the-100-mill.patch", kept)
	m.dist.commit("Say it otherwise")
	m.upstream.write("b.txt", "b, later\n")
	m.upstream.commit("More of the second half\n\nPatch-name: halves.patch")
	m.upstream.git("tag", "1.3")
	_, file = m.must(m.request(sourceGitSync, func(r *SyncRequest) { r.Tag = "1.3" }))
	if got := file("0002-Greet-the-100-mill.patch"); got != kept {
		t.Errorf("a patch that changes the same became\n%s", got)
	}
	if got := file("halves.patch"); !strings.Contains(got, "+b, later") {
		t.Errorf("a patch that changes more stayed\n%s", got)
	}
	if !strings.Contains(m.log.String(), "0002-Greet-the-100-mill.patch stays as it is") {
		t.Errorf("the log does not say so:\n%s", m.log.String())
	}
}

func TestPullOfASourceGitRelease(t *testing.T) {
	t.Parallel()
	m := sourceGitMill(t)
	const config = "upstream_ref: '0.9'\npatch_generation_ignore_paths: [dist]\n" + pull
	_, file := m.must(m.request(config, func(r *SyncRequest) { r.Tag, r.Version = "", "2.0" })) // of which this repository has no tag
	if spec := file("hello.spec"); !strings.Contains(spec, "Version:        2.0\n") || !strings.Contains(spec, "Patch0000:      0002-Greet-the-100-mill.patch\n") {
		t.Errorf("the spec file is\n%s", spec)
	}
	for what, change := range map[string]struct {
		config, want string
		request      func(*SyncRequest)
	}{
		"no repository":   {config, "set upstream_project_url", func(r *SyncRequest) { r.Upstream.URL, r.Tag, r.Version = "", "", "2.0" }},
		"no such commit":  {"upstream_ref: nowhere\n" + pull, "is not in the repository", nil},
		"an evil command": {"upstream_ref: '0.9'\nactions: {create-patches: 'false'}\n" + pull, "Command 'false' failed.", nil},
	} {
		if _, err := m.builder.SyncRelease(t.Context(), m.request(change.config, change.request)); !IsUserError(err) || !strings.Contains(err.Error(), change.want) {
			t.Errorf("%s: %v, want %s", what, err, change.want)
		}
	}
	own := "upstream_ref: '0.9'\nactions: {create-patches: \"bash -c 'echo x > $PACKIT_DOWNSTREAM_REPO/own.patch; sed -i s/^Source0/Patch7:own.patch\\\\\\\\nSource0/ $PACKIT_DOWNSTREAM_REPO/hello.spec'\"}\n" + pull
	_, file = m.must(m.request(own, nil))
	if spec := file("hello.spec"); !strings.Contains(spec, "Patch7:own.patch") || strings.Contains(spec, "halves") || file("own.patch") != "x\n" {
		t.Errorf("with patches of the package's own making:\n%s", spec)
	}
}

const (
	patchBegin = "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Ada <ada@mill.example>\nDate: Thu, 1 Jan 2026 00:00:00 +0000\nSubject: [PATCH] Greet\n\n---\n"
	patchDiff  = "diff --git a/hello b/hello\nindex 1234567..89abcde 100644\n--- a/hello\n+++ b/hello\n@@ -1,2 +1,2 @@ main\n first\n-hello\n+hello, mill\n"
)

func TestSamePatch(t *testing.T) {
	t.Parallel()
	plain := patchBegin + patchDiff
	tests := []struct {
		name, other string
		same        bool
	}{
		{"itself", plain, true},
		{"another commit", strings.NewReplacer("0123456789 Mon", "9876543210 Mon", "Ada", "Grace", "Greet", "Greet them").Replace(plain), true},
		{"other objects", strings.Replace(plain, "1234567..89abcde", "aaaaaaa..bbbbbbb", 1), true},
		{"elsewhere in the file", strings.Replace(plain, "@@ -1,2 +1,2 @@ main", "@@ -10,2 +12,2 @@ other", 1), true},
		{"with git's signature", plain + "-- \n2.47.0\n\n", true},
		{"without a mail", patchDiff, true},
		{"another line", strings.Replace(plain, "+hello, mill", "+hello, Mill", 1), false},
		{"another blank", strings.Replace(plain, "+hello, mill", "+ hello, mill", 1), false},
		{"another surrounding", strings.Replace(plain, " first", " zeroth", 1), false},
		{"another file", strings.ReplaceAll(plain, "/hello", "/bye"), false},
		{"another mode", strings.Replace(plain, "index", "old mode 100644\nnew mode 100755\nindex", 1), false},
		{"twice", plain + "\n" + plain, false},
		{"nothing", "", false},
		{"a removed line that looks like a signature", strings.Replace(plain, "-hello", "-- ", 1), false},
	}
	for _, test := range tests {
		if got := samePatch([]byte(plain), []byte(test.other)); got != test.same {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	binary := "diff --git a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 3\nKcmZQzWMT#Y01f~L\n\nliteral 0\nHcmV?d00001\n"
	if !samePatch([]byte(patchBegin+binary), []byte(binary)) || samePatch([]byte(binary), []byte(strings.Replace(binary, "KcmZ", "LcmZ", 1))) {
		t.Error("binary patches are not compared by what they change")
	}
	if samePatch([]byte("text"), []byte("other text")) || !samePatch([]byte("text"), []byte("text")) {
		t.Error("what is no patch is compared as such")
	}
}

// FuzzSamePatch: what is said of a patch is never a change, and a patch is the same as
// itself.
func FuzzSamePatch(f *testing.F) {
	f.Add([]byte(patchBegin + patchDiff))
	f.Add([]byte("diff --git a/x b/x\n@@ -1 +1,99999999999999999999 @@\n+"))
	f.Fuzz(func(t *testing.T, patch []byte) {
		if !samePatch(patch, bytes.Clone(patch)) {
			t.Errorf("%q is not the same as itself", patch)
		}
		if changesOf(append([]byte(patchBegin), patch...)) != changesOf(patch) {
			t.Errorf("a mail around %q changes what it changes", patch)
		}
	})
}
