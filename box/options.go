package box

import (
	"log/slog"
	"time"
)

// Options say what box to start. Dir is needed; the rest has defaults.
type Options struct {
	// Dir keeps everything: repositories, builds, keys, and the address, so
	// that a box that is started again on it is the same box.
	Dir string
	// Addr is the host and port to listen on, 127.0.0.1 and the port of the
	// last time if empty. Port 0 means a free one for the first time, and
	// that one from then on.
	Addr string
	// ServiceURL is where the service is reached: webhooks, notifications and
	// messages go there. It may be set later with SetService.
	ServiceURL string
	Pace       Pace          // FastPace if zero
	Builds     Builds        // BuildsAuto if empty
	Packages   PackagesForge // PackagesOnPagure if empty
	// Bus is BusInProcess if empty; a RabbitMQ is started by StartBus. BusTopics
	// are what the service listens to there.
	Bus       Bus
	BusTopics []string
	// Past are full names of projects that are not in the box, but in the made-up
	// history of the service. Their addresses say so.
	Past []string
	// Ambient opens some pull requests and makes a release in the first minutes,
	// so that there is something to see.
	Ambient bool
	Log     *slog.Logger // discarded if nil
}

// Builds says whether Copr in the box really builds.
type Builds string

// The ways of building. Auto is real where rpmbuild and a sandbox work, and
// simulated elsewhere.
const (
	BuildsAuto      Builds = "auto"
	BuildsReal      Builds = "real"
	BuildsSimulated Builds = "simulated"
)

// Bus says what carries messages to the service.
type Bus string

// The kinds of bus. Auto is a RabbitMQ of our own where that is installed and
// starts, and in-process elsewhere: messages are posted to the service then.
const (
	BusAuto      Bus = "auto"
	BusRabbitMQ  Bus = "rabbitmq"
	BusInProcess Bus = "inprocess"
)

// PackagesForge is what dist-git is on. The repositories are the same, and so a box
// that is started again on another forge has moved to it.
type PackagesForge string

// The forges of packages.
const (
	PackagesOnPagure  PackagesForge = "pagure"
	PackagesOnForgejo PackagesForge = "forgejo"
)

// Pace is how long things take in the box.
type Pace struct {
	Queue  time.Duration // until Copr starts a part of a build
	SRPM   time.Duration // simulated making of a source package
	Chroot time.Duration // simulated build in a chroot; some take up to half as long again
	Wait   time.Duration // until Testing Farm has a machine
	Test   time.Duration // running tests
	Outage time.Duration // of a service that is switched off
	// Compose is between two composes of Bodhi, which are a day apart at Fedora.
	Compose time.Duration
	Stroll  time.Duration // between the things that the box does by itself
}

// FastPace is for tests, DemoPace for people who want to see things move.
var (
	FastPace = Pace{
		Queue: 50 * time.Millisecond, SRPM: 300 * time.Millisecond, Chroot: 400 * time.Millisecond,
		Wait: 100 * time.Millisecond, Test: 300 * time.Millisecond, Outage: 2 * time.Second, Compose: time.Second, Stroll: 200 * time.Millisecond,
	}
	DemoPace = Pace{
		Queue: time.Second, SRPM: 4 * time.Second, Chroot: 9 * time.Second,
		Wait: 3 * time.Second, Test: 8 * time.Second, Outage: time.Minute, Compose: 20 * time.Second, Stroll: 12 * time.Second,
	}
)

// Times is the pace at which everything goes n times as fast.
func (p Pace) Times(n float64) Pace {
	for _, d := range []*time.Duration{&p.Queue, &p.SRPM, &p.Chroot, &p.Wait, &p.Test, &p.Outage, &p.Compose, &p.Stroll} {
		*d = time.Duration(float64(*d) / n)
	}
	return p
}

// Access is what the service needs to work with the services in the box.
// Addresses have no slash at the end unless they say so.
type Access struct {
	URL string // of the box, which is also that of the forge

	GitHubAPI     string // base of the REST API, with a slash at the end
	AppID         int64
	AppSlug       string
	AppKey        []byte // PEM
	WebhookSecret string // webhooks go to the service's GitHubHook

	CoprURL   string
	CoprLogin string
	CoprToken string
	CoprOwner string // the user that the login belongs to

	TestingFarmURL          string // with the version
	TestingFarmToken        string
	TestingFarmWebhookToken string // to be asked for: "token" of the requests' webhook

	BodhiURL string
	Bus      BusAccess // without URL if there is no broker
	BusToken string    // messages come to the service's BusHook, with this as bearer token

	Issuer                 string // of the accounts, with a slash at its end
	ClientID, ClientSecret string // of the service there
	OperatorGroup          string // whose members operate the service

	// Dist-git is another forge, and at another address. Its token is also what git
	// pushes with.
	DistGitURL                  string
	PackagesForge               PackagesForge
	PackagesUser, PackagesToken string
	LookasideURL                string
	BugzillaURL, AnityaURL      string

	KojiHubURL, KojiWebURL, KojiFilesURL string
	BodhiIssuer                          string // of logins to Bodhi
	KerberosToken                        string // in place of a ticket of PackagesUser
	FASJSONURL                           string // without the version
	FASJSONToken                         string // in place of one of Kerberos

	MailRelay                   string // host and port of a relay that needs no login and has no TLS
	ReceiverURL, ReceiverSecret string // of a program that takes the service's hooks

	Notifications string // repository where people prove who they are

	// UserToken speaks for a person, User, at the forge's API.
	User, UserToken string
}

// Where the box speaks to the service.
const (
	GitHubHook      = "/hooks/github"
	TestingFarmHook = "/hooks/testing-farm" // for the service to name in its requests
	BusHook         = "/hooks/bus"
	LoginCallback   = "/login/callback" // where the accounts send people back to
)
