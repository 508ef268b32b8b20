package packageconfig

import (
	"fmt"
	"strconv"
	"strings"
)

type kind int

const (
	null kind = iota
	boolean
	integer
	float
	text
	date // kept as the text it was written as
	list
	dict
)

// pythonTypes are what error messages call the kinds.
var pythonTypes = [...]string{"NoneType", "bool", "int", "float", "str", "datetime.date", "list", "dict"}

// value is a value of the file after aliases and merge keys are gone. It knows
// where it stands, also after it was inherited.
type value struct {
	kind    kind
	b       bool
	i       int64
	f       float64
	s       string // text and date; for numbers, what was written
	items   []*value
	entries []*entry // in the order of the file

	line, column int
	parent       *value
	key          string // within a parent that is a dict
	index        int    // within a parent that is a list
	weight       int    // bytes, with everything in it
}

type entry struct {
	key *value
	val *value
}

// path is where the user finds v, such as "jobs[0].targets". It is made only
// for messages, for it may be long.
func (v *value) path() string {
	if v == nil || v.parent == nil {
		return ""
	}
	if v.parent.kind == list {
		return v.parent.path() + "[" + strconv.Itoa(v.index) + "]"
	}
	return joinPath(v.parent.path(), v.key)
}

func joinPath(parent, key string) string {
	key = clip(key, 100)
	if parent == "" || key == "" {
		return parent + key
	}
	return parent + "." + key
}

// get returns the value of a key, nil if there is none.
func (v *value) get(key string) *value {
	if e := v.entry(key); e != nil {
		return e.val
	}
	return nil
}

func (v *value) entry(key string) *entry {
	if v == nil {
		return nil
	}
	for _, e := range v.entries {
		if e.key.kind == text && e.key.s == key {
			return e
		}
	}
	return nil
}

// empty is what Python takes for false.
func (v *value) empty() bool {
	switch v.kind {
	case null:
		return true
	case boolean:
		return !v.b
	case integer:
		return v.i == 0 && v.f == 0
	case float:
		return v.f == 0
	case text:
		return v.s == ""
	case list:
		return len(v.items) == 0
	case dict:
		return len(v.entries) == 0
	}
	return false
}

// plain is v as JSON's types, for keys whose content is free.
func (v *value) plain() any {
	switch v.kind {
	case boolean:
		return v.b
	case integer:
		if v.f != 0 { // too big for i
			return v.f
		}
		return v.i
	case float:
		if v.f != v.f || v.f-v.f != 0 { // JSON has neither NaN nor infinity
			return v.s
		}
		return v.f
	case text, date:
		return v.s
	case list:
		items := make([]any, len(v.items))
		for i, e := range v.items {
			items[i] = e.plain()
		}
		return items
	case dict:
		return v.plainMap()
	}
	return nil
}

func (v *value) plainMap() map[string]any {
	m := make(map[string]any, len(v.entries))
	for _, e := range v.entries {
		m[e.key.name()] = e.val.plain()
	}
	return m
}

// name is v as the key of a mapping.
func (v *value) name() string {
	switch v.kind {
	case text, date:
		return v.s
	case null:
		return "null"
	case boolean:
		return strconv.FormatBool(v.b)
	}
	return v.repr()
}

// repr is v as Python shows it, cut to a length that fits into a message.
func (v *value) repr() string {
	var b strings.Builder
	v.writeRepr(&b)
	return clip(b.String(), 200)
}

func (v *value) writeRepr(b *strings.Builder) {
	if b.Len() > 1000 {
		return
	}
	switch v.kind {
	case null:
		b.WriteString("None")
	case boolean:
		if v.b {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case integer:
		if v.f != 0 {
			b.WriteString(v.s)
		} else {
			b.WriteString(strconv.FormatInt(v.i, 10))
		}
	case float:
		b.WriteString(strconv.FormatFloat(v.f, 'g', -1, 64))
	case text:
		b.WriteString(quote(clip(v.s, 1000)))
	case date:
		fmt.Fprintf(b, "date(%s)", v.s)
	case list:
		b.WriteByte('[')
		for i, e := range v.items {
			if i > 0 {
				b.WriteString(", ")
			}
			e.writeRepr(b)
		}
		b.WriteByte(']')
	case dict:
		b.WriteByte('{')
		for i, e := range v.entries {
			if i > 0 {
				b.WriteString(", ")
			}
			e.key.writeRepr(b)
			b.WriteString(": ")
			e.val.writeRepr(b)
		}
		b.WriteByte('}')
	}
}

// typeRepr is the type of v as Python shows it.
func (v *value) typeRepr() string { return "<class '" + pythonTypes[v.kind] + "'>" }

func quote(s string) string {
	s = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(s)
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `\'`) + "'"
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
