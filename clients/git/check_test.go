package git

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

func TestCheckRef(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"main", "refs/heads/main", "v1.0", "pr/7", "a-b", "feature/ünï", "HEAD", "a@b", "x{y}"} {
		if err := CheckRef(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "-x", "--upload-pack=touch /tmp/x", "a..b", "../x", "a/../b", ".a", "a/.b", "a.lock",
		"a.lock/b", "/a", "a/", "a//b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a\x00b", "a\nb", "a\x7f",
		"@", "a@{1}", "a.", "\xff", strings.Repeat("x", 251)} {
		if err := CheckRef(name); !errors.Is(err, ErrBadName) {
			t.Errorf("%q: %v, want ErrBadName", name, err)
		}
	}
}

func TestCheckRevision(t *testing.T) {
	t.Parallel()
	for _, rev := range []string{"HEAD", "HEAD^", "HEAD~3", "main^2~1", "v1^{commit}", "v1^{}", strings.Repeat("a", 40)} {
		if err := CheckRevision(rev); err != nil {
			t.Errorf("%q: %v", rev, err)
		}
	}
	for _, rev := range []string{"", "^", "--all", "-x^", "a:b", ":/text", "HEAD@{1}", "a..b", "^main", "HEAD^{/x}", "a~x"} {
		if err := CheckRevision(rev); !errors.Is(err, ErrBadName) {
			t.Errorf("%q: %v, want ErrBadName", rev, err)
		}
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"https://github.com/a/b", "http://127.0.0.1:8080/a/b.git", "https://[::1]/x"} {
		if err := CheckURL(address); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"", "x", "/etc", "file:///etc", "ssh://h/x", "git://h/x", "git@h:x", "ext::sh -c touch% /tmp/x",
		"https::ext::sh", "-https://h/x", "--upload-pack=x", "https://", "https:///x", "https://-oProxyCommand=x/y",
		"https://user:secret@h/x", "https://h/x\ny", "https://h/x y", "https://h/x?y", "https://h/x#y", "HTTP:h/x",
		"fd::0", "https://h/`x`", "https://h/" + strings.Repeat("x", 2048)} {
		if err := CheckURL(address); !errors.Is(err, ErrBadName) {
			t.Errorf("%q: %v, want ErrBadName", address, err)
		}
	}
}

func TestRefspec(t *testing.T) {
	t.Parallel()
	sha := strings.Repeat("1", 40)
	for spec, want := range map[string]string{
		"refs/pull/7/head":                "+refs/pull/7/head:refs/pull/7/head",
		"+refs/heads/*:refs/remotes/up/*": "+refs/heads/*:refs/remotes/up/*",
		"main:refs/heads/pr-changes/7":    "+main:refs/heads/pr-changes/7",
		sha:                               "+" + sha + ":refs/keep/" + sha,
		"main":                            "",
		"":                                "",
		":refs/heads/main":                "",
		"a:b:c":                           "",
		"refs/heads/*:refs/heads/x":       "",
		"--upload-pack=x:refs/heads/x":    "",
		"refs/heads/x:-x":                 "",
		"refs/heads/x:refs/../../config":  "",
	} {
		got, err := refspec(spec)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("refspec(%q) = %q, %v; want %q", spec, got, err, want)
		}
	}
}

// Every call that takes a name from outside refuses a hostile one by itself,
// before git sees it.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	g, ctx := &Git{Path: "/bin/false"}, t.Context()
	repo := &Repo{objects{git: g, gitDir: "/nonexistent", workTree: "/nonexistent"}}
	evil := "--upload-pack=touch"
	remote, badRemote := Remote{URL: "https://example.org/x"}, Remote{URL: "ext::sh -c touch% /tmp/x"}
	try := map[string]error{
		"Checkout":       repo.Checkout(ctx, evil),
		"CheckoutBranch": repo.CheckoutBranch(ctx, "a..b", "HEAD"),
		"start":          repo.CheckoutBranch(ctx, "a", evil),
		"Reset":          repo.Reset(ctx, evil),
		"Merge":          repo.Merge(ctx, evil, "m", ann),
		"identity":       repo.Merge(ctx, "HEAD", "m", Identity{Name: "a\nb", Email: "x"}),
		"Add":            repo.Add(ctx, "../x"),
		"Fetch":          repo.Fetch(ctx, remote, evil),
		"Fetch address":  repo.Fetch(ctx, badRemote, "refs/heads/x"),
		"Push":           repo.Push(ctx, remote, "HEAD", evil, PushOptions{}),
		"Push address":   repo.Push(ctx, badRemote, "HEAD", "refs/heads/x", PushOptions{}),
		"Archive":        repo.Archive(ctx, nil, ArchiveOptions{Rev: evil}),
		"prefix":         repo.Archive(ctx, nil, ArchiveOptions{Prefix: "../../"}),
		"format":         repo.Archive(ctx, nil, ArchiveOptions{Format: "x --exec=y"}),
	}
	_, try["RevParse"] = repo.RevParse(ctx, evil)
	_, try["Find"] = repo.Find(ctx, evil)
	_, try["LsTree"] = repo.LsTree(ctx, "HEAD", "/etc", true)
	_, try["ShowFile"] = repo.ShowFile(ctx, evil, "x", 1)
	_, try["Log"] = repo.Log(ctx, LogOptions{Range: Range{From: "--output=/tmp/x"}})
	_, try["Log path"] = repo.Log(ctx, LogOptions{Paths: []string{"/etc"}})
	_, try["Diff"] = repo.Diff(ctx, "HEAD", "--output=/tmp/x")
	_, try["Describe"] = repo.Describe(ctx, DescribeOptions{Rev: evil})
	_, try["TagsByDate"] = repo.TagsByDate(ctx, evil)
	_, try["Refs"] = repo.Refs(ctx, "--exec=x")
	_, try["MergeBase"] = repo.MergeBase(ctx, "HEAD", evil)
	_, _, try["LsRemote"] = g.LsRemote(ctx, badRemote)
	_, _, try["LsRemote pattern"] = g.LsRemote(ctx, remote, evil)
	_, _, try["header"] = g.LsRemote(ctx, Remote{URL: remote.URL, Authorization: "a\r\nb: c"})
	_, _, try["file"] = g.LsRemote(ctx, Remote{URL: "file:///etc"})
	_, try["Mirror"] = (&Cache{Git: g, Dir: t.TempDir()}).Mirror(ctx, badRemote)
	_, try["Init"] = g.Init(ctx, t.TempDir(), badRemote)
	for name, err := range try {
		if !errors.Is(err, ErrBadName) {
			t.Errorf("%s: %v, want ErrBadName", name, err)
		}
	}
}

// What we accept git accepts too, so that no odd name is left to git's mercy.
func FuzzCheckRef(f *testing.F) {
	for _, name := range []string{"main", "a/b", "--x", "a..b", "a.lock", "@", "a@{", "x\\y", "ü"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		ok := CheckRef(name) == nil
		if ok && (name[0] == '-' || strings.Contains(name, "..") || strings.ContainsAny(name, " :\x00\n")) {
			t.Errorf("%q was accepted", name)
		}
		if ok && exec.Command("git", "check-ref-format", "--allow-onelevel", name).Run() != nil {
			t.Errorf("%q was accepted, but not by git", name)
		}
		if _, err := refspec(name); err == nil && strings.HasPrefix(name, "-") {
			t.Errorf("refspec %q was accepted", name)
		}
		if CheckRevision(name) == nil && (strings.HasPrefix(name, "-") || strings.ContainsAny(name, ": \x00\n")) {
			t.Errorf("revision %q was accepted", name)
		}
	})
}
