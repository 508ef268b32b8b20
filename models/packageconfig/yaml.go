package packageconfig

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

const correct = "Please correct data and retry."

const tooLarge = "The file is too large; what aliases stand for counts each time."

// reader turns a document's nodes into values.
type reader struct {
	problems *problems
	nodes    int
	weight   int
	open     map[*yaml.Node]bool // anchors whose aliases would contain themselves
	full     bool                // a limit was reached, and reported
}

// read returns the document in text: an empty dict if there is none, nil if it
// is broken.
func read(text []byte, p *problems) *value {
	if len(text) > MaxSize {
		p.fail(place{line: 1}, fmt.Sprintf("%s The file has %d bytes, more than %d.", correct, len(text), MaxSize), "")
		return nil
	}
	node, err := parseDocument(text)
	if err != nil {
		reportSyntax(text, err, p)
		return nil
	}
	if node == nil {
		return &value{kind: dict, line: 1, column: 1}
	}
	r := &reader{problems: p, open: map[*yaml.Node]bool{}}
	root := r.value(node, nil, "", 0, 0)
	if len(p.found) > 0 {
		return nil
	}
	return root
}

// parseDocument returns the root node of the only document, nil if there is
// nothing but comments.
func parseDocument(text []byte) (root *yaml.Node, err error) {
	defer func() { // the library is not ours, and the text is anybody's
		if p := recover(); p != nil {
			root, err = nil, errors.New("the parser gave up")
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, next yaml.Node
	switch err := d.Decode(&doc); {
	case err == io.EOF:
		return nil, nil
	case err != nil:
		return nil, err
	}
	switch err := d.Decode(&next); {
	case err == nil:
		return nil, fmt.Errorf("yaml: line %d: a second document begins here; a config is one document", next.Line)
	case err != io.EOF:
		return nil, err
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

var syntaxLine = regexp.MustCompile(`^line ([0-9]+): `)

// reportSyntax finds the line of a syntax error. The parser names the line
// where the broken construct begins; the first line with which the text breaks
// is nearer to what the user has to change.
func reportSyntax(text []byte, err error, p *problems) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := syntaxLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = message[len(m[0]):]
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	line = min(max(line, 1), len(lines))
	if n := breakingLine(lines, line); n > 0 {
		line = n
	}
	here := lines[line-1]
	column := 1 + utf8.RuneCount(here) - utf8.RuneCount(bytes.TrimLeft(here, " \t"))
	hint := ""
	if bytes.HasPrefix(bytes.TrimLeft(here, " "), []byte("\t")) {
		hint = "Indent with blanks, not with tabs."
	}
	p.fail(place{line: line, column: column}, correct+" This is not valid YAML: "+clip(message, 300)+".", hint)
}

// breakingLine returns the line near start with which the text, cut off after
// it, is broken, while without it is not: the next one, or the last one before
// if the text was broken there already, as by a bracket that is never closed.
// It returns 0 if there is none.
func breakingLine(lines [][]byte, start int) int {
	const look, limit = 20, 100 << 10
	upTo := func(n int) []byte { return bytes.Join(lines[:n], nil) }
	last := min(len(lines), start+look)
	if len(upTo(last)) > limit {
		return 0
	}
	if !parses(upTo(start - 1)) {
		for n := start - 1; n > max(0, start-look); n-- {
			if parses(upTo(n - 1)) {
				return n
			}
		}
		return 0
	}
	for n := start; n <= last; n++ {
		if !parses(upTo(n)) {
			return n
		}
	}
	return 0
}

func parses(text []byte) bool {
	_, err := parseDocument(text)
	return err == nil
}

func (r *reader) fail(n *yaml.Node, parent *value, key string, index int, message string) *value {
	v := &value{line: n.Line, column: n.Column, parent: parent, key: key, index: index}
	r.problems.fail(at(v), correct+" "+message, "")
	return v
}

// value makes a value of a node that stands under key or index of parent. When
// it has to give up it reports why and returns a null.
func (r *reader) value(n *yaml.Node, parent *value, key string, index, depth int) *value {
	v := &value{line: n.Line, column: n.Column, parent: parent, key: key, index: index}
	if r.full {
		return v
	}
	r.nodes++
	if r.nodes > maxNodes || r.weight > maxWeight {
		r.full = true
		return r.fail(n, parent, key, index, tooLarge)
	}
	if depth > MaxDepth {
		return r.fail(n, parent, key, index, fmt.Sprintf("Lists and mappings are nested more than %d deep.", MaxDepth))
	}
	if n.Kind == yaml.AliasNode {
		if r.open[n.Alias] {
			return r.fail(n, parent, key, index, fmt.Sprintf("The alias *%s stands inside of what it means.", clip(n.Value, 50)))
		}
		line, column := n.Line, n.Column
		v = r.value(n.Alias, parent, key, index, depth+1)
		v.line, v.column = line, column
		return v
	}
	if n.Anchor != "" {
		r.open[n] = true
		defer delete(r.open, n)
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if err := scalar(v, n); err != nil {
			return r.fail(n, parent, key, index, err.Error())
		}
		v.weight = 16 + len(v.s)
		r.weight += v.weight
	case yaml.SequenceNode:
		if t := explicitTag(n); t != "" && t != "!!seq" {
			return r.fail(n, parent, key, index, "The tag "+clip(t, 50)+" is not supported.")
		}
		v.kind = list
		v.weight = 16
		for i, c := range n.Content {
			item := r.value(c, v, "", i, depth+1)
			v.items = append(v.items, item)
			v.weight += item.weight
		}
	case yaml.MappingNode:
		if t := explicitTag(n); t != "" && t != "!!map" {
			return r.fail(n, parent, key, index, "The tag "+clip(t, 50)+" is not supported.")
		}
		v.kind = dict
		r.mapping(v, n, depth)
	}
	return v
}

func explicitTag(n *yaml.Node) string {
	if n.Style&yaml.TaggedStyle == 0 {
		return ""
	}
	return n.ShortTag()
}

// scalar stores what the scalar n means in v.
func scalar(v *value, n *yaml.Node) error {
	quoted := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	tag := explicitTag(n)
	if tag == "" && quoted || tag == "!!str" || tag == "!" {
		v.kind, v.s = text, n.Value
		return nil
	}
	if tag == "!!binary" {
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil || !utf8.Valid(b) {
			return mistake("A !!binary value is not the base64 form of a text.")
		}
		v.kind, v.s = text, string(b)
		return nil
	}
	got, ok := resolve(n.Value)
	if !ok {
		return mistake(fmt.Sprintf("%q has no meaning here; put quotes around it.", clip(n.Value, 50)))
	}
	if got.kind == date && !realDate(got.s) {
		return mistake(fmt.Sprintf("%s looks like a date, but there is no such day; put quotes around it.", got.s))
	}
	wanted, known := map[string]kind{
		"": got.kind, "!!null": null, "!!bool": boolean, "!!int": integer, "!!float": float, "!!timestamp": date,
	}[tag]
	switch {
	case !known:
		return mistake(fmt.Sprintf("The tag %s is not supported.", clip(tag, 50)))
	case wanted == float && got.kind == integer:
		if got.f == 0 {
			got.f = float64(got.i)
		}
		got.kind = float
	case wanted != got.kind:
		return mistake(fmt.Sprintf("%q is not of the type %s.", clip(n.Value, 50), clip(tag, 50)))
	}
	v.kind, v.b, v.i, v.f, v.s = got.kind, got.b, got.i, got.f, got.s
	return nil
}

// realDate reports whether month and day of a date exist; a broken date is an
// error of the document, not a string.
func realDate(s string) bool {
	fields := strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if len(fields) < 3 {
		return false
	}
	year, _ := strconv.Atoi(fields[0])
	month, _ := strconv.Atoi(fields[1])
	day, _ := strconv.Atoi(fields[2])
	if year < 1 || month < 1 || month > 12 || day < 1 {
		return false
	}
	days := []int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		days = 29
	}
	return day <= days
}

// mapping fills v with the entries of n: first what it merges, then its own. Of
// two equal keys the last one is right, at the place of the first one.
func (r *reader) mapping(v *value, n *yaml.Node, depth int) {
	v.weight = 16
	known, own := map[string]int{}, map[string]bool{}
	add := func(k, val *yaml.Node, merged bool) {
		var key *value
		if k.Kind == yaml.ScalarNode && k.Value == "=" {
			key = &value{kind: text, s: "=", line: k.Line, column: k.Column} // a name like others here
		} else {
			key = r.value(k, v, "", 0, depth+1)
		}
		if r.full {
			return
		}
		if key.kind == list || key.kind == dict {
			r.problems.fail(place{v.path(), k.Line, k.Column}, correct+" A list or a mapping cannot be a key.", "")
			return
		}
		e := &entry{key, r.value(val, v, key.name(), 0, depth+1)}
		v.weight += key.weight + e.val.weight
		id := strconv.Itoa(int(key.kind)) + key.name()
		i, twice := known[id]
		if twice && own[id] {
			r.problems.warn(atKey(e), "This key stands here twice; only the last value counts.",
				fmt.Sprintf("Remove line %d or this one.", v.entries[i].key.line))
		}
		own[id] = !merged
		if twice {
			v.entries[i] = e
			return
		}
		known[id] = len(v.entries)
		v.entries = append(v.entries, e)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if isMerge(n.Content[i]) {
			r.merge(v, n.Content[i+1], depth+1, func(k, val *yaml.Node) { add(k, val, true) })
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isMerge(n.Content[i]) {
			add(n.Content[i], n.Content[i+1], false)
		}
	}
}

func isMerge(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "<<" && n.Style == 0
}

// merge hands the entries of what `<<` names to add, the most important last.
func (r *reader) merge(v *value, n *yaml.Node, depth int, add func(k, val *yaml.Node)) {
	bad := func() {
		r.problems.fail(place{v.path(), n.Line, n.Column}, correct+" `<<` takes a mapping or a list of mappings.", "")
	}
	if r.nodes++; r.full || r.nodes > maxNodes || depth > MaxDepth {
		r.full = true
		r.problems.fail(place{v.path(), n.Line, n.Column}, correct+" "+tooLarge, "")
		return
	}
	target := n
	if n.Kind == yaml.AliasNode {
		target = n.Alias
	}
	if r.open[target] {
		r.problems.fail(place{v.path(), n.Line, n.Column}, correct+" An alias stands inside of what it means.", "")
		return
	}
	r.open[target] = true
	defer delete(r.open, target)
	switch target.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(target.Content); i += 2 {
			if isMerge(target.Content[i]) {
				r.merge(v, target.Content[i+1], depth+1, add)
			}
		}
		for i := 0; i+1 < len(target.Content); i += 2 {
			if !isMerge(target.Content[i]) {
				add(target.Content[i], target.Content[i+1])
			}
		}
	case yaml.SequenceNode:
		for i := len(target.Content) - 1; i >= 0; i-- {
			item := target.Content[i]
			if item.Kind == yaml.AliasNode {
				item = item.Alias
			}
			if item.Kind != yaml.MappingNode {
				bad()
				return
			}
			r.merge(v, item, depth+1, add)
		}
	default:
		bad()
	}
}

// mistake is what is wrong with a value, a whole sentence for the one who wrote
// it.
type mistake string

func (m mistake) Error() string { return string(m) }
