package rpm

import (
	"fmt"
	"strings"
	"time"
)

// A Snapshot is a moment in the life of an upstream branch.
type Snapshot struct {
	Time     time.Time
	Branch   string // or the hash of a detached head
	Describe string // what `git describe --tags --long` prints; may be empty
}

// ID names the snapshot so that later ones sort higher:
// time.branch[.commits since the tag.g and a hash].
func (s Snapshot) ID() string {
	id := s.Time.Format("20060102150405") + fmt.Sprintf("%06d", s.Time.Nanosecond()/1000)
	if branch := SanitizeVersion(s.Branch); branch != "" {
		id += "." + branch
	}
	beforeHash := strings.LastIndexByte(s.Describe, '-')
	if beforeHash < 0 {
		return id
	}
	tag := s.Describe[:beforeHash]
	commits := tag[strings.LastIndexByte(tag, '-')+1:]
	return id + "." + SanitizeVersion(commits) + "." + SanitizeVersion(s.Describe[beforeHash+1:])
}

// OriginalNumber is the first part of an expanded release, the number that a
// packager gave it.
func OriginalNumber(release string) string {
	number, _, _ := strings.Cut(release, ".")
	return number
}

// ReleaseRules are what decides the release of a build made from upstream's
// sources.
type ReleaseRules struct {
	Original string            // of the spec, expanded and without dist; only its first part is used
	Suffix   string            // from the package config; empty if there is none
	Snapshot string            // Snapshot.ID
	Env      map[string]string // names that Suffix may use in braces
}

// defaultReleaseName is the name by which a suffix refers to the release that
// would be used without it.
const defaultReleaseName = "PACKIT_RPMSPEC_RELEASE"

// Release is the new release, without dist. A suffix that mentions a name of
// Env is a template for the whole release, any other is put after the original
// number. Without a suffix, the snapshot is.
func (r ReleaseRules) Release() (string, error) {
	number := OriginalNumber(r.Original)
	standard := number + "." + r.Snapshot
	if r.Suffix == "" {
		return standard, nil
	}
	values := map[string]string{defaultReleaseName: standard}
	isTemplate := strings.Contains(r.Suffix, defaultReleaseName)
	for name, value := range r.Env {
		if name == defaultReleaseName || name == "" {
			continue
		}
		values[name] = value
		isTemplate = isTemplate || strings.Contains(r.Suffix, name)
	}
	if !isTemplate {
		return number + "." + r.Suffix, nil
	}
	release, err := Format(r.Suffix, values)
	if err != nil {
		return "", fmt.Errorf("release suffix: %w", err)
	}
	return release, nil
}

// SuffixedVersion appends a version suffix, a template over env, to a version.
func SuffixedVersion(version, suffix string, env map[string]string) (string, error) {
	filled, err := Format(suffix, env)
	if err != nil {
		return "", fmt.Errorf("version suffix: %w", err)
	}
	return version + filled, nil
}
