package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"millrace/clients/anitya"
	"millrace/clients/bodhi"
	"millrace/clients/copr"
	"millrace/clients/fasjson"
	"millrace/clients/fedbus"
	"millrace/clients/fedmsg"
	"millrace/clients/git"
	"millrace/clients/github"
	"millrace/clients/gpg"
	"millrace/clients/httpx"
	"millrace/clients/pagure"
	"millrace/clients/testingfarm"
	"millrace/handlers"
	"millrace/jobs"
	"millrace/jobs/access"
	"millrace/jobs/intake"
	"millrace/jobs/sandbox"
	"millrace/jobs/sources"
	"millrace/models"
	"millrace/models/store"
)

// service is a process of Millrace, put together from its settings.
type service struct {
	settings *settings
	log      *slog.Logger
	store    *store.Store
	runner   *jobs.Runner
	bus      *fedmsg.Consumer                        // nil if there is none to listen to
	broker   func(ctx context.Context) (bool, error) // waits for what bus listens to; nil: it is there
	tool     string                                  // SHA-256 of this program
	kerberos negotiator                              // nil: we log in nowhere with it
	people   *fasjson.Client                         // nil: nobody knows what accounts people have
	observe  func(service, operation string, status int, err error, took time.Duration)
}

// openService opens the database, brings the embedded one up to date, and makes
// the clients. capacity is what this process works on; zero: nothing.
func openService(ctx context.Context, s *settings, log *slog.Logger, capacity jobs.Capacity,
	observe func(service, operation string, status int, err error, took time.Duration)) (*service, error) {
	db, err := store.Open(ctx, s.Database)
	if err != nil {
		return nil, err
	}
	v := &service{settings: s, log: log, store: db, observe: observe}
	if err := v.prepare(ctx); err != nil {
		db.Close()
		return nil, err
	}
	if err := v.assemble(capacity); err != nil {
		db.Close()
		return nil, err
	}
	return v, nil
}

// prepare migrates the embedded database; that of PostgreSQL is migrated by
// `millrace migrate`, and must be.
func (v *service) prepare(ctx context.Context) error {
	if v.store.Embedded() {
		return migrateStore(ctx, v.store)
	}
	missing, err := v.store.MissingMigrations(ctx)
	if err != nil {
		return fmt.Errorf("%w; a new database needs `millrace migrate` first", err)
	}
	if len(missing) > 0 {
		return fmt.Errorf("the database is not up to date (%d migrations are missing, the first is %s): run `millrace migrate`", len(missing), missing[0])
	}
	return nil
}

func migrateStore(ctx context.Context, s *store.Store) error {
	if _, err := s.Migrate(ctx); err != nil {
		return err
	}
	return jobs.Migrate(ctx, s)
}

func (v *service) assemble(capacity jobs.Capacity) error {
	s := v.settings
	data, err := filepath.Abs(s.DataDir)
	if err != nil {
		return fmt.Errorf("finding the data directory: %w", err)
	}
	if v.tool, err = new(handlers.Server).ProgramHash(); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	forge := v.github()
	v.kerberos = v.kerberosAccount()
	v.people = v.findPeople()
	v.runner = &jobs.Runner{
		Engine: &jobs.Engine{
			Store: v.store, Log: v.log, Worker: fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:6]), Base: s.Base, Prefix: s.Prefix,
			Limits: s.Workers.Limits, LogLimit: s.LogLimit, Rights: v.rights(access.GitHub{Client: forge}),
			Timing: jobs.Timing{
				Lease: s.Workers.Lease, Sweep: s.Workers.Sweep, Retry: s.Workers.Retry, RetryMax: s.Workers.RetryMax,
				Tries: s.Workers.Tries, Poll: s.Workers.Poll1, PollMax: s.Workers.PollMax, GiveUp: jobs.DefaultTiming.GiveUp, Doubt: s.Workers.Doubt,
				Collect: jobs.DefaultTiming.Collect,
			},
		},
		Parser:     intake.Parser{Bus: fedbus.Parser{DistGit: s.DistGit.URL}},
		Forges:     map[string]jobs.Forge{s.GitHub.Host: jobs.GitHub{Client: forge}},
		Bodhi:      &bodhi.Client{BaseURL: s.Bodhi.URL, HTTP: v.client("bodhi", time.Minute)},
		Deployment: s.Deployment, AllowAll: s.AllowAll,
	}
	if at := s.Tracker; at.URL != "" && at.Token != "" {
		v.runner.Trackers = map[string]jobs.Tracker{
			hostOf(at.URL): jobs.Pagure{Client: &pagure.Client{BaseURL: at.URL, Token: at.Token, HTTP: v.client("tracker", time.Minute)}, User: at.User},
		}
	}
	v.runner.Teller = v.teller()
	if v.people != nil {
		v.runner.GroupMembers = v.people.GroupMembers
	}
	v.runner.Hears = func(p *models.Project) bool { return v.runner.Forges[p.Forge] != nil }
	if at := s.Approval.Repository; at != "" {
		if v.runner.Notifications, err = models.ParseProjectURL(at); err != nil {
			return err
		}
	}
	if v.people != nil {
		v.runner.Accounts = jobs.FASJSON{Client: v.people}
	}
	if s.Monitoring.URL != "" {
		v.runner.Monitoring = &anitya.Client{BaseURL: s.Monitoring.URL, HTTP: v.client("release-monitoring", sourceTime)}
		v.runner.MonitoringURL = strings.TrimSuffix(s.Monitoring.URL, "/")
	}
	if v.runner.Packages = v.packages(); v.runner.Packages != nil {
		v.runner.Forges[v.runner.Packages.Host] = jobs.PackagesForge{Packages: v.runner.Packages}
	}
	builder := v.builder(data)
	v.runner.Kinds = v.kinds(builder, data)
	v.addFedora(builder, data)
	if v.runner.Queue, err = jobs.NewQueue(v.store, v.runner.RiverConfig(capacity)); err != nil {
		return err
	}
	return v.assembleBus()
}

func (v *service) github() *github.Client {
	s := v.settings.GitHub
	return &github.Client{
		BaseURL: s.APIURL, AppID: s.AppID, PrivateKey: []byte(s.PrivateKey), Token: s.Token, HTTP: v.client("github", 30*time.Second),
	}
}

// client makes the HTTP client for a service; how its calls go is observed.
func (v *service) client(name string, timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &httpx.Transport{Service: name, Observe: v.observe}}
}

// builder makes source RPMs and commits for dist-git, and runs what packages bring
// along for that.
func (v *service) builder(data string) *sources.Builder {
	s := v.settings
	b := &sources.Builder{
		Git: &git.Git{}, Cache: &git.Cache{Git: &git.Git{}, Dir: filepath.Join(data, "mirrors")},
		Sandbox:  &sandbox.Sandbox{AllowUnsandboxed: s.AllowUnsandboxed},
		Identity: git.Identity{Name: s.Git.Name, Email: s.Git.Email}, Download: sources.Download{AllowPrivate: s.AllowPrivate},
	}
	if s.Git.Keyring != "" {
		b.Keyring = &gpg.Keyring{Path: s.Git.Keyring}
	}
	return b
}

// kinds are the steps that this service carries out.
func (v *service) kinds(builder *sources.Builder, data string) map[models.StepKind]jobs.Kind {
	s := v.settings
	builds := &jobs.Copr{
		Client: &copr.Client{BaseURL: s.Copr.URL, Login: s.Copr.Login, Token: s.Copr.Token, HTTP: v.client("copr", 2*time.Minute)},
		Owner:  s.Copr.Owner, OmitHost: map[string]bool{s.GitHub.Host: true}, Releases: v.runner.Releases, KeepDays: s.Copr.KeepDays,
	}
	v.runner.Chroots = func(ctx context.Context, owner, project string) ([]string, error) {
		p, err := builds.Client.Project(ctx, owner, project)
		return p.Chroots, err
	}
	here := &jobs.SRPMHere{Builder: builder, Forge: v.runner.Forge, DataDir: data}
	script := &jobs.CoprScript{
		Forge: v.runner.Forge, Tool: fmt.Sprintf("%s/srpm-tool/%s/millrace", s.Base, v.tool), SHA256: v.tool, Identity: builder.Identity,
	}
	kinds := map[models.StepKind]jobs.Kind{
		models.SRPMStep:      &jobs.SRPMInCopr{Copr: builds, Script: script.Write, Deps: s.Copr.Deps},
		models.CoprBuildStep: &jobs.CoprBuild{Copr: builds, Base: s.Base, Open: here.Open},
		models.TestsStep: &jobs.Tests{
			Client: &testingfarm.Client{BaseURL: s.TestingFarm.URL, Token: s.TestingFarm.Token, HTTP: v.client("testing-farm", time.Minute)},
			Forge:  v.runner.Forge, Releases: v.runner.Releases, Ranch: s.TestingFarm.Ranch, Deployment: s.Deployment,
			Webhook:  testingfarm.Webhook{URL: s.Base + "/hooks/testing-farm", Token: s.TestingFarm.WebhookToken},
			Internal: set(s.TestingFarm.InternalProjects), Login: v.runner.Rights.Login,
			Install: testingfarm.Test{URL: "https://gitlab.com/testing-farm/tests", Ref: "main", Name: "/packit/installation"},
		},
	}
	if token := s.TestingFarm.InternalToken; token != "" {
		kinds[models.TestsStep].(*jobs.Tests).Inside = &testingfarm.Client{
			BaseURL: s.TestingFarm.URL, Token: token, HTTP: v.client("testing-farm", time.Minute),
		}
	}
	if s.Copr.SRPM == "local" {
		kinds[models.SRPMStep] = here
	}
	if v.runner.Packages != nil {
		propose := v.propose(builder, data)
		kinds[models.ProposeStep], kinds[models.PullFromUpstreamStep] = propose, propose
	}
	if copr, ok := kinds[models.SRPMStep].(*jobs.SRPMInCopr); ok && v.buildsInKoji() {
		copr.Otherwise = here
	}
	return kinds
}

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// assembleBus makes the consumer of bus messages: each is stored before it is
// acknowledged, and what cannot be is put aside for people to see.
func (v *service) assembleBus() error {
	s := v.settings.Bus
	if s.URL == "" {
		return nil
	}
	broker := fedmsg.Broker{URL: s.URL, App: "millrace", AppURL: v.settings.Base, Contact: v.settings.Git.Email}
	if s.Certificate != "" || s.CA != "" {
		tls, err := fedmsg.LoadTLS(s.CA, s.Certificate, s.Key)
		if err != nil {
			return fmt.Errorf("reading the certificates of the bus: %w", err)
		}
		broker.TLS = tls
	}
	delivery := func(m fedmsg.Message) *models.Delivery {
		return &models.Delivery{Source: models.FromBus, Key: m.ID, Type: m.Topic, Body: m.Body}
	}
	v.bus = &fedmsg.Consumer{
		// Half of what is under way is being stored, together, while the rest comes.
		Broker: broker, Topics: s.Topics, Queue: s.Queue, Log: v.log, Prefetch: s.Prefetch, AtOnce: (s.Prefetch + 1) / 2,
		Handle: func(ctx context.Context, m fedmsg.Message) error {
			_, err := v.runner.Accept(ctx, delivery(m))
			return err
		},
		Aside: func(ctx context.Context, m fedmsg.Message, why error) error {
			return v.runner.PutAside(ctx, delivery(m), why.Error())
		},
	}
	return nil
}

// listen takes messages from the bus until ctx ends.
func (v *service) listen(ctx context.Context) {
	if v.broker != nil {
		if there, err := v.broker(ctx); !there || err != nil {
			return // who was asked tells why
		}
	}
	if err := v.bus.Run(ctx); err != nil {
		v.log.ErrorContext(ctx, "listening to the bus", "error", err)
	}
}

// work carries out jobs until ctx ends; then running ones get their time.
func (v *service) work(ctx context.Context) error {
	if v.store.Embedded() {
		if err := v.runner.Recover(ctx); err != nil {
			return err
		}
	}
	// Not ctx: that would cancel running jobs at the first signal.
	if err := v.runner.Queue.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("starting the job queue: %w", err)
	}
	var also sync.WaitGroup
	also.Go(func() { v.runner.Sweep(ctx) })
	also.Go(func() {
		v.runner.Tidy(ctx, jobs.Retention{Logs: v.settings.Retention.Logs, Deliveries: v.settings.Retention.Deliveries, Events: v.settings.Retention.Events, Happenings: v.settings.Retention.Dispatches})
	})
	if list := v.automationList(); list != nil {
		also.Go(func() { v.runner.FollowList(ctx, list) })
	}
	if v.bus != nil {
		also.Go(func() { v.listen(ctx) })
	}
	<-ctx.Done()
	grace, cancel := context.WithTimeout(context.Background(), v.settings.Workers.Shutdown)
	defer cancel()
	err := v.runner.Queue.Stop(grace)
	also.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("stopping the job queue: %w", err)
	}
	return nil
}
