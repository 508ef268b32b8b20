package coprfake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"millrace/clients/copr"
	"millrace/jobs/sandbox"
)

// RPMBuild really builds, with rpmbuild: SRPMs from custom scripts, uploads
// and addresses, and RPMs from them, all for this machine's architecture or
// for none. What a chroot would have installed is what the machine has.
type RPMBuild struct {
	Sandbox *sandbox.Sandbox
	// AllowScripts runs custom scripts. Without it they fail.
	AllowScripts bool
	// Env and ReadOnly are what scripts get besides a plain system: NAME=value
	// pairs, and paths such as that of a program they call.
	Env      []string
	ReadOnly []string
	Timeout  time.Duration // of each part; 0 means five minutes
	HTTP     *http.Client  // fetches SRPMs; nil means one with a timeout
}

// Available reports whether rpmbuild is installed.
func Available() bool {
	_, err := os.Stat("/usr/bin/rpmbuild")
	return err == nil
}

// Build is a Builder.
func (b *RPMBuild) Build(ctx context.Context, t Task) (o Outcome, err error) {
	top, err := os.MkdirTemp("", "copr-build-")
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, sandbox.RemoveAll(top)) }()
	// The sandbox passes through it as another user.
	if err := os.Chmod(top, 0o711); err != nil {
		return o, err
	}
	if t.Chroot == copr.SourceChroot {
		return b.makeSource(ctx, t, top)
	}
	return b.makePackages(ctx, t, top)
}

func (b *RPMBuild) makeSource(ctx context.Context, t Task, top string) (Outcome, error) {
	found := filepath.Join(top, "package.src.rpm")
	switch t.Build.Source.Type {
	case "upload":
		if err := copyFile(found, t.Build.Upload); err != nil {
			return Outcome{}, err
		}
	case "link":
		if err := b.fetch(ctx, t, found); err != nil {
			return Outcome{}, err
		}
	case "custom":
		made, err := b.runScript(ctx, t, top)
		if err != nil {
			return Outcome{}, err
		}
		found = made
	default:
		return Outcome{}, fmt.Errorf("there is no way to make sources of the type %q here", t.Build.Source.Type)
	}
	h, err := readRPM(found)
	if err != nil {
		return Outcome{}, err
	}
	if !h.Source || !srpmName.MatchString(h.Filename) {
		return Outcome{}, fmt.Errorf("%q is not a source package", h.Filename)
	}
	if err := copyFile(filepath.Join(t.Dir, h.Filename), found); err != nil {
		return Outcome{}, err
	}
	fmt.Fprintf(t.Log, "Source package: %s\n", h.Filename)
	return Outcome{Package: h.Name, Version: h.Version + "-" + h.Release, SRPM: h.Filename}, nil
}

func (b *RPMBuild) fetch(ctx context.Context, t Task, to string) error {
	ctx, cancel := context.WithTimeout(ctx, b.timeout())
	defer cancel()
	address := t.Build.Source.Data["url"]
	fmt.Fprintf(t.Log, "Fetching %s\n", address)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	client := b.HTTP
	if client == nil {
		client = http.DefaultClient // ctx has the timeout
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("fetching the source package: %s", res.Status)
	}
	return store(to, res.Body)
}

// runScript runs the script of the custom source method and returns the SRPM
// that it made, or that could be made of the spec file and the sources it left.
func (b *RPMBuild) runScript(ctx context.Context, t Task, top string) (string, error) {
	if !b.AllowScripts {
		return "", errors.New("this Copr does not run scripts")
	}
	data := t.Build.Source.Data
	work, made := filepath.Join(top, "work"), filepath.Join(top, "srpm")
	for _, dir := range []string{work, made} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
	}
	result := filepath.Join(work, data["resultdir"])
	if !filepath.IsLocal(path.Join(".", data["resultdir"])) {
		return "", fmt.Errorf("the result directory %q is outside of the script's", data["resultdir"])
	}
	script := filepath.Join(work, ".copr-script")
	if err := os.WriteFile(script, []byte(data["script"]), 0o755); err != nil {
		return "", err
	}
	run := sandbox.Command{
		// The shell also runs scripts that name no interpreter.
		Args: []string{"/bin/sh", "-c", `"$0"`, script}, Dir: work, Env: append(slices.Clone(b.Env), "COPR_RESULTDIR="+result),
		Writable: []string{top}, ReadOnly: b.ReadOnly, Network: true, Output: t.Log, Limits: b.limits()}
	fmt.Fprintf(t.Log, "Running the source script, %d bytes, for %s\n", len(data["script"]), data["chroot"])
	if err := b.run(ctx, run, "the source script"); err != nil {
		return "", err
	}
	if made, err := only(top, result, ".src.rpm"); made != "" || err != nil {
		return made, err
	}
	spec, err := only(top, result, ".spec")
	if err != nil {
		return "", err
	}
	if spec == "" {
		return "", errors.New("the source script left neither a spec file nor a source package in its result directory")
	}
	args := append([]string{"rpmbuild", "-bs", "--nodeps"}, defines(data["chroot"], top)...)
	args = append(args, "--define", "_sourcedir "+result, "--define", "_specdir "+result, "--define", "_srcrpmdir "+made, spec)
	run.Args, run.Env, run.Network = args, nil, false
	if err := b.run(ctx, run, "rpmbuild"); err != nil {
		return "", err
	}
	return only(top, made, ".src.rpm")
}

func (b *RPMBuild) makePackages(ctx context.Context, t Task, top string) (Outcome, error) {
	if t.SRPM == "" {
		return Outcome{}, errors.New("there is no source package to build")
	}
	h, err := readRPM(t.SRPM)
	if err != nil {
		return Outcome{}, err
	}
	if have := machine(); !h.NoArch && arch(t.Chroot) != have {
		return Outcome{}, fmt.Errorf("%s is not a noarch package, and this machine builds for %s only", h.Name, have)
	}
	srpm := filepath.Join(top, filepath.Base(t.SRPM))
	if err := copyFile(srpm, t.SRPM); err != nil {
		return Outcome{}, err
	}
	args := append([]string{"rpmbuild", "--rebuild", "--nodeps"}, defines(t.Chroot, filepath.Join(top, "rpmbuild"))...)
	fmt.Fprintf(t.Log, "Building %s for %s\n", filepath.Base(srpm), t.Chroot)
	err = b.run(ctx, sandbox.Command{Args: append(args, srpm), Dir: top, Writable: []string{top},
		Network: t.Build.EnableNet, Output: t.Log, Limits: b.limits()}, "rpmbuild")
	if err != nil {
		return Outcome{}, err
	}
	if err := copyFile(filepath.Join(t.Dir, filepath.Base(srpm)), t.SRPM); err != nil {
		return Outcome{}, err
	}
	rpms := filepath.Join(top, "rpmbuild", "RPMS")
	if err := inside(top, rpms); err != nil {
		return Outcome{}, err
	}
	packages, err := collect(rpms, t.Dir)
	return Outcome{Packages: append([]copr.Package{h.Package}, packages...)}, err
}

// collect copies the RPMs below from into to.
func collect(from, to string) ([]copr.Package, error) {
	var packages []copr.Package
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		// Links and the like are nothing that rpmbuild leaves here.
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(name, ".rpm") {
			return err
		}
		h, err := readRPM(name)
		if err != nil {
			return err
		}
		packages = append(packages, h.Package)
		return copyFile(filepath.Join(to, filepath.Base(name)), name)
	})
	if err == nil && len(packages) == 0 {
		err = errors.New("no packages were built")
	}
	return packages, err
}

func (b *RPMBuild) run(ctx context.Context, c sandbox.Command, what string) error {
	r, err := b.Sandbox.Run(ctx, c)
	if err != nil {
		return fmt.Errorf("running %s: %w", what, err)
	}
	if !r.Passed() {
		return fmt.Errorf("%s: %s", what, r.Explain())
	}
	return nil
}

func (b *RPMBuild) timeout() time.Duration {
	if b.Timeout > 0 {
		return b.Timeout
	}
	return 5 * time.Minute
}

func (b *RPMBuild) limits() sandbox.Limits {
	return sandbox.Limits{Time: b.timeout(), Output: 32 << 20}
}

// Releases behind the names that move.
const (
	latestFedora  = "44"
	rawhideFedora = "45"
)

var release = regexp.MustCompile(`^(fedora|epel|centos-stream|rhel)-(\w+)-\w+$`)

// number is the distribution of a chroot and the number of its release.
func number(chroot string) (distribution, n string) {
	m := release.FindStringSubmatch(chroot)
	switch {
	case m == nil:
		return "fedora", latestFedora
	case m[2] == "latest":
		return m[1], latestFedora
	case m[2] == "rawhide":
		return m[1], rawhideFedora
	}
	return m[1], m[2]
}

// dist is the ending of releases that are built in a chroot.
func dist(chroot string) string {
	distribution, n := number(chroot)
	if distribution == "fedora" {
		return ".fc" + n
	}
	return ".el" + n
}

// defines are the macros that make rpmbuild take this machine for the chroot,
// and those that Fedora has and other distributions lack.
func defines(chroot, top string) []string {
	distribution, n := number(chroot)
	name := "rhel"
	if distribution == "fedora" {
		name = "fedora"
	}
	var args []string
	for _, macro := range []string{"_topdir " + top, "dist " + dist(chroot), name + " " + n, strings.TrimPrefix(dist(chroot), ".") + " 1",
		"_buildhost builder.copr.example", "_buildshell /bin/bash", "autorelease(e:s:pb:n) 1%{?dist}", "autochangelog %{nil}"} {
		args = append(args, "--define", macro)
	}
	return args
}

func machine() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return runtime.GOARCH
}

// inside refuses a directory that a stranger's script has made a link to
// somewhere else than below top.
func inside(top, dir string) error {
	realTop, err := filepath.EvalSymlinks(top)
	if err != nil {
		return err
	}
	realDir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(realTop, realDir); err != nil || !filepath.IsLocal(rel) {
		return fmt.Errorf("the directory %q leads elsewhere", filepath.Base(dir))
	}
	return nil
}

// only finds the one regular file in dir, below top, whose name ends so; it is
// no error if there is none.
func only(top, dir, ending string) (string, error) {
	if err := inside(top, dir); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	found := ""
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !strings.HasSuffix(entry.Name(), ending) {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("there are several files that end in %s", ending)
		}
		found = filepath.Join(dir, entry.Name())
	}
	return found, nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
