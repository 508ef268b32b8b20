package kojifake

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Faults are what goes wrong. The zero value is a Koji in good health.
type Faults struct {
	// These concern calls of Methods ("upload" is the upload of a chunk; none
	// means all), until Until (zero means always) and at most Calls times (0
	// means any number).
	Methods     []string
	Until       time.Time
	Calls       int
	Down        bool          // the connection breaks and nothing is done
	Status      int           // the answer, such as 502, as a proxy's page, and nothing is done
	RetryAfter  time.Duration // with Status: the header
	Offline     bool          // the hub says that it is being maintained
	Delay       time.Duration // of the answer, after what was asked has been done
	LoseAnswers bool          // what was asked is done, but the connection breaks
	DoubleCalls bool          // what was asked is asked twice, and the second answer is given
	CutUploads  bool          // half of a chunk is written, then the connection breaks

	LoseMessages   bool
	DoubleMessages bool
	EarlyMessages  bool // a build's first messages are published before its submission is answered

	// Fail are labels of tasks that fail, whatever the builder says: "srpm" or
	// an architecture. It counts what holds when their time has come.
	Fail []string
}

// SetFaults changes what goes wrong from now on.
func (f *Fake) SetFaults(faults Faults) {
	faults.Methods, faults.Fail = slices.Clone(faults.Methods), slices.Clone(faults.Fail)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = faults
	f.faultCalls = 0
}

// ForgetSessions ends all sessions, as a hub does that was moved.
func (f *Fake) ForgetSessions() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.sessions)
}

// ExpireSessions makes all sessions too old.
func (f *Fake) ExpireSessions() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range maps.Values(f.sessions) {
		s.expired = true
	}
}

// SetBlocked changes whether a user may log in.
func (f *Fake) SetBlocked(name string, blocked bool) {
	f.mu.Lock()
	defer f.unlock()
	f.user(name).Blocked = blocked
	f.touchWorld()
}

// maxCalls is how many calls are remembered: a demo runs for days.
const maxCalls = 10000

func (f *Fake) remember(method string) {
	if len(f.calls) >= maxCalls {
		f.calls = slices.Delete(f.calls, 0, maxCalls/2)
	}
	f.calls = append(f.calls, method)
}

// Calls lists the methods that were called last, "upload" for each chunk, multicalls
// as what they consist of.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// faultsOf returns what goes wrong with a call. The lock is held.
func (f *Fake) faultsOf(method string) Faults {
	x := f.faults
	healthy := Faults{EarlyMessages: x.EarlyMessages}
	if !x.Down && x.Status == 0 && x.Delay == 0 && !x.LoseAnswers && !x.Offline && !x.DoubleCalls && !x.CutUploads {
		return healthy
	}
	if len(x.Methods) > 0 && !slices.Contains(x.Methods, method) || (!x.Until.IsZero() && time.Now().After(x.Until)) ||
		(x.Calls > 0 && f.faultCalls >= x.Calls) {
		return healthy
	}
	f.faultCalls++
	return x
}

// refuse answers in the hub's place, or breaks the connection.
func (x Faults) refuse(w http.ResponseWriter) {
	if x.Down {
		panic(http.ErrAbortHandler) // net/http's way to break a connection
	}
	if x.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(x.RetryAfter.Round(time.Second).Seconds())))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(x.Status)
	fmt.Fprintf(w, "<html><body><h1>%d %s</h1></body></html>\n", x.Status, http.StatusText(x.Status))
}
