package rpm

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxLabel bounds the identities that are read, in bytes. The longest names
// in use have some two hundred.
const maxLabel = 4096

// EVR is the part of a package's identity that orders its builds.
type EVR struct {
	Epoch   uint32 // 0 if there is none
	Version string
	Release string // empty if it is not known
}

// ParseEVR reads [epoch:]version[-release].
func ParseEVR(s string) (EVR, error) {
	if len(s) > maxLabel {
		return EVR{}, fmt.Errorf("parsing an EVR: longer than %d bytes", maxLabel)
	}
	var evr EVR
	rest := s
	if digits, after, found := strings.Cut(s, ":"); found && allDigits(digits) {
		epoch, err := strconv.ParseUint(digits, 10, 32)
		if err != nil {
			return EVR{}, fmt.Errorf("parsing EVR %q: the epoch is too large", s)
		}
		evr.Epoch, rest = uint32(epoch), after
	}
	version, release, hasRelease := strings.Cut(rest, "-")
	if version == "" || hasRelease && release == "" || strings.Contains(release, "-") || hasSpace(rest) {
		return EVR{}, fmt.Errorf("parsing EVR %q: want [epoch:]version[-release]", s)
	}
	evr.Version, evr.Release = version, release
	return evr, nil
}

// String writes the EVR as ParseEVR reads it; an epoch of 0 is left out.
func (e EVR) String() string {
	s := e.Version
	if e.Epoch > 0 {
		s = strconv.FormatUint(uint64(e.Epoch), 10) + ":" + s
	}
	if e.Release != "" {
		s += "-" + e.Release
	}
	return s
}

// Compare orders by epoch, version and release. One that lacks a release is
// older than any that has one.
func (e EVR) Compare(other EVR) int {
	if c := cmp.Compare(e.Epoch, other.Epoch); c != 0 {
		return c
	}
	if c := Vercmp(e.Version, other.Version); c != 0 {
		return c
	}
	if e.Release == "" || other.Release == "" {
		return cmp.Compare(min(len(e.Release), 1), min(len(other.Release), 1))
	}
	return Vercmp(e.Release, other.Release)
}

// NEVRA is the whole identity of a package. Arch is empty for a build as a
// whole (NVR, NEVR).
type NEVRA struct {
	Name string
	EVR
	Arch string
}

// ParseNEVR reads name-[epoch:]version-release, of which an NVR is the usual
// case. A name may contain dashes, the other parts cannot.
func ParseNEVR(s string) (NEVRA, error) {
	if len(s) > maxLabel {
		return NEVRA{}, fmt.Errorf("parsing an NVR: longer than %d bytes", maxLabel)
	}
	wrong := fmt.Errorf("parsing NVR %q: want name-version-release", s)
	beforeRelease := strings.LastIndexByte(s, '-')
	if beforeRelease < 0 {
		return NEVRA{}, wrong
	}
	beforeVersion := strings.LastIndexByte(s[:beforeRelease], '-')
	if beforeVersion <= 0 {
		return NEVRA{}, wrong
	}
	evr, err := ParseEVR(s[beforeVersion+1:])
	if err != nil || evr.Release == "" || hasSpace(s) {
		return NEVRA{}, wrong
	}
	return NEVRA{Name: s[:beforeVersion], EVR: evr}, nil
}

// ParseNEVRA reads name-[epoch:]version-release.arch. A last part that is no
// architecture is an error, because it then belongs to the release.
func ParseNEVRA(s string) (NEVRA, error) {
	dot := strings.LastIndexByte(s, '.')
	if dot < 0 || !IsArch(s[dot+1:]) {
		return NEVRA{}, fmt.Errorf("parsing NEVRA %.200q: it does not end in an architecture", s)
	}
	n, err := ParseNEVR(s[:dot])
	if err != nil {
		return NEVRA{}, err
	}
	n.Arch = s[dot+1:]
	return n, nil
}

// NVR is name-version-release, the name of a build in Koji and Bodhi.
func (n NEVRA) NVR() string { return n.Name + "-" + n.Version + "-" + n.Release }

// String writes what is known: NEVR or NEVRA.
func (n NEVRA) String() string {
	s := n.Name + "-" + n.EVR.String()
	if n.Arch != "" {
		s += "." + n.Arch
	}
	return s
}

// architectures are those that Fedora, its secondary builders, EPEL and older
// releases of theirs give to packages.
var architectures = []string{
	"aarch64", "armv5tel", "armv6hl", "armv7hl", "armv7hnl", "armv7l", "i386", "i486", "i586", "i686", "ia64",
	"loongarch64", "mips64el", "mipsel", "noarch", "nosrc", "ppc", "ppc64", "ppc64le", "ppc64p7", "riscv64", "s390",
	"s390x", "sparc64", "sparcv9", "src", "x86_64", "x86_64_v2", "x86_64_v3", "x86_64_v4",
}

// IsArch reports whether a is the name of an architecture, or one of noarch,
// src and nosrc.
func IsArch(a string) bool {
	_, found := slices.BinarySearch(architectures, a)
	return found
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// hasSpace reports whether s contains a blank or a control character.
func hasSpace(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}
