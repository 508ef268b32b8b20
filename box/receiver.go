package box

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/http"
	netmail "net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/clients/github/githubfake"
	"millrace/clients/mail/mailfake"
	"millrace/clients/webhook"
	"millrace/clients/wire"

	"github.com/a-h/templ"
)

// receiverPath is where the box takes what the service's hooks are sent.
const receiverPath = "/-/receiver/take"

// Mood is how the receiver answers.
type Mood string

// The moods of the receiver.
const (
	MoodFine Mood = "fine" // 204
	MoodBad  Mood = "bad"  // 500
	MoodSlow Mood = "slow" // after longer than the service waits
	MoodGone Mood = "gone" // it hangs up
)

var moods = []struct {
	Mood
	Words string
}{
	{MoodFine, "Take everything"}, {MoodBad, "Answer 500"}, {MoodSlow, "Answer too late"}, {MoodGone, "Be gone"},
}

// receiver is a program that takes the service's hooks, in memory.
type receiver struct {
	mu   sync.Mutex // above what follows
	mood Mood       // empty: fine
	came []arrival
}

// arrival is a message that came, taken or not.
type arrival struct {
	At     time.Time
	ID     string // by which repeats are told
	Again  bool   // that id was taken before
	Topic  string
	Signed bool // by the secret of the receiver
	Answer string
	Title  string
	Body   string
}

// mostArrivals is how many messages are kept.
const mostArrivals = 500

// receive is the address of the receiver.
func (b *Box) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2<<20))
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return
	}
	a := arrival{At: time.Now().UTC(), ID: r.Header.Get(webhook.StandardIDHeader), Topic: r.Header.Get(webhook.EventHeader), Body: pretty(body)}
	var said struct{ Title string }
	if json.Unmarshal(body, &said) == nil {
		a.Title = said.Title
	}
	a.Signed = signedBy(b.access.ReceiverSecret, r.Header, body)
	b.receiver.mu.Lock()
	mood := Mood(cmp.Or(string(b.receiver.mood), string(MoodFine)))
	a.Again = slices.ContainsFunc(b.receiver.came, func(o arrival) bool { return o.ID == a.ID && o.Answer == "204" })
	a.Answer = map[Mood]string{MoodFine: "204", MoodBad: "500", MoodSlow: "too late", MoodGone: "none"}[mood]
	if mood == MoodFine && !a.Signed {
		a.Answer = "401"
	}
	b.receiver.came = append(b.receiver.came, a)
	b.receiver.came = b.receiver.came[max(0, len(b.receiver.came)-mostArrivals):]
	b.receiver.mu.Unlock()
	switch {
	case mood == MoodGone:
		panic(http.ErrAbortHandler)
	case mood == MoodSlow:
		select {
		case <-r.Context().Done():
		case <-b.ctx.Done():
		}
	case mood == MoodBad:
		http.Error(w, "The receiver is out of order.", http.StatusInternalServerError)
	case !a.Signed:
		http.Error(w, "The signature does not hold.", http.StatusUnauthorized)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// signedBy reports whether one of the timed signatures is by a secret.
func signedBy(secret string, h http.Header, body []byte) bool {
	stamped := append([]byte(h.Get(webhook.TimestampHeader)+"."), body...)
	for signature := range strings.FieldsSeq(h.Get(webhook.TimedSignatureHeader)) {
		plain, ok := strings.CutPrefix(signature, "sha256=")
		if ok && wire.Signed([]string{secret}, stamped, plain) {
			return true
		}
	}
	return false
}

func pretty(body []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, body, "", "  ") != nil {
		return string(body)
	}
	return b.String()
}

// receiverPage is what came, the newest first.
type receiverPage struct {
	Mood        Mood
	Came        []arrival
	URL, Secret string
	Make        []makeLink
}

// makeLink leads to the service's form for a hook to the receiver.
type makeLink struct{ Repo, URL string }

func (b *Box) showReceiver(context.Context, *http.Request) (templ.Component, error) {
	p := receiverPage{URL: b.access.ReceiverURL, Secret: b.access.ReceiverSecret}
	b.receiver.mu.Lock()
	p.Mood = Mood(cmp.Or(string(b.receiver.mood), string(MoodFine)))
	p.Came = newest(b.receiver.came, listed)
	b.receiver.mu.Unlock()
	if service := b.Service(); service != "" {
		host := strings.TrimPrefix(b.access.URL, "http://")
		for _, repo := range b.Forge.Repos() {
			if repo.ForkOf != "" { // nothing happens in it that the service is told of
				continue
			}
			q := url.Values{"url": {p.URL}, "secret": {p.Secret}}
			p.Make = append(p.Make, makeLink{repo.FullName(), fmt.Sprintf("%s/projects/%s/%s/-/settings/hooks?%s", service, host, repo.FullName(), q.Encode())})
		}
	}
	return receiverHome(p), nil
}

// actReceiver changes how the receiver answers.
func (b *Box) actReceiver(_ context.Context, r *http.Request) (string, error) {
	mood := Mood(r.PostForm.Get("mood"))
	if !slices.ContainsFunc(moods, func(m struct {
		Mood
		Words string
	}) bool {
		return m.Mood == mood
	}) {
		return "", cannot("The receiver has no such mood.")
	}
	b.SetMood(mood)
	return "/-/receiver", nil
}

// SetMood changes how the receiver answers.
func (b *Box) SetMood(mood Mood) {
	b.receiver.mu.Lock()
	defer b.receiver.mu.Unlock()
	b.receiver.mood = mood
}

// startMail starts the relay, where it was the last time.
func (b *Box) startMail() (err error) {
	if b.Mail, err = mailfake.Start(mailfake.Options{Addr: b.state.MailAddr}); err != nil {
		return err
	}
	b.access.MailRelay, b.state.MailAddr = b.Mail.Addr, b.Mail.Addr
	return b.save()
}

// letter is a mail as people read it.
type letter struct {
	Number            int // from 1, in the order in which they came
	At                time.Time
	To, Subject, Text string
	Headers           string
	Stop              string // address that ends such mails; may be empty
}

func (b *Box) showMail(context.Context, *http.Request) (templ.Component, error) {
	return mailHome(b.letters()), nil
}

func (b *Box) showLetter(_ context.Context, r *http.Request) (templ.Component, error) {
	n, err := strconv.Atoi(r.PathValue("number"))
	all := b.letters()
	i := slices.IndexFunc(all, func(l letter) bool { return l.Number == n })
	if err != nil || i < 0 {
		return nil, fmt.Errorf("mail %q: %w", r.PathValue("number"), githubfake.ErrNotFound)
	}
	return mailLetter(all[i]), nil
}

// letters are the mails that came, the newest first.
func (b *Box) letters() (all []letter) {
	for i, m := range b.Mail.Mails() {
		l := letter{Number: i + 1, At: m.At, To: m.To, Text: m.Text}
		if read, err := netmail.ReadMessage(strings.NewReader(m.Text)); err == nil {
			head, _, _ := strings.Cut(m.Text, "\r\n\r\n")
			l.Headers = strings.ReplaceAll(head, "\r\n", "\n")
			l.Subject = read.Header.Get("Subject")
			if plain, err := new(mime.WordDecoder).DecodeHeader(l.Subject); err == nil {
				l.Subject = plain
			}
			l.Stop = strings.Trim(read.Header.Get("List-Unsubscribe"), "<>")
			if text, err := io.ReadAll(quotedprintable.NewReader(read.Body)); err == nil {
				l.Text = strings.ReplaceAll(string(text), "\r\n", "\n")
			}
		}
		all = append(all, l)
	}
	slices.Reverse(all)
	return all
}
