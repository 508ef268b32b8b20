package specfile

import (
	"errors"
	"strings"
	"testing"

	"millrace/models/rpm"

	"github.com/google/go-cmp/cmp"
)

// chained has a version made of several layers of macros, with optional parts
// and a condition.
const chained = `%global major 0
%global minor 1
%global patch 2
%global base %{major}.%{minor}.%{patch}
%global pre rc2
%global commit 0123456789abcdef
%global short %(c=%{commit}; echo ${c:0:7})
%if !0%{?snapshot}
%global full %{base}%{?pre:~%{pre}}
%else
%global full %{base}%{?short:^%{short}}
%endif
%global release 1%{?dist}

Name:           chained
Version:        %{full}
Release:        %{release}
Summary:        Layers
License:        MIT
Source0:        https://example.org/%{name}/v%{version}/%{name}-%{version}.tar.xz

%description
Layers.
`

func TestSetVersionThroughMacros(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec, version, macro string
		want                       []string // lines that change
		expanded                   string
	}{
		{"every part", chained, "1.2.3~beta4", "",
			[]string{"%global major 1\n", "%global minor 2\n", "%global patch 3\n", "%global pre beta4\n"}, "1.2.3~beta4"},
		{"fewer parts", chained, "4.0~alpha1", "",
			[]string{"%global base 4.0\n", "%global pre alpha1\n"}, "4.0~alpha1"},
		{"no pre-release, no macro named", chained, "5.3.3", "",
			[]string{"%global full 5.3.3\n"}, "5.3.3"},
		{"no pre-release", chained, "5.3.3", "pre",
			[]string{"%global major 5\n", "%global minor 3\n", "%global patch 3\n", "#global pre rc2\n"}, "5.3.3"},
		{"more parts", chained, "1.2.3.4~rc5", "",
			[]string{"%global major 1.2\n", "%global minor 3\n", "%global patch 4\n", "%global pre rc5\n"}, "1.2.3.4~rc5"},
		{"switched on", strings.Replace(chained, "%global pre", "#global pre", 1), "0.1.3-rc1", "pre",
			[]string{"%global patch 3\n", "%global pre rc1\n"}, "0.1.3~rc1"},
		{"switched on without being named", strings.Replace(chained, "%global pre", "#global pre", 1), "0.1.3~rc1", "",
			[]string{"%global patch 3\n", "%global pre rc1\n"}, "0.1.3~rc1"},
		{"commented out with dnl", strings.Replace(chained, "%global pre", "%dnl %global pre", 1), "0.1.3~rc1", "",
			[]string{"%global patch 3\n", " %global pre rc1\n"}, "0.1.3~rc1"},
		{"unchanged", chained, "0.1.2~rc2", "pre", nil, "0.1.2~rc2"},
		{"the greedy first macro", "%global major 1\nName: t\nVersion: %{major}.4.2\n", "2.0.0", "",
			[]string{"%global major 2.0\n", "Version: %{major}.0\n"}, "2.0.0"},
		{"a shell as body", "%global v %(echo 1.0)\nVersion: %{v}\n", "2.0", "",
			[]string{"%global v 2.0\n"}, "2.0"},
		{"a macro that is used twice", "%global m 1\nVersion: %{m}.%{m}\n", "2.2", "",
			[]string{"%global m 2\n"}, "2.2"},
		{"a macro that would have to be two things", "%global m 1\nVersion: %{m}.%{m}\n", "2.3", "",
			[]string{"Version: 2.3\n"}, "2.3"},
		{"a constant from outside", "Version: 1.0%{?dist}\n", "2.0.fc44", "",
			[]string{"Version: 2.0.fc44%{?dist}\n"}, "2.0.fc44"},
		{"a parametric macro", "%global v() 1.0\nVersion: %{v}\n", "2.0", "",
			[]string{"Version: 2.0\n"}, "2.0"},
		{"a definition below", "Version: %{v}\n%global v 1.0\n", "2.0", "",
			[]string{"Version: 2.0\n"}, "2.0"},
		{"a definition in a false branch", "%if 0\n%global v 1.0\n%endif\nVersion: %{v}\n", "2.0", "",
			[]string{"Version: 2.0\n"}, "2.0"},
		{"the nearest definition", "%global v 1.0\n%global v 1.1\nVersion: %{v}\n", "2.0", "",
			[]string{"%global v 2.0\n"}, "2.0"},
		{"itself", "%global v %{v}\nVersion: %{v}\n", "2.0", "",
			[]string{"%global v 2.0\n"}, "2.0"},
		{"one that is called a name", "%global pkgName 1\nVersion: %{pkgName}.0\n", "2.0", "",
			[]string{"Version: 2.0\n"}, "2.0"},
		{"a tag", "Epoch: 3\nVersion: %{epoch}.0\n", "4.0", "",
			[]string{"Epoch: 4\n"}, "4.0"},
		{"the branch that holds", "%global up 1.0\n%if 0%{?git:1}\nVersion: %{up}^git%{git}\n%else\nVersion: %{up}\n%endif\n", "2.0", "",
			[]string{"%global up 2.0\n"}, "2.0"},
		{"the other macro of a choice", "#global commit abc\n%global tag 1.0\nVersion: %{?commit:%{commit}}%{!?commit:%{tag}}\n", "2.0", "",
			[]string{"%global commit 2.0\n"}, "2.0"},
		{"an option switched off", "%global pre rc1\nVersion: 1.0%{?pre:~%{pre}}\n", "1.1", "pre",
			[]string{"#global pre rc1\n", "Version: 1.1%{?pre:~%{pre}}\n"}, "1.1"},
		{"no macro of that name", "Version: 1.0\n", "1.1rc1", "pre",
			[]string{"Version: 1.1~rc1\n"}, "1.1~rc1"},
		{"aligned, with a comment and blanks behind", "# the version\nVersion:\t\t1.0  \n", "1.1", "",
			[]string{"Version:\t\t1.1  \n"}, "1.1"},
		{"any case and indentation", "  VERSION : 1.0\n", "1.1", "",
			[]string{"  VERSION : 1.1\n"}, "1.1"},
		{"a guarded tag", "%global x 1\n%{?x:Version: 1.0}\n", "1.1", "",
			[]string{"%{?x:Version: 1.1}\n"}, "1.1"},
		{"a body over several lines", "%global v %{expand:\n1.0\n}\nVersion: 1.0\n", "1.1", "",
			[]string{"Version: 1.1\n"}, "1.1"},
		{"what looks like one in a macro's body", "%global text() %{expand:\nVersion: 0\n}\nVersion: 1.0\n", "1.1", "",
			[]string{"Version: 1.1\n"}, "1.1"},
		{"what looks like one in Lua", "%{lua:\nVersion: 0\n}\nVersion: 1.0\n", "1.1", "",
			[]string{"Version: 1.1\n"}, "1.1"},
		{"what looks like one in a description", "Version: 1.0\n%description\nVersion: 0\n", "1.1", "",
			[]string{"Version: 1.1\n"}, "1.1"},
		{"an old encoding", "Summary: caf\xe9\nVersion: 1.0\n", "1.1", "",
			[]string{"Version: 1.1\n"}, "1.1"},
		{"foreign line ends", "Name: t\r\n%global v 1.0\r\nVersion: %{v}\r\nRelease: 1\r\n", "1.1", "",
			[]string{"%global v 1.1\r\n"}, "1.1"},
		{"no last newline", "Name: t\nVersion: 1.0", "1.1", "",
			[]string{"Version: 1.1"}, "1.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := parse(t, tt.spec)
			if err := f.SetVersion(tt.version, VersionOptions{rpm.DefaultPrereleasePattern, tt.macro}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, changedLines(t, tt.spec, string(f.Bytes()))); diff != "" {
				t.Error(diff)
			}
			if got := f.Version(); got != tt.expanded {
				t.Errorf("the version is %q, want %q", got, tt.expanded)
			}
		})
	}
}

func TestSetVersionFollowsTheBranchInForce(t *testing.T) {
	t.Parallel()
	f := parse(t, chained)
	f.Define("snapshot", "1")
	if err := f.SetVersion("3.2.1", VersionOptions{}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(f.Bytes()), "\n")
	if lines[8] != "%global full %{base}%{?pre:~%{pre}}" || lines[10] != "%global full 3.2.1" {
		t.Errorf("the branches are\n%s\n%s", lines[8], lines[10])
	}
}

func TestSetVersionLiteral(t *testing.T) {
	t.Parallel()
	f := parse(t, chained)
	if err := f.SetVersionLiteral("7.0"); err != nil {
		t.Fatal(err)
	}
	want := []string{"Version:        7.0\n"}
	if diff := cmp.Diff(want, changedLines(t, chained, string(f.Bytes()))); diff != "" {
		t.Error(diff)
	}
}

func TestVersionsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"", "1 0", "1\n0", "1.0\\", "%(id)", "1%", "1}", "$(id)", "`id`", "1;2", "é", strings.Repeat("1", 513)} {
		f := parse(t, chained)
		_, isValue := errors.AsType[*ValueError](f.SetVersion(version, VersionOptions{}))
		_, isLiteralValue := errors.AsType[*ValueError](f.SetVersionLiteral(version))
		if !isValue || !isLiteralValue || string(f.Bytes()) != chained {
			t.Errorf("%q was accepted", version)
		}
	}
	f := parse(t, "Name: t\n")
	if err := f.SetVersion("1", VersionOptions{}); !errors.Is(err, ErrNoTag) {
		t.Errorf("without a tag: %v", err)
	}
}

func TestSetRelease(t *testing.T) {
	t.Parallel()
	f := parse(t, "Name: t\nVersion: 1\nRelease:\t3%{?dist}.2 \n")
	f.Define("dist", ".fc44")
	if got := []string{f.Release(), f.BaseRelease()}; !cmp.Equal(got, []string{"3.2", "3"}) {
		t.Errorf("releases %q", got)
	}
	if r, _ := f.Tag("Release"); r.Expanded != "3.fc44.2" {
		t.Errorf("expanded release %q", r.Expanded)
	}
	if err := f.SetRelease("1.20260805.main"); err != nil {
		t.Fatal(err)
	}
	if got := f.RawRelease(); got != "1.20260805.main%{?dist}" {
		t.Errorf("release %q", got)
	}
	for _, bad := range []string{"", "1\nVersion: 2", "%{x", "%(", "1\\"} {
		if err := f.SetRawRelease(bad); err == nil {
			t.Errorf("release %q was accepted", bad)
		}
	}
	if err := parse(t, "Name: t\n").SetRelease("1"); !errors.Is(err, ErrNoTag) {
		t.Errorf("without a tag: %v", err)
	}
	macro := parse(t, "%global release 4%{?dist}\nRelease: %{release}\nVersion: 1\n")
	if got := macro.Release(); got != "4" {
		t.Errorf("release from a macro of that name: %q", got)
	}
}

func TestSyncedRelease(t *testing.T) {
	t.Parallel()
	spec := func(version, release string) *File {
		return parse(t, "Name: t\nVersion: "+version+"\nRelease: "+release+"\n")
	}
	for _, tt := range []struct {
		name                 string
		downstream, upstream *File
		want                 string
	}{
		{"both automatic", spec("1", "%autorelease"), spec("2", "%autorelease -b 3"), "%autorelease -b 3"},
		{"downstream automatic", spec("1", "%autorelease"), spec("2", "1"), "%autorelease"},
		{"upstream automatic", spec("1", "3"), spec("2", "%autorelease"), "1%{?dist}"},
		{"upstream not there yet", spec("1", "3"), spec("1.9", "7"), "1%{?dist}"},
		{"the same release", spec("1", "3%{?dist}.1"), spec("2", "3"), "1%{?dist}"},
		{"upstream's own", spec("1", "3"), spec("2", "0.4%{?dist}"), "0.4%{?dist}"},
	} {
		if got := SyncedRelease(tt.downstream, tt.upstream, "2"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
