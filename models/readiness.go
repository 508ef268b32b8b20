package models

// Readiness is something that carrying jobs out for a package takes besides switching
// them on: whether it is there, and what to do if not.
type Readiness struct {
	Name  string // what it is, in a few words
	State ReadinessState
	Text  string   // what was found, a whole sentence
	HowTo string   // what to do, if anything is to be done
	URL   string   // where; may be empty
	Lines []string // of a file, as they would be; may be empty
}

// ReadinessState says how it is with it.
type ReadinessState string

const (
	ReadyMet     ReadinessState = "met"
	ReadyOpen    ReadinessState = "open"    // without it jobs fail or do nothing
	ReadyAdvised ReadinessState = "advised" // without it less is possible
	ReadyUnknown ReadinessState = "unknown" // it could not be found out now
)
