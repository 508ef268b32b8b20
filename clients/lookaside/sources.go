package lookaside

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Entry is a file of a package that is kept outside of git, as the file
// "sources" names it.
type Entry struct {
	Name     string
	HashType string // in lower case, such as "sha512"
	Hash     string // in lower case
	// Old is set if the entry is written as it was before 2017: the MD5 sum, two
	// spaces, the name.
	Old bool
}

// Sources is the content of the file "sources" of a package.
type Sources []Entry

// maxSources is how large the file "sources" may be, in bytes.
const maxSources = 1 << 20

// digits is how many hexadecimal ones a sum has.
var digits = map[string]int{"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}

var (
	newStyle = regexp.MustCompile(`^([A-Za-z0-9]+) \(([^ ()]+)\) = ([0-9A-Fa-f]+)$`)
	oldStyle = regexp.MustCompile(`^([0-9A-Fa-f]{32})  ?\*?([^ ]+)$`)
)

// ParseSources reads the file "sources". What it does not understand is an
// error that names the line.
func ParseSources(text []byte) (Sources, error) {
	if len(text) > maxSources {
		return nil, fmt.Errorf("the file sources is larger than %d bytes", maxSources)
	}
	var all Sources
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		e, err := parseEntry(line)
		if err != nil {
			return nil, fmt.Errorf("sources, line %d: %w", number, err)
		}
		all = append(all, e)
	}
	return all, nil
}

func parseEntry(line string) (Entry, error) {
	var e Entry
	if found := newStyle.FindStringSubmatch(line); found != nil {
		e = Entry{Name: found[2], HashType: strings.ToLower(found[1]), Hash: strings.ToLower(found[3])}
	} else if found := oldStyle.FindStringSubmatch(line); found != nil {
		e = Entry{Name: found[2], HashType: "md5", Hash: strings.ToLower(found[1]), Old: true}
	} else {
		return e, fmt.Errorf("%.100q is neither \"SHA512 (file) = sum\" nor \"sum  file\"", line)
	}
	return e, e.check()
}

// check makes sure that an entry can be written, and be part of an address.
func (e Entry) check() error {
	length, known := digits[e.HashType]
	switch {
	case !known:
		return fmt.Errorf("%.20q is no kind of sum that we know", e.HashType)
	case len(e.Hash) != length || strings.Trim(e.Hash, "0123456789abcdef") != "":
		return fmt.Errorf("%.140q is no %s sum", e.Hash, strings.ToUpper(e.HashType))
	case e.Name == "" || e.Name == "." || e.Name == ".." || len(e.Name) > 255 || strings.ContainsFunc(e.Name, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`/\()*`, r) }):
		return fmt.Errorf("%.100q cannot be the name of a source", e.Name)
	}
	return nil
}

// String is the line of the entry, without its end.
func (e Entry) String() string {
	if e.Old {
		return e.Hash + "  " + e.Name
	}
	return fmt.Sprintf("%s (%s) = %s", strings.ToUpper(e.HashType), e.Name, e.Hash)
}

// Bytes is the file as it is written.
func (s Sources) Bytes() []byte {
	var b bytes.Buffer
	for _, e := range s {
		b.WriteString(e.String() + "\n")
	}
	return b.Bytes()
}

// Find returns the entry of that name.
func (s Sources) Find(name string) (Entry, bool) {
	i := slices.IndexFunc(s, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return Entry{}, false
	}
	return s[i], true
}

// ErrMixed is matched when an entry has another kind of sum than those that are
// there already: fedpkg refuses such files.
var ErrMixed = errors.New("kinds of sums cannot be mixed in one file")

// Add returns s with an entry, in the place of the one with its name or at the
// end.
func (s Sources) Add(e Entry) (Sources, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	out := slices.Clone(s)
	i := slices.IndexFunc(out, func(o Entry) bool { return o.Name == e.Name })
	if i < 0 {
		i = len(out)
		out = append(out, e)
	}
	out[i] = e
	for _, o := range out {
		if o.HashType != e.HashType {
			return nil, fmt.Errorf("%s is %s and %s is %s: %w", e.Name, e.HashType, o.Name, o.HashType, ErrMixed)
		}
	}
	return out, nil
}

// Ignore returns a .gitignore with lines for those names that it does not cover
// yet. What is there stays as it is.
func Ignore(gitignore []byte, names ...string) []byte {
	out := bytes.Clone(gitignore)
	for _, name := range names {
		if ignored(out, name) {
			continue
		}
		if len(out) > 0 && out[len(out)-1] != '\n' {
			out = append(out, '\n')
		}
		out = append(out, "/"+name+"\n"...)
	}
	return out
}

// ignored reports whether a line covers a file at the top of a repository. Of
// several lines that say something about it the last one counts.
func ignored(gitignore []byte, name string) bool {
	covered := false
	for line := range strings.Lines(string(gitignore)) {
		pattern, again := strings.CutPrefix(strings.TrimRight(line, " \t\r\n"), "!")
		pattern = strings.TrimPrefix(pattern, "/")
		if ok, err := path.Match(strings.ReplaceAll(pattern, "[!", "[^"), name); err == nil && ok {
			covered = !again
		}
	}
	return covered
}
