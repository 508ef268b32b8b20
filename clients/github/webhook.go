package github

import (
	"mime"
	"net/http"
	"net/url"
	"strings"

	"millrace/clients/wire"
	"millrace/models"
)

// maxHeader is how long the values of GitHub's headers may be.
const maxHeader = 100

// ParseWebhook makes a delivery of what GitHub posted, once its signature
// proves that GitHub did. One of secrets must have made the signature; while a
// secret is replaced there are two. The error is models.ErrUnproven, or a
// *models.InputError if GitHub sent what it should not. ReceivedAt is left to
// the caller.
func ParseWebhook(header http.Header, body []byte, secrets []string) (*models.Delivery, error) {
	// The older X-Hub-Signature is HMAC-SHA1 and proves nothing here.
	signature, ok := strings.CutPrefix(header.Get("X-Hub-Signature-256"), "sha256=")
	if !ok || !wire.Signed(secrets, body, signature) {
		return nil, models.ErrUnproven
	}
	d := &models.Delivery{
		Source: models.FromGitHub,
		Key:    header.Get("X-GitHub-Delivery"), // a redelivery has the same
		Type:   header.Get("X-GitHub-Event"),
	}
	if !wire.Printable(d.Type, maxHeader) {
		return nil, &models.InputError{Field: "X-GitHub-Event", Message: "the header is missing or malformed"}
	}
	if !wire.Printable(d.Key, maxHeader) {
		return nil, &models.InputError{Field: "X-GitHub-Delivery", Message: "the header is missing or malformed"}
	}
	payload, err := unpack(header, body)
	if err != nil {
		return nil, err
	}
	if err := wire.Object(payload); err != nil {
		return nil, &models.InputError{Field: "body", Message: err.Error()}
	}
	d.Body, d.Size = payload, len(body)
	return d, nil
}

// unpack takes the JSON out of the form that GitHub sends if a webhook's content type is
// not set to JSON. The signature is over the form.
func unpack(header http.Header, body []byte) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return body, nil
	}
	if len(body) > wire.MaxBody {
		return nil, &models.InputError{Field: "body", Message: "it is too large"}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, &models.InputError{Field: "body", Message: "it is not a well-formed form"}
	}
	return []byte(form.Get("payload")), nil
}
