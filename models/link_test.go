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
		{"both agree", "dee", "dee-gh", Proof{"dee-gh", 7, "dee", at}, true},
		{"forges do not tell cases apart", "dee", "DEE-gh", Proof{"dee-gh", 7, "dee", at}, true},
		{"the profile alone", "dee", "dee-gh", Proof{}, false},
		{"the account alone", "dee", "", Proof{"dee-gh", 7, "dee", at}, false},
		{"neither", "dee", "", Proof{}, false},
		{"the account is another's", "thief", "dee-gh", Proof{"dee-gh", 7, "dee", at}, false},
		{"another account", "dee", "other-gh", Proof{"dee-gh", 6, "dee", at}, false},
		{"accounts here tell cases apart", "Dee", "dee-gh", Proof{"dee-gh", 7, "dee", at}, false},
		{"it was renamed", "dee", "new-gh", Proof{"dee-gh", 7, "dee", at}, true},
		{"another has the name now", "dee", "dee-gh", Proof{"dee-gh", 6, "dee", at}, false},
		{"proved before numbers were kept", "dee", "DEE-gh", Proof{"dee-gh", 0, "dee", at}, true},
		{"another's, before numbers were kept", "dee", "other-gh", Proof{"dee-gh", 0, "dee", at}, false},
		{"nobody", "", "dee-gh", Proof{Account: "dee-gh", At: at}, false},
	} {
		l := NewLink("github.com", c.login, c.named, 7, c.proof)
		if l.Proved() != c.proved || l.Account != c.named || l.Forge != "github.com" {
			t.Errorf("%s: %+v", c.name, l)
		}
	}
	if NewLink("github.com", "dee", "dee-gh", 0, Proof{Account: "dee-gh", Login: "dee", At: at}).Proved() {
		t.Error("an account that is gone is proved")
	}
}
