package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"millrace/clients/wire"
)

const (
	maxBody       = 64 << 10 // bytes of what programs send
	mostMistakes  = 20       // that are told at once
	deepestBody   = 20       // objects and lists in each other
	jsonMediaType = "application/json"
)

// FieldProblem says what is wrong with a field of what was sent.
type FieldProblem struct {
	Field   string `json:"field" doc:"such as picks[0].step; empty: the whole"`
	Message string `json:"message"`
}

// readBody reads what a program sends: JSON, as the document describes the type.
func readBody[T any](s *Server, w http.ResponseWriter, r *http.Request) (T, error) {
	var body T
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != jsonMediaType {
		return body, &refusal{status: http.StatusUnsupportedMediaType, detail: "Send JSON, and say so: Content-Type: " + jsonMediaType + "."}
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return body, err
	}
	if wire.Deeper(text, deepestBody) {
		return body, &refusal{status: http.StatusBadRequest, detail: fmt.Sprintf("The body is no JSON that is understood here: it is more than %d levels deep.", deepestBody)}
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return body, unreadable(text, err)
	}
	if hasNull(v) {
		return body, wrongFields([]FieldProblem{{Message: "text cannot have the character U+0000 in it here"}})
	}
	if problems := s.api.check(reflect.TypeFor[T](), v); len(problems) > 0 {
		return body, wrongFields(problems)
	}
	if err := json.Unmarshal(text, &body); err != nil { // a number that is too large for its field
		if bad, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return body, wrongFields([]FieldProblem{{Field: bad.Field, Message: "it is out of range"}})
		}
		return body, unreadable(text, err)
	}
	return body, nil
}

// hasNull reports whether a text in v has the one character that no database of
// ours stores.
func hasNull(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.ContainsRune(v, 0)
	case []any:
		return slices.ContainsFunc(v, hasNull)
	case map[string]any:
		for key, inner := range v {
			if strings.ContainsRune(key, 0) || hasNull(inner) {
				return true
			}
		}
	}
	return false
}

// unreadable says where text stops being JSON.
func unreadable(text []byte, err error) error {
	detail := "The body is no JSON: " + strings.TrimPrefix(err.Error(), "json: ") + "."
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at := text[:min(int(syntax.Offset), len(text))]
		line := bytes.Count(at, []byte("\n")) + 1
		column := len(at) - (bytes.LastIndexByte(at, '\n') + 1)
		detail = fmt.Sprintf("The body is no JSON: at line %d, byte %d: %s.", line, column, syntax.Error())
	}
	return &refusal{status: http.StatusBadRequest, detail: strings.ToValidUTF8(detail, "\uFFFD")}
}

// wrongFields is the answer to a body with mistakes in its fields.
func wrongFields(problems []FieldProblem) error {
	more := ""
	if n := len(problems) - mostMistakes; n > 0 {
		problems, more = problems[:mostMistakes], fmt.Sprintf("; and %d more", n)
	}
	var texts []string
	for _, p := range problems {
		text := p.Message
		if p.Field != "" {
			text = p.Field + ": " + text
		}
		texts = append(texts, text)
	}
	return &refusal{status: http.StatusUnprocessableEntity, detail: clip(strings.Join(texts, "; ")+more, 2000), fields: problems}
}
