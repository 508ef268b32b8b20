// Package fedmsg speaks to Fedora's message bus: RabbitMQ with the conventions
// of fedora-messaging (https://fedora-messaging.readthedocs.io).
//
// Nothing on the bus is a promise. Messages are lost while nobody listens,
// come twice, and overtake each other: they say when to ask, not what is true.
package fedmsg

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"millrace/clients/httpx"
	"millrace/clients/wire"
)

// Message is one message of the bus.
type Message struct {
	// ID is the same when a message comes again, and different for different
	// messages. For one that came without, it is made from its content.
	ID     string
	Topic  string          // such as org.fedoraproject.prod.copr.build.end
	SentAt time.Time       // UTC; zero if the message does not say
	Body   json.RawMessage // a JSON object
}

// MaxBody is the size in bytes above which a message is dropped.
const MaxBody = 16 << 20

const maxName = 255 // of topics and ids: what AMQP allows

func checkBody(body []byte) error {
	if len(body) > MaxBody {
		return fmt.Errorf("the body has %d bytes", len(body))
	}
	if !isObject(body) || !json.Valid(body) {
		return errors.New("the body is not a JSON object")
	}
	return nil
}

func isObject(b []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("{")) }

// fromDelivery understands what the broker delivered. Beside an error, the
// message has an id and a topic that can be kept.
func fromDelivery(d *amqp.Delivery) (Message, error) {
	m := Message{ID: d.MessageId, Topic: d.RoutingKey, Body: d.Body}
	sentAt, _ := d.Headers["sent-at"].(string)
	m.SentAt = parseTime(sentAt)
	if m.SentAt.IsZero() {
		m.SentAt = d.Timestamp.UTC()
	}
	if !wire.Printable(m.ID, maxName) { // it becomes a key of the database
		m.ID = contentID(m)
	}
	if !wire.Printable(m.Topic, maxName) {
		m.Topic = httpx.Clean(m.Topic, maxName)
		return m, errors.New("the topic is malformed")
	}
	return m, checkBody(m.Body)
}

func contentID(m Message) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%d\n", m.Topic, m.SentAt.UnixNano())
	h.Write(m.Body)
	return fmt.Sprintf("sha256-%x", h.Sum(nil))
}

// parseTime reads ISO 8601; without a zone it is UTC. What it cannot read is
// the zero time.
func parseTime(text string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// ParseEnvelope reads a message from a file, in any of the shapes in which
// such files go round: with topic, id and headers around the body, under the
// name body or, before 2022, msg; or the body alone, perhaps with a key topic
// among its own. The topic is "" if the file does not say.
func ParseEnvelope(file []byte) (Message, error) {
	if err := checkBody(file); err != nil {
		return Message{}, fmt.Errorf("reading the message: %w", err)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(file, &keys); err != nil {
		return Message{}, fmt.Errorf("reading the message: %w", err)
	}
	m := Message{Topic: name(keys["topic"]), ID: name(keys["id"]), Body: file}
	var headers map[string]json.RawMessage
	// Headers that are no object are not headers.
	_ = json.Unmarshal(keys["headers"], &headers)
	m.SentAt = parseTime(name(headers["sent-at"]))
	_, hasID := keys["id"]
	_, hasQueue := keys["queue"]
	around := m.Topic != "" || headers != nil || hasID || hasQueue
	switch {
	case isObject(keys["body"]) && carriesWebhook(headers):
		// The body is itself called body here: this is a forge's webhook, which
		// the bus carries with its headers and the name of who caused it.
		body, err := json.Marshal(pick(keys, "agent", "body", "headers"))
		if err != nil {
			return Message{}, fmt.Errorf("reading the message: %w", err)
		}
		m.Body = body
	case isObject(keys["body"]) && around:
		m.Body = keys["body"]
	case isObject(keys["msg"]) && m.Topic != "":
		m.Body, m.ID = keys["msg"], name(keys["msg_id"])
		m.SentAt = epoch(keys["timestamp"])
	default:
		m.ID = "" // a key of the body's own
	}
	if m.ID == "" {
		m.ID = contentID(m)
	}
	return m, nil
}

// carriesWebhook recognises the headers of a forge's HTTP call.
func carriesWebhook(headers map[string]json.RawMessage) bool {
	for key := range headers {
		key = strings.ToLower(key)
		if strings.HasPrefix(key, "x-") && strings.HasSuffix(key, "-event") {
			return true
		}
	}
	return false
}

func pick(from map[string]json.RawMessage, keys ...string) map[string]json.RawMessage {
	picked := map[string]json.RawMessage{}
	for _, key := range keys {
		if value, ok := from[key]; ok {
			picked[key] = value
		}
	}
	return picked
}

// name reads a short string, "" if it is something else.
func name(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil || len(text) > maxName {
		return ""
	}
	return text
}

// epoch reads seconds since 1970 or a time in words.
func epoch(raw json.RawMessage) time.Time {
	var seconds float64
	if json.Unmarshal(raw, &seconds) != nil {
		return parseTime(name(raw))
	}
	const year9999 = 253402300799
	if seconds <= 0 || seconds > year9999 {
		return time.Time{}
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC()
}
