package specfile

import (
	"math/big"
	"regexp"
	"strings"
)

var distPart = regexp.MustCompile(`(%\{\??dist\}|%dist)(?:\.(\d+))?$`)

// SplitRelease divides a Release as it is written: the release proper, the
// macro that names the distribution, and the number behind that, by which
// branches count rebuilds. Absent parts are empty.
func SplitRelease(raw string) (release, dist, minorBump string) {
	m := distPart.FindStringSubmatchIndex(raw)
	if m == nil {
		return raw, "", ""
	}
	if m[4] >= 0 {
		minorBump = raw[m[4]:m[5]]
	}
	return raw[:m[0]], raw[m[2]:m[3]], minorBump
}

// ReplaceRelease puts another release into a raw one, whose distribution part
// stays and whose minor bump goes.
func ReplaceRelease(raw, release string) string {
	_, dist, _ := SplitRelease(raw)
	return release + dist
}

var (
	leadingNumber = regexp.MustCompile(`^(%release_func\s+)?(0\.)?(\d+)(.*)$`)
	lastNumber    = regexp.MustCompile(`^(.+\.)(\d+)$`)
)

// BumpRelease counts a raw release up by one: its first number, or the second
// after "0.", or of a pre-release the last, or else a new one is added.
func BumpRelease(raw string) string {
	m := leadingNumber.FindStringSubmatch(raw)
	if m != nil && (m[2] != "" || !containsAny(m[4], "alpha", "beta", "rc")) {
		return m[1] + m[2] + increment(m[3]) + m[4]
	}
	if m := lastNumber.FindStringSubmatch(raw); m != nil {
		return m[1] + increment(m[2])
	}
	return raw + ".1"
}

func increment(digits string) string {
	if len(digits) > 100 {
		return digits
	}
	n, _ := new(big.Int).SetString(digits, 10)
	return n.Add(n, big.NewInt(1)).String()
}

func containsAny(s string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// IsAutorelease reports whether a raw release leaves its number to rpmautospec.
func IsAutorelease(raw string) bool { return callsMacro(raw, "autorelease") }

// HasAutorelease reports whether rpmautospec computes the release.
func (f *File) HasAutorelease() bool { return IsAutorelease(f.RawRelease()) }

// RawRelease is the Release tag as it is written.
func (f *File) RawRelease() string { return f.rawTag("release") }

// Release is the expanded Release tag without the name of the distribution.
func (f *File) Release() string { return f.withoutDist().expandedTag("release") }

// BaseRelease is Release without the number behind the distribution.
func (f *File) BaseRelease() string {
	base, _, bump := SplitRelease(f.RawRelease())
	if bump == "" {
		return f.Release()
	}
	return f.withoutDist().Expand(base)
}

// withoutDist shares everything with f but what depends on the macro dist.
func (f *File) withoutDist() *File {
	view := *f
	view.env = f.run([]namedBody{{"dist", ""}})
	view.tags = view.env.tags
	return &view
}

// SetRelease changes the release and keeps the part that names the
// distribution: "3%{?dist}.2" set to 7 becomes "7%{?dist}". It replaces
// %autorelease as well; see HasAutorelease.
func (f *File) SetRelease(release string) error {
	return f.SetRawRelease(ReplaceRelease(f.RawRelease(), release))
}

// SetRawRelease writes the Release tag literally. It may contain macros.
func (f *File) SetRawRelease(raw string) error {
	var open brackets
	open.read(raw)
	if raw == "" || len(raw) > maxValue || hasControl(raw) || open.any() || continues(raw) {
		return &ValueError{"release", raw}
	}
	i := f.findTag("release")
	if i < 0 {
		return ErrNoTag
	}
	f.setTag(i, raw)
	f.reparse()
	return nil
}

// SyncedRelease is the raw release that a new upstream version gets downstream.
// It keeps %autorelease, takes over upstream's release if upstream's own spec
// file already is at that version, and begins at 1 otherwise. Both files are
// as they were before any change; they may be the same.
func SyncedRelease(downstream, upstream *File, version string) string {
	const first = "1%{?dist}"
	switch {
	case downstream.HasAutorelease() && upstream.HasAutorelease():
		return upstream.RawRelease()
	case downstream.HasAutorelease():
		return downstream.RawRelease()
	case upstream.HasAutorelease(),
		upstream.Version() != version,
		downstream.BaseRelease() == upstream.BaseRelease():
		return first
	}
	return upstream.RawRelease()
}

// maxValue bounds values that are written into a file, in bytes.
const maxValue = 4096

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
