package main

import (
	"strings"
	"testing"

	"millrace/clients/mail/mailfake"
)

func TestTellingSettings(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(s *settings){
		"hooks.allowed_networks: \"10.1\" is no network": func(s *settings) { s.Hooks.AllowedNetworks = []string{"10.2.0.0/16", "10.1"} },
		"mail.from: the relay wants to know":             func(s *settings) { s.Mail.Relay = "relay.example:25" },
		"is not a host and a port":                       func(s *settings) { s.Mail.Relay, s.Mail.From = "relay.example", "a@b.example" },
		"is none of starttls, tls, none": func(s *settings) {
			s.Mail.Relay, s.Mail.From, s.Mail.Security = "relay.example:25", "a@b.example", "magic"
		},
		"over the network in the clear": func(s *settings) {
			s.Mail.Relay, s.Mail.From, s.Mail.Security, s.Mail.User = "relay.example:25", "a@b.example", "none", "u"
		},
	} {
		s := defaults()
		change(s)
		problems := s.checkTelling()
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), want) {
			t.Errorf("%s: %v", want, problems)
		}
	}
}

// TestDoctorReachesTheRelay: a relay that lets us in is well, one that does not is
// told with what to look at; nothing is sent.
func TestDoctorReachesTheRelay(t *testing.T) {
	t.Parallel()
	relay, err := mailfake.Start(mailfake.Options{User: "millrace", Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(relay.Close)
	v := &service{settings: defaults()}
	if said, err := v.checkMail(t.Context()); err != nil || !strings.Contains(said, "nobody gets mail") {
		t.Errorf("without a relay: %q, %v", said, err)
	}
	m := &v.settings.Mail
	m.Relay, m.From, m.Security, m.User, m.Password = relay.Addr, "Millrace <m@example.org>", "none", "millrace", "right\n"
	if said, err := v.checkMail(t.Context()); err != nil || !strings.Contains(said, relay.Addr) {
		t.Errorf("a good relay: %q, %v", said, err)
	}
	m.Password = "wrong"
	if _, err := v.checkMail(t.Context()); err == nil || !strings.Contains(err.Error(), "mail.password") || strings.Contains(err.Error(), "wrong\"") {
		t.Errorf("a wrong password: %v", err)
	}
	if n := len(relay.Mails()); n != 0 {
		t.Errorf("%d mails were sent", n)
	}
}
