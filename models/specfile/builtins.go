package specfile

import (
	"path"
	"strconv"
	"strings"
)

// defaults are macros of rpm itself that conditions and sources use.
var defaults = macros{
	"nil":            {body: ""},
	"_arch":          {body: "x86_64"},
	"_target_cpu":    {body: "x86_64"},
	"_target_os":     {body: "linux"},
	"_os":            {body: "linux"},
	"_prefix":        {body: "/usr"},
	"_bindir":        {body: "/usr/bin"},
	"_sbindir":       {body: "/usr/bin"},
	"_libdir":        {body: "/usr/lib64"},
	"_lib":           {body: "lib64"},
	"_libexecdir":    {body: "/usr/libexec"},
	"_datadir":       {body: "/usr/share"},
	"_includedir":    {body: "/usr/include"},
	"_mandir":        {body: "/usr/share/man"},
	"_docdir":        {body: "/usr/share/doc"},
	"_sysconfdir":    {body: "/etc"},
	"_localstatedir": {body: "/var"},
	"ix86":           {body: "i386 i486 i586 i686 pentium3 pentium4 athlon geode"},
	"arm":            {body: "armv3l armv4b armv4l armv5tl armv5tel armv6hl armv7l armv7hl armv7hnl armv8l"},
	"power64":        {body: "ppc64 ppc64p7 ppc64le"},
}

func isLineDirective(name string) bool {
	switch name {
	case "global", "define", "undefine", "dnl", "bcond", "bcond_with", "bcond_without":
		return true
	}
	return false
}

// directiveEnd finds the end of the line, or of the lines, of a directive.
func directiveEnd(s string, start int) int {
	var open brackets
	for i := start; i < len(s); i++ {
		end := strings.IndexByte(s[i:], '\n')
		if end < 0 {
			return len(s)
		}
		open.read(s[i : i+end])
		if !open.any() && !continues(s[i:i+end]) {
			return i + end
		}
		i += end
	}
	return len(s)
}

func (x *expander) directive(name, rest string, depth int, in *call) {
	rest = strings.TrimLeft(rest, " \t")
	switch name {
	case "undefine":
		delete(x.macros, strings.TrimSpace(rest))
	case "global", "define":
		end := 0
		for end < len(rest) && isWord(rest[end]) {
			end++
		}
		macroName, body, params := rest[:end], rest[end:], ""
		if strings.HasPrefix(body, "(") {
			closing := strings.IndexByte(body, ')')
			if closing < 0 {
				return
			}
			params, body = body[:closing+1], body[closing+1:]
		}
		x.define(macroName, params, body, name == "global", depth, in)
	case "bcond", "bcond_with", "bcond_without":
		x.condition(name, strings.Fields(x.expandIn(rest, depth+1, in)))
	}
}

func (x *expander) define(name, params, body string, expandNow bool, depth int, in *call) {
	if name == "" {
		return
	}
	body = strings.ReplaceAll(strings.TrimSpace(body), "\\\n", "\n")
	if expandNow {
		body = x.expandIn(body, depth+1, in)
	}
	if len(body) > maxBody {
		delete(x.macros, name)
		return
	}
	m := macro{body: body, hasParam: params != ""}
	m.params = strings.Trim(params, "()")
	x.macros[name] = m
}

// condition declares a build condition: bcond_with is off and bcond_without is
// on if nobody asks otherwise.
func (x *expander) condition(kind string, args []string) {
	if len(args) == 0 {
		return
	}
	on := kind == "bcond_without"
	if kind == "bcond" && len(args) > 1 {
		v, ok := evaluateExpression(strings.Join(args[1:], " "))
		on = ok && v.isTrue()
	}
	_, asked := x.macros["_with_"+args[0]]
	_, refused := x.macros["_without_"+args[0]]
	if asked || on && !refused {
		x.macros["with_"+args[0]] = macro{body: "1"}
	}
}

// builtin expands the functions of rpm that need nothing but their argument.
// rest begins with a colon or a blank.
func (x *expander) builtin(name, rest string, depth int, in *call) (string, bool) {
	word := strings.TrimSpace(rest[1:])
	_, isDefined := x.macros[word]
	_, isWith := x.macros["with_"+word]
	switch name {
	case "defined":
		return digit(isDefined), true
	case "undefined":
		return digit(!isDefined), true
	case "with":
		return digit(isWith), true
	case "without":
		return digit(!isWith), true
	case "dnl", "echo", "warn", "error":
		return "", true
	case "lua", "load", "include", "getenv", "uncompress", "getncpus", "exists", "macrobody":
		return "", false
	}
	arg := x.expandIn(rest[1:], depth+1, in)
	switch name {
	case "expand":
		return x.expandIn(arg, depth+1, in), true
	case "expr":
		v, ok := evaluateExpression(arg)
		return v.String(), ok
	case "quote":
		return arg, true
	case "shrink":
		return strings.Join(strings.Fields(arg), " "), true
	case "lower":
		return strings.ToLower(arg), true
	case "upper":
		return strings.ToUpper(arg), true
	case "len":
		return strconv.Itoa(len(arg)), true
	case "basename":
		return arg[strings.LastIndexByte(arg, '/')+1:], true
	case "dirname":
		return path.Dir(arg), true
	case "suffix":
		return strings.TrimPrefix(path.Ext(arg), "."), true
	}
	return "", false
}

func digit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
