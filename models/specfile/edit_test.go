package specfile

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const layered = `# A comment: with a colon
Name:           layered
Version:        1.2
Release:        1%{?dist}
URL:            https://example.org/layered
%if 0%{?fedora}
Source0:        %{url}/f-%{version}.tar.gz
%else
Source0:        %{url}/e-%{version}.tar.gz
%endif
Source:         extra.conf
Source007:      seven.conf
%{?fedora:Source8: only.conf}
Patch01:        one.patch
# about two
Patch02:        two.patch

%description
Source9: not a source

%package devel
Summary: %{summary} for developers
Source10: not of the preamble

%prep
# %setup -n old
%if 0
%setup -q -n false-branch
%endif
%setup -q -c -a 1 -qn %{name}-%{version} -b2
%autosetup -n later

%changelog
* Mon Aug 03 2026 A B <a@b.c> - 1.2-1
- Entry
`

func TestSourceBranches(t *testing.T) {
	t.Parallel()
	list := func(sources []Source) (got []string) {
		for _, s := range sources {
			line := strings.Repeat("!", boolInt(!s.Valid)) + s.Expanded
			got = append(got, string(rune('0'+s.Number))+" "+line)
		}
		return got
	}
	f := parse(t, layered)
	want := []string{"0 !%{url}/f-%{version}.tar.gz", "0 https://example.org/layered/e-1.2.tar.gz", "1 extra.conf", "7 seven.conf", "8 !only.conf"}
	if diff := cmp.Diff(want, list(f.Sources())); diff != "" {
		t.Error(diff)
	}
	f.Define("fedora", "44")
	want = []string{"0 https://example.org/layered/f-1.2.tar.gz", "0 !%{url}/e-%{version}.tar.gz", "1 extra.conf", "7 seven.conf", "8 only.conf"}
	if diff := cmp.Diff(want, list(f.Sources())); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"1 one.patch", "2 two.patch"}, list(f.Patches())); diff != "" {
		t.Error(diff)
	}
}

func TestSourceList(t *testing.T) {
	t.Parallel()
	f := parse(t, "Version: 1\nSource3: a\nPatch: p\n%sourcelist\n# no\n\n  b-%{version}.tgz  \n%if 0\nc\n%endif\n%patchlist\nq\n%sourcelist\nd\n")
	var got []string
	for _, s := range append(f.Sources(), f.Patches()...) {
		got = append(got, s.FileName)
	}
	if diff := cmp.Diff([]string{"a", "b-1.tgz", "c", "d", "p", "q"}, got); diff != "" {
		t.Error(diff)
	}
	if n := f.Sources()[3].Number; n != 6 {
		t.Errorf("the second list goes on with %d", n)
	}
	if err := f.SetSource(4, "e.tgz"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(f.Bytes()), "\n  e.tgz  \n") {
		t.Errorf("the list is now\n%s", f.Bytes())
	}
	if n, err := f.AddPatch(Patch{Location: "r"}); n != 2 || err != nil || !strings.Contains(string(f.Bytes()), "\nq\nr\n") {
		t.Errorf("the patch went elsewhere: %d, %v\n%s", n, err, f.Bytes())
	}
}

func TestSetSource(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		number int
		want   []string
	}{
		{"valid branch", 0, []string{"Source0:        new.tgz\n"}},
		{"counted", 1, []string{"Source:         new.tgz\n"}},
		{"leading zeros", 7, []string{"Source007:      new.tgz\n"}},
		{"guarded", 8, []string{"%{?fedora:Source8: new.tgz}\n"}},
	}
	for _, tt := range tests {
		f := parse(t, layered)
		if err := f.SetSource(tt.number, "new.tgz"); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, changedLines(t, layered, string(f.Bytes()))); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	f := parse(t, layered)
	if err := f.SetSource(0, "new.tgz"); err != nil || f.Sources()[1].Expanded != "new.tgz" {
		t.Errorf("the branch in force was not changed: %v", err)
	}
	if err := f.SetSource(9, "x"); !errors.Is(err, ErrNoTag) {
		t.Errorf("source 9: %v", err)
	}
	for _, bad := range []string{"", "a\nb", "a b", "%{x", "a\\", strings.Repeat("a", maxValue+1)} {
		if err := f.SetSource(0, bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	for name, want := range map[string]int{"Source": 0, "source0": 0, "SOURCE100": 100, "Source05": 5, "Sources": -1, "Patch1": -1, "Source-1": -1} {
		if n, ok := SourceNumber(name); ok != (want >= 0) || ok && n != want {
			t.Errorf("SourceNumber(%q) = %d, %v", name, n, ok)
		}
	}
}

func TestSetPrepDirectory(t *testing.T) {
	t.Parallel()
	tests := []struct{ line, want string }{
		{"%setup -q -n foo-%{version}", "%setup -q -n new-1"},
		{"%setup -nfoo -q", "%setup -nnew-1 -q"},
		{"%setup -qn foo", "%setup -qn new-1"},
		{"%setup -a 1 -n %{?x:a b}-c -q", "%setup -a 1 -n new-1 -q"},
		{"%setup -n 'a b' -q # c", "%setup -n new-1 -q # c"},
		{"%autosetup -p1 -n foo", "%autosetup -p1 -n new-1"},
		{"%autosetup -S git -n foo", "%autosetup -S git -n new-1"},
		{"%{autosetup -p1 -n foo}", "%{autosetup -p1 -n new-1}"},
		{"  %autosetup -p1 -n foo", "  %autosetup -p1 -n new-1"},
		{"%setup -q", ""},
		{"%setup", ""},
		{"%setup -b n", ""},
		{"%setup -n", ""},
		{"%setup -a -n x", ""},
		{"%autosetup -n first\n%setup -n second", "%setup -n new-1"},
		{"%setupfoo -n x", ""},
		{"tar -n foo", ""},
	}
	for _, tt := range tests {
		spec := "Name: t\n%prep\n" + tt.line + "\ntrue\n%build\n%setup -n untouched\n"
		f := parse(t, spec)
		changed, err := f.SetPrepDirectory("new-1")
		if err != nil || changed != (tt.want != "") {
			t.Errorf("%s: %v, %v", tt.line, changed, err)
		}
		var want []string
		if tt.want != "" {
			want = []string{tt.want + "\n"}
		}
		if diff := cmp.Diff(want, changedLines(t, spec, string(f.Bytes()))); diff != "" {
			t.Errorf("%s: %s", tt.line, diff)
		}
	}
	f := parse(t, layered)
	if _, err := f.SetPrepDirectory("x"); err != nil {
		t.Fatal(err)
	}
	want := []string{"%setup -q -c -a 1 -qn x -b2\n"}
	if diff := cmp.Diff(want, changedLines(t, layered, string(f.Bytes()))); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "a b", "$(id)", "a\nb", "%{x}", "a;b", "../`x`"} {
		if _, err := f.SetPrepDirectory(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestAddPatch(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, spec, want string }{
		{"after others", "Name:   t\nPatch0: a\nPatch1: b\nURL: x\n", "Name:   t\nPatch0: a\nPatch1: b\n# why 5%%\nPatch2: new\nURL: x\n"},
		{"as many digits", "Patch0009: a\n", "Patch0009: a\n# why 5%%\nPatch0010: new\n"},
		{"aligned", "Patch9:   a\n", "Patch9:   a\n# why 5%%\nPatch10:  new\n"},
		{"not numbered", "Patch: a\n", "Patch: a\n# why 5%%\nPatch: new\n"},
		{"after the sources", "Source0:  s\nURL: x\n", "Source0:  s\n# why 5%%\nPatch0001: new\nURL: x\n"},
		{"after the tags", "Name: t\n\n%description\n", "Name: t\n# why 5%%\nPatch0001: new\n\n%description\n"},
		{"no last newline", "Name: t\r\nPatch0: a", "Name: t\r\nPatch0: a\r\n# why 5%%\r\nPatch1: new"},
		{"nothing there", "", "# why 5%%\nPatch0001: new\n"},
	}
	for _, tt := range tests {
		f := parse(t, tt.spec)
		before := len(f.Patches())
		_, err := f.AddPatch(Patch{Location: "new", Comment: "why 5%", First: 1, Digits: 4})
		if err != nil || len(f.Patches()) != before+1 {
			t.Errorf("%s: %d patches, %v", tt.name, len(f.Patches()), err)
		}
		if diff := cmp.Diff(tt.want, string(f.Bytes())); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestChangelogFormats(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 8, 5, 23, 4, 5, 0, time.FixedZone("west", -2*3600))
	const head = "Name: t\nVersion: 1.2\nRelease: 3%{?dist}.1\n"
	tests := []struct{ name, before, want string }{
		{"time of day", "%changelog\n* Mon Aug  3 10:11:12 CEST 2026 A <a@b> - 1-1\n- x\n",
			"%changelog\n* Thu Aug  6 01:04:05 UTC 2026 B <b@c> - 1.2-3.1\n- new\n\n* Mon Aug  3 10:11:12 CEST 2026 A <a@b> - 1-1\n- x\n"},
		{"no padding", "%changelog\n* Mon Aug 3 2026 A <a@b> - 1-1\n- x\n",
			"%changelog\n* Thu Aug 6 2026 B <b@c> - 1.2-3.1\n- new\n\n* Mon Aug 3 2026 A <a@b> - 1-1\n- x\n"},
		{"padding of two digits is none", "%changelog\n* Mon Aug   13 2026 A <a@b> - 1-1\n- x\n",
			"%changelog\n* Thu Aug 6 2026 B <b@c> - 1.2-3.1\n- new\n\n* Mon Aug   13 2026 A <a@b> - 1-1\n- x\n"},
		{"text before the entries", "%changelog\n# see NEWS\n\n* Mon Aug 03 2026 A - 1-1\n- x\n",
			"%changelog\n# see NEWS\n\n* Thu Aug 06 2026 B <b@c> - 1.2-3.1\n- new\n\n* Mon Aug 03 2026 A - 1-1\n- x\n"},
		{"automatic", "%changelog\n%autochangelog\n", "%changelog\n%autochangelog\n"},
		{"automatic, in a condition", "%changelog\n%{?autochangelog}\n", "%changelog\n%{?autochangelog}\n"},
		{"automatic only in a comment", "%changelog\n# %autochangelog\n",
			"%changelog\n# %autochangelog\n* Thu Aug 06 2026 B <b@c> - 1.2-3.1\n- new\n"},
		{"in the middle", "%changelog\n* Mon Aug 03 2026 A - 1-1\n- x\n\n%files\n",
			"%changelog\n* Thu Aug 06 2026 B <b@c> - 1.2-3.1\n- new\n\n* Mon Aug 03 2026 A - 1-1\n- x\n\n%files\n"},
		{"two sections", "%if 0\n%changelog\n%else\n%changelog\n%autochangelog\n%endif\n",
			"%if 0\n%changelog\n* Thu Aug 06 2026 B <b@c> - 1.2-3.1\n- new\n%else\n%changelog\n%autochangelog\n%endif\n"},
		{"no last newline", "%changelog", "%changelog\n* Thu Aug 06 2026 B <b@c> - 1.2-3.1\n- new"},
		{"foreign line ends", "%changelog\r\n* Mon Aug 03 2026 A - 1-1\r\n- x\r\n",
			"%changelog\r\n* Thu Aug 06 2026 B <b@c> - 1.2-3.1\r\n- new\r\n\r\n* Mon Aug 03 2026 A - 1-1\r\n- x\r\n"},
		{"detached style", "%changelog\n" + detachedSeparator + "\nMon Aug  3 10:11:12 UTC 2026 - a@b\n- x\n",
			"%changelog\n* Thu Aug 06 2026 B <b@c> - 1.2-3.1\n- new\n\n" + detachedSeparator + "\nMon Aug  3 10:11:12 UTC 2026 - a@b\n- x\n"},
	}
	for _, tt := range tests {
		spec, want := head+tt.before, head+tt.want
		f := parse(t, spec)
		err := f.AddChangelogEntry(ChangelogEntry{Author: "B <b@c>", Time: at, Lines: []string{"- new"}})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if strings.HasPrefix(tt.name, "detached") {
			want = strings.Replace(want, "Aug 06 2026", "Aug 6 2026", 1)
		}
		if diff := cmp.Diff(want, string(f.Bytes())); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if automatic := strings.HasPrefix(tt.name, "automatic") && !strings.Contains(tt.name, "comment"); automatic != f.HasAutochangelog() && tt.name != "two sections" {
			t.Errorf("%s: HasAutochangelog = %v", tt.name, f.HasAutochangelog())
		}
	}
}

func TestChangelogTextIsHarmless(t *testing.T) {
	t.Parallel()
	f := parse(t, "Version: 1\nRelease: 1\n%changelog\n")
	err := f.AddChangelogEntry(ChangelogEntry{
		Author: "Eve %{lua:x} <e@x>", Time: time.Unix(0, 0), DateOnly: true,
		Lines: []string{"- a\n%build\n%(id)\n* Thu Jan 01 1970 Fake - 2-2", "- b\r"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "Version: 1\nRelease: 1\n%changelog\n* Thu Jan 01 1970 Eve %%{lua:x} <e@x> - 1-1\n" +
		"- a\n%%build\n%%(id)\n * Thu Jan 01 1970 Fake - 2-2\n- b\n"
	if diff := cmp.Diff(want, string(f.Bytes())); diff != "" {
		t.Error(diff)
	}
	for _, author := range []string{"", "a\nb", strings.Repeat("a", 1000)} {
		if err := f.AddChangelogEntry(ChangelogEntry{Author: author}); err == nil {
			t.Errorf("author %.10q was accepted", author)
		}
	}
}

func TestUnknownEVRIsLeftOut(t *testing.T) {
	t.Parallel()
	f := parse(t, "Version: 1\nRelease: %autorelease\n%changelog\n")
	if err := f.AddChangelogEntry(ChangelogEntry{Author: "B", Time: time.Unix(0, 0), Lines: []string{"- x"}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(f.Bytes()), "\n* Thu Jan 01 1970 B\n") || !f.HasAutorelease() {
		t.Errorf("the file is\n%s", f.Bytes())
	}
}

func TestWithChangelogOf(t *testing.T) {
	t.Parallel()
	downstream := parse(t, "Version: 1\n%changelog\n* Mon Aug 03 2026 A - 1-1\n- x\n")
	tests := []struct{ name, upstream, want string }{
		{"replaced", "Version: 2\n%changelog\n* up\n- y\n%files\n", "Version: 2\n%changelog\n* Mon Aug 03 2026 A - 1-1\n- x\n%files\n"},
		{"added", "Version: 2\n%files\n", "Version: 2\n%files\n\n%changelog\n* Mon Aug 03 2026 A - 1-1\n- x\n"},
	}
	for _, tt := range tests {
		upstream := parse(t, tt.upstream)
		if diff := cmp.Diff(tt.want, string(upstream.WithChangelogOf(downstream).Bytes())); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if string(upstream.Bytes()) != tt.upstream {
			t.Errorf("%s: the argument was changed", tt.name)
		}
	}
	none := parse(t, "Version: 1\n")
	if got := string(downstream.WithChangelogOf(none).Bytes()); got != string(downstream.Bytes()) {
		t.Errorf("without a changelog: %s", got)
	}
}

func TestSections(t *testing.T) {
	t.Parallel()
	f := parse(t, "Name: t\n%global s \\\n%build\\\n%check\n%Description -n x  \ntext\n%buildx\n %install\n%prep\\\n%files\n")
	var got []string
	for _, s := range f.Sections() {
		got = append(got, s.Name+"|"+s.Args+"|"+f.SectionText(s))
	}
	want := []string{"||Name: t\n%global s \\\n%build\\\n%check\n", "description|-n x|text\n%buildx\n %install\n%prep\\\n", "files||"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !slices.IsSorted(sectionNames) || !slices.IsSorted(tagNames) {
		t.Error("the tables are not in order, which searching them needs")
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	f := parse(t, layered)
	want := Tag{Name: "summary", Value: "%{summary} for developers", Expanded: "%{summary} for developers", Package: "devel", Valid: true}
	tags := f.Tags()
	i := slices.IndexFunc(tags, func(t Tag) bool { return t.Package != "" })
	if diff := cmp.Diff(want, tags[i]); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"Comment", "Summary", "Source9"} {
		if got, found := f.Tag(name); found {
			t.Errorf("the preamble has %+v", got)
		}
	}
	later := parse(t, "Name: t\nVersion: %{v}\n%global v 2\nSource: t-%{version}\n")
	if got := []string{later.Version(), later.Sources()[0].Expanded}; !cmp.Equal(got, []string{"2", "t-2"}) {
		t.Errorf("with a later definition: %q", got)
	}
	if _, err := Parse(make([]byte, MaxSize+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a huge file: %v", err)
	}
}
