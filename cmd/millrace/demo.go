package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"millrace/box"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/seed"
)

// demo is Fedora in a box with the service beside it.
type demo struct {
	dir       string // of all data
	temporary bool   // dir is to be removed at the end
	port      int
	boxPort   int
	story     string // to play; empty: none
	speed     float64
	builds    string
	bus       string
	packages  string // forge that dist-git is on
	still     bool   // the box opens nothing by itself
	verbose   bool
	stdout    io.Writer
}

// demoCommand starts the service on the embedded database and the outside world
// in a box beside it.
func demoCommand(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	explain(flags, args, stdout, stderr, "Usage: millrace demo [--port N] [--box-port N] [--dir DIR]\n                     [--speed N] [--builds WAY] [--bus KIND] [--packages FORGE]\n                     [--still] [--play STORY | --list]\n\n"+
		"Starts the service on the embedded database, with all the services it talks to in a\nbox beside it, and prints `ready: ADDRESS` when its pages can be opened.\n")
	d := &demo{stdout: stdout}
	flags.IntVar(&d.port, "port", 8080, "port of the pages; 0: any free one")
	flags.IntVar(&d.boxPort, "box-port", 0, "port of the box; 0: any free one, the same again for the same directory")
	flags.StringVar(&d.dir, "dir", "", "`directory` that keeps the data; by default one that is removed at the end")
	flags.StringVar(&d.story, "play", "", "play the `story` of that name to its end, and exit")
	flags.Float64Var(&d.speed, "speed", 1, "how many `times` as fast as people like to watch builds and tests go")
	flags.StringVar(&d.builds, "builds", string(box.BuildsAuto), "`way` that the boxed Copr builds: real, simulated, or auto for real where that is possible")
	flags.StringVar(&d.bus, "bus", string(box.BusAuto), "`kind` of message bus: rabbitmq, inprocess, or auto for rabbitmq where that is installed and no story is played")
	flags.StringVar(&d.packages, "packages", string(box.PackagesOnPagure), "`forge` that the boxed dist-git is on: pagure or forgejo")
	flags.BoolVar(&d.still, "still", false, "let the box open no pull request by itself")
	flags.BoolVar(&d.verbose, "verbose", false, "log everything to standard error")
	listThem := flags.Bool("list", false, "list the stories")
	if code, done := parseOnly(flags, args, stderr); done {
		return code
	}
	if *listThem {
		for _, s := range box.Stories() {
			fmt.Fprintf(stdout, "%-22s %s\n", s.Name, s.Summary)
		}
		return 0
	}
	if _, known := box.StoryNamed(d.story); d.story != "" && !known {
		fmt.Fprintf(stderr, "millrace demo: there is no story %q; --list lists them\n", d.story)
		return 2
	}
	if !(d.speed > 0 && d.speed <= 1000) {
		fmt.Fprintf(stderr, "millrace demo: --speed is a number above 0, and at most 1000\n")
		return 2
	}
	if !slices.Contains([]box.Builds{box.BuildsAuto, box.BuildsReal, box.BuildsSimulated}, box.Builds(d.builds)) {
		fmt.Fprintf(stderr, "millrace demo: --builds is real, simulated or auto, not %q\n", d.builds)
		return 2
	}
	if !slices.Contains([]box.Bus{box.BusAuto, box.BusRabbitMQ, box.BusInProcess}, box.Bus(d.bus)) {
		fmt.Fprintf(stderr, "millrace demo: --bus is rabbitmq, inprocess or auto, not %q\n", d.bus)
		return 2
	}
	if !slices.Contains([]box.PackagesForge{box.PackagesOnPagure, box.PackagesOnForgejo}, box.PackagesForge(d.packages)) {
		fmt.Fprintf(stderr, "millrace demo: --packages is pagure or forgejo, not %q\n", d.packages)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	level := "warn"
	if d.verbose {
		level = "debug"
	}
	log, err := newLog(stderr, level)
	if err == nil {
		err = d.run(ctx, log)
	}
	if err != nil {
		return complain(stderr, "demo", err)
	}
	return 0
}

func (d *demo) run(ctx context.Context, log *slog.Logger) error {
	if err := d.openDir(); err != nil {
		return err
	}
	if d.temporary {
		defer os.RemoveAll(d.dir)
	}
	if err := d.choosePort(); err != nil {
		return err
	}
	base := "http://127.0.0.1:" + strconv.Itoa(d.port)
	options := box.Options{
		Dir: filepath.Join(d.dir, "box"), ServiceURL: base, Log: log,
		Pace: box.DemoPace.Times(d.speed), Builds: box.Builds(d.builds), Packages: box.PackagesForge(d.packages), Ambient: d.story == "" && !d.still,
		Bus: box.Bus(d.bus), BusTopics: topics(),
	}
	if d.story == "" {
		options.Past = seed.Names(seed.Small)
	} else {
		options.Pace, options.Builds = box.FastPace, box.BuildsSimulated
		if options.Bus == box.BusAuto { // a story should not wait for a broker
			options.Bus = box.BusInProcess
		}
	}
	if d.boxPort != 0 {
		options.Addr = "127.0.0.1:" + strconv.Itoa(d.boxPort)
	}
	b, err := box.Start(ctx, options)
	if err != nil {
		return err
	}
	defer b.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &process{
		settings: d.settings(base, b.Access()), log: log, web: true, workers: true, demo: b.URL(),
		opened: func(v *service) error { return d.welcome(ctx, v, b) },
		broker: b.AwaitBus,
	}
	told := make(chan error, 1)
	told <- nil // for when we never get so far
	err = p.run(ctx, func(string) {
		d.announce(base, b)
		b.StartBus()
		<-told
		go func() { // ends everything, or with it
			told <- d.accompany(ctx, b, p.service)
			cancel()
		}()
	})
	return errors.Join(<-told, err)
}

// accompany plays the story, if there is one, as soon as messages are carried. It
// returns when everything is to end.
func (d *demo) accompany(ctx context.Context, b *box.Box, v *service) error {
	_, err := b.AwaitBus(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	case d.story != "":
		return d.play(ctx, b, v)
	}
	<-ctx.Done()
	return nil
}

// announce says what there is; the line that says ready is the last.
func (d *demo) announce(base string, b *box.Box) {
	real, why := b.RealBuilds()
	builds := "its builds are real"
	if !real {
		builds = "its builds are simulated"
	}
	if why != "" {
		builds += ": " + why
	}
	bus := "its message bus is in-process"
	kind, why := b.Bus()
	if kind == box.BusRabbitMQ {
		bus = "its message bus is RabbitMQ"
	}
	if why != "" {
		bus += ": " + why
	}
	fmt.Fprintf(d.stdout, "data: %s\nFedora in a box: %s/ (%s; %s)\nready: %s/\n", d.dir, b.URL(), builds, bus, base)
}

func (d *demo) openDir() (err error) {
	if d.dir == "" {
		d.temporary = true
		if d.dir, err = os.MkdirTemp("", "millrace-demo-"); err != nil {
			return fmt.Errorf("making a directory for the demo: %w", err)
		}
		return nil
	}
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return fmt.Errorf("finding the directory of the demo: %w", err)
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return fmt.Errorf("making the directory of the demo: %w", err)
	}
	return nil
}

// choosePort takes the port of the last time, or a free one. It is chosen before
// the service listens, because the box must know where to send webhooks.
func (d *demo) choosePort() error {
	kept := filepath.Join(d.dir, "port")
	if text, err := os.ReadFile(kept); err == nil && d.port == 0 {
		d.port, _ = strconv.Atoi(string(text)) // if it is no number, any will do
	}
	if d.port == 0 || !free(d.port) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("finding a free port: %w", err)
		}
		defer l.Close()
		if d.port != 0 {
			fmt.Fprintf(d.stdout, "port %d is taken\n", d.port)
		}
		d.port = l.Addr().(*net.TCPAddr).Port
	}
	return os.WriteFile(kept, []byte(strconv.Itoa(d.port)), 0o644)
}

func free(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// settings point the service at the box. Things go faster than in Fedora, so we
// look more often.
func (d *demo) settings(base string, a box.Access) *settings {
	s := defaults()
	s.Listen, s.Base = "127.0.0.1:"+strconv.Itoa(d.port), base
	s.Database, s.DataDir = filepath.Join(d.dir, "millrace.db"), filepath.Join(d.dir, "data")
	s.GitHub.Host = hostOf(a.URL)
	s.GitHub.APIURL, s.GitHub.AppID, s.GitHub.PrivateKey = a.GitHubAPI, a.AppID, string(a.AppKey)
	s.GitHub.WebhookSecrets = []string{a.WebhookSecret}
	s.Copr.URL, s.Copr.Login, s.Copr.Token, s.Copr.Owner = a.CoprURL, a.CoprLogin, a.CoprToken, a.CoprOwner
	s.TestingFarm.URL, s.TestingFarm.Token, s.TestingFarm.WebhookToken = a.TestingFarmURL, a.TestingFarmToken, a.TestingFarmWebhookToken
	s.Bodhi.URL, s.Bodhi.User, s.Bodhi.Issuer = a.BodhiURL, a.PackagesUser, a.BodhiIssuer
	s.Koji.HubURL, s.Koji.WebURL, s.Koji.FilesURL = a.KojiHubURL, a.KojiWebURL, a.KojiFilesURL
	s.Approval.Repository = a.Notifications
	s.AllowPrivate = true // upstream is on this machine
	s.Hooks.AllowedNetworks = []string{"127.0.0.0/8"}
	s.Mail.Relay, s.Mail.From, s.Mail.Security = a.MailRelay, "Millrace <millrace@millrace.example>", "none"
	s.Bus.Tokens = []string{a.BusToken}
	s.Bus.URL, s.Bus.Queue, s.Bus.CA, s.Bus.Certificate, s.Bus.Key = a.Bus.URL, a.Bus.Queue, a.Bus.Authority, a.Bus.Certificate, a.Bus.Key
	s.DistGit.Forge = string(a.PackagesForge)
	s.DistGit.URL, s.DistGit.User, s.DistGit.Token = a.DistGitURL, a.PackagesUser, a.PackagesToken
	s.Monitoring.URL = a.AnityaURL
	s.Lookaside.URL, s.Bugzilla.URL, s.Kerberos.Token = a.LookasideURL, a.BugzillaURL, a.KerberosToken
	s.FASJSON.URL, s.FASJSON.Token = a.FASJSONURL, a.FASJSONToken
	s.Login.Issuer, s.Login.ClientID, s.Login.ClientSecret = a.Issuer, a.ClientID, a.ClientSecret
	s.Login.OperatorGroups = []string{a.OperatorGroup}
	w := &s.Workers
	w.Lease, w.Sweep, w.Doubt = 10*time.Second, 250*time.Millisecond, time.Second
	w.Poll1, w.PollMax, w.Retry, w.RetryMax, w.Tries = 3*time.Second, 15*time.Second, 2*time.Second, 30*time.Second, 30
	w.Shutdown = 3 * time.Second
	return s
}

func hostOf(address string) string {
	p, err := models.ParseProjectURL(address + "/a/b")
	if err != nil {
		return address
	}
	return p.Forge
}

// welcome lets the box's namespaces in, as an operator would with millrace allow,
// says of projects that are only made up why they cannot run, takes its people's accounts at the forge for proved, and gives a new database a
// past.
func (d *demo) welcome(ctx context.Context, v *service, b *box.Box) error {
	allowed := []*models.Allowance{{Forge: v.runner.Packages.Host, Namespace: "rpms"}}
	for _, n := range b.Namespaces() {
		if n.Allowed {
			allowed = append(allowed, &models.Allowance{Forge: v.settings.GitHub.Host, Namespace: n.Name})
		}
	}
	var madeUp []*models.Allowance
	if d.story == "" {
		for _, full := range seed.Names(seed.Small) {
			namespace, name, _ := strings.Cut(full, "/")
			madeUp = append(madeUp, &models.Allowance{Forge: v.settings.GitHub.Host, Namespace: namespace, Name: name})
		}
	}
	err := v.store.InTx(ctx, func(tx *store.Tx) error {
		for _, a := range allowed {
			a.State, a.Actor, a.Reason = models.AllowedState, "demo", "It is in the box."
			if err := tx.SetAllowance(ctx, a); err != nil {
				return err
			}
		}
		for _, a := range madeUp {
			a.State, a.Actor = models.DeniedState, "demo"
			a.Reason = "It is part of the past that this demo made up, and has no repository that anything could run on. " +
				"Open a pull request in the box, at " + b.URL() + "/, and run that again."
			if err := tx.SetAllowance(ctx, a); err != nil {
				return err
			}
		}
		for login, account := range b.Links() {
			if err := tx.SaveProof(ctx, v.settings.GitHub.Host, models.Proof{Account: account, ID: b.Forge.AccountID(account), Login: login}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || d.story != "" {
		return err
	}
	marker := filepath.Join(d.dir, "seeded")
	if _, err := os.Stat(marker); err == nil {
		return nil
	}
	if err := seedHistory(ctx, v, b); err != nil {
		return err
	}
	return os.WriteFile(marker, nil, 0o644)
}

// play plays the story and prints a line for each of its pipelines.
func (d *demo) play(ctx context.Context, b *box.Box, v *service) error {
	story, _ := box.StoryNamed(d.story) // known: demoCommand looked
	seen := view{v.store, v.settings.GitHub.Host}
	ways := releases{v, v.runner.Packages.Host}
	teller := &box.Teller{Box: b, View: seen, Ways: ways, Hands: ways}
	err := story.Play(ctx, teller)
	for _, p := range teller.Pipelines() {
		project := p.Project
		if project == nil {
			project = new(models.Project)
		}
		fmt.Fprintf(d.stdout, "%d %s %s %s %s\n", p.ID, p.State, p.Kind, project.FullName(), p.Ref)
	}
	if err != nil {
		return fmt.Errorf("the story %s did not end as it says: %w", d.story, err)
	}
	return nil
}

// view shows stories what the service made of them.
type view struct {
	store *store.Store
	forge string
}

// Pipelines is part of box.View.
func (v view) Pipelines(ctx context.Context, project string, pull int) ([]*models.Pipeline, error) {
	events, err := v.Events(ctx, project, pull)
	if err != nil {
		return nil, err
	}
	var all []*models.Pipeline
	for _, e := range events {
		for _, made := range slices.Backward(e.Pipelines) {
			p, err := v.store.Pipeline(ctx, made.ID)
			if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
	}
	return all, nil
}

// Events is part of box.View.
func (v view) Events(ctx context.Context, project string, pull int) ([]*models.Event, error) {
	p, err := models.ParseProjectURL("http://" + v.forge + "/" + project)
	if err != nil {
		return nil, err
	}
	stored, err := v.store.ProjectAt(ctx, p.Forge, p.Namespace, p.Name)
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	listed, err := v.store.ReferenceEvents(ctx, stored.ID, models.PullRequestRef, strconv.Itoa(pull), 200)
	if err != nil {
		return nil, err
	}
	var all []*models.Event
	for _, e := range slices.Backward(listed) { // the list leaves out decisions
		whole, err := v.store.Event(ctx, e.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, whole)
	}
	return all, nil
}

// seedHistory makes the past that a service of some months would have.
func seedHistory(ctx context.Context, v *service, b *box.Box) error {
	return seed.Seed(ctx, v.store, seed.Options{
		Size: seed.Small, Seed: 1, Now: store.Now(), Forge: v.settings.GitHub.Host, ForgeURL: b.URL(), CoprURL: b.Access().CoprURL,
	})
}
