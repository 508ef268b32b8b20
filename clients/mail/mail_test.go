package mail_test

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"millrace/clients/mail"
	"millrace/clients/mail/mailfake"
)

func start(t *testing.T, o mailfake.Options) (*mailfake.Server, *mail.Client) {
	t.Helper()
	relay, err := mailfake.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(relay.Close)
	return relay, &mail.Client{Relay: relay.Addr, From: "Müller's Millrace <millrace@example.org>", TLS: relay.Trust, User: o.User, Password: o.Password}
}

func message() mail.Message {
	return mail.Message{
		ID: "pipeline-7-2", Thread: "pipeline-7-1", To: "Ann <ann@example.org>", Subject: "mill: the build für f44 failed", At: time.Unix(1_800_000_000, 0),
		Text: "It failed:\n.\n..two dots\n" + strings.Repeat("lang ", 100) + "\nhttps://millrace.example.org/pipelines/7", Manage: "https://millrace.example.org/me/mail", OneStep: true,
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options  mailfake.Options
		security mail.Security
		secure   bool
	}{
		"starttls":           {mailfake.Options{StartTLS: true}, "", true},
		"starttls and login": {mailfake.Options{StartTLS: true, User: "u", Password: "p"}, mail.StartTLS, true},
		"tls":                {mailfake.Options{TLS: true, User: "u", Password: "p"}, mail.TLS, true},
		"plain":              {mailfake.Options{}, mail.Plain, false},
	} {
		relay, client := start(t, test.options)
		client.Security = test.security
		if err := client.Reach(t.Context()); err != nil || len(relay.Mails()) != 0 {
			t.Errorf("%s: reaching it: %v, %d mails", name, err, len(relay.Mails()))
		}
		m := message()
		if err := client.Send(t.Context(), m); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := relay.Mails()
		if len(got) != 1 || got[0].From != "millrace@example.org" || got[0].To != "ann@example.org" || got[0].Secure != test.secure {
			t.Fatalf("%s: %+v", name, got)
		}
		read, err := netmail.ReadMessage(strings.NewReader(got[0].Text))
		if err != nil {
			t.Fatal(err)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(read.Header.Get("Subject"))
		if err != nil || subject != m.Subject {
			t.Errorf("%s: subject %q, %v", name, subject, err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(read.Body))
		if want := strings.ReplaceAll(m.Text, "\n", "\r\n") + "\r\n"; err != nil || string(text) != want {
			t.Errorf("%s: text %q, %v", name, text, err)
		}
		for header, want := range map[string]string{
			"Message-Id": "<pipeline-7-2@example.org>", "In-Reply-To": "<pipeline-7-1@example.org>", "Auto-Submitted": "auto-generated",
			"To": `"Ann" <ann@example.org>`, "List-Unsubscribe": "<https://millrace.example.org/me/mail>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click", "Date": "Fri, 15 Jan 2027 08:00:00 +0000",
		} {
			if got := read.Header.Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
	}
}

// Nothing that a message is made of can add a header or a recipient.
func TestNothingIsSmuggledIn(t *testing.T) {
	t.Parallel()
	relay, client := start(t, mailfake.Options{StartTLS: true})
	m := message()
	m.Subject = "x\r\nBcc: eve@example.org\r\n\r\nBody"
	m.Text = "x\r\n.\r\nMAIL FROM:<eve@example.org>\r\n"
	m.Manage = "https://x.org/>\r\nBcc: eve@example.org"
	if err := client.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for _, mail := range relay.Mails() {
		read, err := netmail.ReadMessage(strings.NewReader(mail.Text))
		if err != nil || read.Header.Get("Bcc") != "" || read.Header.Get("List-Unsubscribe") != "" || mail.From != "millrace@example.org" {
			t.Errorf("%v %+v", err, mail)
		}
	}
	if n := len(relay.Mails()); n != 1 {
		t.Errorf("%d mails", n)
	}
	for name, change := range map[string]func(*mail.Message){
		"recipient": func(m *mail.Message) { m.To = "ann@example.org\r\nRCPT TO:<eve@example.org>" },
		"two":       func(m *mail.Message) { m.To = "ann@example.org, eve@example.org" },
		"id":        func(m *mail.Message) { m.ID = "x>\r\nBcc: e" },
		"thread":    func(m *mail.Message) { m.Thread = "x y" },
		"length":    func(m *mail.Message) { m.Text = strings.Repeat("x", 1<<20) },
	} {
		m := message()
		change(&m)
		if e, ok := errors.AsType[*mail.Error](client.Send(t.Context(), m)); !ok || e.Temporary() {
			t.Errorf("%s: %v", name, e)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault     mailfake.Fault
		temporary bool
		code      int
		taken     int
	}{
		"busy":            {mailfake.Fault{Command: "greeting", Answer: "421 too busy"}, true, 421, 0},
		"silent":          {mailfake.Fault{Command: "greeting"}, true, 0, 0},
		"no such person":  {mailfake.Fault{Command: "RCPT", Answer: "550 5.1.1 no such person"}, false, 550, 0},
		"greylisted":      {mailfake.Fault{Command: "RCPT", Answer: "451 4.7.1 later"}, true, 451, 0},
		"no TLS":          {mailfake.Fault{Command: "STARTTLS", Answer: "502 not here"}, false, 502, 0},
		"hangs up":        {mailfake.Fault{Command: "DATA"}, true, 0, 0},
		"the answer lost": {mailfake.Fault{Command: "DATA", After: true}, true, 0, 1},
		"looks like spam": {mailfake.Fault{Command: "DATA", After: true, Answer: "554 no"}, false, 554, 1},
	} {
		relay, client := start(t, mailfake.Options{StartTLS: true})
		relay.Misbehave(test.fault)
		e, ok := errors.AsType[*mail.Error](client.Send(t.Context(), message()))
		if !ok || e.Temporary() != test.temporary || e.Code != test.code || len(relay.Mails()) != test.taken {
			t.Errorf("%s: %v, %d taken", name, e, len(relay.Mails()))
		}
	}
	relay, client := start(t, mailfake.Options{StartTLS: true, User: "u", Password: "p"})
	client.Password = "wrong"
	if e, ok := errors.AsType[*mail.Error](client.Send(t.Context(), message())); !ok || e.Temporary() || strings.Contains(e.Error(), "wrong\x00") {
		t.Errorf("wrong password: %v", e)
	}
	client.TLS = nil
	if err := client.Send(t.Context(), message()); err == nil {
		t.Error("an unknown authority was trusted")
	}
	if err := client.Reach(t.Context()); err == nil {
		t.Error("an unknown authority was reached")
	}
	if n := len(relay.Mails()); n != 0 {
		t.Errorf("%d mails", n)
	}
}

// Without TLS nothing is sent where it is wanted, not even by a relay that does
// not offer it.
func TestTLSIsNotLeftOut(t *testing.T) {
	t.Parallel()
	relay, client := start(t, mailfake.Options{})
	if err := client.Send(t.Context(), message()); err == nil || len(relay.Mails()) != 0 {
		t.Errorf("%v, %d mails", err, len(relay.Mails()))
	}
	for name, c := range map[string]*mail.Client{
		"password in the clear": {Relay: "relay.example.org:25", From: "a@b.org", User: "u", Security: mail.Plain},
		"no port":               {Relay: "relay.example.org", From: "a@b.org"},
		"no sender":             {Relay: "relay.example.org:25"},
		"no such way":           {Relay: "relay.example.org:25", From: "a@b.org", Security: "magic"},
	} {
		if err := c.Check(); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestSilentRelay(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	client := &mail.Client{Relay: listener.Addr().String(), From: "a@b.org"}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if e, ok := errors.AsType[*mail.Error](client.Send(ctx, message())); !ok || !e.Temporary() {
		t.Errorf("%v", e)
	}
}
