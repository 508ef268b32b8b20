package github_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"millrace/clients/github"
	"millrace/models"

	"github.com/google/go-cmp/cmp"
)

func sign(algorithm func() hash.Hash, secret, body string) string {
	mac := hmac.New(algorithm, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	const body = `{"zen": "Still water turns no wheel."}`
	signed := "sha256=" + sign(sha256.New, "new", body)
	headers := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	event := []string{"X-GitHub-Event", "ping", "X-GitHub-Delivery", "d-1"}
	with := func(pairs ...string) http.Header { return headers(append(pairs, event...)...) }
	form := "payload=" + url.QueryEscape(body)
	deep := `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}"
	const unproven = "unproven"
	tests := []struct {
		name    string
		header  http.Header
		body    string
		secrets []string
		want    string // "" accepted, unproven, or the field that is wrong
	}{
		{"proven", with("X-Hub-Signature-256", signed), body, []string{"new"}, ""},
		{"while rotating", with("X-Hub-Signature-256", signed), body, []string{"old", "new"}, ""},
		{"wrong secret", with("X-Hub-Signature-256", signed), body, []string{"old"}, unproven},
		{"no secret is set", with("X-Hub-Signature-256", "sha256="+sign(sha256.New, "", body)), body, []string{""}, unproven},
		{"no signature", with(), body, []string{"new"}, unproven},
		{"another body", with("X-Hub-Signature-256", signed), body + " ", []string{"new"}, unproven},
		{"signature without its algorithm", with("X-Hub-Signature-256", strings.TrimPrefix(signed, "sha256=")), body, []string{"new"}, unproven},
		{"SHA-1 alone", with("X-Hub-Signature", "sha1="+sign(sha1.New, "new", body)), body, []string{"new"}, unproven},
		{"SHA-1 in its place", with("X-Hub-Signature-256", "sha1="+sign(sha1.New, "new", body)), body, []string{"new"}, unproven},
		{"ping too must be signed", with("X-Hub-Signature-256", "sha256=00"), body, []string{"new"}, unproven},
		{"no event", headers("X-Hub-Signature-256", signed, "X-GitHub-Delivery", "d-1"), body, []string{"new"}, "X-GitHub-Event"},
		{"no delivery", headers("X-Hub-Signature-256", signed, "X-GitHub-Event", "ping"), body, []string{"new"}, "X-GitHub-Delivery"},
		{"long delivery", headers("X-Hub-Signature-256", signed, "X-GitHub-Event", "ping", "X-GitHub-Delivery", strings.Repeat("d", 101)),
			body, []string{"new"}, "X-GitHub-Delivery"},
		{"unprintable event", headers("X-Hub-Signature-256", signed, "X-GitHub-Event", "pi\x00ng", "X-GitHub-Delivery", "d-1"),
			body, []string{"new"}, "X-GitHub-Event"},
		{"not JSON", with("X-Hub-Signature-256", "sha256="+sign(sha256.New, "new", "zen")), "zen", []string{"new"}, "body"},
		{"a list", with("X-Hub-Signature-256", "sha256="+sign(sha256.New, "new", "[]")), "[]", []string{"new"}, "body"},
		{"deep", with("X-Hub-Signature-256", "sha256="+sign(sha256.New, "new", deep)), deep, []string{"new"}, "body"},
		{"form", with("X-Hub-Signature-256", "sha256="+sign(sha256.New, "new", form), "Content-Type", "application/x-www-form-urlencoded"),
			form, []string{"new"}, ""},
		{"form without payload", with("X-Hub-Signature-256", "sha256="+sign(sha256.New, "new", "a=b"), "Content-Type", "application/x-www-form-urlencoded"),
			"a=b", []string{"new"}, "body"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := github.ParseWebhook(tt.header, []byte(tt.body), tt.secrets)
			bad, isInput := errors.AsType[*models.InputError](err)
			switch {
			case tt.want == unproven:
				if !errors.Is(err, models.ErrUnproven) {
					t.Errorf("err = %v, want ErrUnproven", err)
				}
			case tt.want != "":
				if !isInput || bad.Field != tt.want {
					t.Errorf("err = %v, want an InputError about %s", err, tt.want)
				}
			case err != nil:
				t.Error(err)
			default:
				want := &models.Delivery{Source: "github", Key: "d-1", Type: "ping", Body: []byte(body), Size: len(tt.body)}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("delivery (-want +got):\n%s", diff)
				}
			}
		})
	}
}
