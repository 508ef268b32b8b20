package specfile

import (
	"regexp"
	"strings"
)

var setupText = regexp.MustCompile(`%(?:\{\??)?(setup|autosetup)(?:\s|$|\})`)

// setupArguments are the options of %setup and %autosetup that take a value.
const setupArguments = "abnpS"

// SetPrepDirectory changes the directory that %setup, or if there is none
// %autosetup, enters after unpacking. Only an option -n that is there already
// is changed; whether there was one is returned. A call in a true branch is
// preferred to others.
func (f *File) SetPrepDirectory(directory string) (changed bool, err error) {
	if directory == "" || len(directory) > maxVersion || strings.ContainsFunc(directory, refusedInDirectory) {
		return false, &ValueError{"a directory in %prep", directory}
	}
	i := f.setupLine()
	if i < 0 {
		return false, nil
	}
	text := f.lines[i].text
	start, end, ok := directoryOption(text, setupText.FindStringIndex(text)[1])
	if !ok {
		return false, nil
	}
	f.lines[i].text = text[:start] + directory + text[end:]
	f.reparse()
	return true, nil
}

// refusedInDirectory are the characters that %prep, a shell script, would not
// take literally.
func refusedInDirectory(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune("%\"'`$\\;&|<>(){}[]*?!#~", r)
}

// setupLine finds the call to change: the first %setup, else the first
// %autosetup, valid ones first. It is -1 if there is none.
func (f *File) setupLine() int {
	best, bestRank := -1, 4
	for _, s := range f.named("prep") {
		for i := s.body().start; i < s.end; i++ {
			text := f.lines[i].text
			if strings.HasPrefix(strings.TrimSpace(text), "#") || strings.HasPrefix(text, "%dnl") {
				continue
			}
			m := setupText.FindStringSubmatch(text)
			if m == nil {
				continue
			}
			rank := 0
			if m[1] == "autosetup" {
				rank++
			}
			if !f.env.valid[i] {
				rank += 2
			}
			if rank < bestRank {
				best, bestRank = i, rank
			}
		}
	}
	return best
}

// directoryOption finds the value of -n among the words of a line from at on.
// Words may be grouped as -qn and be quoted; blanks in macros do not end them.
func directoryOption(text string, at int) (start, end int, ok bool) {
	for at < len(text) {
		for at < len(text) && (text[at] == ' ' || text[at] == '\t') {
			at++
		}
		start := at
		at = wordEnd(text, at)
		word := text[start:at]
		if len(word) < 2 || word[0] != '-' {
			continue
		}
		option := strings.IndexAny(word[1:], setupArguments) + 1
		if option == 0 {
			continue
		}
		valueStart, valueEnd := start+option+1, at
		if valueStart == at { // the value is the next word
			for at < len(text) && (text[at] == ' ' || text[at] == '\t') {
				at++
			}
			valueStart = at
			at = wordEnd(text, at)
			valueEnd = at
		}
		if word[option] == 'n' {
			return valueStart, valueEnd, valueEnd > valueStart
		}
	}
	return 0, 0, false
}

func wordEnd(text string, at int) int {
	var quote byte
	depth := 0
	for ; at < len(text); at++ {
		c := text[at]
		switch {
		case c == '\\':
			at++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{' || c == '(':
			depth++
		case c == '}' || c == ')':
			if depth == 0 {
				return at // of the call itself
			}
			depth--
		case (c == ' ' || c == '\t') && depth == 0:
			return at
		}
	}
	return min(at, len(text))
}
