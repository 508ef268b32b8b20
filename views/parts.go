package views

import (
	"context"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/models"

	"github.com/a-h/templ"
)

// wrapped writes a name that may be broken after its joints: slashes, hyphens,
// underscores, dots.
func wrapped(name string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		const joints = "/-_.:@+~"
		var b strings.Builder
		start := 0
		for i := 0; i < len(name); i++ {
			joint := i+1 < len(name) && strings.IndexByte(joints, name[i]) >= 0 && strings.IndexByte(joints, name[i+1]) < 0
			if joint && !strings.HasSuffix(name[:i], "x86") { // x86_64 is one word
				b.WriteString(templ.EscapeString(name[start : i+1]))
				b.WriteString("<wbr>")
				start = i + 1
			}
		}
		b.WriteString(templ.EscapeString(name[start:]))
		_, err := io.WriteString(w, b.String())
		return err
	})
}

// str writes text with nothing around it: between an expression and what
// follows on its own line there would be a space, also before a comma.
func str(s string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, templ.EscapeString(s))
		return err
	})
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// timeTexts is both forms of a time, first the one the reader wants.
func timeTexts(ctx context.Context, t time.Time) (text, other, abs string) {
	f := FrameOf(ctx)
	abs = absolute(t, f.Now, f.Zone)
	rel, ok := relative(t, f.Now)
	if !ok {
		rel = abs
	}
	if f.Absolute {
		return abs, rel, abs
	}
	return rel, abs, abs
}

// mark is what a line of a log looks like.
type mark string

const (
	noMark      mark = ""
	commandMark mark = "cmd"
	warningMark mark = "warn"
	errorMark   mark = "bad"
)

// Mark says how a log line is shown, from its words alone.
func markOf(line string) mark {
	line = strings.TrimLeft(line, " \t")
	if len(line) > 400 {
		line = line[:400]
	}
	if strings.HasPrefix(line, "+ ") || strings.HasPrefix(line, "Executing(") {
		return commandMark
	}
	low := strings.ToLower(line)
	for _, w := range []string{"error:", "error at ", "fatal:", "traceback (most recent", "bad exit status", "build failed", "segmentation fault", "*** [", "no matching package", "nothing provides"} {
		if strings.Contains(low, w) && !strings.Contains(low, "0 error") {
			return errorMark
		}
	}
	for _, w := range []string{"error ", "failed ", "fail "} {
		if strings.HasPrefix(low, w) {
			return errorMark
		}
	}
	if strings.Contains(low, "warning:") || strings.HasPrefix(low, "warn ") || strings.HasPrefix(low, "warning ") {
		return warningMark
	}
	return noMark
}

// LooksLikeError reports whether readers would look at the line first; what
// fills LogSlice.Errors uses it, so that counts and marks agree.
func LooksLikeError(line string) bool { return markOf(line) == errorMark }

// LooksLikeWarning is the same for LogSlice.Warnings.
func LooksLikeWarning(line string) bool { return markOf(line) == warningMark }

// markWord is for those who do not see the mark.
func (m mark) word() string {
	switch m {
	case errorMark:
		return "error, line "
	case warningMark:
		return "warning, line "
	}
	return "line "
}

// clean makes a line of a log fit to be shown: terminal colours go, other
// control characters become visible, and nobody needs a megabyte in one line.
func clean(line string) string {
	const longest = 4000
	line = strings.TrimRight(line, "\r\n")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:] // a progress bar shows its last state
	}
	cut := len(line) > longest
	if cut {
		line = line[:longest]
	}
	if utf8.ValidString(line) && strings.IndexFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) < 0 {
		if cut {
			return line + " …"
		}
		return line
	}
	var b strings.Builder
	for i := 0; i < len(line); {
		if line[i] == 0x1b {
			i += escapeLength(line[i:])
			continue
		}
		r, n := utf8.DecodeRuneInString(line[i:])
		switch {
		case r == utf8.RuneError && n == 1, r < ' ' && r != '\t', r == 0x7f:
			b.WriteRune('·')
		default:
			b.WriteRune(r)
		}
		i += n
	}
	if cut {
		b.WriteString(" …")
	}
	return b.String()
}

// escapeLength is the length of the terminal control sequence at the start of s.
func escapeLength(s string) int {
	if len(s) < 2 || s[1] != '[' {
		return min(len(s), 2)
	}
	for i := 2; i < len(s); i++ {
		if s[i] >= 0x40 && s[i] <= 0x7e {
			return i + 1
		}
	}
	return len(s)
}

// tailLines are the last lines that a run remembers, at most n.
func tailLines(tail string, n int) []string {
	tail = strings.TrimRight(tail, "\n")
	if tail == "" {
		return nil
	}
	lines := strings.Split(tail, "\n")
	return lines[max(0, len(lines)-n):]
}

// longestFlow is how many steps a row of a list shows.
const longestFlow = 8

// whatFor is the second line of a pipeline in a list.
func whatFor(p *models.Pipeline) string {
	name := p.RefName()
	if p.Title == "" || p.Title == name {
		return name
	}
	return name + ": " + clip(p.Title, 200)
}

// refOf is the page of the reference that a pipeline is about; empty if there is
// none.
func refOf(p *models.Pipeline) string {
	if p.Project == nil || p.Ref == "" {
		return ""
	}
	return RefURL(p.Project, p.Kind, p.Ref)
}

// otherPackage is the package of a pipeline if it is not called like its
// project: a repository may have several.
func otherPackage(p *models.Pipeline) string {
	if p.Project != nil && p.Package == p.Project.Name {
		return ""
	}
	return clip(p.Package, 100)
}

// pipelineName is what a page about the pipeline is called.
func pipelineName(p *models.Pipeline) string {
	if p.Title != "" {
		return p.Title
	}
	if p.Project != nil {
		return p.Project.FullName() + ", " + p.RefName()
	}
	if name := p.RefName(); name != "" {
		return name
	}
	return "Pipeline " + id(p.ID)
}
