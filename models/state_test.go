package models

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestCombine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		parts []State
		want  State
	}{
		{nil, Passed},
		{[]State{Passed, Passed}, Passed},
		{[]State{Passed, Skipped}, Passed},
		{[]State{Skipped, Skipped}, Skipped},
		{[]State{Passed, Failed, Error}, Failed},
		{[]State{Passed, Error, Canceled}, Error},
		{[]State{Skipped, Canceled, Superseded}, Canceled},
		{[]State{Superseded, Passed}, Superseded},
		{[]State{Waiting, Waiting}, Waiting},
		{[]State{Waiting, Queued}, Queued},
		{[]State{Waiting, Running}, Running},
		{[]State{Failed, Running}, Running},
		{[]State{Passed, Waiting}, Running}, // it has moved, and will again
		{[]State{Passed, Queued}, Running},
		{[]State{Skipped, Queued}, Queued}, // what was skipped has not moved anything
		{[]State{Skipped, Waiting}, Waiting},
	}
	for _, test := range tests {
		if got := Combine(test.parts); got != test.want {
			t.Errorf("Combine(%v) = %s, want %s", test.parts, got, test.want)
		}
	}
}

func TestCombineProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom(States), 1, 8).Draw(t, "parts")
		got := Combine(parts)
		if unfinished := slices.ContainsFunc(parts, func(s State) bool { return !s.Finished() }); got.Finished() == unfinished {
			t.Fatalf("Combine(%v) = %s", parts, got)
		}
		mixed := rapid.Permutation(parts).Draw(t, "mixed")
		if other := Combine(mixed); other != got {
			t.Fatalf("Combine(%v) = %s, but Combine(%v) = %s", parts, got, mixed, other)
		}
		if again := Combine([]State{got, got}); again != got {
			t.Fatalf("two that are %s are %s together", got, again)
		}
	})
}

func TestStates(t *testing.T) {
	t.Parallel()
	if len(States) != 9 {
		t.Fatalf("%d states", len(States))
	}
	for _, s := range States {
		if !s.Valid() || s.CanFollow(s) {
			t.Errorf("%s: valid is %v, and it follows itself: %v", s, s.Valid(), s.CanFollow(s))
		}
		if wantFinished := !slices.Contains([]State{Waiting, Queued, Running}, s); s.Finished() != wantFinished {
			t.Errorf("%s: finished is %v", s, s.Finished())
		}
		if s.Bad() != (s.Finished() && s != Passed) {
			t.Errorf("%s: bad is %v", s, s.Bad())
		}
		for _, next := range States {
			if s.Finished() && s.CanFollow(next) {
				t.Errorf("%s follows %s, which is an end", next, s)
			}
			if !s.Finished() && next.Finished() && !s.CanFollow(next) {
				t.Errorf("%s cannot end as %s", s, next)
			}
		}
	}
	if State("done").Valid() {
		t.Error("any word is a state")
	}
}
