package specfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oddities are preambles whose reading is compared with rpm's.
var oddities = map[string]string{
	"layers":      chained[:strings.Index(chained, "%global commit")] + "%global full %{base}%{?pre:~%{pre}}\nName: t\nVersion: %{full}\nRelease: 1%{?dist}\n",
	"lazy":        "%define a %{b}\n%define b 1\nName: t\nVersion: %{a}\n%define b 2\nRelease: %{a}\n",
	"eager":       "%global a 1\n%global b %{a}\n%global a 2\nName: t\nVersion: %{b}\nRelease: %{a}\n",
	"conditional": "%{!?x: %global x 3}\n%{?x:%global y 4}\nName: t\nVersion: %{x}.%{y}\nRelease: 1\n",
	"undefine":    "%global x 3\n%undefine x\nName: t\nVersion: 1%{?x}\nRelease: 1\n",
	"branches":    "%if 0\n%global v 1\n%elif 1 < 2 && \"a\" != \"b\"\n%global v 2\n%else\n%global v 3\n%endif\nName: t\nVersion: %{v}\nRelease: 1\n",
	"nested":      "%if 1\n%if 0\n%global v 1\n%else\n%global v 2\n%endif\n%else\n%global v 3\n%endif\nName: t\nVersion: %{v}\nRelease: 1\n",
	"elif taken":  "%if 1\n%global v 1\n%elif 1\n%global v 2\n%else\n%global v 3\n%endif\nName: t\nVersion: %{v}\nRelease: 1\n",
	"bcond":       "%bcond_with a\n%bcond_without b\nName: t\nVersion: %{with a}%{with b}%{without a}\nRelease: 1%{?with_b:.b}\n",
	"parametric":  "%define f(a:b) %{-a:%{-a*}}%{-b:x}%{!-b:y}%1.%#\nName: t\nVersion: %{f -a 7 3}\nRelease: %f -b 4 5\n",
	"expression":  "Name: t\nVersion: %[1 + 2 * 3].%{expr:(1 ? 4 : 5) - 1}\nRelease: %[v\"1.10\" > v\"1.9\"]\n",
	"escapes":     "%global p 100\nName: t\nVersion: %{p}\nRelease: 1\nURL: a%%b%%{p}\n",
	"long body":   "%global v %{expand:\\\n1.%{nil}\\\n2}\nName: t\nVersion: %{shrink:%{?v:3}}\nRelease: 1\n",
	"functions":   "Name: t\nVersion: %{basename:a/b/1.5}\nRelease: %{suffix:x.7}\nURL: %{dirname:a/b/c}\n",
	"negated":     "%global a 1\nName: t\nVersion: 1%{!?a:2}%{?!b:3}%{!?b:4}\nRelease: %{?a}%{?b}\n",
	"comment":     "# %global v 9\nName: t\nVersion: %{v}\nRelease: 1\n",
	"dnl":         "%global v 8\n%dnl %global v 9\n%dnl%global v 9\n#global v 9\nName: t\nVersion: %{v}\nRelease: 1\n",
	"tag macros":  "Name: t\nVersion: 1.4\nRelease: %{version}.%{NAME}\nURL: %{release}\n",
	"arch":        "%ifos linux\n%global v 1\n%else\n%global v 2\n%endif\n%ifnarch nosucharch\n%global w 1\n%endif\nName: t\nVersion: %{v}%{?w}\nRelease: 1\n",
	"bare":        "%global a_b 1\nName: t\nVersion: %a_b.%?a_b%?nope\nRelease: 1\n",
	"own release": "%global release 4%{?dist}\nName: t\nVersion: 1\nRelease: %{release}\n",
	"continued":   "%if 1 && \\\n 0\n%global v 1\n%else\n%global v 2\n%endif\nName: t\nVersion: %{v}\nRelease: 1\n",
}

// TestReadingAgreesWithRPM compares the expanded tags with what rpmspec says.
func TestReadingAgreesWithRPM(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("rpmspec")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("rpmspec is not installed")
		}
		t.Skip("rpmspec is not installed")
	}
	dir := t.TempDir()
	tagLine := regexp.MustCompile(`(?m)^(Version|Release|URL|Source\d*):\s*(.*?)\s*$`)
	for name, preamble := range oddities {
		spec := preamble + "Summary: s\nLicense: MIT\nSource0: https://example.org/%{name}-%{version}.tgz\n%description\nd\n"
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".spec")
		if err := os.WriteFile(path, []byte(spec), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), program, "-P", "-D", "dist .fc44", path).Output()
		if err != nil {
			t.Errorf("%s: rpmspec: %v", name, err)
			continue
		}
		want := map[string]string{}
		for _, m := range tagLine.FindAllStringSubmatch(string(out), -1) {
			want[m[1]] = m[2]
		}
		f := parse(t, spec)
		f.Define("dist", ".fc44")
		got := map[string]string{}
		for tag := range want {
			found, _ := f.Tag(tag)
			got[tag] = found.Expanded
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
