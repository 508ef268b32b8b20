// Package intake makes messages of deliveries: it knows which service's parser
// understands what. The service and the command line read through it alike.
package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"millrace/clients/fedbus"
	"millrace/clients/fedmsg"
	"millrace/clients/forgejo"
	"millrace/clients/github"
	"millrace/clients/gitlab"
	"millrace/clients/testingfarm"
	"millrace/clients/wire"
	"millrace/models"
)

// Sources are the names that Parse knows.
var sources = []string{
	models.FromGitHub, models.FromGitLab, models.FromForgejo, models.FromBus, models.FromTestingFarm, models.FromPoll,
}

// Sources returns the names of all sources that Parse knows.
func Sources() []string { return slices.Clone(sources) }

// Parser understands deliveries. Its zero value takes Fedora's addresses for
// those that messages leave out.
type Parser struct {
	Bus fedbus.Parser
}

// Parse is that of a Parser with Fedora's addresses.
func Parse(source, typ string, body []byte) (m *models.Message, reason string, err error) {
	return Parser{}.Parse(source, typ, body)
}

// Parse reads a message: typ is the event header's value of a webhook, or the
// full topic. For messages that ask nothing of us, m is nil and reason says
// why, in words for people. An error is a *models.InputError: no other attempt
// will make more of body.
func (p Parser) Parse(source, typ string, body []byte) (m *models.Message, reason string, err error) {
	switch source {
	case models.FromGitHub:
		m, reason, err = github.ParseEvent(typ, body)
	case models.FromGitLab:
		m, reason, err = gitlab.ParseEvent(typ, body)
	case models.FromForgejo:
		m, reason, err = forgejo.ParseEvent(typ, body)
	case models.FromBus:
		m, reason, err = p.parseBus(typ, body)
	case models.FromTestingFarm:
		m, reason, err = testingfarm.ParseEvent(body)
	case models.FromPoll:
		m, reason, err = parsePoll(body)
	default:
		return nil, "", &models.InputError{Field: "source", Message: "there is no such source"}
	}
	if err != nil {
		return nil, "", inputError(err)
	}
	if m != nil {
		tidy(m)
	}
	return m, reason, nil
}

// parseForgejo reads a webhook that the bus carries, with its headers around it.
func parseForgejo(event string, body []byte) (*models.Message, string, error) {
	var carried struct {
		Body json.RawMessage `json:"body"`
	}
	if err := wire.Decode(body, &carried); err != nil {
		return nil, "", err
	}
	if bytes.HasPrefix(carried.Body, []byte("{")) {
		body = carried.Body
	}
	return forgejo.ParseEvent(event, body)
}

func inputError(err error) error {
	if bad, ok := errors.AsType[*models.InputError](err); ok {
		return bad
	}
	return &models.InputError{Field: "body", Message: err.Error()}
}

func (p Parser) parseBus(topic string, body []byte) (*models.Message, string, error) {
	// What came over AMQP has no envelope, and then this takes nothing off.
	m, err := fedmsg.ParseEnvelope(body)
	if err != nil {
		return nil, "", err
	}
	body = m.Body
	name := fedbus.Name(topic)
	if event, ok := strings.CutPrefix(name, "forgejo."); ok {
		return parseForgejo(event, body)
	}
	switch name {
	case "copr.build.start", "copr.build.end":
		return parseCopr(name, body)
	}
	return p.Bus.ParseEvent(topic, body)
}
