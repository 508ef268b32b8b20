package fedmsg

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
)

func TestParseEnvelope(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 8, 11, 12, 0, time.UTC)
	const made = "made from the content"
	for _, test := range []struct {
		name, file string
		want       Message
	}{
		{"AMQP", `{"topic":"a.b","id":"1-2","queue":null,"headers":{"sent-at":"2026-03-04T10:11:12+02:00"},"body":{"build":7}}`,
			Message{ID: "1-2", Topic: "a.b", SentAt: at, Body: json.RawMessage(`{"build":7}`)}},
		{"AMQP without anything else", `{"topic":"a.b","body":{"build":7}}`,
			Message{ID: made, Topic: "a.b", Body: json.RawMessage(`{"build":7}`)}},
		{"AMQP without topic", `{"headers":{},"id":"x","body":{}}`, Message{ID: "x", Body: json.RawMessage(`{}`)}},
		{"older", `{"topic":"a.b","msg_id":"2020-x","i":3,"timestamp":1772611872.0,"msg":{"build":7}}`,
			Message{ID: "2020-x", Topic: "a.b", SentAt: at, Body: json.RawMessage(`{"build":7}`)}},
		{"older, time in words", `{"topic":"a.b","timestamp":"2026-03-04T08:11:12","msg":{}}`,
			Message{ID: made, Topic: "a.b", SentAt: at, Body: json.RawMessage(`{}`)}},
		{"older, absurd time", `{"topic":"a.b","timestamp":1e300,"msg":{}}`,
			Message{ID: made, Topic: "a.b", Body: json.RawMessage(`{}`)}},
		{"flat", `{"topic":"a.b","build":7,"id":12}`,
			Message{ID: made, Topic: "a.b", Body: json.RawMessage(`{"topic":"a.b","build":7,"id":12}`)}},
		{"bare", `{"id":"of-the-task","state":"x","msg":{"a":1}}`,
			Message{ID: made, Body: json.RawMessage(`{"id":"of-the-task","state":"x","msg":{"a":1}}`)}},
		{"body that is text", `{"topic":"a.b","body":"hello"}`,
			Message{ID: made, Topic: "a.b", Body: json.RawMessage(`{"topic":"a.b","body":"hello"}`)}},
		{"a key body in a bare body", `{"body":{"a":1},"title":"t"}`,
			Message{ID: made, Body: json.RawMessage(`{"body":{"a":1},"title":"t"}`)}},
		{"webhook beside the topic", `{"agent":null,"topic":"f.push","id":"9","headers":{"X-Forgejo-Event":"push"},"body":{"ref":"r"},"queue":null}`,
			Message{ID: "9", Topic: "f.push", Body: json.RawMessage(`{"agent":null,"body":{"ref":"r"},"headers":{"X-Forgejo-Event":"push"}}`)}},
		{"webhook inside", `{"topic":"f.push","id":"9","headers":{"sent-at":""},"body":{"agent":null,"headers":{"x-forgejo-event":"push"},"body":{"ref":"r"}}}`,
			Message{ID: "9", Topic: "f.push", Body: json.RawMessage(`{"agent":null,"headers":{"x-forgejo-event":"push"},"body":{"ref":"r"}}`)}},
		{"hostile types", `{"topic":7,"headers":"x","id":[],"queue":{},"body":{"a":1}}`,
			Message{ID: made, Body: json.RawMessage(`{"a":1}`)}},
	} {
		got, err := ParseEnvelope([]byte(test.file))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if strings.HasPrefix(got.ID, "sha256-") {
			got.ID = made
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
	for _, file := range []string{``, `[]`, `"x"`, `{`, `{"body":`, `null`, `{} {}`, strings.Repeat(`{"a":`, 20_000) + strings.Repeat("}", 20_000)} {
		if m, err := ParseEnvelope([]byte(file)); err == nil {
			t.Errorf("%.40s: %+v", file, m)
		}
	}
	if _, err := ParseEnvelope([]byte(`{"a":"` + strings.Repeat("x", MaxBody) + `"}`)); err == nil {
		t.Error("a huge message was accepted")
	}
}

func TestContentID(t *testing.T) {
	t.Parallel()
	ids := map[string]string{}
	for _, file := range []string{`{"topic":"a","body":{}}`, `{"topic":"b","body":{}}`, `{"topic":"a","body":{"x":1}}`, `{"topic":"a","headers":{"sent-at":"2026-01-01T00:00:00Z"},"body":{}}`} {
		first, err := ParseEnvelope([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		second, err := ParseEnvelope([]byte(file))
		if err != nil || first.ID != second.ID {
			t.Errorf("%s: %s, then %s, %v", file, first.ID, second.ID, err)
		}
		if other, ok := ids[first.ID]; ok {
			t.Errorf("%s and %s are both %s", file, other, first.ID)
		}
		ids[first.ID] = file
	}
}

func TestFromDelivery(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 8, 11, 12, 0, time.UTC)
	for _, test := range []struct {
		name     string
		delivery amqp.Delivery
		want     Message
		ok       bool
	}{
		{"whole", amqp.Delivery{MessageId: "m", RoutingKey: "a.b", Headers: amqp.Table{"sent-at": "2026-03-04T08:11:12+00:00"}, Body: []byte(` {}`)},
			Message{ID: "m", Topic: "a.b", SentAt: at, Body: json.RawMessage(` {}`)}, true},
		{"broker's time", amqp.Delivery{MessageId: "m", RoutingKey: "a", Timestamp: at, Headers: amqp.Table{"sent-at": int64(7)}, Body: []byte(`{}`)},
			Message{ID: "m", Topic: "a", SentAt: at, Body: json.RawMessage(`{}`)}, true},
		{"no topic", amqp.Delivery{MessageId: "m", Body: []byte(`{}`)}, Message{}, false},
		{"no JSON", amqp.Delivery{MessageId: "m", RoutingKey: "a", Body: []byte(`<x>`)}, Message{}, false},
		{"no object", amqp.Delivery{MessageId: "m", RoutingKey: "a", Body: []byte(`[1]`)}, Message{}, false},
		{"broken", amqp.Delivery{MessageId: "m", RoutingKey: "a", Body: []byte(`{"a":}`)}, Message{}, false},
		{"empty", amqp.Delivery{MessageId: "m"}, Message{}, false},
	} {
		got, err := fromDelivery(&test.delivery)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); err == nil && diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	c := Consumer{MinWait: time.Second, MaxWait: 10 * time.Second}
	for failures, least := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 3: 8 * time.Second, 4: 10 * time.Second, 1 << 40: 10 * time.Second} {
		for range 50 {
			if got := c.wait(failures); got < least || got > least*3/2 {
				t.Errorf("after %d failures %v, want %v and up to a half more", failures, got, least)
			}
		}
	}
}

func FuzzParseEnvelope(f *testing.F) {
	for _, file := range []string{
		`{"topic":"a.b","id":"1","queue":null,"headers":{"sent-at":"2026-03-04T10:11:12+02:00"},"body":{"build":7}}`,
		`{"topic":"a.b","msg_id":"2020-x","timestamp":1772611872.0,"msg":{}}`,
		`{"agent":null,"topic":"f","headers":{"x-forgejo-event":"push"},"body":{}}`,
		`{"id":7}`, `{"topic":7,"headers":[],"body":{}}`,
	} {
		f.Add([]byte(file))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := ParseEnvelope(file)
		if err != nil {
			return
		}
		if m.ID == "" || checkBody(m.Body) != nil {
			t.Errorf("%+v", m)
		}
		if again, err := ParseEnvelope(file); err != nil || again.ID != m.ID {
			t.Errorf("not the same twice: %+v, %+v, %v", m, again, err)
		}
	})
}
