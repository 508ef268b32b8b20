package seed

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// known are the projects of a small history.
var known = []string{
	"packit/hello", "fastfetch-cli/fastfetch", "osbuild/osbuild", "osbuild/image-builder", "teemtee/tmt", "sharkdp/bat",
	"rhinstaller/anaconda", "cockpit-project/cockpit", "rpm-software-management/dnf5", "containers/crun", "ostreedev/ostree", "latchset/clevis",
}

var (
	firsts = strings.Fields(`amber birch cedar delta ember fathom gravel harbor indigo juniper kelp lantern marsh nimbus
		onyx pebble quartz ripple sable thicket umber velvet willow yarrow zephyr alder basalt copper drift`)
	seconds = strings.Fields(`anchor beacon compass dial engine forge gauge hinge index journal keel ledger mill needle
		oar pulley quill relay spool tally union vane winch yoke abacus bellows crank derrick easel flume`)
	suffixes = []string{"", "", "", "-rs", "-cli", "-libs", "ctl", "-ng", "d", "-python"}
	people   = strings.Fields(`alice bohdan chiara dmitri eszter farid greta hiro ines jdoe kofi lena mateo nadia oskar
		priya quinn rafael sofia tomas ulrike victor wanda xenia yusuf zuzana`)
	verbs  = strings.Fields("Add Fix Drop Simplify Document Test Speed-up Rework Bump Allow Handle Remove Port Split")
	things = []string{
		"the build on aarch64", "handling of empty files", "support for Python 3.15", "a memory leak in the parser",
		"the man page", "JSON output", "the deprecated option", "shell completions", "a race at shutdown", "the test suite",
		"error messages", "translations", "the configuration file", "TLS defaults", "the release process", "static analysis",
	}
	chroots = []string{
		"fedora-rawhide-x86_64", "fedora-44-x86_64", "fedora-43-x86_64", "fedora-rawhide-aarch64", "epel-10-x86_64",
		"fedora-44-aarch64", "epel-9-x86_64", "fedora-43-aarch64", "centos-stream-10-x86_64", "fedora-rawhide-s390x",
		"fedora-rawhide-ppc64le", "fedora-eln-x86_64",
	}
)

// Names are the full names of the projects in a history of that size.
func Names(size Size) []string {
	var all []string
	for i := range size.Projects {
		namespace, name := projectName(i)
		all = append(all, namespace+"/"+name)
	}
	return all
}

// projectName is the name of project number i of any size of history: first the
// known ones, then made-up ones, none twice.
func projectName(i int) (namespace, name string) {
	if i < len(known) {
		namespace, name, _ = strings.Cut(known[i], "/")
		return namespace, name
	}
	i -= len(known)
	pairs := len(firsts) * len(seconds)
	pair := i * 389 % pairs // walks through all pairs, since 389 divides none of their factors
	name = firsts[pair%len(firsts)] + "-" + seconds[pair/len(firsts)] + suffixes[i%len(suffixes)]
	if round := i / pairs; round > 0 {
		name += fmt.Sprint(round + 1)
	}
	if i%5 == 0 {
		return "rpms", name
	}
	return seconds[i*7%len(seconds)] + "-project", name
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func title(r *rand.Rand) string { return pick(r, verbs) + " " + pick(r, things) }

// hex returns n random hexadecimal digits.
func hex(r *rand.Rand, n int) string {
	const digits = "0123456789abcdef"
	text := make([]byte, n)
	for i := range text {
		text[i] = digits[r.IntN(16)]
	}
	return string(text)
}
