package sources

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func needRPM(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("rpmbuild"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("rpmbuild is not installed")
	}
}

func TestBuildSRPM(t *testing.T) {
	t.Parallel()
	needRPM(t)
	b, u := newBuilder(t), hello(t, "release_suffix: '7'\n")
	b.Macros = map[string]string{"dist": ".fc44"}
	o := succeed(t, b, u, nil)
	var log bytes.Buffer
	out := t.TempDir()
	path, err := b.BuildSRPM(t.Context(), SRPMRequest{Dir: o.Dir, Spec: o.Spec, Out: out, Log: &log})
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	if want := filepath.Join(out, "hello-1.2.3-3.7.fc44.src.rpm"); path != want {
		t.Errorf("built %s, want %s", path, want)
	}
	files, err := exec.Command("rpm", "-qlp", path).Output()
	if want := "hello-1.2.3.tar.gz\nhello.spec\n"; err != nil || string(files) != want {
		t.Errorf("it holds %q, %v", files, err)
	}
	if !strings.Contains(log.String(), "$ rpmbuild -bs ") || !strings.Contains(log.String(), "Wrote: "+path) {
		t.Errorf("the log is\n%s", log.String())
	}
}

// localSpec needs no sources.
var localSpec = strings.NewReplacer("Source0:        https://mill.example/%{name}-%{version}.tar.gz\n", "",
	"%autosetup -n %{name}-%{version}\n", "").Replace(helloSpec)

func srpmOf(t *testing.T, b *Builder, spec string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hello.spec"), []byte(spec), 0o644); err != nil {
		t.Fatal(err)
	}
	return b.BuildSRPM(t.Context(), SRPMRequest{Dir: dir, Spec: "hello.spec", Out: filepath.Join(t.TempDir(), "out")})
}

func TestSRPMWithFedoraMacros(t *testing.T) {
	t.Parallel()
	needRPM(t)
	spec := strings.Replace(localSpec, "3%{?dist}", "%autorelease -b 3", 1)
	spec, _, _ = strings.Cut(spec, "* Thu")
	path, err := srpmOf(t, newBuilder(t), spec+"%autochangelog\n")
	if err != nil || filepath.Base(path) != "hello-0.9-1.src.rpm" {
		t.Errorf("built %s, %v", path, err)
	}
}

func TestSRPMFailures(t *testing.T) {
	t.Parallel()
	needRPM(t)
	b := newBuilder(t)
	b.Timeout = 3 * time.Second
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hunter2"), 0o644); err != nil {
		t.Fatal(err)
	}
	const failed = "Preparation of the repository for creation of an SRPM failed: "
	for name, c := range map[string]struct{ spec, want string }{
		"missing source":   {helloSpec, failed + "Bad file: "},
		"no spec":          {"nonsense\n", failed + "line 1: Unknown tag: nonsense."},
		"unknown macro":    {strings.Replace(localSpec, "3%{?dist}", "%{nothing}", 1), "a macro that rpm does not know"},
		"endless":          {"%(sleep 60)\n" + localSpec, "You have reached 3-second timeout while creating SRPM."},
		"file of the host": {localSpec + "%include " + secret + "\n", failed},
		"source elsewhere": {strings.Replace(localSpec, "BuildArch", "Source0: ../../../../../../.."+secret+"\nBuildArch", 1), failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, err := srpmOf(t, b, c.spec)
			if !IsUserError(err) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("built %q, err = %v, want a user's with %q", path, err, c.want)
			}
		})
	}
}

func TestSRPMPathIsNotBelieved(t *testing.T) {
	t.Parallel()
	needRPM(t)
	b := newBuilder(t)
	elsewhere := filepath.Join(t.TempDir(), "evil.src.rpm")
	if err := os.WriteFile(elsewhere, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	path, err := srpmOf(t, b, "%{lua:print('')}%{echo:x}\n%{lua: io.stdout:write('Wrote: "+elsewhere+"\\n')}\n"+localSpec)
	if path == elsewhere {
		t.Errorf("took %s, %v", path, err)
	}
}

func TestMacroArguments(t *testing.T) {
	t.Parallel()
	b := &Builder{Macros: map[string]string{"dist": ".fc44"}}
	got := b.macroArgs("autorelease autochangelog forgemeta gometa", map[string]any{"old": nil, "with": 1})
	want := []string{"--define", "py3_dist() python3dist(%1)", "--define", "dist .fc44", "--undefine", "old", "--define", "with 1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
