package box

import (
	"strings"
)

// diff is a patch for reading.
type diff struct {
	Files []diffFile
	More  int // files that are left out
}

type diffFile struct {
	Path           string
	Added, Removed int
	Lines          []diffLine
	Cut            bool
}

type diffLine struct {
	Class string // of the stylesheet: add, del, at or nothing
	Text  string
}

const (
	maxDiffFiles = 50
	maxDiffLines = 400
)

// parseDiff reads what git-diff(1) prints.
func parseDiff(text string) diff {
	var d diff
	var f *diffFile
	body := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "diff --git "); ok {
			body = false
			if len(d.Files) == maxDiffFiles {
				d.More++
				f = nil
				continue
			}
			_, after, _ := strings.Cut(name, " b/")
			d.Files = append(d.Files, diffFile{Path: after})
			f = &d.Files[len(d.Files)-1]
			continue
		}
		if f == nil {
			continue
		}
		class := ""
		switch {
		case strings.HasPrefix(line, "@@"):
			class, body = "at", true
			if i := strings.Index(line[2:], "@@"); i > 0 {
				line = line[:i+4] // what stands behind is not a line of the patch
			}
		case !body:
			continue
		case strings.HasPrefix(line, "+"):
			class = "add"
			f.Added++
		case strings.HasPrefix(line, "-"):
			class = "del"
			f.Removed++
		}
		if len(f.Lines) == maxDiffLines {
			f.Cut = true
			continue
		}
		f.Lines = append(f.Lines, diffLine{class, line})
	}
	return d
}
