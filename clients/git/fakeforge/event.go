package fakeforge

// EventKind is what happened.
type EventKind string

// The kinds of events.
const (
	Pushed      EventKind = "pushed"
	Opened      EventKind = "opened"
	Updated     EventKind = "updated" // has more commits
	Rebased     EventKind = "rebased" // has other commits
	Edited      EventKind = "edited"  // title or text
	Commented   EventKind = "commented"
	Closed      EventKind = "closed" // or merged
	Reopened    EventKind = "reopened"
	Flagged     EventKind = "flagged"
	Reflagged   EventKind = "reflagged" // a flag has changed
	IssueOpened EventKind = "issue opened"
	IssueSaid   EventKind = "issue commented"
	IssueClosed EventKind = "issue closed"
)

// Event is something that happened to a repository. What it points to are
// copies.
type Event struct {
	Kind  EventKind
	Actor string
	Repo  Repo // that was pushed to, or that the pull request or issue is in
	Push  *Push
	Pull  *Pull
	Flag  *Flag // without Pull: of a commit
	Issue *Issue
}

// Push is a branch or tag that changed.
type Push struct {
	Ref           string // full
	Before, After string // zeros where there was or is nothing
	Forced        bool
	Commits       int               // that are new on the branch; at most maxCommits are counted
	First         string            // the oldest of them
	Authors       []string          // names
	Files         map[string]string // changed paths, and "A", "M" or "D"
	Pull          int               // the pull request that was merged so, or 0
}

// Subscribe has events told to listen, after they happened, from many
// goroutines, and before whoever caused them gets an answer. It must not change
// the forge.
func (f *Forge) Subscribe(listen func(Event)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listeners = append(f.listeners, listen)
}

// tell tells the listeners. The caller does not hold mu.
func (f *Forge) tell(events ...Event) {
	f.mu.Lock()
	listeners := f.listeners
	f.mu.Unlock()
	for _, e := range events {
		for _, listen := range listeners {
			listen(e)
		}
	}
}
