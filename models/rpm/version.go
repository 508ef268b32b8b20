package rpm

import (
	"fmt"
	"regexp"
	"strings"
)

// droppedFromVersions are the characters that cannot be in a version or
// release because they mean something to shells, specs or file systems.
const droppedFromVersions = "!@#$%&*()={[}]|\\'\":;<,>/?`"

// SanitizeVersion makes a version out of any text, such as the name of a
// branch: a dash becomes a dot, and what rpm refuses in a version is dropped.
func SanitizeVersion(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '-':
			return '.'
		case r <= ' ' || r > '~' || strings.ContainsRune(droppedFromVersions, r):
			return -1
		}
		return r
	}, s)
}

// TagError says that a tag and a template do not go together.
type TagError struct {
	Tag      string
	Template string
	Reason   string
}

func (e *TagError) Error() string { return e.Reason }

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

// VersionFromTag finds the version in the name of a tag. The template is taken
// for a regular expression in which each {name} stands for any text, and has to
// match the beginning of the tag; so a dot in it matches anything, and text
// after the match does not disturb.
func VersionFromTag(template, tag string) (string, error) {
	fail := &TagError{Tag: tag, Template: template,
		Reason: fmt.Sprintf(`Unable to extract "version" from %s using %s`, tag, template)}
	if len(template) > maxLabel || len(tag) > maxLabel {
		fail.Reason = fmt.Sprintf("The tag or its template is longer than %d bytes", maxLabel)
		return "", fail
	}
	re, err := regexp.Compile(`^(?:` + placeholder.ReplaceAllString(template, "(?P<$1>.*)") + `)`)
	if err != nil {
		return "", fail
	}
	group := re.SubexpIndex("version")
	m := re.FindStringSubmatch(tag)
	if group < 0 || m == nil || m[group] == "" {
		return "", fail
	}
	return m[group], nil
}

// TagFromVersion fills in a tag template. The template has to contain
// {version}; {upstream_package_name} is the other name it may use.
func TagFromVersion(template, version, upstreamPackage string) (string, error) {
	if !strings.Contains(template, "{version}") {
		return "", &TagError{Template: template,
			Reason: fmt.Sprintf(`Invalid upstream_tag_template: %s - "version" placeholder is missing`, template)}
	}
	return Format(template, map[string]string{"version": version, "upstream_package_name": upstreamPackage})
}

// Format fills in a template with Python's brace syntax: {NAME} is replaced,
// {{ and }} stand for braces. A name that is not in values is an error.
func Format(template string, values map[string]string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(template); {
		rest := template[i:]
		switch {
		case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			b.WriteByte(rest[0])
			i += 2
		case rest[0] == '}':
			return "", fmt.Errorf("template %q: a } has no {", template)
		case rest[0] == '{':
			name, _, closed := strings.Cut(rest[1:], "}")
			if !closed {
				return "", fmt.Errorf("template %q: a { is never closed", template)
			}
			value, known := values[name]
			if !known {
				return "", fmt.Errorf("template %q: there is no %q to fill in", template, name)
			}
			b.WriteString(value)
			i += len(name) + 2
		default:
			b.WriteByte(rest[0])
			i++
		}
	}
	return b.String(), nil
}

// DefaultPrereleasePattern recognises the suffix of a pre-release. Its first
// group is what stands between the version and that suffix.
const DefaultPrereleasePattern = `([.\-_~^]?)(alpha|beta|rc|pre(view)?)([.\-_]?\d+)?`

// maxPattern bounds the patterns of users, in bytes.
const maxPattern = 1024

// Prerelease recognises a pre-release by the suffix that pattern describes,
// and writes it so that rpm sorts it before its release: with a tilde. The
// pattern is matched without regard to case and has to have a group, which
// captures the delimiter that the tilde replaces. An empty pattern recognises
// nothing.
func Prerelease(version, pattern string) (rewritten string, found bool, err error) {
	if pattern == "" {
		return version, false, nil
	}
	if len(pattern) > maxPattern {
		return version, false, fmt.Errorf("pre-release pattern: longer than %d bytes", maxPattern)
	}
	re, err := regexp.Compile(`(?i)^.*?` + pattern + `$`)
	if err != nil {
		return version, false, fmt.Errorf("pre-release pattern: %w", err)
	}
	if re.NumSubexp() == 0 {
		return version, false, fmt.Errorf("pre-release pattern %q: it has no group for the delimiter", pattern)
	}
	m := re.FindStringSubmatchIndex(version)
	if m == nil {
		return version, false, nil
	}
	if m[2] < 0 {
		return version, false, fmt.Errorf("pre-release pattern %q: its first group took no part in the match", pattern)
	}
	return version[:m[2]] + "~" + version[m[3]:], true, nil
}
