package coprfake_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"millrace/clients/copr"
	"millrace/clients/copr/coprfake"
	"millrace/jobs/sandbox"
)

const wheelSpec = `Name: wheel
Version: 2.1
Release: %autorelease
Summary: A wheel
License: MIT
Source0: paddle.txt
BuildArch: noarch
%description
It turns.
%prep
%build
test "%{?dist}" = .fc43 -o "%{?dist}" = .el9 -o "%{?dist}" = .fc44
%install
install -D -m 644 %{SOURCE0} %{buildroot}/usr/share/wheel/paddle.txt
%files
/usr/share/wheel
%changelog
%autochangelog
`

const wheelScript = `#!/bin/sh
set -e
mkdir out
echo "$PADDLE" > out/paddle.txt
cat > "$COPR_RESULTDIR/wheel.spec" <<'END'
` + wheelSpec + `END
`

// needRPMBuild skips where builds cannot be real, but never where they must be.
func needRPMBuild(t *testing.T) *coprfake.RPMBuild {
	t.Helper()
	if !coprfake.Available() && os.Getenv("CI") != "true" {
		t.Skip("rpmbuild is not installed")
	}
	return &coprfake.RPMBuild{Sandbox: &sandbox.Sandbox{AllowUnsandboxed: true}, AllowScripts: true,
		Env: []string{"PADDLE=oak"}, Timeout: time.Minute}
}

func TestRealBuild(t *testing.T) {
	t.Parallel()
	builder := needRPMBuild(t)
	fake, c := start(t, coprfake.Options{Builder: builder.Build, Workers: 2})
	newProject(t, c, "wheel", "fedora-43-x86_64", "epel-9-aarch64")
	b, err := c.SubmitCustom(t.Context(), copr.CustomBuild{BuildOptions: copr.BuildOptions{Owner: "miller", Project: "wheel", Key: "attempt-1"},
		Script: wheelScript, ResultDir: "out"})
	if err != nil {
		t.Fatal(err)
	}
	b = await(t, c, b.ID)
	if b.State != copr.Succeeded || b.Package != "wheel" || b.Version != "2.1-1.fc44" {
		t.Fatalf("build ended as %+v\nsource log:\n%s", b, logOf(t, c, b.ID, copr.SourceChroot))
	}
	packages, err := c.BuiltPackages(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range packages["epel-9-aarch64"] {
		names = append(names, p.NEVRA())
	}
	if got, want := strings.Join(names, " "), "wheel-2.1-1.fc44.src wheel-2.1-1.el9.noarch"; got != want {
		t.Errorf("built %q, want %q", got, want)
	}
	chroot, err := c.BuildChroot(t.Context(), b.ID, "fedora-43-x86_64")
	if err != nil {
		t.Fatal(err)
	}
	if text := logOf(t, c, b.ID, "fedora-43-x86_64"); !strings.Contains(text, "Wrote: ") {
		t.Errorf("log of the build:\n%s", text)
	}
	rpm := download(t, chroot.ResultURL+"wheel-2.1-1.fc43.noarch.rpm")
	list := exec.CommandContext(t.Context(), "rpm", "-qpl", "/dev/stdin")
	list.Stdin = bytes.NewReader(rpm)
	files, err := list.CombinedOutput()
	if err != nil || !strings.Contains(string(files), "/usr/share/wheel/paddle.txt") {
		t.Errorf("rpm -qpl: %v\n%s", err, files)
	}
	if n := fake.Submissions("attempt-1"); n != 1 {
		t.Errorf("%d submissions, want 1", n)
	}
	rebuildUploadAndAddress(t, c, b)
}

// rebuildUploadAndAddress builds the SRPM of an earlier build again, once
// uploaded, once fetched.
func rebuildUploadAndAddress(t *testing.T, c *copr.Client, first copr.Build) {
	t.Helper()
	srpm := download(t, first.SourceURL)
	o := copr.BuildOptions{Owner: "miller", Project: "wheel", Chroots: []string{"fedora-43-x86_64"}, Key: "attempt-2"}
	uploaded, err := c.SubmitUpload(t.Context(), o, bytes.NewReader(srpm))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(srpm) }))
	defer server.Close()
	o.Key = "attempt-3"
	fetched, err := c.SubmitURL(t.Context(), o, server.URL+"/attempt-3/wheel-2.1-1.fc44.src.rpm")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []copr.Build{uploaded, fetched} {
		b = await(t, c, b.ID)
		if b.State != copr.Succeeded || b.Package != "wheel" {
			t.Errorf("build ended as %+v\n%s%s", b, logOf(t, c, b.ID, copr.SourceChroot), logOf(t, c, b.ID, "fedora-43-x86_64"))
		}
	}
}

func TestRealFailures(t *testing.T) {
	t.Parallel()
	builder := needRPMBuild(t)
	_, c := start(t, coprfake.Options{Builder: builder.Build, Workers: 2})
	newProject(t, c, "wheel", "fedora-43-x86_64", "fedora-rawhide-x86_64")
	tests := []struct {
		name, script, resultDir string
		state, chroot, words    string
	}{
		{"script fails", "echo no luck; exit 3", "", "failed", copr.SourceChroot, "no luck"},
		{"script leaves nothing", "true", "", "failed", copr.SourceChroot, "neither a spec file"},
		{"result directory outside", "true", "../..", "failed", copr.SourceChroot, "is outside"},
		{"result directory is a link", "ln -s /etc out", "out", "failed", copr.SourceChroot, "leads elsewhere"},
		{"one chroot fails", wheelScript, "out", "failed", "fedora-rawhide-x86_64", "Bad exit status"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, err := c.SubmitCustom(t.Context(), copr.CustomBuild{BuildOptions: copr.BuildOptions{Owner: "miller", Project: "wheel"},
				Script: test.script, ResultDir: test.resultDir})
			if err != nil {
				t.Fatal(err)
			}
			b = await(t, c, b.ID)
			if text := logOf(t, c, b.ID, test.chroot); b.State != test.state || !strings.Contains(text, test.words) {
				t.Errorf("build ended as %s, its log is:\n%s", b.State, text)
			}
		})
	}
}

func TestScriptsAreRefusedUnlessAllowed(t *testing.T) {
	t.Parallel()
	builder := needRPMBuild(t)
	builder.AllowScripts = false
	var log bytes.Buffer
	_, err := builder.Build(context.Background(), coprfake.Task{Chroot: copr.SourceChroot, Dir: t.TempDir(), Log: &log,
		Build: coprfake.Build{Source: copr.Source{Type: "custom", Data: map[string]string{"script": "touch " + t.TempDir() + "/x"}}}})
	if err == nil || !strings.Contains(err.Error(), "does not run scripts") {
		t.Errorf("error = %v", err)
	}
}

func download(t *testing.T, address string) []byte {
	t.Helper()
	res, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("downloading %s: %s, %v", address, res.Status, err)
	}
	return body
}
