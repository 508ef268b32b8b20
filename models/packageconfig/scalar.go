package packageconfig

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Plain scalars by YAML 1.1 (https://yaml.org/type/), as PyYAML reads them:
// y and n are strings there, and an exponent needs a dot and a sign.
var (
	floatForm = regexp.MustCompile(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?` +
		`|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?` +
		`|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*` +
		`|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	intForm = regexp.MustCompile(`^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)` +
		`|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)
	dateForm = regexp.MustCompile(`^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}` +
		`|[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:[Tt]|[ \t]+)[0-9][0-9]?:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?` +
		`(?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9]{2})?))?)$`)
	words = map[string]value{
		"": {}, "~": {}, "null": {}, "Null": {}, "NULL": {},
		"yes": {kind: boolean, b: true}, "Yes": {kind: boolean, b: true}, "YES": {kind: boolean, b: true},
		"true": {kind: boolean, b: true}, "True": {kind: boolean, b: true}, "TRUE": {kind: boolean, b: true},
		"on": {kind: boolean, b: true}, "On": {kind: boolean, b: true}, "ON": {kind: boolean, b: true},
		"no": {kind: boolean}, "No": {kind: boolean}, "NO": {kind: boolean},
		"false": {kind: boolean}, "False": {kind: boolean}, "FALSE": {kind: boolean},
		"off": {kind: boolean}, "Off": {kind: boolean}, "OFF": {kind: boolean},
	}
)

// maxNumber is the longest text that is looked at as a number.
const maxNumber = 200

// resolve returns what a plain scalar means. ok is false if it means something
// that no value can be made of.
func resolve(s string) (v value, ok bool) {
	if w, ok := words[s]; ok {
		w.s = s
		return w, true
	}
	if len(s) <= maxNumber && strings.IndexByte("-+0123456789.", s[0]) >= 0 {
		switch {
		case floatForm.MatchString(s):
			return parseFloat(s), true
		case intForm.MatchString(s):
			return parseInt(s)
		case dateForm.MatchString(s):
			return value{kind: date, s: s}, true
		}
	}
	return value{kind: text, s: s}, s != "="
}

func parseFloat(s string) value {
	v := value{kind: float, s: s}
	t := strings.ToLower(strings.ReplaceAll(s, "_", ""))
	switch strings.TrimLeft(t, "+-") {
	case ".inf":
		v.f = math.Inf(1)
		if t[0] == '-' {
			v.f = math.Inf(-1)
		}
	case ".nan":
		v.f = math.NaN()
	default:
		v.f = sexagesimal(t)
	}
	return v
}

// sexagesimal reads 1:30 as 90 and anything without a colon as what it says.
func sexagesimal(t string) float64 {
	sign := 1.0
	if rest, negative := strings.CutPrefix(t, "-"); negative {
		sign, t = -1, rest
	}
	total := 0.0
	for part := range strings.SplitSeq(strings.TrimPrefix(t, "+"), ":") {
		f, _ := strconv.ParseFloat(part, 64) // the form was checked; too big is infinite
		total = total*60 + f
	}
	return sign * total
}

func parseInt(s string) (v value, ok bool) {
	v = value{kind: integer, s: s}
	t := strings.ReplaceAll(s, "_", "")
	digits := strings.TrimLeft(t, "+-")
	base := 10
	switch {
	case digits == "0":
	case strings.HasPrefix(digits, "0b"):
		base, digits = 2, digits[2:]
	case strings.HasPrefix(digits, "0x"):
		base, digits = 16, digits[2:]
	case strings.HasPrefix(digits, "0"):
		base = 8
	case strings.Contains(digits, ":"):
		v.f = sexagesimal(t)
		if math.Abs(v.f) < 1<<53 {
			v.i, v.f = int64(v.f), 0
		}
		return v, true
	}
	if digits == "" { // such as 0x_
		return v, false
	}
	if t[0] == '-' {
		digits = "-" + digits
	}
	i, err := strconv.ParseInt(digits, base, 64)
	if err != nil {
		v.f, _ = strconv.ParseFloat(t, 64)
		if v.f == 0 {
			v.f = math.Inf(1)
		}
		return v, true
	}
	v.i = i
	return v, true
}
