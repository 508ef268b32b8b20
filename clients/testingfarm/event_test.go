package testingfarm_test

import (
	"bytes"
	"errors"
	"testing"

	"millrace/clients/testingfarm"
	"millrace/models"

	"github.com/google/go-cmp/cmp"
)

func TestWebhook(t *testing.T) {
	t.Parallel()
	note := []byte(`{"request_id": "a-1", "token": "new", "source": "testing-farm"}`)
	first, err := testingfarm.ParseWebhook(note, []string{"old", "new"})
	if err != nil {
		t.Fatal(err)
	}
	if first.Source != models.FromTestingFarm || first.Size != len(note) || bytes.Contains(first.Body, []byte("new")) {
		t.Errorf("delivery %+v with body %s; want one without the token", first, first.Body)
	}
	m, reason, err := testingfarm.ParseEvent(first.Body)
	if err != nil || reason != "" {
		t.Fatalf("reason %q, error %v", reason, err)
	}
	if diff := cmp.Diff(&models.Message{Kind: models.TestResultEvent, ExternalID: "a-1"}, m); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	// The next note about the same request says that something changed again.
	second, err := testingfarm.ParseWebhook(note, []string{"new"})
	if err != nil || second.Key == first.Key {
		t.Errorf("the second note: %+v, %v; want another key", second, err)
	}

	for _, body := range []string{`{"request_id": "a-1"}`, `{"request_id": "a-1", "token": ""}`, `{"request_id": "a-1", "token": "NEW"}`} {
		if _, err := testingfarm.ParseWebhook([]byte(body), []string{"new", ""}); !errors.Is(err, models.ErrUnproven) {
			t.Errorf("%s: %v, want ErrUnproven", body, err)
		}
	}
	for body, field := range map[string]string{
		`[]`: "body", `{"token": "new"}`: "request_id", `{"token": "new", "request_id": "../about"}`: "request_id",
	} {
		_, err := testingfarm.ParseWebhook([]byte(body), []string{"new"})
		if bad, ok := errors.AsType[*models.InputError](err); !ok || bad.Field != field {
			t.Errorf("%s: %v, want an InputError about %s", body, err, field)
		}
	}
}

func TestNoEvent(t *testing.T) {
	t.Parallel()
	// The answer to a question is not a note.
	if m, reason, err := testingfarm.ParseEvent([]byte(`{"id": "a-1", "state": "error"}`)); m != nil || reason == "" || err != nil {
		t.Errorf("%+v, reason %q, error %v; want a reason alone", m, reason, err)
	}
	if m, reason, err := testingfarm.ParseEvent([]byte(`{"request_id": 5}`)); m != nil || reason != "" || err == nil {
		t.Errorf("%+v, reason %q, error %v; want an error alone", m, reason, err)
	}
}

func FuzzParseEvent(f *testing.F) {
	for _, seed := range []string{`{"request_id": "a-1"}`, `{}`, `{"request_id": null}`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, _, err := testingfarm.ParseEvent(body)
		if m != nil && (err != nil || bytes.ContainsAny([]byte(m.ExternalID), "/?#. ")) {
			t.Errorf("an unsafe message %+v, error %v", m, err)
		}
	})
}
