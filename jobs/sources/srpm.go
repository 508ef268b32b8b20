package sources

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"millrace/jobs/sandbox"
)

// SRPMRequest is what to build a source RPM from: what Prepare made.
type SRPMRequest struct {
	Dir  string // holds the spec file and its sources, for this purpose alone
	Spec string // file name in Dir
	Out  string // directory for the source RPM, for this purpose alone; made if missing
	// ParseTimeMacros are those of the package config. A nil value undefines.
	ParseTimeMacros map[string]any
	Log             io.Writer // may be nil
}

var wroteSRPM = regexp.MustCompile(`: (\S+\.src\.rpm)`)

// BuildSRPM builds a source RPM and returns its path, which is directly in
// r.Out. Its errors are those of Prepare.
func (b *Builder) BuildSRPM(ctx context.Context, r SRPMRequest) (string, error) {
	log := newLogger(r.Log)
	path, err := b.buildSRPM(ctx, r, log)
	if err != nil {
		log.printf("Error: %s\n", err)
		return "", err
	}
	log.step("Built %s", filepath.Base(path))
	return path, nil
}

func (b *Builder) buildSRPM(ctx context.Context, r SRPMRequest, log *logger) (string, error) {
	if !isBaseName(r.Spec) {
		return "", fmt.Errorf("building a source RPM: %q is no file name", r.Spec)
	}
	if err := os.MkdirAll(r.Out, 0o755); err != nil {
		return "", fmt.Errorf("building a source RPM: %w", err)
	}
	from, err := openTree(r.Dir)
	if err != nil {
		return "", fmt.Errorf("building a source RPM: %w", err)
	}
	defer from.close()
	out, err := openTree(r.Out)
	if err != nil {
		return "", fmt.Errorf("building a source RPM: %w", err)
	}
	defer out.close()

	until := time.Now().Add(b.timeout())
	run := func(args []string, w io.Writer) (*sandbox.Result, error) {
		c := sandbox.Command{Args: args, Dir: from.dir, Writable: []string{from.dir, out.dir}, Limits: b.Limits, Output: w}
		c.Limits.Time = max(time.Until(until), time.Millisecond)
		return b.Sandbox.Run(ctx, c)
	}
	if err := b.own(ctx, from.dir, out.dir); err != nil {
		return "", err
	}
	probe, err := run([]string{"rpm", "--eval", knownProbe()}, nil)
	if err != nil {
		return "", fmt.Errorf("asking rpm for its macros: %w", err)
	}
	args := slices.Concat([]string{"rpmbuild", "-bs", "--nodeps"},
		b.macroArgs(string(probe.Stdout), r.ParseTimeMacros), directories(from.dir, out.dir),
		[]string{"--", from.abs(r.Spec)})
	log.step("Building the source RPM")
	log.command(args)
	result, err := run(args, log.w)
	if err != nil {
		return "", fmt.Errorf("building a source RPM: %w", err)
	}
	log.endLine(result.Output)
	return b.findSRPM(result, out)
}

// directories keep all that rpmbuild writes in the two directories it has.
func directories(dir, out string) []string {
	var args []string
	for _, name := range []string{"_sourcedir", "_srcdir", "_specdir", "_topdir", "_builddir", "_rpmdir", "_buildrootdir"} {
		args = append(args, "--define", name+" "+dir)
	}
	return append(args, "--define", "_srcrpmdir "+out, "--define", "_buildhost sandbox")
}

// own gives directories to the sandbox, where there is one.
func (b *Builder) own(ctx context.Context, dirs ...string) error {
	if kind, _ := b.Sandbox.Detect(ctx); kind != sandbox.Bubblewrap {
		return nil
	}
	return sandbox.Own(dirs...)
}

func (b *Builder) findSRPM(r *sandbox.Result, out *tree) (string, error) {
	const failed = "Preparation of the repository for creation of an SRPM failed: "
	switch {
	case r.TimedOut:
		return "", b.tookTooLong()
	case r.ExitCode == 127 || r.ExitCode == 126:
		return "", fmt.Errorf("building a source RPM: rpmbuild cannot be run here: %s", strings.TrimSpace(shorten(string(r.Output), 200)))
	case !r.Passed():
		return "", userError("%s%s.", failed, firstError(r))
	}
	found := wroteSRPM.FindSubmatch(r.Stdout)
	if found == nil {
		return "", userError("SRPM cannot be found, something is wrong.")
	}
	name, ok := out.rel(".", string(found[1]))
	if !ok || !isBaseName(name) || !out.isFile(name) {
		return "", userError("SRPM cannot be found, something is wrong.")
	}
	if info, err := out.root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return "", userError("SRPM cannot be found, something is wrong.")
	}
	if strings.Contains(name, "%") {
		return "", userError("%sthe version or release has a macro that rpm does not know: %s.", failed, name)
	}
	return out.abs(name), nil
}
