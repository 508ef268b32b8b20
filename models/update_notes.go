package models

import (
	"fmt"
	"strings"
	"time"
)

// ChangelogEntry is an entry of a package's changelog.
type ChangelogEntry struct {
	Time time.Time // of a day
	Name string    // who wrote it, often with a version behind
	Text string
}

// NewEntries are the entries of a changelog, newest first, that one of an earlier
// build does not have. Without an earlier one it is the newest alone: the rest
// tells nothing new to anybody.
func NewEntries(changelog, earlier []ChangelogEntry) []ChangelogEntry {
	if len(earlier) == 0 {
		return changelog[:min(1, len(changelog))]
	}
	last := earlier[0]
	for i, e := range changelog {
		if e.Time.Before(last.Time) || (e.Time.Equal(last.Time) && e.Name == last.Name && e.Text == last.Text) {
			return changelog[:i]
		}
	}
	return changelog
}

// UpdatedBuild is a build of an update, with what is new in it.
type UpdatedBuild struct {
	NVR, Package string
	News         []ChangelogEntry
}

// UpdateNotes is what an update says to users, in Markdown.
func UpdateNotes(builds []UpdatedBuild) string {
	nvrs := make([]string, len(builds))
	for i, b := range builds {
		nvrs[i] = b.NVR
	}
	var out strings.Builder
	fmt.Fprintf(&out, "Automatic update for %s.", strings.Join(nvrs, ", "))
	for _, b := range builds {
		if len(b.News) == 0 {
			continue
		}
		fmt.Fprintf(&out, "\n\n##### **Changelog for %s**\n\n```\n", b.Package)
		for _, e := range b.News {
			text := strings.ReplaceAll(strings.TrimRight(e.Text, "\n"), "```", "'''")
			fmt.Fprintf(&out, "* %s %s\n%s\n\n", e.Time.UTC().Format("Mon Jan 02 2006"), e.Name, text)
		}
		out.WriteString("```")
	}
	return out.String()
}
