package pagurefake

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Faults is how the fake misbehaves. "Every" counts: 3 means each third one, 1
// all, 0 none.
type Faults struct {
	// These concern calls whose "METHOD /path" contains Match.
	Match      string
	Delay      time.Duration // before the call is carried out
	FailEvery  int           // 503 with a web page, nothing done
	DropEvery  int           // the call is carried out, and the connection breaks before the answer
	LimitEvery int           // 429 with a Retry-After, nothing done

	ForksTake time.Duration // until a new fork has branches, if nobody waits for it

	// Messages of the bus.
	LoseEvery, DoubleEvery int
	Late                   time.Duration // how much after the answer they come
}

// counters count what "every" means.
type counters struct{ fail, drop, limit, lose, double int }

func every(n int, count *int) bool {
	if n <= 0 {
		return false
	}
	*count++
	return *count%n == 0
}

// Faults returns how the fake misbehaves now.
func (f *Fake) Faults() Faults {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults
}

// SetFaults changes how the fake misbehaves from now on; counting starts anew.
func (f *Fake) SetFaults(faults Faults) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults, f.nth = faults, counters{}
}

// misbehave answers in the API's place, and says so; or it says that the answer
// must not arrive.
func (f *Fake) misbehave(w http.ResponseWriter, r *http.Request) (answered, drop bool) {
	f.mu.Lock()
	faults := f.faults
	if !strings.Contains(r.Method+" "+r.URL.Path, faults.Match) {
		f.mu.Unlock()
		return false, false
	}
	fail, limit := every(faults.FailEvery, &f.nth.fail), every(faults.LimitEvery, &f.nth.limit)
	drop = every(faults.DropEvery, &f.nth.drop)
	f.mu.Unlock()
	if faults.Delay > 0 {
		select {
		case <-time.After(faults.Delay):
		case <-r.Context().Done():
			return true, false
		}
	}
	switch {
	case fail:
		page(w, http.StatusServiceUnavailable)
	case limit:
		w.Header().Set("Retry-After", strconv.Itoa(30))
		page(w, http.StatusTooManyRequests)
	}
	return fail || limit, drop
}

// page is what the proxy in front of Pagure says.
func page(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte("<!DOCTYPE html><title>" + http.StatusText(status) + "</title><h1>" + http.StatusText(status) + "</h1>"))
}
