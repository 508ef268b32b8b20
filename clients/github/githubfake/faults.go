package githubfake

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Faults is how the fake misbehaves. "Every" counts: 3 means each third one, 1
// all, 0 none.
type Faults struct {
	// Webhooks.
	HookDelay       time.Duration // before each
	HookLoseEvery   int
	HookDoubleEvery int
	HookSwapEvery   int // held back until the one after it was sent

	// The API, for calls whose "METHOD /path" contains APIMatch.
	APIMatch       string
	APIDelay       time.Duration
	APIFailEvery   int // 502 with a web page, nothing done
	APIDropEvery   int // the call is carried out, and the connection breaks before the answer
	RateLimited    time.Duration
	SecondaryLimit time.Duration // 403 with this Retry-After; nothing done

	ChecksForbidden bool // 403 to whoever writes check runs
	GitFailEvery    int  // 503 to git
}

// counters count what "every" means.
type counters struct{ lose, double, swap, fail, drop, git int }

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

// window counts the calls of a credential in an hour.
type window struct {
	used  int
	reset time.Time
}

// spend counts a call and writes the headers about it. The error says that
// there were too many. The caller holds mu.
func (f *Fake) spend(h http.Header, credential string) error {
	now := f.now()
	w, ok := f.calls[credential]
	if !ok || !now.Before(w.reset) {
		w = &window{reset: now.Add(time.Hour)}
		f.calls[credential] = w
	}
	limit, used, reset := f.config.RateLimit, w.used+1, w.reset
	if f.faults.RateLimited > 0 {
		used, reset = limit+1, now.Add(f.faults.RateLimited)
	} else {
		w.used++
	}
	rateHeaders(h, limit, used, reset)
	if used <= limit {
		return nil
	}
	return &refusal{
		Status:  http.StatusForbidden,
		Message: "API rate limit exceeded for installation.",
		DocURL:  "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api",
	}
}

func rateHeaders(h http.Header, limit, used int, reset time.Time) {
	h.Set("X-RateLimit-Limit", fmt.Sprint(limit))
	h.Set("X-RateLimit-Remaining", fmt.Sprint(max(limit-used, 0)))
	h.Set("X-RateLimit-Used", fmt.Sprint(min(used, limit)))
	h.Set("X-RateLimit-Reset", fmt.Sprint(reset.Unix()))
	h.Set("X-RateLimit-Resource", "core")
}

// misbehave decides what goes wrong with a call.
func (f *Fake) misbehave(w http.ResponseWriter, r *http.Request) (drop bool, err error) {
	f.mu.Lock()
	faults := f.faults
	if !strings.Contains(r.Method+" "+r.URL.Path, faults.APIMatch) {
		f.mu.Unlock()
		return false, nil
	}
	fail := every(faults.APIFailEvery, &f.nth.fail)
	drop = every(faults.APIDropEvery, &f.nth.drop)
	f.mu.Unlock()

	if faults.APIDelay > 0 {
		select {
		case <-time.After(faults.APIDelay):
		case <-r.Context().Done():
		}
	}
	if fail {
		return false, &refusal{Status: http.StatusBadGateway, Page: "<html><body><h1>502 Bad Gateway</h1></body></html>"}
	}
	if faults.SecondaryLimit > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(max(int(faults.SecondaryLimit.Seconds()), 1)))
		return false, &refusal{
			Status:  http.StatusForbidden,
			Message: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
			DocURL:  "https://docs.github.com/rest/overview/secondary-rate-limits",
		}
	}
	return drop, nil
}
