package copr

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// ErrOtherTopic says that a message is not about the start or end of a build.
var ErrOtherTopic = errors.New("not a topic of builds")

// Message says that the build of the SRPM (Chroot is SourceChroot), or of the
// RPMs in one chroot, has started or ended.
type Message struct {
	Ended     bool // else started
	BuildID   int64
	Chroot    string
	State     string // in Copr's words
	User      string // who submitted
	Owner     string
	Project   string
	Package   string    // empty for the SRPM
	Version   string    // with the release; empty for the SRPM
	Timestamp time.Time // zero in messages that do not say, as most today
}

// Messages use Copr's numbers for states
// (https://github.com/fedora-copr/copr/blob/main/common/copr_common/enums.py).
var stateNames = map[int64]string{0: Failed, 1: Succeeded, 2: Canceled, 3: Running, 4: Pending, 5: Skipped,
	6: Starting, 7: Importing, 8: Forked, 9: Waiting, 1000: Unknown}

const maxMessage = 1 << 20

// What may become part of an address.
var (
	chrootName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}$`)
	ownerName   = regexp.MustCompile(`^@?[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}$`)
	projectName = regexp.MustCompile(`^[A-Za-z0-9_.+:-]{1,255}$`)
)

// ParseMessage reads a message of the bus: topic ends in "copr.build.start" or
// "copr.build.end", body is the message itself.
func ParseMessage(topic string, body []byte) (Message, error) {
	var m Message
	switch {
	case hasTopic(topic, "copr.build.end"):
		m.Ended = true
	case !hasTopic(topic, "copr.build.start"):
		return Message{}, ErrOtherTopic
	}
	if len(body) > maxMessage {
		return Message{}, fmt.Errorf("a message of %d bytes is too large", len(body))
	}
	var wire struct {
		Build     int64           `json:"build"`
		Chroot    string          `json:"chroot"`
		Status    *int64          `json:"status"`
		User      *string         `json:"user"`
		Owner     *string         `json:"owner"`
		Project   string          `json:"copr"`
		Package   *string         `json:"pkg"`
		Version   *string         `json:"version"`
		Timestamp json.RawMessage `json:"timestamp"`
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return Message{}, fmt.Errorf("reading a message of Copr: %w", err)
	}
	if wire.Status == nil {
		return Message{}, errors.New("a message of Copr without a status")
	}
	m.BuildID, m.Chroot, m.Project = wire.Build, wire.Chroot, wire.Project
	m.User, m.Owner, m.Package, m.Version = text(wire.User), text(wire.Owner), text(wire.Package), text(wire.Version)
	if m.Owner == "" {
		m.Owner = m.User // older messages name no owner where it is the user
	}
	m.State = stateNames[*wire.Status]
	if m.State == "" {
		m.State = Unknown
	}
	if seconds := (epoch)(0); json.Unmarshal(wire.Timestamp, &seconds) == nil {
		m.Timestamp = seconds.time()
	}
	return m, m.check()
}

func (m Message) check() error {
	switch {
	case m.BuildID <= 0:
		return errors.New("a message of Copr without a build id")
	case !chrootName.MatchString(m.Chroot):
		return fmt.Errorf("a message of Copr about the chroot %.200q", m.Chroot)
	case !ownerName.MatchString(m.Owner) || !projectName.MatchString(m.Project):
		return fmt.Errorf("a message of Copr about the project %.200q of %.200q", m.Project, m.Owner)
	case m.Package != "" && !projectName.MatchString(m.Package):
		return fmt.Errorf("a message of Copr about the package %.200q", m.Package)
	}
	return nil
}

// LogURL is where the log is while the build runs, below the instance's
// results, such as DefaultResultsURL; when it has ended, ".gz" is appended. It
// is empty as long as the package, and so the directory, is not known.
func (m Message) LogURL(results string) string {
	dir := fmt.Sprintf("%08d", m.BuildID)
	if m.Chroot != SourceChroot {
		if m.Package == "" {
			return ""
		}
		dir += "-" + m.Package
	}
	address := strings.TrimSuffix(results, "/")
	for _, part := range []string{m.Owner, m.Project, m.Chroot, dir} {
		address += "/" + url.PathEscape(part)
	}
	return address + "/builder-live.log"
}

func hasTopic(topic, name string) bool { return topic == name || strings.HasSuffix(topic, "."+name) }
