package testingfarm

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// The ranches: Testing Farm's two sites, each with machines of its own.
const (
	Public   = "public"
	Internal = "redhat" // Red Hat's, behind its firewall
)

// RanchName is what people call a ranch.
func RanchName(ranch string) string {
	if ranch == Internal {
		return "internal"
	}
	return ranch
}

// Architectures lists what a ranch has machines of.
func Architectures(ranch string) []string {
	if ranch == Internal {
		return []string{"aarch64", "x86_64", "ppc64le", "s390x"}
	}
	return []string{"aarch64", "x86_64"}
}

// HasArchitecture reports whether a ranch has machines of arch.
func HasArchitecture(ranch, arch string) bool {
	return slices.Contains(Architectures(ranch), arch)
}

// SplitTarget splits a chroot or a test target such as fedora-43-x86_64 into
// distribution and architecture. arch is "" if there is no dash.
func SplitTarget(target string) (distro, arch string) {
	i := strings.LastIndexByte(target, '-')
	if i < 0 {
		return target, ""
	}
	return target[:i], target[i+1:]
}

var publicDistros = map[string]string{
	"epel-6":  "centos-6",
	"epel-7":  "centos-7",
	"epel-8":  "centos-stream-8",
	"epel-9":  "centos-stream-9",
	"epel-10": "centos-stream-10",
}

var internalDistros = map[string]string{
	"epel-6":  "rhel-6",
	"epel-7":  "rhel-7",
	"epel-8":  "rhel-8",
	"epel-9":  "centos-stream-9",
	"epel-10": "centos-stream-10",
}

// DistroOf names the distribution on which what was built in a chroot is
// tested, unless the user says another: EPEL is no distribution of its own.
func DistroOf(chroot, ranch string) string {
	distro, _ := SplitTarget(chroot)
	known := publicDistros
	if ranch == Internal {
		known = internalDistros
	}
	if mapped, ok := known[distro]; ok {
		return mapped
	}
	return distro
}

// Compose names the compose of a distribution such as fedora-43 in a ranch
// where those in available exist; they are names and regular expressions, as
// Composes returns them. If ok is false it does not exist, and name is for the
// message that says so.
func Compose(distro, ranch string, available []string) (name string, ok bool) {
	if isAvailable(distro, available) {
		return distro, true
	}
	name = titled.Replace(title(distro))
	if name == "CentOS-Stream" {
		name = "CentOS-Stream-8"
	}
	if isAvailable(name, available) {
		return name, true
	}
	if ranch != Internal {
		return name, false
	}
	name = internalCompose(name)
	return name, isAvailable(name, available)
}

var titled = strings.NewReplacer(
	"Centos", "CentOS", "Rhel", "RHEL", "Oraclelinux", "Oracle-Linux", "Latest", "latest", "Eln", "eln")

var internalComposes = map[string]string{
	"Fedora-Rawhide": "Fedora-Rawhide-Nightly",
	"CentOS-7":       "CentOS-7-latest",
	"CentOS-8":       "CentOS-8-latest",
	"RHEL-6":         "RHEL-6-LatestReleased",
	"RHEL-7":         "RHEL-7-LatestReleased",
	"RHEL-8":         "RHEL-8.5.0-Nightly",
	"Oracle-Linux-7": "Oracle-Linux-7.9",
	"Oracle-Linux-8": "Oracle-Linux-8.6",
}

func internalCompose(name string) string {
	if mapped, ok := internalComposes[name]; ok {
		return mapped
	}
	if strings.HasPrefix(name, "Fedora-") {
		return name + "-Updated"
	}
	return name
}

// NoCompose is the message about a compose that a ranch lacks.
func NoCompose(name, ranch string) string {
	return fmt.Sprintf("The compose %s is not available in the %s Testing Farm infrastructure.", name, RanchName(ranch))
}

// NoArchitecture is the message about an architecture that a ranch lacks.
func NoArchitecture(arch, ranch string) string {
	return fmt.Sprintf("The architecture %s is not available in the %s Testing Farm infrastructure.", arch, RanchName(ranch))
}

// maxPattern is longer than any compose's name; longer patterns are not tried.
const maxPattern = 300

func isAvailable(name string, available []string) bool {
	if name == "" {
		return false
	}
	if slices.Contains(available, name) {
		return true
	}
	for _, pattern := range available {
		if len(pattern) > maxPattern || !strings.ContainsAny(pattern, `\.+*?()|[]{}^$`) {
			continue
		}
		re, err := regexp.Compile(`^(?:` + pattern + `)$`)
		if err == nil && re.MatchString(name) {
			return true
		}
	}
	return false
}

// title begins each run of letters with a capital and makes the rest small.
func title(s string) string {
	inWord := false
	return strings.Map(func(r rune) rune {
		first := !inWord
		inWord = unicode.IsLetter(r)
		if first {
			return unicode.ToUpper(r)
		}
		return unicode.ToLower(r)
	}, s)
}
