package testingfarm

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"

	"millrace/clients/wire"
	"millrace/models"
)

// requestID is what a request's id may be: UUIDs today. It becomes part of an
// address.
var requestID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// A note is what Testing Farm posts to the webhook of a request whenever the
// request's state changes. What it changed to must be asked for.
type note struct {
	RequestID string `json:"request_id"`
	Token     string `json:"token,omitempty"`
}

// ParseWebhook makes a delivery of a note, once the token in it proves that it
// comes from the farm. Notes have no ids of their own, so each is a new
// delivery. The token is not kept. The error is models.ErrUnproven or a
// *models.InputError. ReceivedAt is left to the caller.
func ParseWebhook(body []byte, tokens []string) (*models.Delivery, error) {
	var in note
	if err := wire.Decode(body, &in); err != nil {
		return nil, &models.InputError{Field: "body", Message: err.Error()}
	}
	if !wire.KnownSecret(tokens, in.Token) {
		return nil, models.ErrUnproven
	}
	if !requestID.MatchString(in.RequestID) {
		return nil, &models.InputError{Field: "request_id", Message: "it is missing or malformed"}
	}
	kept, err := json.Marshal(note{RequestID: in.RequestID})
	if err != nil {
		return nil, fmt.Errorf("encoding a note about %s: %w", in.RequestID, err)
	}
	return &models.Delivery{
		Source: models.FromTestingFarm,
		Key:    in.RequestID + "/" + rand.Text(),
		Type:   "results",
		Body:   kept,
		Size:   len(body),
	}, nil
}

// ParseEvent reads a note. If it is none, there is no message but the reason.
// An error means that body is broken.
func ParseEvent(body []byte) (*models.Message, string, error) {
	var in note
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	if !requestID.MatchString(in.RequestID) {
		return nil, "it does not say which request", nil
	}
	return &models.Message{Kind: models.TestResultEvent, ExternalID: in.RequestID}, "", nil
}
