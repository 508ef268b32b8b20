package sources

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

// samePatch reports whether two patches change the same, whatever is said of them:
// by whom they are, what the commit was called, which objects git had for the files
// and at which line a change begins. Blanks matter, as they do in files.
func samePatch(a, b []byte) bool {
	x, y := changesOf(a), changesOf(b)
	return x == y && (x != "" || bytes.Equal(a, b))
}

var (
	hunkHead = regexp.MustCompile(`^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@`)
	mailHead = regexp.MustCompile(`^From [0-9a-f]{40,64} `)
)

// aboutFiles begin the lines of a patch that say what happens to a file.
var aboutFiles = []string{"--- ", "+++ ", "new file ", "deleted file ", "old mode ", "new mode ", "rename ", "copy ", "Binary files "}

// changesOf is the part of a patch that changes files, in a form that can be compared.
func changesOf(patch []byte) string {
	var kept strings.Builder
	var left, right int // lines of a hunk that are still to come, before and after
	inDiff, binary := false, false
	for line := range strings.Lines(string(patch)) {
		line = strings.TrimSuffix(line, "\n")
		switch head := hunkHead.FindStringSubmatch(line); {
		case left > 0 || right > 0:
			before, after := lineCounts(line)
			left, right = left-before, right-after
		case strings.HasPrefix(line, "diff --git "):
			inDiff, binary = true, false
		case mailHead.MatchString(line):
			inDiff, binary = false, false
			continue
		case !inDiff:
			continue
		case strings.HasPrefix(line, "\\"), binary && line != "": // no newline at the end of the file
		case line == "GIT binary patch":
			binary = true
		case head != nil:
			left, right = lineCount(head[1]), lineCount(head[2])
			line = "@@"
		case !startsWithAny(line, aboutFiles):
			continue
		}
		kept.WriteString(line)
		kept.WriteByte('\n')
	}
	return kept.String()
}

// lineCount is a number of lines in the head of a hunk; none means one.
func lineCount(text string) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return 1
}

// lineCounts says of how many lines before and after the change a line of a hunk is.
func lineCounts(line string) (before, after int) {
	switch {
	case strings.HasPrefix(line, "+"):
		return 0, 1
	case strings.HasPrefix(line, "-"):
		return 1, 0
	case strings.HasPrefix(line, "\\"):
		return 0, 0
	}
	return 1, 1
}

func startsWithAny(text string, beginnings []string) bool {
	for _, b := range beginnings {
		if strings.HasPrefix(text, b) {
			return true
		}
	}
	return false
}
