// Package box is "Fedora in a box": a forge with repositories, Copr, Testing
// Farm, Bodhi, accounts and the message bus, all in one process and at one address, with
// pages of buttons that make things happen upstream, and with stories about
// what must come of them.
//
// The services are the fakes that the tests use; they speak the real protocols.
// Everything is kept in a directory and survives any death of the process.
package box

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/clients/anitya/anityafake"
	"millrace/clients/bodhi/bodhifake"
	"millrace/clients/bugzilla/bugzillafake"
	"millrace/clients/copr/coprfake"
	"millrace/clients/fas/fasfake"
	"millrace/clients/fasjson/fasjsonfake"
	"millrace/clients/filelock"
	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
	"millrace/clients/github/githubfake"
	"millrace/clients/koji/kojifake"
	"millrace/clients/lookaside/lookasidefake"
	"millrace/clients/mail/mailfake"
	"millrace/clients/ports"
	"millrace/clients/testingfarm/testingfarmfake"
	"millrace/jobs/sandbox"
)

// maxBuilds is how much Copr really builds at once. Most of that is waiting, as
// paced does.
const maxBuilds = 6

const (
	appSlug   = "millrace-in-a-box"
	coprOwner = "millrace"
	visitor   = "visitor" // who speaks with the user token
	appID     = 1
)

// Box is a running box. Close ends it.
type Box struct {
	Forge *githubfake.Fake
	Copr  *coprfake.Fake
	Farm  *testingfarmfake.Server
	Bodhi *bodhifake.Server
	// Accounts says who people are.
	Accounts *fasfake.Fake
	// People says what accounts they have at the forge, Packages what they may do in
	// dist-git.
	People   *fasjsonfake.Fake
	Packages *fakeforge.Forge
	distGit  *distGit
	// Lookaside keeps the archives of packages, Bugzilla bugs about new versions.
	Lookaside *lookasidefake.Server
	Bugzilla  *bugzillafake.Server
	Koji      *kojifake.Fake
	Anitya    *anityafake.Server // watches releases
	Mail      *mailfake.Server   // takes mail to people

	options Options
	access  Access
	log     *slog.Logger
	real    bool   // Copr really builds
	why     string // it does not, if it should be known
	bus     *bus
	broker  *broker      // nil: there is none
	passage passage      // of messages
	pages   http.Handler // all but the fakes
	servers []*http.Server
	lock    *filelock.Lock

	ctx     context.Context
	cancel  context.CancelFunc
	working sync.WaitGroup

	farming sync.Mutex // one submission of tests at a time

	releasing sync.Mutex // one release at a time

	receiver receiver // of the service's hooks

	kojiSilent atomic.Bool // what Koji says is not sent on to the service

	failing  sync.Mutex
	failures []string // builds in Koji that are to fail, by a part of their names

	mu       sync.Mutex
	service  string // its address
	state    state
	switches map[Trouble]time.Time // until when a trouble lasts
	expiry   *time.Timer
	fit      map[string]fitness // by full name of a repository
}

// Start opens the box in o.Dir, or makes a new one, and serves it until Close.
func Start(ctx context.Context, o Options) (*Box, error) {
	if o.Dir == "" {
		return nil, errors.New("a box needs a directory")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening the box: %w", err)
	}
	o.Dir = dir
	if o.Pace == (Pace{}) {
		o.Pace = FastPace
	}
	o.Builds, o.Bus = cmp.Or(o.Builds, BuildsAuto), cmp.Or(o.Bus, BusInProcess)
	o.Packages = cmp.Or(o.Packages, PackagesOnPagure)
	b := &Box{options: o, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), switches: make(map[Trouble]time.Time), fit: make(map[string]fitness),
		service: strings.TrimSuffix(o.ServiceURL, "/")}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the box in %s: %w", dir, err), b.Close())
	}
	return b, nil
}

func (b *Box) start(ctx context.Context) error {
	if err := b.open(); err != nil {
		return err
	}
	listeners, err := b.listen()
	if err != nil {
		return err
	}
	if err := b.startServices(ctx); err != nil {
		for _, l := range listeners {
			l.Close()
		}
		return err
	}
	b.pages = b.routes()
	for i, handler := range []http.HandlerFunc{b.serve, b.serveFedora} {
		server := &http.Server{
			Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
		}
		b.servers = append(b.servers, server)
		b.working.Go(func() {
			// It ends with http.ErrServerClosed, or as a listener that breaks.
			if err := server.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				b.log.Error("the box is no longer served", "error", err)
			}
		})
	}
	b.working.Go(b.lookAfter)
	b.working.Go(b.runBodhi)
	return nil
}

func (b *Box) startServices(ctx context.Context) error {
	o := &b.options
	if err := b.seed(ctx); err != nil {
		return err
	}
	key, err := publicKey(b.access.AppKey)
	if err != nil {
		return err
	}
	hook := ""
	if b.service != "" {
		hook = b.service + GitHubHook
	}
	b.Forge, err = githubfake.New(githubfake.Config{
		Dir: b.path("forge"), URL: b.access.URL, AppID: appID, AppSlug: appSlug, PublicKey: key, WebhookURL: hook,
		WebhookSecret: b.access.WebhookSecret, Tokens: map[string]string{b.access.UserToken: visitor}, OpenPush: true, Log: b.log,
	})
	if err != nil {
		return err
	}
	if err := b.install(); err != nil {
		return err
	}
	if err := b.openBus(); err != nil {
		return err
	}
	builder, workers, err := b.builder(ctx)
	if err != nil {
		return err
	}
	b.Copr, err = coprfake.New(coprfake.Options{
		Dir: b.path("copr"), BaseURL: b.access.CoprURL, Publish: b.bus.publish, Builder: builder, Workers: workers,
		Queue: o.Pace.Queue, Import: o.Pace.Queue, Log: b.log,
		Users: []coprfake.User{{Name: coprOwner, Login: b.access.CoprLogin, Token: b.access.CoprToken}},
	})
	if err != nil {
		return err
	}
	b.Farm, err = testingfarmfake.New(testingfarmfake.Config{
		Dir: b.path("testing-farm"), BaseURL: b.access.URL + "/testing-farm", Tokens: map[string]string{b.access.TestingFarmToken: "public"},
		Pace: testingfarmfake.Pace{New: o.Pace.Wait / 3, Queued: o.Pace.Wait - o.Pace.Wait/3, Running: o.Pace.Test},
	})
	if err != nil {
		return err
	}
	b.Accounts, err = fasfake.New(fasfake.Config{
		Dir: b.path("accounts"), Issuer: b.access.Issuer, ClientID: b.access.ClientID, ClientSecret: b.access.ClientSecret,
		RedirectURIs: b.comeBack(), LoginPage: b.loginPage, People: people, Log: b.log,
	})
	if err != nil {
		return err
	}
	if err := b.startMail(); err != nil {
		return err
	}
	if err := b.startFedora(ctx); err != nil {
		return err
	}
	return b.startPeople()
}

// builder chooses how Copr builds, and how much at once.
func (b *Box) builder(ctx context.Context) (coprfake.Builder, int, error) {
	if b.options.Builds == BuildsSimulated {
		return b.simulate, 0, nil
	}
	s := &sandbox.Sandbox{}
	switch kind, reason := s.Detect(ctx); {
	case !coprfake.Available():
		b.why = "rpmbuild is not installed"
	case kind != sandbox.Bubblewrap:
		b.why = cmp.Or(reason, "there is no sandbox for the builds")
	}
	for _, name := range []string{"curl", "git", "sha256sum", "tar"} { // what the scripts of builds call
		if _, err := exec.LookPath(name); err != nil && b.why == "" {
			b.why = name + " is not installed"
		}
	}
	if b.why == "" {
		b.real = true
		build := &coprfake.RPMBuild{Sandbox: s, AllowScripts: true}
		return b.paced(build.Build), maxBuilds, nil
	}
	if b.options.Builds == BuildsReal {
		return nil, 0, fmt.Errorf("real builds are not possible: %s", b.why)
	}
	return b.simulate, 0, nil
}

// Close ends the box. What is unfinished goes on when it is started again.
func (b *Box) Close() error {
	b.cancel()
	var errs []error
	for _, server := range b.servers {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if err := server.Shutdown(ctx); err != nil {
			errs = append(errs, server.Close())
		}
		cancel()
	}
	b.mu.Lock()
	if b.expiry != nil {
		b.expiry.Stop()
	}
	b.mu.Unlock()
	if b.Forge != nil {
		b.Forge.Close()
	}
	if b.Copr != nil {
		errs = append(errs, b.Copr.Close())
	}
	if b.Farm != nil {
		b.Farm.Close()
	}
	if b.Mail != nil {
		b.Mail.Close()
	}
	errs = append(errs, b.closeFedora())
	if b.bus != nil {
		b.bus.close()
	}
	b.working.Wait()
	if b.broker != nil {
		b.broker.close()
	}
	if b.lock != nil {
		errs = append(errs, b.lock.Close())
	}
	return errors.Join(errs...)
}

// URL is the address of the box, without a slash at the end.
func (b *Box) URL() string { return b.access.URL }

// Access is what the service needs to know.
func (b *Box) Access() Access { return b.access }

// RealBuilds reports whether Copr in the box really builds, or why it does not.
func (b *Box) RealBuilds() (yes bool, why string) { return b.real, b.why }

// Service is the address of the service, or empty.
func (b *Box) Service() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.service
}

// SetService says where the service is.
func (b *Box) SetService(address string) {
	address = strings.TrimSuffix(address, "/")
	b.mu.Lock()
	b.service = address
	b.mu.Unlock()
	hook := ""
	if address != "" {
		hook = address + GitHubHook
	}
	b.Forge.SetWebhook(hook, b.access.WebhookSecret)
	b.Accounts.SetRedirectURIs(b.comeBack()...)
	b.bus.wake()
}

// target says where messages to the service go; nowhere without a service.
func (b *Box) target(path string) func() string {
	return func() string {
		if address := b.Service(); address != "" {
			return address + path
		}
		return ""
	}
}

func (b *Box) path(elements ...string) string {
	return filepath.Join(append([]string{b.options.Dir}, elements...)...)
}

// bare reads a repository of the forge.
func (b *Box) bare(fullName string) *git.Bare {
	return b.Forge.Bare(fullName)
}

// serve hands a request to the service that it is for.
func (b *Box) serve(w http.ResponseWriter, r *http.Request) {
	p := r.URL.Path
	switch {
	case githubfake.Serves(r):
		b.Forge.ServeHTTP(w, r)
	case within(p, "/copr/api_3"), within(p, "/copr/results"), within(p, "/copr/tmp"):
		http.StripPrefix("/copr", b.Copr).ServeHTTP(w, r)
	case within(p, "/testing-farm/v0.1"), within(p, "/testing-farm/artifacts"):
		b.serveFarm(w, r)
	case b.Accounts.Serves(r):
		b.Accounts.ServeHTTP(w, r)
	case slices.ContainsFunc(bodhiPaths, func(dir string) bool { return within(p, "/bodhi/"+dir) }):
		http.StripPrefix("/bodhi", b.Bodhi).ServeHTTP(w, r)
	case within(p, "/anitya/api"):
		http.StripPrefix("/anitya", b.Anitya).ServeHTTP(w, r)
	case within(p, "/bugzilla/rest"):
		http.StripPrefix("/bugzilla", b.Bugzilla).ServeHTTP(w, r)
	case within(p, "/fasjson/v1"):
		http.StripPrefix("/fasjson", b.People).ServeHTTP(w, r)
	default:
		b.pages.ServeHTTP(w, r)
	}
}

// bodhiPaths are those that Bodhi answers itself; its home is a page of the box.
var bodhiPaths = []string{"releases", "updates", "comments", "overrides", "csrf", "oidc", "openidc"}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// listen opens the addresses that the box had the last time, if it may: its own,
// and that of dist-git, which is another forge and so has another.
func (b *Box) listen() ([]net.Listener, error) {
	own, err := listenAgain(cmp.Or(b.options.Addr, cmp.Or(b.state.Addr, "127.0.0.1:0")), &b.state.Addr)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(b.state.Addr) // listenAgain made it
	packages, err := listenAgain(net.JoinHostPort(host, "0"), &b.state.PackagesAddr)
	if err != nil {
		own.Close()
		return nil, err
	}
	if err := b.save(); err != nil {
		own.Close()
		packages.Close()
		return nil, err
	}
	b.setURL(addressOf(b.state.Addr), addressOf(b.state.PackagesAddr))
	return []net.Listener{own, packages}, nil
}

// listenAgain opens an address, in place of any port at that host the one that was
// kept, and keeps it.
func listenAgain(at string, kept *string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", at, err)
	}
	if keptHost, keptPort, err := net.SplitHostPort(*kept); port == "0" && err == nil && keptHost == host {
		port = keptPort
	}
	listen := func() (net.Listener, error) { return ports.ListenAt(net.JoinHostPort(host, port)) }
	if port == "0" {
		listen = func() (net.Listener, error) { return ports.Listen(host) } // which is free when the box is opened again
	}
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	*kept = net.JoinHostPort(host, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	return listener, nil
}

// addressOf is where browsers on this machine reach what listens at an address.
func addressOf(at string) string {
	host, port, _ := net.SplitHostPort(at) // listenAgain made it
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func (b *Box) setURL(url, packages string) {
	a := &b.access
	a.URL, a.GitHubAPI = url, url+"/api/v3/"
	a.Issuer = url + "/accounts/openidc/"
	a.Notifications = url + "/" + notificationsOwner + "/" + notificationsName
	a.CoprURL, a.TestingFarmURL, a.BodhiURL = url+"/copr", url+"/testing-farm/v0.1", url+"/bodhi"
	a.DistGitURL, a.LookasideURL, a.FASJSONURL = packages, packages+"/repo/pkgs", url+"/fasjson"
	a.BugzillaURL, a.AnityaURL = url+"/bugzilla", url+"/anitya"
	a.KojiHubURL, a.KojiWebURL, a.KojiFilesURL = packages+"/kojihub", packages+"/koji", packages
	a.ReceiverURL = url + receiverPath
	a.PackagesForge = b.options.Packages
	a.BodhiIssuer = a.BodhiURL + "/openidc"
}
