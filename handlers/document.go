package handlers

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"millrace/models"
	"millrace/views"
)

// operation is something that programs can do. All of it is in the document of
// the API; what it takes is checked against what the document says.
type operation struct {
	method  string
	path    string // below /api/v3
	name    string // unique, as programs are made from it
	summary string
	about   string // more of it; may be empty
	group   string
	params  []*huma.Param
	body    any          // a value of the type that it takes; nil: none
	status  int          // when all went well
	answer  any          // a value of the type that it sends; nil: nothing
	errors  []int        // besides those that are possible everywhere
	moves   []int        // redirects that are possible
	right   models.Right // that is needed; empty: none
	login   bool         // somebody must be logged in, by session or token
	// handle answers; nil where the page of that address does, which knows who
	// wants JSON.
	handle handler
}

// api is what programs can do, with what the document says of it.
type api struct {
	operations []*operation
	schemas    huma.Registry
	bodies     map[reflect.Type]*huma.Schema
	text       []byte // the document
}

// newAPI makes the document. It panics if types cannot be described, which does
// not depend on anything but this program.
func (s *Server) newAPI() *api {
	a := &api{
		operations: s.operations(), bodies: map[reflect.Type]*huma.Schema{},
		schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
	}
	for _, o := range a.operations {
		if o.body != nil {
			t := reflect.TypeOf(o.body)
			a.bodies[t] = a.schemas.Schema(t, true, "")
		}
	}
	taken := maps.Clone(a.schemas.Map()) // what programs send stays strict: a misspelled field is told
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Millrace", Version: "3." + versionOr(s.Version),
			Description: "Carries software from upstream to Fedora. Everything that a page shows can be read at the same path below /api/v3. " +
				"Fields are added, never renamed or removed; be prepared for ones you do not know, and for new words in state and kind. " +
				"Errors are application/problem+json.",
			License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
		},
		Servers: []*huma.Server{{URL: s.Base + apiPrefix}},
		Tags:    groups,
		Components: &huma.Components{
			Schemas: a.schemas,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"token":   {Type: "http", Scheme: "bearer", Description: "A personal token, made at " + s.Base + views.TokensURL() + "."},
				"session": {Type: "apiKey", In: "cookie", Name: s.cookieName(), Description: "The session of a browser that is logged in."},
			},
		},
	}
	for _, o := range a.operations {
		doc.AddOperation(a.describe(o))
	}
	doc.Webhooks = a.sent()
	for name, schema := range a.schemas.Map() {
		if _, strict := taken[name]; !strict {
			asSent(schema, a.schemas.TypeFromRef("#/components/schemas/"+name))
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		panic(fmt.Errorf("writing the document of the API: %w", err))
	}
	a.text = append(text, '\n')
	return a
}

// sent is what hooks are sent, in the words of the document.
func (a *api) sent() map[string]*huma.PathItem {
	answers := map[string]*huma.Response{
		"2XX": {Description: "It arrived"}, "4XX": {Description: "It is not wanted: but for 408 and 429 it is not sent again"},
		"5XX": {Description: "It is sent again, for a day"},
	}
	return map[string]*huma.PathItem{"happened": {Post: &huma.Operation{
		OperationID: "happened", Summary: "What a hook is sent when something of its topics happened", Tags: []string{"hooks"},
		Description: "It is signed: see the headers webhook-id, webhook-timestamp and webhook-signature, as Standard Webhooks has them. It may come more than once, with the same webhook-id.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			jsonMediaType: {Schema: a.schemas.Schema(reflect.TypeFor[Happening](), true, "")},
		}},
		Responses: answers,
	}}}
}

// programs has the operations that no page answers.
func (s *Server) programs() chi.Router {
	r := chi.NewRouter()
	r.Use(http.NewCrossOriginProtection().Handler, s.recognized)
	for _, o := range s.api.operations {
		if o.handle != nil {
			r.Method(o.method, strings.TrimSuffix(o.path, ".json"), s.page(o.handle))
		}
	}
	return r
}

// asPrograms lets programs answer who wants JSON, where they can.
func asPrograms(programs chi.Router) func(http.Handler) http.Handler {
	return func(pages http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			path := r.URL.RawPath
			if path == "" {
				path = r.URL.Path
			}
			method := r.Method
			if method == http.MethodHead {
				method = http.MethodGet
			}
			if visitOf(r).json && programs.Match(chi.NewRouteContext(), method, path) {
				chi.RouteContext(r.Context()).RouteMethod = method
				programs.ServeHTTP(w, r)
				return
			}
			pages.ServeHTTP(w, r)
		})
	}
}

// versionOr is the version of the program as part of that of the API.
func versionOr(version string) string {
	if version == "" {
		return "0"
	}
	return version
}

// asSent adapts the schema of a type to what encoding/json writes: lists of ours
// are never null, pointers without omitempty may be, and there may be more
// fields one day.
func asSent(schema *huma.Schema, t reflect.Type) {
	schema.AdditionalProperties = nil
	ours := t.PkgPath() == reflect.TypeFor[Problem]().PkgPath()
	for _, field := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		property := schema.Properties[name]
		switch {
		case property == nil:
		case property.Type == huma.TypeArray:
			property.Nullable = !ours && !strings.Contains(options, "omitempty")
			property.Items.Nullable = false
		case property.Ref != "" && field.Type.Kind() == reflect.Pointer && !strings.Contains(options, "omitempty"):
			schema.Properties[name] = &huma.Schema{
				Description: property.Description, AnyOf: []*huma.Schema{{Ref: property.Ref}, {Type: "null"}},
			}
		}
	}
}

var pathParam = regexp.MustCompile(`\{(\w+)\}`)

// describe is an operation in the words of the document.
func (a *api) describe(o *operation) *huma.Operation {
	d := &huma.Operation{
		Method: o.method, Path: o.path, OperationID: o.name, Summary: o.summary, Description: o.about, Tags: []string{o.group},
		Responses: map[string]*huma.Response{},
	}
	for _, m := range pathParam.FindAllStringSubmatch(o.path, -1) {
		d.Parameters = append(d.Parameters, pathParams[m[1]])
	}
	d.Parameters = append(d.Parameters, o.params...)
	if o.body != nil {
		d.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: a.bodies[reflect.TypeOf(o.body)]},
		}}
	}
	good := &huma.Response{Description: http.StatusText(o.status)}
	if o.answer != nil {
		good.Content = map[string]*huma.MediaType{"application/json": {Schema: a.schemas.Schema(reflect.TypeOf(o.answer), true, "")}}
	}
	if o.status == http.StatusAccepted || o.status == http.StatusCreated {
		good.Headers = map[string]*huma.Header{"Location": {Description: "Path of what was made", Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	d.Responses[strconv.Itoa(o.status)] = good
	moves := o.moves
	if o.method == http.MethodGet {
		moves = append([]int{http.StatusPermanentRedirect}, moves...) // to the usual form of an address
	}
	for _, status := range moves {
		d.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status)}
	}
	for _, status := range slices.Concat(everywhere, o.errors) {
		d.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: a.schemas.Schema(reflect.TypeFor[Problem](), true, "")}},
		}
	}
	switch scope, byToken := models.ScopeOf(o.right); {
	case o.login:
		d.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	case o.right == "":
		d.Security = []map[string][]string{{}, {"token": {}}, {"session": {}}}
	case !byToken:
		d.Security = []map[string][]string{{"session": {}}}
	default:
		d.Security = []map[string][]string{{"token": {string(scope)}}, {"session": {}}}
		d.Description = strings.TrimSpace(d.Description + " A token needs the scope " + string(scope) + ".")
	}
	return d
}

// everywhere are the errors that any request may meet: a token that does not
// work, an address that is too long or cannot be, a database that is away.
var everywhere = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestURITooLong, http.StatusInternalServerError, http.StatusServiceUnavailable}

// showDocument sends the document of the API.
func (s *Server) showDocument(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	s.send(w, r, http.StatusOK, "application/json", s.api.text)
	return nil
}

// paths lets one buffer serve many bodies.
var paths = sync.Pool{New: func() any { return huma.NewPathBuffer(make([]byte, 0, 128), 0) }}

// check finds out what is wrong with a body that was read as v.
func (a *api) check(t reflect.Type, v any) []FieldProblem {
	path := paths.Get().(*huma.PathBuffer)
	defer paths.Put(path)
	path.Reset()
	var found huma.ValidateResult
	huma.Validate(a.schemas, a.bodies[t], path, huma.ModeWriteToServer, v, &found)
	var problems []FieldProblem
	for _, err := range found.Errors {
		problem := FieldProblem{Message: err.Error()}
		if detail, ok := err.(huma.ErrorDetailer); ok {
			problem = FieldProblem{Field: clip(detail.ErrorDetail().Location, 200), Message: clip(detail.ErrorDetail().Message, 500)}
		}
		problems = append(problems, problem)
	}
	slices.SortFunc(problems, func(a, b FieldProblem) int {
		return strings.Compare(a.Field+"\x00"+a.Message, b.Field+"\x00"+b.Message)
	})
	return problems
}
