// Package fedbus understands what Fedora's services say on its message bus. It
// knows topics and bodies; how a message arrives is another's business. Copr
// and Forgejo, whose messages are read with the rest of their formats, are not
// among them.
//
// https://fedora-messaging.readthedocs.io/en/stable/user-guide/schemas.html
package fedbus

import (
	"regexp"
	"strings"

	"millrace/clients/wire"
	"millrace/models"
)

const (
	// DefaultDistGit is where Fedora keeps its packages.
	DefaultDistGit = "https://src.fedoraproject.org"
	// DefaultStreamDistGit is where CentOS Stream keeps its packages.
	DefaultStreamDistGit = "https://gitlab.com/redhat/centos-stream"
)

// Parser understands messages. Its fields are addresses that messages leave
// out; an empty one means the default.
type Parser struct {
	DistGit       string
	StreamDistGit string
}

// ParseEvent reads the message with the given full topic. body is the message
// itself, without an envelope. For messages that ask nothing of us it returns no
// message but the reason, in words for people. An error means that body is broken.
//
// Nothing is left out because of who did it (such as builds of others): which
// ones matter, only those who know our login can tell.
func (p Parser) ParseEvent(topic string, body []byte) (*models.Message, string, error) {
	name := Name(topic)
	if strings.HasPrefix(name, "bodhi.update.") {
		return parseUpdate(body)
	}
	switch name {
	case "buildsys.build.state.change":
		return parseKojiBuild(body)
	case "buildsys.task.state.change":
		return parseKojiTask(body)
	case "buildsys.tag":
		return p.parseKojiTag(body)
	case "pagure.git.receive":
		return p.parsePush(body)
	case "pagure.pull-request.new":
		return parsePullRequest(body, models.Opened)
	case "pagure.pull-request.updated", "pagure.pull-request.rebased":
		return parsePullRequest(body, models.Updated)
	case "pagure.pull-request.comment.added":
		return parseComment(body)
	case "pagure.pull-request.flag.added":
		return parseFlag(body, models.Created)
	case "pagure.pull-request.flag.updated":
		return parseFlag(body, models.Updated)
	case "hotness.update.bug.file":
		return p.parseHotness(body)
	case "anitya.project.version.update.v2":
		return p.parseAnitya(body)
	case "openscanhub.task.started":
		return parseScan(body, models.Started)
	case "openscanhub.task.finished":
		return parseScan(body, models.Ended)
	case "logdetective.analysis":
		return parseAnalysis(body)
	default:
		return nil, "nothing is done for messages with the topic " + wire.Quote(name), nil
	}
}

// Name returns topic without the prefix that says whose bus it was sent on and
// whether for production, such as "org.fedoraproject.prod.".
func Name(topic string) string {
	if parts := strings.SplitN(topic, ".", 4); len(parts) == 4 && parts[0] == "org" {
		return parts[3]
	}
	return topic
}

// packageName is what the name of a package may be; it becomes part of
// addresses and paths.
var packageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]{0,199}$`)

// evrPart is what an RPM's version or release may be.
var evrPart = regexp.MustCompile(`^[A-Za-z0-9._+~^]{1,200}$`)

// nvr joins the three, or returns "" if one cannot be what it is said to be.
func nvr(name, version, release string) string {
	if !packageName.MatchString(name) || !evrPart.MatchString(version) || !evrPart.MatchString(release) {
		return ""
	}
	return name + "-" + version + "-" + release
}

func (p Parser) distGit(path string) string {
	return repository(p.DistGit, DefaultDistGit, path)
}

func repository(base, usual, path string) string {
	if base == "" {
		base = usual
	}
	return wire.WebURL(strings.TrimRight(base, "/") + "/" + path)
}
