// Package forgejo is a client of Forgejo, the forge that Fedora's dist-git may
// move to, and understands what Forgejo sends, as a webhook or, with the same
// body, over Fedora's message bus.
package forgejo

import (
	"net/http"

	"millrace/clients/wire"
	"millrace/models"
)

// maxHeader is how long the values of Forgejo's headers may be.
const maxHeader = 100

// ParseWebhook makes a delivery of what Forgejo posted, once its signature
// proves that Forgejo did. One of secrets must have made the signature; while
// a secret is replaced there are two. The error is models.ErrUnproven, or a
// *models.InputError if Forgejo sent what it should not. ReceivedAt is left to
// the caller.
//
// https://forgejo.org/docs/latest/user/webhooks/
func ParseWebhook(header http.Header, body []byte, secrets []string) (*models.Delivery, error) {
	// Unlike GitHub's, the signature has no prefix.
	if !wire.Signed(secrets, body, header.Get("X-Forgejo-Signature")) {
		return nil, models.ErrUnproven
	}
	d := &models.Delivery{
		Source: models.FromForgejo,
		Key:    header.Get("X-Forgejo-Delivery"),
		Type:   header.Get("X-Forgejo-Event"),
	}
	if !wire.Printable(d.Type, maxHeader) {
		return nil, &models.InputError{Field: "X-Forgejo-Event", Message: "the header is missing or malformed"}
	}
	if !wire.Printable(d.Key, maxHeader) {
		return nil, &models.InputError{Field: "X-Forgejo-Delivery", Message: "the header is missing or malformed"}
	}
	if err := wire.Object(body); err != nil {
		return nil, &models.InputError{Field: "body", Message: err.Error()}
	}
	d.Body, d.Size = body, len(body)
	return d, nil
}
