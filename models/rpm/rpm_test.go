package rpm

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseEVR(t *testing.T) {
	t.Parallel()
	tests := map[string]*EVR{
		"1.0":           {0, "1.0", ""},
		"3:1.0~rc1-2":   {3, "1.0~rc1", "2"},
		"a:1.0":         {0, "a:1.0", ""},
		"":              nil,
		"-1":            nil,
		"1-":            nil,
		"1-2-3":         nil,
		"1 -2":          nil,
		"1:":            nil,
		"4294967296:1":  nil,
		"99999999999:1": nil,
	}
	for in, want := range tests {
		got, err := ParseEVR(in)
		if (err == nil) != (want != nil) || want != nil && got != *want {
			t.Errorf("ParseEVR(%q) = %+v, %v; want %+v", in, got, err, want)
		}
	}
	if _, err := ParseEVR(strings.Repeat("1", maxLabel+1)); err == nil {
		t.Error("a huge EVR was accepted")
	}
}

func TestParseNEVRA(t *testing.T) {
	t.Parallel()
	tests := map[string]*NEVRA{
		"foo-1.0-1.fc44.x86_64":    {"foo", EVR{0, "1.0", "1.fc44"}, "x86_64"},
		"a-b-c-2:1^git-0.1.noarch": {"a-b-c", EVR{2, "1^git", "0.1"}, "noarch"},
		"foo-1.0-1.fc44.src":       {"foo", EVR{0, "1.0", "1.fc44"}, "src"},
		"foo-1.0-1.fc44":           nil,
		"-1-1.src":                 nil,
		"foo-1.src":                nil,
		"src":                      nil,
	}
	for in, want := range tests {
		got, err := ParseNEVRA(in)
		if (err == nil) != (want != nil) || want != nil && got != *want {
			t.Errorf("ParseNEVRA(%q) = %+v, %v; want %+v", in, got, err, want)
		}
		if want != nil && got.String() != in {
			t.Errorf("ParseNEVRA(%q).String() = %q", in, got.String())
		}
	}
	if n, _ := ParseNEVR("foo-2:1.0-1"); n.NVR() != "foo-1.0-1" {
		t.Errorf("NVR = %q", n.NVR())
	}
	if !slices.IsSorted(architectures) {
		t.Error("the architectures are not in order, which IsArch needs")
	}
}

func TestPEP440Order(t *testing.T) {
	t.Parallel()
	ordered := []string{
		"1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0b1.dev456", "1.0b2", "1.0b2.post345.dev456",
		"1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0+abc.5", "1.0+abc.7", "1.0+5", "1.0.post456.dev34",
		"1.0.post456", "1.1.dev1", "1.10", "1!0.1",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := CompareVersions(a, b), max(-1, min(1, i-j)); got != want {
				t.Errorf("CompareVersions(%q, %q) = %d, want %d", a, b, got, want)
			}
		}
	}
	for _, same := range [][2]string{
		{"1.0", "v1"}, {"1.0c1", "1.0RC1"}, {"1.0-1", "1.0.post1"}, {"1.0.alpha-2", "1.0a2"}, {"01.002", "1.2.0"}, {"1.0-r4", "1.0.rev4"},
	} {
		if got := CompareVersions(same[0], same[1]); got != 0 {
			t.Errorf("CompareVersions(%q, %q) = %d, want 0", same[0], same[1], got)
		}
	}
}

func TestRPMMarksAreOrderedByRPM(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"2.0~rc1", "1.9"}, {"2.0", "2.0~rc1"}, {"1.0^git1", "1.0"}, {"2.0~rc2", "2.0~rc1"}} {
		if CompareVersions(c[0], c[1]) != 1 || CompareVersions(c[1], c[0]) != -1 {
			t.Errorf("%q is not newer than %q", c[0], c[1])
		}
	}
}

func TestSpecifiers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		specifiers, version string
		want                bool
	}{
		{"", "1.0", true},
		{"", "1.0rc1", false},
		{">=2.0rc1", "2.0rc2", true},
		{"==1.2.*", "1.2.9", true},
		{"==1.2.*", "1.20", false},
		{"!=1.2.*", "1.2", false},
		{"~=1.4.2", "1.4.9", true},
		{"~=1.4.2", "1.5", false},
		{"~=1.4.2", "1.4.1", false},
		{"==1.0", "1.0+local", true},
		{"==1.0+a", "1.0", false},
		{">1.0", "1.0.post1", false},
		{">1.0", "1.0+local", false},
		{">1.0", "1.1", true},
		{"<2.0", "1.99", true},
		{"<2.0", "2.0.dev1", false},
		{"<=1!1.0", "2.0", true},
		{"===1.0", "1.0.0", false},
	}
	for _, tt := range tests {
		s, err := ParseSpecifier(tt.specifiers)
		if err != nil {
			t.Errorf("ParseSpecifier(%q): %v", tt.specifiers, err)
			continue
		}
		if got := s.Allows(tt.version); got != tt.want {
			t.Errorf("%q allows %q: %v, want %v", tt.specifiers, tt.version, got, tt.want)
		}
	}
	for _, bad := range []string{"1.0", "=1.0", ">=", ">=x", "~=1", ">=1.*", ">=1.0+l", ">=1.0 <2", "=>1"} {
		if _, err := ParseSpecifier(bad); err == nil {
			t.Errorf("ParseSpecifier(%q) was accepted", bad)
		}
	}
}

func TestMaskThatDoesNotCompile(t *testing.T) {
	t.Parallel()
	if _, err := MaskAllows(`(?=x)`, "1", "2"); err == nil {
		t.Error("a look-ahead was accepted")
	}
	if ok, err := MaskAllows(`1|2`, "1.0", "2.0"); ok || err != nil {
		t.Errorf("an alternative that matches other text was accepted: %v, %v", ok, err)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	tests := []struct{ template, tag, version string }{
		{"v{version}", "v1.2.3", "1.2.3"},
		{"{upstream_package_name}-{version}", "foo-bar-1.0", "1.0"},
		{"{version}-el", "1.2-el-extra", "1.2"},
		{"{version}", "", ""},
		{"v", "v1", ""},
		{"(", "(1", ""},
		{"v{version}", "wv1", ""},
	}
	for _, tt := range tests {
		got, err := VersionFromTag(tt.template, tt.tag)
		if got != tt.version || (err == nil) != (tt.version != "") {
			t.Errorf("VersionFromTag(%q, %q) = %q, %v; want %q", tt.template, tt.tag, got, err, tt.version)
		}
	}
	if got, err := TagFromVersion("{upstream_package_name}-v{version}{{}}", "1.0", "foo"); got != "foo-v1.0{}" || err != nil {
		t.Errorf("TagFromVersion = %q, %v", got, err)
	}
	for _, bad := range []string{"v", "{version}{other}", "{version", "{version}}"} {
		if got, err := TagFromVersion(bad, "1.0", "foo"); err == nil {
			t.Errorf("TagFromVersion(%q) = %q", bad, got)
		}
	}
}

func TestPrerelease(t *testing.T) {
	t.Parallel()
	tests := []struct {
		version, want string
		found         bool
	}{
		{"1.1-beta.3", "1.1~beta.3", true},
		{"1.1rc2", "1.1~rc2", true},
		{"2.0alpha", "2.0~alpha", true},
		{"2.0~rc1", "2.0~rc1", true},
		{"1.0_PRE4", "1.0~PRE4", true},
		{"1.0.preview-1", "1.0~preview-1", true},
		{"2.0dev1", "2.0dev1", false},
		{"1.0rc1.post", "1.0rc1.post", false},
		{"1.0", "1.0", false},
	}
	for _, tt := range tests {
		got, found, err := Prerelease(tt.version, DefaultPrereleasePattern)
		if got != tt.want || found != tt.found || err != nil {
			t.Errorf("Prerelease(%q) = %q, %v, %v; want %q", tt.version, got, found, err, tt.want)
		}
	}
	for _, bad := range []string{"rc", "(", "(?=a)(b)", "(-)?rc1", strings.Repeat("(a)", 1000)} {
		if got, found, err := Prerelease("1.0rc1", bad); err == nil || found || got != "1.0rc1" {
			t.Errorf("pattern %.20q: %q, %v, %v", bad, got, found, err)
		}
	}
}

func TestSnapshotReleases(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 8, 5, 13, 4, 5, 42_000, time.UTC)
	for _, tt := range []struct{ branch, describe, want string }{
		{"main", "v1.0-3-gabc1234", "20260805130405000042.main.3.gabc1234"},
		{"feature/a-b", "", "20260805130405000042.featurea.b"},
		{"pr/17", "1.0-rc1-0-gfff", "20260805130405000042.pr17.0.gfff"},
		{"$(rm -rf)", "", "20260805130405000042.rm.rf"},
	} {
		if got := (Snapshot{at, tt.branch, tt.describe}).ID(); got != tt.want {
			t.Errorf("Snapshot{%q, %q}.ID() = %q, want %q", tt.branch, tt.describe, got, tt.want)
		}
	}
	env := map[string]string{"PACKIT_PROJECT_BRANCH": "main", "": "never"}
	for _, tt := range []struct{ suffix, want string }{
		{"", "7.SNAP"},
		{"dev", "7.dev"},
		{"{PACKIT_PROJECT_BRANCH}.x", "main.x"},
		{"{PACKIT_RPMSPEC_RELEASE}.{PACKIT_PROJECT_BRANCH}", "7.SNAP.main"},
		{"PACKIT_PROJECT_BRANCH", "PACKIT_PROJECT_BRANCH"},
		{"{other}", "7.{other}"},
	} {
		got, err := ReleaseRules{Original: "7.2.rc1", Suffix: tt.suffix, Snapshot: "SNAP", Env: env}.Release()
		if got != tt.want || err != nil {
			t.Errorf("suffix %q: %q, %v; want %q", tt.suffix, got, err, tt.want)
		}
	}
	if got, err := (ReleaseRules{Original: "1", Suffix: "{PACKIT_PROJECT_BRANCH}{nope}", Env: env}).Release(); err == nil {
		t.Errorf("an unknown name was accepted: %q", got)
	}
	if got, err := SuffixedVersion("1.0", "+{PACKIT_PROJECT_BRANCH}", env); got != "1.0+main" || err != nil {
		t.Errorf("SuffixedVersion = %q, %v", got, err)
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	tests := []struct {
		location, name string
		remote         bool
	}{
		{"foo.conf", "foo.conf", false},
		{"https://e.org/a/foo-1.tar.gz", "foo-1.tar.gz", true},
		{"https://e.org/x.zip#/y.zip", "y.zip", true},
		{"https://e.org/dl#y.tgz", "dl#y.tgz", true},
		{"https://e.org/get?file=a.tgz", "a.tgz", true},
		{"https://e.org/", "", true},
		{"a=b.conf", "a=b.conf", false},
		{"file:///etc/x", "x", false},
		{"//e.org/x", "x", false},
		{"%{url}/x", "x", false},
	}
	for _, tt := range tests {
		if got := SourceFileName(tt.location); got != tt.name {
			t.Errorf("SourceFileName(%q) = %q, want %q", tt.location, got, tt.name)
		}
		if got := IsRemote(tt.location); got != tt.remote {
			t.Errorf("IsRemote(%q) = %v", tt.location, got)
		}
	}
}

func TestSanitizeChangelog(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"100% sure":       "100% sure",
		"%(touch x)":      "%%(touch x)",
		"%[1+1] %?x %!?x": "%%[1+1] %%?x %%!?x",
		"%%%x":            "%%%%x",
		"* a\n*b":         " * a\n *b",
		"a * b":           "a * b",
		"\r\x00* a\r\n":   " * a\n",
		"ends in %":       "ends in %",
		"%\x10name":       "%%name",
		"\xe9t\xe9":       "\xe9t\xe9",
	} {
		if diff := cmp.Diff(want, SanitizeChangelog(in)); diff != "" {
			t.Errorf("SanitizeChangelog(%q): %s", in, diff)
		}
	}
}

// FuzzVercmp checks that the order does not depend on the direction it is asked
// in, nor on which separators are used.
func FuzzVercmp(f *testing.F) {
	f.Add("1.0~rc1", "1.0")
	f.Add("1^", "1~")
	f.Add("00a", "0a0")
	f.Fuzz(func(t *testing.T, a, b string) {
		if Vercmp(a, b) != -Vercmp(b, a) {
			t.Errorf("Vercmp(%q, %q) = %d, reversed %d", a, b, Vercmp(a, b), Vercmp(b, a))
		}
		if Vercmp(a, a) != 0 {
			t.Errorf("%q differs from itself", a)
		}
		if c := strings.ReplaceAll(a, ".", "_"); Vercmp(a, c) != 0 {
			t.Errorf("%q differs from %q", a, c)
		}
	})
}

func FuzzParseNEVRA(f *testing.F) {
	f.Add("foo-1:1.0-1.fc44.x86_64")
	f.Add("a-b-0:1-1.src")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNEVRA(s)
		if err != nil {
			return
		}
		again, err := ParseNEVRA(n.String())
		if err != nil || again != n {
			t.Errorf("%q: %+v, again %+v, %v", s, n, again, err)
		}
	})
}

func FuzzSanitizeVersion(f *testing.F) {
	allowed := regexp.MustCompile(`^[A-Za-z0-9._+~^]*$`)
	f.Add("feature/x-1 \xff")
	f.Fuzz(func(t *testing.T, s string) {
		if got := SanitizeVersion(s); !allowed.MatchString(got) || SanitizeVersion(got) != got {
			t.Errorf("SanitizeVersion(%q) = %q", s, got)
		}
	})
}

func FuzzSanitizeChangelog(f *testing.F) {
	f.Add("* %{x}\n%%y")
	f.Fuzz(func(t *testing.T, s string) {
		once := SanitizeChangelog(s)
		if again := SanitizeChangelog(once); again != once {
			t.Errorf("%q: %q, again %q", s, once, again)
		}
	})
}

func FuzzSpecifier(f *testing.F) {
	f.Add(">=1.0, <2.0", "1.5")
	f.Add("~=1.2", "1.2+x")
	f.Fuzz(func(t *testing.T, specifiers, version string) {
		if s, err := ParseSpecifier(specifiers); err == nil {
			s.Allows(version)
		}
		if CompareVersions(specifiers, version) != -CompareVersions(version, specifiers) {
			t.Errorf("CompareVersions(%q, %q) is not symmetric", specifiers, version)
		}
	})
}
