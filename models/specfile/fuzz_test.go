package specfile

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/models/rpm"
)

func addSeeds(f *testing.F, more ...any) {
	seeds := append(slices.Sorted(maps.Values(oddities)), chained, layered, "", "%", "Version: 1\r\n%changelog",
		"%global a %{", "%{\n", "%if\n%if\n%else\n%endif\n%endif\n%endif\n", "Version: %{a", "\x00\xff\nVersion: 1\n")
	for _, seed := range seeds {
		f.Add(append([]any{[]byte(seed)}, more...)...)
	}
}

func FuzzParse(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		spec, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(spec.Bytes(), data) {
			t.Fatal("parsing changed the file")
		}
		spec.Define("dist", ".x")
		spec.Sources()
		spec.Patches()
		spec.Tags()
		spec.EVR()
		spec.BaseRelease()
		spec.HasAutochangelog()
		end := 0
		for _, s := range spec.Sections() {
			if s.start != end || s.end < s.start {
				t.Fatalf("section %+v begins after line %d", s, end)
			}
			end = s.end
		}
		if end != len(spec.lines) {
			t.Fatalf("the sections end at line %d of %d", end, len(spec.lines))
		}
	})
}

func FuzzSetVersion(f *testing.F) {
	addSeeds(f, "2.0~rc1", "pre")
	f.Fuzz(func(t *testing.T, data []byte, version, name string) {
		if len(data) > 1<<14 {
			return
		}
		spec, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := spec.SetVersion(version, VersionOptions{rpm.DefaultPrereleasePattern, name}); err != nil {
			if !bytes.Equal(spec.Bytes(), data) {
				t.Fatalf("changed in spite of %v", err)
			}
			return
		}
		checkOtherLines(t, data, spec, func(line string) bool {
			return strings.Contains(line, "global") || strings.Contains(line, "define") || strings.Contains(line, ":")
		})
	})
}

// checkOtherLines verifies that the lines which an edit may not touch are in
// the result, in order and with their ends, and that the result reads back.
func checkOtherLines(t *testing.T, data []byte, spec *File, mayChange func(line string) bool) {
	t.Helper()
	after := spec.Bytes()
	again, err := Parse(after)
	if err != nil {
		t.Fatal(err)
	}
	if again.RawVersion() != spec.RawVersion() || again.RawRelease() != spec.RawRelease() {
		t.Fatalf("read back, the version is %q instead of %q", again.RawVersion(), spec.RawVersion())
	}
	original, _ := Parse(data)
	inDefinition := make([]bool, len(original.lines))
	for _, s := range append(definitionSpans(original.defs), tagSpans(original.tags)...) {
		for i := s.start; i < s.end; i++ {
			inDefinition[i] = true
		}
	}
	rest := strings.SplitAfter(string(after), "\n")
	for i, l := range original.lines {
		if inDefinition[i] && (mayChange(l.text) || i > 0 && inDefinition[i-1]) {
			continue
		}
		at := slices.Index(rest, l.text+l.eol)
		if at < 0 {
			t.Fatalf("line %d, %q, is lost in\n%s", i+1, l.text+l.eol, after)
		}
		rest = rest[at+1:]
	}
}

func tagSpans(tags []tag) []span {
	var spans []span
	for _, t := range tags {
		spans = append(spans, t.span)
	}
	return spans
}

func FuzzEdits(f *testing.F) {
	addSeeds(f, "text %{x}\n* y", "foo-1")
	f.Fuzz(func(t *testing.T, data []byte, text, word string) {
		if len(data) > 1<<14 {
			return
		}
		spec, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		lines := len(spec.lines)
		sections := len(spec.Sections())
		err = spec.AddChangelogEntry(ChangelogEntry{Author: word, Time: time.Unix(0, 0), Lines: []string{text}})
		if err == nil && len(spec.lines) < lines {
			t.Fatal("an entry took lines away")
		}
		patches := len(spec.Patches())
		if _, err := spec.AddPatch(Patch{Location: word, Comment: text}); err == nil && len(spec.Patches()) < patches {
			t.Fatal("a patch took others away")
		}
		spec.SetPrepDirectory(word)
		spec.SetSource(0, word)
		spec.SetRelease(word)
		if got := len(spec.Sections()); got != sections {
			t.Fatalf("%d sections became %d:\n%s", sections, got, spec.Bytes())
		}
		if again, err := Parse(spec.Bytes()); err != nil || !bytes.Equal(again.Bytes(), spec.Bytes()) || len(again.Sections()) != sections {
			t.Fatal("the result does not read back")
		}
	})
}

// FuzzPattern checks that a value put together again from its parts is the one
// that was asked for.
func FuzzPattern(f *testing.F) {
	f.Add("%{a}.%{b}~c", "1.2~3")
	f.Add("x%{?a:.%{a}}y", "x.1y")
	f.Fuzz(func(t *testing.T, value, requested string) {
		if len(value) > 1000 || len(requested) > 200 {
			return
		}
		p, ok := newPattern(value, entitySet{
			modifiable: func(name string) bool { return len(name) == 1 },
			flippable:  func(string) bool { return true },
			expand:     func(s string) string { return "" },
		})
		if !ok {
			return
		}
		fuel := 100_000
		groups, ok := p.match(requested, &fuel)
		if !ok {
			return
		}
		var b strings.Builder
		for i, part := range p.parts {
			b.WriteString(part.constant)
			b.WriteString(groups[i])
		}
		if b.String() != requested {
			t.Fatalf("%q matched %q as %q", value, requested, groups)
		}
	})
}

func TestPatienceWithOpenCalls(t *testing.T) {
	t.Parallel()
	lines := splitLines(strings.Repeat("%{\n", 50) + "%{a\nb}\n")
	patience := 100
	if blocks := findBlocks(lines, nil, span{0, len(lines)}, &patience); patience != 0 || len(blocks) != 0 {
		t.Errorf("patience %d, blocks %v", patience, blocks)
	}
	patience = 10_000
	want := []span{{50, 52}}
	if blocks := findBlocks(lines, nil, span{0, len(lines)}, &patience); !slices.Equal(blocks, want) {
		t.Errorf("blocks %v, want %v", blocks, want)
	}
}

// TestHostileFiles has to end soon: each file is made to take long.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	doubling := "%define a0 xxxxxxxxxxxxxxxx\n"
	for i := range 60 {
		n, m := string(rune('A'+i/26))+string(rune('a'+i%26)), string(rune('A'+(i+1)/26))+string(rune('a'+(i+1)%26))
		doubling += "%define " + m + " %{" + n + "}%{" + n + "}\n"
	}
	chain := "%global c 1\n"
	for range 20_000 {
		chain += "%global c %{c}.%{c}\n"
	}
	files := map[string]string{
		"doubling":          doubling + "Version: %{Ci}\nRelease: %{Ci}\n",
		"itself":            "%define a %{a}%{a}\n%define b %{a}%{b}\nVersion: %{b}\n",
		"chain":             chain + "Version: %{c}\n",
		"nested calls":      "Version: " + strings.Repeat("%{?a:", 100_000) + "1" + strings.Repeat("}", 100_000) + "\n",
		"open calls":        "Version: " + strings.Repeat("%{", 100_000) + "\n",
		"open bodies":       strings.Repeat("%global a %{\n", 50_000),
		"open tags":         strings.Repeat("Source: %{\n", 2_000),
		"conditions":        strings.Repeat("%if 1\n", 100_000) + "Version: 1\n",
		"one expression":    "%if " + strings.Repeat("(", 15_000) + "\nVersion: 1\n%endif\n",
		"continued forever": "%if 1 \\\n" + strings.Repeat("x\\\n", 100_000),
		"percent signs":     "Version: " + strings.Repeat("%", 1_000_000) + "\n%changelog\n" + strings.Repeat("%", 1_000_000),
		"many parts":        "%global a 1\nVersion: " + strings.Repeat("%{a}.", 400) + "1\n",
		"ambiguous":         "%global a 1\n%global b 1\n%global c 1\n%global d 1\nVersion: " + strings.Repeat("%{a}.x%{b}.%{c}.%{d}.", 3) + "q\n",
		"many tags":         strings.Repeat("Source: x\n", 50_000),
		"binary":            strings.Repeat("\x00\xff\x1b%\n", 100_000),
		"sections":          "Version: 1\n" + strings.Repeat("%changelog\n* Mon Jan 01 2024 A - 1\n- x\n", 300),
	}
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			f := parse(t, text)
			f.Sources()
			f.EVR()
			f.HasAutochangelog()
			f.SetVersion(strings.Repeat("1.", 200)+"1", VersionOptions{rpm.DefaultPrereleasePattern, "a"})
			f.AddChangelogEntry(ChangelogEntry{Author: "a", Lines: []string{"x"}})
			f.AddPatch(Patch{Location: "p"})
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			} else {
				t.Logf("took %v", took.Round(time.Millisecond))
			}
		})
	}
}
