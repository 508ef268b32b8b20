// Package fault lets the small versions of services misbehave on request, and
// remembers what they were asked. It stands between their server and
// themselves. What outlives their process it keeps in files.
package fault

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Fault is how a service answers a request instead of as it should. The zero
// value does nothing but use a request up.
type Fault struct {
	Method string        // that it waits for; empty: any
	Path   string        // beginning of the paths that it waits for; empty: any
	Delay  time.Duration // before anything else
	Status int           // with a web page, as a proxy in front of the service sends it
	Body   string        // in place of the answer; its status is 200 if Status is 0
	Cut    bool          // break the connection in the middle of an answer; nothing is done
	Lose   bool          // do what was asked, and break the connection instead of answering
	Retry  string        // the header Retry-After, with Status
}

// Faults waits for requests to spoil. Its zero value spoils none. It is safe
// for concurrent use.
type Faults struct {
	mu       sync.Mutex // above what follows
	waiting  []Fault
	requests []string
}

// maxRequests is how many requests are remembered: a demo runs for days.
const maxRequests = 1000

// Misbehave spoils the next requests, each fault the first that it waits for.
func (f *Faults) Misbehave(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, faults...)
}

// Requests are the addresses that were asked for, in order, without host; those
// that were not asked for with GET have their method before them.
func (f *Faults) Requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// take notes a request and finds what is to go wrong with it.
func (f *Faults) take(r *http.Request) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := r.URL.RequestURI()
	if r.Method != http.MethodGet {
		asked = r.Method + " " + asked
	}
	f.requests = append(f.requests, asked)
	if len(f.requests) > maxRequests {
		f.requests = slices.Clone(f.requests[len(f.requests)-maxRequests:])
	}
	for i, fault := range f.waiting {
		if (fault.Method == "" || fault.Method == r.Method) && strings.HasPrefix(r.URL.Path, fault.Path) {
			f.waiting = slices.Delete(f.waiting, i, i+1)
			return fault
		}
	}
	return Fault{}
}

// Serve answers a request, by next unless it is to go wrong.
func (f *Faults) Serve(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	fault := f.take(r)
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case fault.Lose:
		next(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // the server's word for breaking a connection
	case fault.Cut:
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"cut`)
	case fault.Body != "":
		w.Header().Set("Content-Type", "application/json")
		if fault.Status != 0 {
			w.WriteHeader(fault.Status)
		}
		fmt.Fprint(w, fault.Body)
	case fault.Status != 0:
		if fault.Retry != "" {
			w.Header().Set("Retry-After", fault.Retry)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(fault.Status)
		fmt.Fprintf(w, "<!DOCTYPE html><title>%d %s</title><p>Fedora Infrastructure", fault.Status, http.StatusText(fault.Status))
	default:
		next(w, r)
	}
}
