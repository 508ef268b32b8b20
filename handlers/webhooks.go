package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"millrace/clients/fedmsg"
	"millrace/clients/forgejo"
	"millrace/clients/github"
	"millrace/clients/gitlab"
	"millrace/clients/testingfarm"
	"millrace/clients/wire"
	"millrace/models"
)

const (
	hookPatience = 30 * time.Second // for a body to arrive, and to be stored
	bigHook      = 1 << 20          // bytes; real webhooks are about 26 kB
	maxBigHooks  = 8                // of them at once: their memory is taken before they prove anything
	maxMessages  = 1000             // in one list
	maxKey       = 255              // bytes of a message's id or topic
)

// source is a way in: who may send, and how what they send is read.
type source struct {
	name    string // of the deliveries
	service string // for people
	secrets []string
	read    func(header http.Header, body []byte, secrets []string) ([]*models.Delivery, error)
}

// one makes a reader of lists of a reader of one.
func one(read func(http.Header, []byte, []string) (*models.Delivery, error)) func(http.Header, []byte, []string) ([]*models.Delivery, error) {
	return func(header http.Header, body []byte, secrets []string) ([]*models.Delivery, error) {
		d, err := read(header, body, secrets)
		if err != nil {
			return nil, err
		}
		return []*models.Delivery{d}, nil
	}
}

// sources are the ways in by their paths. Those below /api are where users of
// Packit Service have them.
func (s *Server) sources() map[string]*source {
	hub := &source{models.FromGitHub, "GitHub", s.Secrets.GitHub, one(github.ParseWebhook)}
	lab := &source{models.FromGitLab, "GitLab", s.Secrets.GitLab, one(gitlab.ParseWebhook)}
	farm := &source{models.FromTestingFarm, "Testing Farm", s.Secrets.TestingFarm, one(func(_ http.Header, body []byte, tokens []string) (*models.Delivery, error) {
		return testingfarm.ParseWebhook(body, tokens)
	})}
	return map[string]*source{
		"/hooks/github":             hub,
		"/api/webhooks/github":      hub,
		"/hooks/gitlab":             lab,
		"/api/webhooks/gitlab":      lab,
		"/hooks/forgejo":            {models.FromForgejo, "Forgejo", s.Secrets.Forgejo, one(forgejo.ParseWebhook)},
		"/hooks/testing-farm":       farm,
		"/api/testing-farm/results": farm,
		"/hooks/bus":                {models.FromBus, "the message bus", s.Secrets.Bus, readBus},
	}
}

// receive stores what is sent together with the job that will handle it.
// Senders wait only seconds for an answer, so all thinking is left to the job.
func (s *Server) receive(from *source) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fresh, total, err := s.take(w, r, from)
		status, result, sentence := http.StatusAccepted, "accepted", "Accepted."
		switch {
		case err != nil:
			status, result, sentence = s.refuse(r, from, err)
		case fresh == 0 && total == 0:
			status, result, sentence = http.StatusOK, "repeated", "There was nothing in the list."
		case fresh == 0:
			status, result, sentence = http.StatusOK, "repeated", "This came before; nothing more is done about it."
		case total > 1:
			sentence = fmt.Sprintf("Accepted %d of %d; the others came before.", fresh, total)
		}
		s.Metrics.intake(from.name, result)
		s.reply(w, status, sentence)
	}
}

// reply answers a sender with a sentence. Forges show it to their users.
func (s *Server) reply(w http.ResponseWriter, status int, sentence string) {
	body, _ := json.Marshal(struct { // a string: it cannot fail
		Message string `json:"message"`
	}{sentence})
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "10")
	}
	w.WriteHeader(status)
	// A sender that does not wait for the answer will send again and be told.
	_, _ = w.Write(append(body, '\n'))
}

// take reads, checks and stores what is sent.
func (s *Server) take(w http.ResponseWriter, r *http.Request, from *source) (fresh, total int, err error) {
	if len(from.secrets) == 0 {
		return 0, 0, models.ErrUnproven
	}
	body, done, err := s.body(w, r)
	defer done()
	if err != nil {
		return 0, 0, err
	}
	deliveries, err := from.read(r.Header, body, from.secrets)
	if err != nil {
		return 0, 0, err
	}
	// A sender that leaves early does not take back what it sent.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), hookPatience)
	defer cancel()
	for _, d := range deliveries {
		isFresh, err := s.Accept(ctx, d)
		if err != nil {
			return fresh, len(deliveries), err
		}
		if isFresh {
			fresh++
		}
	}
	return fresh, len(deliveries), nil
}

// errBusy says that too many large messages are being read at once.
var errBusy = errors.New("too many large messages at once")

// body reads what is sent, within limits of size; its time is limited already. done is to be called
// when it is no longer needed.
func (s *Server) body(w http.ResponseWriter, r *http.Request) (body []byte, done func(), err error) {
	done = func() {}
	if r.ContentLength > wire.MaxBody {
		return nil, done, &http.MaxBytesError{Limit: wire.MaxBody}
	}
	if r.ContentLength < 0 || r.ContentLength > bigHook {
		select {
		case s.big <- struct{}{}:
			done = func() { <-s.big }
		default:
			return nil, done, errBusy
		}
	}
	var b bytes.Buffer
	b.Grow(int(min(max(r.ContentLength, 0), bigHook)) + bytes.MinRead)
	if _, err = b.ReadFrom(http.MaxBytesReader(w, r.Body, wire.MaxBody)); err != nil {
		return nil, done, err
	}
	// The deadline was for the body; storing it is another matter.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return b.Bytes(), done, nil
}

// refuse chooses status, result for the counters, and sentence for a message
// that is not taken.
func (s *Server) refuse(r *http.Request, from *source, err error) (status int, result, sentence string) {
	if bad, ok := errors.AsType[*models.InputError](err); ok {
		return http.StatusBadRequest, "malformed", "This cannot be read: " + bad.Error() + "."
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("This is too large: at most %d bytes are taken.", wire.MaxBody)
	}
	switch {
	case errors.Is(err, models.ErrUnproven) && len(from.secrets) == 0:
		return http.StatusUnauthorized, "unproven", fmt.Sprintf("No secret for %s is set up here, so nothing from it can be believed.", from.service)
	case errors.Is(err, models.ErrUnproven):
		return http.StatusUnauthorized, "unproven", fmt.Sprintf("This does not prove that it comes from %s: the signature or token is missing or does not match.", from.service)
	case errors.Is(err, errBusy):
		return http.StatusServiceUnavailable, "busy", "Too many large messages arrive at once. Send this again in a moment."
	case errors.Is(err, io.ErrUnexpectedEOF), isTimeout(err) && !tooSlow(err):
		return http.StatusRequestTimeout, "cut_off", "The message did not arrive as a whole."
	}
	id := visitOf(r).id
	s.Log.ErrorContext(r.Context(), "delivery not stored", "error", err, "source", from.name, "request", id)
	if tooSlow(err) || unreachable(err) {
		return http.StatusServiceUnavailable, "failed", "This could not be stored now. Send it again in a moment. The number of this in our log is " + id + "."
	}
	return http.StatusInternalServerError, "failed", "This could not be stored, which is our mistake. Its number in our log is " + id + "."
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

// readBus reads a message of the bus with its envelope, or a list of them, from
// somebody who may hand them over.
func readBus(header http.Header, body []byte, tokens []string) ([]*models.Delivery, error) {
	scheme, token, _ := strings.Cut(header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || !wire.KnownSecret(tokens, strings.TrimSpace(token)) {
		return nil, models.ErrUnproven
	}
	files := []json.RawMessage{body}
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
		// Depth is checked of each message; a list alone adds one level, and
		// brackets without end are an error of syntax before they cost a stack.
		if err := json.Unmarshal(body, &files); err != nil {
			return nil, &models.InputError{Field: "body", Message: "it is not well-formed JSON: " + err.Error()}
		}
		if len(files) > maxMessages {
			return nil, &models.InputError{Field: "body", Message: fmt.Sprintf("the list has %d messages, more than %d", len(files), maxMessages)}
		}
	}
	deliveries := make([]*models.Delivery, len(files))
	for i, file := range files {
		d, err := busDelivery(file)
		if err != nil {
			field := "body"
			if len(files) > 1 {
				field = fmt.Sprintf("message %d", i)
			}
			return nil, &models.InputError{Field: field, Message: err.Error()}
		}
		deliveries[i] = d
	}
	return deliveries, nil
}

func busDelivery(file []byte) (*models.Delivery, error) {
	if err := wire.Object(file); err != nil {
		return nil, err
	}
	m, err := fedmsg.ParseEnvelope(file)
	if err != nil {
		return nil, err
	}
	if !wire.Printable(m.Topic, maxKey) {
		return nil, errors.New("the topic is missing or malformed")
	}
	if !wire.Printable(m.ID, maxKey) {
		return nil, errors.New("the id is malformed")
	}
	return &models.Delivery{Source: models.FromBus, Key: m.ID, Type: m.Topic, Body: m.Body, Size: len(m.Body)}, nil
}
