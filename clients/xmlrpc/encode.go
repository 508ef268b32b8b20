package xmlrpc

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

const header = "<?xml version='1.0'?>\n"

// dateTime is the one form in which times are written: without a zone, in UTC.
const dateTime = "20060102T15:04:05"

// EncodeCall writes a call.
func EncodeCall(method string, args ...any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(header + "<methodCall><methodName>")
	if err := writeText(&b, method); err != nil {
		return nil, fmt.Errorf("encoding the name of a method: %w", err)
	}
	b.WriteString("</methodName><params>")
	for i, arg := range args {
		b.WriteString("<param>")
		if err := writeValue(&b, arg, 0); err != nil {
			return nil, fmt.Errorf("encoding argument %d of %s: %w", i+1, method, err)
		}
		b.WriteString("</param>")
	}
	b.WriteString("</params></methodCall>")
	return b.Bytes(), nil
}

// EncodeResponse writes the answer to a call that worked.
func EncodeResponse(value any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(header + "<methodResponse><params><param>")
	if err := writeValue(&b, value, 0); err != nil {
		return nil, fmt.Errorf("encoding an answer: %w", err)
	}
	b.WriteString("</param></params></methodResponse>")
	return b.Bytes(), nil
}

// EncodeFault writes the answer to a call that did not.
func EncodeFault(f *Fault) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(header + "<methodResponse><fault>")
	if err := writeValue(&b, map[string]any{"faultCode": f.Code, "faultString": f.Text}, 0); err != nil {
		return nil, fmt.Errorf("encoding a fault: %w", err)
	}
	b.WriteString("</fault></methodResponse>")
	return b.Bytes(), nil
}

func writeValue(b *bytes.Buffer, value any, depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("it is nested deeper than %d levels", MaxDepth)
	}
	b.WriteString("<value>")
	if err := writeTyped(b, value, depth); err != nil {
		return err
	}
	b.WriteString("</value>")
	return nil
}

func writeTyped(b *bytes.Buffer, value any, depth int) error {
	switch v := value.(type) {
	case nil:
		b.WriteString("<nil/>")
	case bool:
		digit := "0"
		if v {
			digit = "1"
		}
		b.WriteString("<boolean>" + digit + "</boolean>")
	case int:
		writeInt(b, int64(v))
	case int64:
		writeInt(b, v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%v cannot be sent", v)
		}
		b.WriteString("<double>" + strconv.FormatFloat(v, 'f', -1, 64) + "</double>")
	case string:
		b.WriteString("<string>")
		if err := writeText(b, v); err != nil {
			return err
		}
		b.WriteString("</string>")
	case []byte:
		b.WriteString("<base64>" + base64.StdEncoding.EncodeToString(v) + "</base64>")
	case time.Time:
		b.WriteString("<dateTime.iso8601>" + v.UTC().Format(dateTime) + "</dateTime.iso8601>")
	case []any:
		return writeArray(b, v, depth)
	case []string:
		return writeArray(b, v, depth)
	case []int64:
		return writeArray(b, v, depth)
	case map[string]any:
		return writeStruct(b, v, depth)
	default:
		return fmt.Errorf("a %T cannot be sent", value)
	}
	return nil
}

// writeInt writes what has more than 32 bits as Koji and PHP do: the first
// specification knows no such numbers.
func writeInt(b *bytes.Buffer, v int64) {
	name := "int"
	if v != int64(int32(v)) {
		name = "i8"
	}
	b.WriteString("<" + name + ">" + strconv.FormatInt(v, 10) + "</" + name + ">")
}

func writeArray[T any](b *bytes.Buffer, values []T, depth int) error {
	b.WriteString("<array><data>")
	for i, v := range values {
		if err := writeValue(b, v, depth+1); err != nil {
			return fmt.Errorf("item %d: %w", i+1, err)
		}
	}
	b.WriteString("</data></array>")
	return nil
}

func writeStruct(b *bytes.Buffer, members map[string]any, depth int) error {
	b.WriteString("<struct>")
	for _, name := range slices.Sorted(maps.Keys(members)) {
		b.WriteString("<member><name>")
		err := writeText(b, name)
		if err == nil {
			b.WriteString("</name>")
			err = writeValue(b, members[name], depth+1)
		}
		if err != nil {
			return fmt.Errorf("member %q: %w", name, err)
		}
		b.WriteString("</member>")
	}
	b.WriteString("</struct>")
	return nil
}

// writeText escapes what has a meaning in XML. Some characters no document
// can have, in whatever form.
func writeText(b *bytes.Buffer, text string) error {
	for i, r := range text {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '\r': // readers make a line feed of it otherwise
			b.WriteString("&#13;")
		case r == utf8.RuneError && !validAt(text, i), r < ' ' && r != '\t' && r != '\n', r == 0xfffe, r == 0xffff:
			return fmt.Errorf("the text has a character at byte %d that XML cannot carry", i)
		default:
			b.WriteRune(r)
		}
	}
	return nil
}

// validAt tells a replacement character in a text from a byte that is none.
func validAt(text string, i int) bool {
	_, size := utf8.DecodeRuneInString(text[i:])
	return size > 1
}
