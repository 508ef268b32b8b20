package coprfake

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Faults are what goes wrong. The zero value is a Copr in good health.
type Faults struct {
	// These concern calls of the API whose path begins with Path (such as
	// "/api_3/build/create"; empty means all), until Until (zero means always)
	// and at most Calls times (0 means any number).
	Path        string
	Until       time.Time
	Calls       int
	Down        bool          // the connection breaks and nothing is done
	Status      int           // the answer, such as 429 or 503, and nothing is done
	HTML        bool          // with Status: a proxy's page instead of JSON
	RetryAfter  time.Duration // with Status: the header
	Delay       time.Duration // of the answer, after what was asked has been done
	LoseAnswers bool          // what was asked is done, but the connection breaks

	LoginExpired bool

	LoseMessages   bool
	DoubleMessages bool
	EarlyMessages  bool // the start is published before the submission is answered

	// Results are the states in which parts of builds end, whatever the builder
	// says, by chroot: copr.Failed or copr.Skipped. It counts what holds when a
	// part is started. The SRPM's chroot is copr.SourceChroot.
	Results map[string]string
}

// SetFaults changes what goes wrong from now on.
func (f *Fake) SetFaults(faults Faults) {
	faults.Results = maps.Clone(faults.Results)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = faults
	f.faultCalls = 0
}

// Faults returns what goes wrong now.
func (f *Fake) Faults() Faults {
	f.mu.Lock()
	defer f.mu.Unlock()
	faults := f.faults
	faults.Results = maps.Clone(faults.Results)
	return faults
}

// faultsOf returns what goes wrong with this call.
func (f *Fake) faultsOf(r *http.Request) Faults {
	f.mu.Lock()
	defer f.mu.Unlock()
	faults := f.faults
	healthy := Faults{LoginExpired: faults.LoginExpired, EarlyMessages: faults.EarlyMessages}
	if !faults.Down && faults.Status == 0 && faults.Delay == 0 && !faults.LoseAnswers {
		return healthy
	}
	if !strings.HasPrefix(r.URL.Path, faults.Path) || (!faults.Until.IsZero() && time.Now().After(faults.Until)) {
		return healthy
	}
	if faults.Calls > 0 && f.faultCalls >= faults.Calls {
		return healthy
	}
	f.faultCalls++
	return faults
}

// refuse answers in the service's place, or breaks the connection.
func (x Faults) refuse(w http.ResponseWriter) {
	if x.Down {
		panic(http.ErrAbortHandler) // net/http's way to break a connection
	}
	if x.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(x.RetryAfter.Round(time.Second).Seconds())))
	}
	if x.HTML {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(x.Status)
		fmt.Fprintf(w, "<html><body><h1>%d %s</h1></body></html>\n", x.Status, http.StatusText(x.Status))
		return
	}
	writeError(w, x.Status, http.StatusText(x.Status))
}
