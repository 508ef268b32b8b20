package specfile

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/models/rpm"

	"github.com/google/go-cmp/cmp"
)

func readVectors(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func parse(t testing.TB, text string) *File {
	t.Helper()
	f, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, string(f.Bytes())); diff != "" {
		t.Fatalf("parsing changed the file: %s", diff)
	}
	return f
}

func TestUpdateVersionVectors(t *testing.T) {
	t.Parallel()
	var v struct {
		Cases []struct {
			Name     string
			Before   string `json:"spec_before"`
			Version  string `json:"new_version"`
			Macro    string `json:"prerelease_suffix_macro"`
			After    string `json:"spec_after"`
			Expanded string `json:"version_expanded"`
		}
	}
	readVectors(t, "update_version.json", &v)
	if len(v.Cases) == 0 {
		t.Fatal("no vectors")
	}
	for _, c := range v.Cases {
		f := parse(t, c.Before)
		err := f.SetVersion(c.Version, VersionOptions{rpm.DefaultPrereleasePattern, c.Macro})
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		if diff := cmp.Diff(c.After, string(f.Bytes())); diff != "" {
			t.Errorf("%s: %s", c.Name, diff)
		}
		if got := f.Version(); got != c.Expanded {
			t.Errorf("%s: the version is %q, want %q", c.Name, got, c.Expanded)
		}
	}
}

func TestChangelogVectors(t *testing.T) {
	t.Parallel()
	var cases []struct {
		Name         string
		Before       string `json:"spec_before"`
		Date, Author string
		Entry        []string
		After        string `json:"spec_after"`
	}
	readVectors(t, "changelog.json", &cases)
	if len(cases) == 0 {
		t.Fatal("no vectors")
	}
	for _, c := range cases {
		f := parse(t, c.Before)
		at, err := time.Parse(time.DateOnly, c.Date)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.AddChangelogEntry(ChangelogEntry{Author: c.Author, Time: at, DateOnly: true, Lines: c.Entry}); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		if diff := cmp.Diff(c.After, string(f.Bytes())); diff != "" {
			t.Errorf("%s: %s", c.Name, diff)
		}
	}
}

func TestReleaseVectors(t *testing.T) {
	t.Parallel()
	var cases []struct {
		Raw         string
		Autorelease bool
		Split       []any   `json:"split_release_dist_minorbump"`
		After       string  `json:"after_setting_release_7"`
		Bumped      *string `json:"bumped"`
	}
	readVectors(t, "release.json", &cases)
	if len(cases) == 0 {
		t.Fatal("no vectors")
	}
	text := func(v any) string {
		switch v := v.(type) {
		case string:
			return v
		case float64:
			return strconv.Itoa(int(v))
		}
		return ""
	}
	for _, c := range cases {
		release, dist, bump := SplitRelease(c.Raw)
		want := []string{text(c.Split[0]), text(c.Split[1]), text(c.Split[2])}
		if diff := cmp.Diff(want, []string{release, dist, bump}); diff != "" {
			t.Errorf("SplitRelease(%q): %s", c.Raw, diff)
		}
		if got := IsAutorelease(c.Raw); got != c.Autorelease {
			t.Errorf("IsAutorelease(%q) = %v", c.Raw, got)
		}
		if got := ReplaceRelease(c.Raw, "7"); got != c.After {
			t.Errorf("ReplaceRelease(%q, 7) = %q, want %q", c.Raw, got, c.After)
		}
		if c.Bumped != nil && BumpRelease(c.Raw) != *c.Bumped {
			t.Errorf("BumpRelease(%q) = %q, want %q", c.Raw, BumpRelease(c.Raw), *c.Bumped)
		}
		f := parse(t, "Name: t\nVersion: 1\nRelease: "+c.Raw+"\n")
		if err := f.SetRelease("7"); err != nil || f.RawRelease() != c.After {
			t.Errorf("SetRelease on %q: %q, %v", c.Raw, f.RawRelease(), err)
		}
	}
}

func TestSourceVectors(t *testing.T) {
	t.Parallel()
	type source struct {
		Number             int
		Location, Filename string
		Remote, Valid      bool
	}
	var cases []struct {
		Name, Spec string
		Sources    []source
	}
	readVectors(t, "sources.json", &cases)
	if len(cases) == 0 {
		t.Fatal("no vectors")
	}
	for _, c := range cases {
		var got []source
		for _, s := range parse(t, c.Spec).Sources() {
			got = append(got, source{s.Number, s.Expanded, s.FileName, s.Remote, s.Valid})
		}
		if diff := cmp.Diff(c.Sources, got); diff != "" {
			t.Errorf("%s: %s", c.Name, diff)
		}
	}
}

// changedLines lists the lines that differ between two files of as many lines.
func changedLines(t *testing.T, before, after string) []string {
	t.Helper()
	a, b := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	if len(a) != len(b) {
		t.Fatalf("%d lines became %d:\n%s", len(a), len(b), after)
	}
	var changed []string
	for i := range a {
		if a[i] != b[i] {
			changed = append(changed, b[i])
		}
	}
	return changed
}
