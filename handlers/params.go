package handlers

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"millrace/models"
)

// param returns a part of the path, unescaped.
func param(r *http.Request, name string) string {
	value := chi.URLParam(r, name)
	if r.URL.RawPath == "" { // then the router saw the unescaped path
		return value
	}
	plain, err := url.PathUnescape(value)
	if err != nil {
		return value
	}
	return plain
}

// pathID returns the {id} of the route.
func pathID(r *http.Request) (int64, error) {
	id, ok := number(param(r, "id"))
	if !ok {
		return 0, models.ErrNotFound // no such address, rather than a bad one
	}
	return id, nil
}

// number reads an id in its only form: digits without a zero before them.
func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || strconv.FormatInt(n, 10) != text {
		return 0, false
	}
	return n, true
}

// listPage returns the part of a list that the query asks for. What it does not
// understand it takes for not said.
func listPage(r *http.Request) models.Page {
	q := r.URL.Query()
	page := models.Page{Before: clipParam(q, "before"), After: clipParam(q, "after")}
	if n, ok := number(q.Get("upto")); ok {
		page.UpTo = n
	}
	if n, ok := number(q.Get("limit")); ok {
		page.Limit = int(min(n, 200))
	}
	return page
}

const maxParam = 500

// clipParam returns a parameter. One that is far too long cannot mean anything.
func clipParam(q url.Values, name string) string {
	value := strings.TrimSpace(q.Get(name))
	if len(value) > maxParam {
		return ""
	}
	return storable(value)
}

// storable is text without what databases do not take: nothing stored has it, so
// without it more may be found, not less.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

// textParam is clipParam for what people type: what is too long is told.
func textParam(q url.Values, name string) (string, error) {
	value := strings.TrimSpace(q.Get(name))
	if len(value) > 4*maxParam {
		return "", &models.InputError{Field: name, Message: "it is too long"}
	}
	return storable(value), nil
}

// fragment picks the part of a page that is asked for, or the whole.
func fragment[T any](r *http.Request, parts map[string]T, whole T) (T, error) {
	name := r.URL.Query().Get("fragment")
	if name == "" {
		return whole, nil
	}
	part, ok := parts[name]
	if !ok {
		return whole, &refusal{status: http.StatusNotFound, detail: "This page has no part of that name."}
	}
	return part, nil
}

// unescaped is a part of a path in plain.
func unescaped(segment string) string {
	if plain, err := url.PathUnescape(segment); err == nil {
		return plain
	}
	return segment
}

func escaped(segment string) string { return url.PathEscape(segment) }
