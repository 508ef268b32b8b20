package models

// State says where a run stands. The states of steps and pipelines are derived
// from those of their runs (see Combine) and use the same words.
type State string

const (
	Waiting    State = "waiting"    // for a step that it needs
	Queued     State = "queued"     // ready; a worker will take it
	Running    State = "running"    // a worker or an outside service is at it
	Passed     State = "passed"     // it said yes
	Failed     State = "failed"     // it said no: the user's to mend
	Error      State = "error"      // could not be found out: ours or the service's fault
	Canceled   State = "canceled"   // a person stopped it, or who asked for it may not any more
	Skipped    State = "skipped"    // what it needs did not pass
	Superseded State = "superseded" // a newer push made it pointless
)

// States lists all states in the order in which people should hear of them:
// what needs them first.
var States = []State{Failed, Error, Running, Queued, Waiting, Canceled, Superseded, Skipped, Passed}

// followers is the state machine of a run. A state without followers is final.
var followers = map[State][]State{
	Waiting: {Queued, Passed, Failed, Error, Canceled, Skipped, Superseded},
	Queued:  {Waiting, Running, Passed, Failed, Error, Canceled, Skipped, Superseded},
	Running: {Queued, Passed, Failed, Error, Canceled, Skipped, Superseded},
}

// Valid reports whether s is one of the states above.
func (s State) Valid() bool {
	switch s {
	case Waiting, Queued, Running, Passed, Failed, Error, Canceled, Skipped, Superseded:
		return true
	}
	return false
}

// Finished reports whether no state can follow s.
func (s State) Finished() bool { return len(followers[s]) == 0 }

// Bad reports whether s is an end that what needs it cannot live with.
func (s State) Bad() bool { return s.Finished() && s != Passed }

// CanFollow reports whether a run in state s may go to next.
func (s State) CanFollow(next State) bool {
	for _, f := range followers[s] {
		if f == next {
			return true
		}
	}
	return false
}

// Combine derives the state of a whole from the states of its parts. While
// anything moves the whole is running; before anything moved it is queued or
// waiting; at the end the worst part decides. No parts at all have passed.
func Combine(parts []State) State {
	var n = make(map[State]int, len(States))
	finished := 0
	for _, p := range parts {
		n[p]++
		if p.Finished() {
			finished++
		}
	}
	switch {
	case finished == len(parts):
		for _, s := range []State{Failed, Error, Canceled, Superseded} {
			if n[s] > 0 {
				return s
			}
		}
		if n[Passed] == 0 && n[Skipped] > 0 {
			return Skipped
		}
		return Passed
	case n[Running] > 0:
		return Running
	case finished > 0 && finished > n[Skipped]:
		return Running
	case n[Queued] > 0:
		return Queued
	}
	return Waiting
}
