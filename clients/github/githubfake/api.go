package githubfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"millrace/clients/git"
	"millrace/clients/wire"
)

const maxRequest = 8 << 20

// refusal is an answer that is no success.
type refusal struct {
	Status  int
	Message string
	Errors  []object
	DocURL  string
	Page    string // HTML instead of all that
}

func (e *refusal) Error() string { return e.Message }

func notFound() error {
	return &refusal{Status: http.StatusNotFound, Message: "Not Found", DocURL: "https://docs.github.com/rest"}
}

// invalid says which field of a request is wrong.
func invalid(resource, field, code, message string) error {
	detail := object{"resource": resource, "field": field, "code": code}
	if message != "" {
		detail["message"] = message
	}
	return &refusal{Status: http.StatusUnprocessableEntity, Message: "Validation Failed", Errors: []object{detail},
		DocURL: "https://docs.github.com/rest"}
}

// request is a call of the API. Its handler holds mu unless it says otherwise.
type request struct {
	*http.Request
	who    actor
	repo   *repo // nil if the path names none
	header http.Header
}

// answer is what a handler returns: a status and what becomes JSON.
type answer struct {
	status int
	body   any
}

func ok(body any) (answer, error)      { return answer{http.StatusOK, body}, nil }
func created(body any) (answer, error) { return answer{http.StatusCreated, body}, nil }

type handler func(q *request) (answer, error)

// routes lists the API.
func (f *Fake) routes() *http.ServeMux {
	mux := http.NewServeMux()
	on := func(pattern string, need right, h handler) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /api/v3"+path, func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, need, h) })
	}
	f.routesOfApp(on)
	f.routesOfRepos(on)
	f.routesOfPulls(on)
	f.routesOfChecks(on)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		f.serve(w, r, anyone, func(*request) (answer, error) { return answer{}, notFound() })
	})
	return mux
}

// serve answers a call: who, how many, what goes wrong, may they, do it.
func (f *Fake) serve(w http.ResponseWriter, r *http.Request, need right, h handler) {
	w.Header().Set("X-GitHub-Media-Type", "github.v3; format=json")
	w.Header().Set("X-GitHub-Request-Id", wire.NewUUID())
	drop, err := f.misbehave(w, r)
	var result answer
	if err == nil {
		result, err = f.handle(w, r, need, h)
	}
	if drop {
		// The connection breaks; net/http does not log this one.
		panic(http.ErrAbortHandler)
	}
	f.write(w, result, err)
}

func (f *Fake) handle(w http.ResponseWriter, r *http.Request, need right, h handler) (answer, error) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxRequest)); err != nil {
		return answer{}, &refusal{Status: http.StatusRequestEntityTooLarge, Message: "Payload too large"}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	who, err := f.identify(r)
	if err != nil {
		return answer{}, err
	}
	if !who.app && !strings.HasSuffix(r.URL.Path, "/rate_limit") {
		if err := f.spend(w.Header(), r.Header.Get("Authorization")); err != nil {
			return answer{}, err
		}
	}
	q := &request{Request: r, who: who, header: w.Header()}
	q.Body = http.MaxBytesReader(w, readCloser{&body}, maxRequest)
	if owner := r.PathValue("owner"); owner != "" {
		if q.repo, err = f.repo(owner + "/" + r.PathValue("repo")); err != nil {
			return answer{}, notFound()
		}
	}
	if err := f.allowed(who, need, q.repo); err != nil {
		return answer{}, err
	}
	return h(q)
}

type readCloser struct{ *bytes.Buffer }

func (readCloser) Close() error { return nil }

func (f *Fake) write(w http.ResponseWriter, result answer, err error) {
	if err != nil {
		result = f.refuse(err)
		if page, ok := result.body.(string); ok {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(result.status)
			fmt.Fprint(w, page)
			return
		}
	}
	if result.status == http.StatusNoContent {
		w.WriteHeader(result.status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(result.status)
	// The client may be gone; then there is nobody to tell.
	json.NewEncoder(w).Encode(result.body)
}

func (f *Fake) refuse(err error) answer {
	no, known := errors.AsType[*refusal](err)
	switch {
	case known && no.Page != "":
		return answer{no.Status, no.Page}
	case known:
		body := object{"message": no.Message, "documentation_url": no.DocURL, "status": strconv.Itoa(no.Status)}
		if no.Errors != nil {
			body["errors"] = no.Errors
		}
		return answer{no.Status, body}
	case errors.Is(err, git.ErrNotFound), errors.Is(err, ErrNotFound):
		return f.refuse(notFound())
	case errors.Is(err, git.ErrBadName):
		return f.refuse(&refusal{Status: http.StatusUnprocessableEntity, Message: err.Error()})
	}
	f.config.Log.Error("call failed", "error", err)
	return answer{http.StatusInternalServerError, object{"message": "Server Error"}}
}

// decode reads the body of a call.
func (q *request) decode(into any) error {
	if err := json.NewDecoder(q.Body).Decode(into); err != nil {
		return &refusal{Status: http.StatusBadRequest, Message: "Problems parsing JSON", DocURL: "https://docs.github.com/rest"}
	}
	return nil
}

func (q *request) number(name string) int {
	n, err := strconv.Atoi(q.PathValue(name))
	if err != nil {
		return -1
	}
	return n
}

func (q *request) id(name string) int64 {
	n, err := strconv.ParseInt(q.PathValue(name), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// page cuts a list into pages and writes the header that leads to the others.
func page[T any](q *request, all []T) []T {
	query := q.URL.Query()
	number, err := strconv.Atoi(query.Get("page"))
	if err != nil || number < 1 {
		number = 1
	}
	size, err := strconv.Atoi(query.Get("per_page"))
	if err != nil || size < 1 || size > 100 {
		size = min(max(size, 30), 100)
	}
	first := min((number-1)*size, len(all))
	last := min(first+size, len(all))
	link := func(number int, rel string) string {
		query.Set("page", strconv.Itoa(number))
		scheme := "http"
		if q.TLS != nil {
			scheme = "https"
		}
		return fmt.Sprintf(`<%s://%s%s?%s>; rel="%s"`, scheme, q.Host, q.URL.Path, query.Encode(), rel)
	}
	var links []string
	if number > 1 {
		links = append(links, link(number-1, "prev"), link(1, "first"))
	}
	if last < len(all) {
		links = append(links, link(number+1, "next"), link((len(all)+size-1)/size, "last"))
	}
	if links != nil {
		q.header.Set("Link", strings.Join(links, ", "))
	}
	return slices.Clone(all[first:last])
}

// objects renders a list.
func objects[T any](all []T, render func(T) object) []object {
	list := []object{}
	for _, item := range all {
		list = append(list, render(item))
	}
	return list
}
