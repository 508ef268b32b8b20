package models

import (
	"testing"
	"time"
)

func TestLinks(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name         string
		login, named string
		proof        Proof
		proved       bool
	}{
		{"both agree", "dee", "dee-gh", Proof{"dee-gh", "dee", at}, true},
		{"forges do not tell cases apart", "dee", "DEE-gh", Proof{"dee-gh", "dee", at}, true},
		{"the profile alone", "dee", "dee-gh", Proof{}, false},
		{"the account alone", "dee", "", Proof{"dee-gh", "dee", at}, false},
		{"neither", "dee", "", Proof{}, false},
		{"the account is another's", "thief", "dee-gh", Proof{"dee-gh", "dee", at}, false},
		{"another account", "dee", "other-gh", Proof{"dee-gh", "dee", at}, false},
		{"accounts here tell cases apart", "Dee", "dee-gh", Proof{"dee-gh", "dee", at}, false},
		{"nobody", "", "dee-gh", Proof{Account: "dee-gh", At: at}, false},
	} {
		l := NewLink("github.com", c.login, c.named, c.proof)
		if l.Proved() != c.proved || l.Account != c.named || l.Forge != "github.com" {
			t.Errorf("%s: %+v", c.name, l)
		}
	}
}
