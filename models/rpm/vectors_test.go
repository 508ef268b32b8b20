package rpm

import (
	"encoding/json"
	"os"
	"testing"

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

func TestVercmpVectors(t *testing.T) {
	t.Parallel()
	var v struct {
		Cases []struct {
			A, B string
			Cmp  int
		}
	}
	readVectors(t, "rpmvercmp.json", &v)
	if len(v.Cases) == 0 {
		t.Fatal("no vectors")
	}
	for _, c := range v.Cases {
		if got := Vercmp(c.A, c.B); got != c.Cmp {
			t.Errorf("Vercmp(%q, %q) = %d, want %d", c.A, c.B, got, c.Cmp)
		}
		if got := Vercmp(c.B, c.A); got != -c.Cmp {
			t.Errorf("Vercmp(%q, %q) = %d, want %d", c.B, c.A, got, -c.Cmp)
		}
	}
}

func TestEVRVectors(t *testing.T) {
	t.Parallel()
	var v struct {
		EVR []struct {
			A, B    string
			Cmp     int
			AParsed []any `json:"a_parsed"`
		}
		NEVR []struct {
			In, Name, Version, Release, Error string
			Epoch                             uint32
		}
	}
	readVectors(t, "evr.json", &v)
	if len(v.EVR) == 0 || len(v.NEVR) == 0 {
		t.Fatal("no vectors")
	}
	for _, c := range v.EVR {
		a, errA := ParseEVR(c.A)
		b, errB := ParseEVR(c.B)
		if errA != nil || errB != nil {
			t.Errorf("parsing %q, %q: %v, %v", c.A, c.B, errA, errB)
			continue
		}
		if diff := cmp.Diff(c.AParsed, []any{float64(a.Epoch), a.Version, a.Release}); diff != "" {
			t.Errorf("ParseEVR(%q): %s", c.A, diff)
		}
		if a.Compare(b) != c.Cmp || b.Compare(a) != -c.Cmp {
			t.Errorf("%q.Compare(%q) = %d and %d, want %d", c.A, c.B, a.Compare(b), b.Compare(a), c.Cmp)
		}
	}
	for _, c := range v.NEVR {
		got, err := ParseNEVR(c.In)
		if (err != nil) != (c.Error != "") {
			t.Errorf("ParseNEVR(%q): error %v, want %q", c.In, err, c.Error)
		}
		want := NEVRA{Name: c.Name, EVR: EVR{c.Epoch, c.Version, c.Release}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParseNEVR(%q): %s", c.In, diff)
		}
	}
}

func TestRuleVectors(t *testing.T) {
	t.Parallel()
	var v struct {
		Compare []struct {
			A, B string
			Sign int
		} `json:"compare_versions"`
		Sanitize []struct{ In, Out string } `json:"sanitize_version"`
		Mask     []struct {
			Mask, Current, Proposed string
			Accepted                bool
		} `json:"version_update_mask"`
		Specifiers []struct {
			Specifiers, Version string
			Accepted            bool
		} `json:"version_update_specifiers"`
		Bugs []struct {
			Text string
			Bugs []string
		} `json:"bugs_from_notes"`
		Tags []struct {
			Template, Tag string
			Version       *string
		} `json:"tag_to_version"`
		Changelog []struct{ In, Out string } `json:"changelog_sanitize"`
	}
	readVectors(t, "rules.json", &v)
	for _, c := range v.Compare {
		if got := CompareVersions(c.A, c.B); got != c.Sign {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", c.A, c.B, got, c.Sign)
		}
		if got := CompareVersions(c.B, c.A); got != -c.Sign {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", c.B, c.A, got, -c.Sign)
		}
	}
	for _, c := range v.Sanitize {
		if got := SanitizeVersion(c.In); got != c.Out {
			t.Errorf("SanitizeVersion(%q) = %q, want %q", c.In, got, c.Out)
		}
	}
	for _, c := range v.Mask {
		got, err := MaskAllows(c.Mask, c.Current, c.Proposed)
		if err != nil || got != c.Accepted {
			t.Errorf("MaskAllows(%q, %q, %q) = %v, %v", c.Mask, c.Current, c.Proposed, got, err)
		}
	}
	for _, c := range v.Specifiers {
		s, err := ParseSpecifier(c.Specifiers)
		if err != nil || s.Allows(c.Version) != c.Accepted {
			t.Errorf("%q allows %q: %v, %v; want %v", c.Specifiers, c.Version, s.Allows(c.Version), err, c.Accepted)
		}
	}
	for _, c := range v.Bugs {
		if diff := cmp.Diff(append([]string{}, c.Bugs...), append([]string{}, ClosedBugs(c.Text)...)); diff != "" {
			t.Errorf("ClosedBugs(%q): %s", c.Text, diff)
		}
	}
	for _, c := range v.Tags {
		got, err := VersionFromTag(c.Template, c.Tag)
		if c.Version == nil && err == nil || c.Version != nil && (err != nil || got != *c.Version) {
			t.Errorf("VersionFromTag(%q, %q) = %q, %v", c.Template, c.Tag, got, err)
		}
	}
	for _, c := range v.Changelog {
		if got := SanitizeChangelog(c.In); got != c.Out {
			t.Errorf("SanitizeChangelog(%q) = %q, want %q", c.In, got, c.Out)
		}
	}
	if len(v.Compare) == 0 || len(v.Sanitize) == 0 || len(v.Mask) == 0 || len(v.Specifiers) == 0 ||
		len(v.Bugs) == 0 || len(v.Tags) == 0 || len(v.Changelog) == 0 {
		t.Error("a group of vectors is empty")
	}
}
