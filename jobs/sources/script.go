package sources

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"millrace/clients/git"
)

// ScriptOptions are what a script for Copr does: fetch our own binary, and let
// it prepare sources as a Request says.
type ScriptOptions struct {
	BinaryURL string // HTTP(S) address of millrace for the architecture of the chroot
	SHA256    string // of the binary, 64 hexadecimal digits

	URL           string // of the project
	Package       string // name in the config; empty means the only or first one
	Job           int    // index of the job whose settings count; negative means none
	Ref           string
	PR            int
	NoMerge       bool
	TargetBranch  string
	MergedRef     string
	ReleaseSuffix *string
	NoUpdate      bool // leave Release alone, as for a release upstream

	Identity git.Identity // of commits and changelog entries; required
}

// CoprPackages are what a script needs in the chroot besides the package's own
// srpm_build_deps.
var CoprPackages = []string{"curl", "coreutils", "git-core", "rpm-build", "tar", "gzip", "bzip2", "xz", "zstd"}

// maxScript leaves room for what a client adds: Copr takes 4096 bytes.
const maxScript = 3900

var sha256Text = regexp.MustCompile(`^[0-9a-f]{64}$`)

// CoprScript writes a script for Copr's custom source method, see
// https://docs.pagure.org/copr.copr/custom_source_method.html. The working
// directory it starts in is where spec file and sources are left.
func CoprScript(o ScriptOptions) (string, error) {
	arguments, err := o.arguments()
	if err != nil {
		return "", fmt.Errorf("writing a script for Copr: %w", err)
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("#!/bin/sh")
	line("set -eu")
	line("resultdir=$PWD")
	line("git config --global user.name %s", quote(o.Identity.Name))
	line("git config --global user.email %s", quote(o.Identity.Email))
	line("export RPM_PACKAGER=%s", quote(o.Identity.Name+" <"+o.Identity.Email+">"))
	line("tool=$(mktemp -d)/millrace")
	line("curl -fsSL --proto '=http,https' --retry 5 --connect-timeout 20 --max-time 600 -o \"$tool\" %s", quote(o.BinaryURL))
	line("echo %s | sha256sum -c -", quote(o.SHA256+"  ")+`"$tool"`)
	line("chmod 0755 \"$tool\"")
	line("exec \"$tool\" prepare-sources --trusted-environment --result-dir \"$resultdir\" --no-create-symlinks %s", arguments)
	if b.Len() > maxScript {
		return "", fmt.Errorf("writing a script for Copr: it has %d bytes, of which Copr takes %d", b.Len(), maxScript)
	}
	return b.String(), nil
}

// arguments are those of prepare-sources, for a shell.
func (o ScriptOptions) arguments() (string, error) {
	binary, err := url.Parse(o.BinaryURL)
	switch {
	case err != nil || binary.Scheme != "http" && binary.Scheme != "https" || binary.Host == "":
		return "", fmt.Errorf("%q is not where a binary can be fetched", o.BinaryURL)
	case !sha256Text.MatchString(o.SHA256):
		return "", fmt.Errorf("%q is no SHA-256 sum", o.SHA256)
	case o.URL == "":
		return "", errors.New("there is no project")
	case o.Identity.Name == "" || o.Identity.Email == "":
		return "", errors.New("there is no git identity")
	case o.PR < 0:
		return "", fmt.Errorf("%d is no pull request", o.PR)
	}
	var words []string
	add := func(flag, value string) {
		if value != "" {
			words = append(words, flag, quote(value))
		}
	}
	add("--package", o.Package)
	add("--ref", o.Ref)
	if o.PR > 0 {
		words = append(words, "--pr-id", strconv.Itoa(o.PR))
		if o.NoMerge {
			words = append(words, "--no-merge-pr")
		} else {
			words = append(words, "--merge-pr")
		}
		add("--target-branch", o.TargetBranch)
	}
	if o.Job >= 0 {
		words = append(words, "--job-config-index", strconv.Itoa(o.Job))
	}
	if o.NoUpdate {
		words = append(words, "--no-update-release")
	}
	if o.ReleaseSuffix != nil {
		words = append(words, "--release-suffix", quote(*o.ReleaseSuffix))
	}
	add("--merged-ref", o.MergedRef)
	words = append(words, "--", quote(o.URL))
	all := strings.Join(words, " ")
	if strings.ContainsRune(all+o.BinaryURL+o.Identity.Name+o.Identity.Email, 0) {
		return "", errors.New("there is a NUL byte in a value")
	}
	return all, nil
}
