// Package gitlab understands what GitLab sends.
package gitlab

import (
	"net/http"

	"millrace/clients/wire"
	"millrace/models"
)

// maxHeader is how long the values of GitLab's headers may be.
const maxHeader = 200

// ParseWebhook makes a delivery of what GitLab posted, once the token in its
// header proves that a hook of ours sent it: GitLab does not sign but sends
// the secret itself. The error is models.ErrUnproven, or a *models.InputError
// if GitLab sent what it should not. ReceivedAt is left to the caller.
func ParseWebhook(header http.Header, body []byte, secrets []string) (*models.Delivery, error) {
	if !wire.KnownSecret(secrets, header.Get("X-Gitlab-Token")) {
		return nil, models.ErrUnproven
	}
	d := &models.Delivery{
		Source: models.FromGitLab,
		Key:    key(header),
		Type:   header.Get("X-Gitlab-Event"),
	}
	if !wire.Printable(d.Type, maxHeader) {
		return nil, &models.InputError{Field: "X-Gitlab-Event", Message: "the header is missing or malformed"}
	}
	if !wire.Printable(d.Key, maxHeader) {
		return nil, &models.InputError{Field: "X-Gitlab-Event-UUID", Message: "the header is missing or malformed"}
	}
	if err := wire.Object(body); err != nil {
		return nil, &models.InputError{Field: "body", Message: err.Error()}
	}
	d.Body, d.Size = body, len(body)
	return d, nil
}

// key is the same when GitLab tries again, which newer versions promise of the
// first header only.
// https://docs.gitlab.com/user/project/integrations/webhooks/#delivery-headers
func key(header http.Header) string {
	if key := header.Get("Idempotency-Key"); key != "" {
		return key
	}
	return header.Get("X-Gitlab-Event-UUID")
}
