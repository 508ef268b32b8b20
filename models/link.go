package models

import (
	"fmt"
	"strings"
	"time"
)

// Link is an account at a forge that somebody names as their own, and what is
// known of that being so.
type Link struct {
	Forge    string
	Account  string    // as their profile in the account system says; empty: it names none, or shows none
	ProvedAt time.Time // when the account there named this one in return; zero: it did not
}

// Proved reports whether both sides agree.
func (l Link) Proved() bool { return l.Account != "" && !l.ProvedAt.IsZero() }

// Proof is what an account at a forge said of itself: whose it is here.
type Proof struct {
	Account string // at the forge, as it was called then; empty if it said nothing
	ID      int64  // of the account, which it keeps when it is renamed; 0: it was not kept
	Login   string // in the account system
	At      time.Time
}

// Of reports whether the proof is of the account that has a name and a number at
// the forge now. Names change hands, numbers do not.
func (p Proof) Of(account string, id int64) bool {
	if id == 0 {
		return false // there is no such account
	}
	return p.ID == id || p.ID == 0 && p.Account != "" && strings.EqualFold(p.Account, account)
}

// NewLink is what a profile and a proof are together, where the account that the
// profile names has the number id now. The profile alone is a person's own word,
// and the proof alone may be over: neither is enough.
func NewLink(forge, login, named string, id int64, p Proof) Link {
	l := Link{Forge: forge, Account: named}
	if named != "" && login != "" && p.Login == login && p.Of(named, id) {
		l.ProvedAt = p.At
	}
	return l
}

// howToLink says what is missing for rights that somebody may have at a forge.
func (f About) howToLink() string {
	switch {
	case f.Unlinked != "":
		return fmt.Sprintf(" If you may at %s: name your account there in the public profile of your Fedora account.", f.Unlinked)
	case f.Unproved.Account != "":
		return fmt.Sprintf(" If you may at %s as %s: prove that this account is yours; your settings say how.", f.Unproved.Forge, f.Unproved.Account)
	}
	return ""
}
