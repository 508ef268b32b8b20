package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"millrace/clients/anitya"
	"millrace/clients/bodhi"
	"millrace/clients/bugzilla"
	"millrace/clients/copr"
	"millrace/clients/fasjson"
	"millrace/clients/kerberos"
	"millrace/clients/koji"
	"millrace/clients/lookaside"
	"millrace/clients/mail"
	"millrace/clients/pagure"
	"millrace/jobs/sources"
	"millrace/models"
	"millrace/models/store"
)

// settings are what an operator chooses: from one file, overruled by the
// environment. They are read once, and all that is wrong with them is said at
// once.
type settings struct {
	Listen     string
	Base       string
	Database   string
	DataDir    string
	Deployment string
	Prefix     string
	AllowAll   bool
	LogLevel   string

	GitHub struct {
		Host           string
		APIURL         string
		AppID          int64
		PrivateKey     string
		Token          string
		WebhookSecrets []string
	}
	Copr struct {
		URL, Login, Token, Owner string
		SRPM                     string
		KeepDays                 int
		Deps                     []string
	}
	TestingFarm struct {
		URL, Token, Ranch, WebhookToken, InternalToken string
		InternalProjects                               []string
	}
	Bodhi    struct{ URL, User, Issuer string }
	Koji     struct{ HubURL, WebURL, FilesURL string }
	Approval struct{ Repository string }
	DistGit  struct {
		Forge, URL, User, Token, Password, PackagerGroup string
		SSHKey, SSHKnownHosts                            string
		WebhookSecrets                                   []string
	}
	Tracker    struct{ URL, User, Token string }
	Lookaside  struct{ URL, UploadURL string }
	Bugzilla   struct{ URL, Key string }
	Automation struct {
		List, Path string
		Every      time.Duration
	}
	// Monitoring watches upstream projects for releases.
	Monitoring struct{ URL string }
	FASJSON    struct {
		URL, Token string
	}
	Kerberos struct{ Principal, Keytab, Proxy, Token string }
	Login    struct {
		Issuer, ClientID, ClientSecret string
		OperatorGroups                 []string
		Session, Idle                  time.Duration
		TokenLife, TokenMost           time.Duration
	}
	Git   struct{ Name, Email, Keyring string }
	Hooks struct{ AllowedNetworks []string }
	Mail  struct {
		Relay, From, User, Password, Security string
		PerHour                               int
	}
	Bus struct {
		URL, CA, Certificate, Key, Queue string
		Topics                           []string
		Tokens                           []string
		Prefetch                         int
	}
	Workers struct {
		Intake, Work, Poll, Report, Logs, Tell int
		Lease, Sweep, Poll1, PollMax           time.Duration
		Retry, RetryMax, Shutdown, Doubt       time.Duration
		Tries                                  int
		Limits                                 map[models.StepKind]int
		Listen                                 string
	}
	AllowUnsandboxed bool
	AllowPrivate     bool
	Retention        struct{ Logs, Deliveries, Events, Dispatches time.Duration }
	LogLimit         int
}

// setting is one of them: its key in the file, and what it is for.
type setting struct {
	key    string
	doc    string
	value  any // pointer to the field
	secret bool
}

// all lists the settings in the order in which people read about them.
func (s *settings) all() []setting {
	return []setting{
		{key: "listen", doc: "address to listen on", value: &s.Listen},
		{key: "base_url", doc: "address under which browsers and services reach this one, without a trailing slash", value: &s.Base},
		{key: "database", doc: "postgres:// address, or path of an SQLite file that only this process uses", value: &s.Database},
		{key: "data_dir", doc: "directory for git mirrors and source RPMs", value: &s.DataDir},
		{key: "deployment", doc: "what packit_instances calls this deployment: prod, stg or dev", value: &s.Deployment},
		{key: "comment_prefix", doc: "what commands in comments begin with", value: &s.Prefix},
		{key: "allow_all", doc: "serve projects that are not on the allowlist", value: &s.AllowAll},
		{key: "log_level", doc: "debug, info, warn or error", value: &s.LogLevel},
		{key: "log_limit", doc: "bytes that are kept of each log", value: &s.LogLimit},
		{key: "allow_unsandboxed", doc: "run the commands of package configs without a sandbox where there is none; only for trusted projects", value: &s.AllowUnsandboxed},
		{key: "allow_private_sources", doc: "download sources of packages also from this machine and private networks; only for trusted projects", value: &s.AllowPrivate},

		{key: "github.host", doc: "host of the web pages of GitHub", value: &s.GitHub.Host},
		{key: "github.api_url", doc: "address of its API; empty: that of github.com", value: &s.GitHub.APIURL},
		{key: "github.app_id", doc: "id of our GitHub App", value: &s.GitHub.AppID},
		{key: "github.private_key", doc: "the App's private key, PEM; @FILE reads it from a file", value: &s.GitHub.PrivateKey, secret: true},
		{key: "github.token", doc: "personal token, instead of an App: only commit statuses then", value: &s.GitHub.Token, secret: true},
		{key: "github.webhook_secrets", doc: "secrets that webhooks may be signed with, several while one is changed", value: &s.GitHub.WebhookSecrets, secret: true},

		{key: "approval.repository", doc: "address of the repository where whoever installed our App can prove who they are, in issues; empty: nowhere", value: &s.Approval.Repository},

		{key: "copr.url", doc: "address of Copr", value: &s.Copr.URL},
		{key: "copr.login", doc: "login of the API", value: &s.Copr.Login, secret: true},
		{key: "copr.token", doc: "token of the API", value: &s.Copr.Token, secret: true},
		{key: "copr.owner", doc: "our user there, who owns the projects", value: &s.Copr.Owner},
		{key: "copr.srpm", doc: "where source RPMs are made: copr or local", value: &s.Copr.SRPM},
		{key: "copr.srpm_deps", doc: "packages that making source RPMs in Copr needs", value: &s.Copr.Deps},
		{key: "copr.keep_days", doc: "days after which projects without preserve_project are deleted", value: &s.Copr.KeepDays},

		{key: "testing_farm.url", doc: "address of Testing Farm's API, with the version", value: &s.TestingFarm.URL},
		{key: "testing_farm.token", doc: "token of the API", value: &s.TestingFarm.Token, secret: true},
		{key: "testing_farm.ranch", doc: "ranch of tests that do not ask for the internal one", value: &s.TestingFarm.Ranch},
		{key: "testing_farm.webhook_token", doc: "what Testing Farm shows us to prove that a note is its own", value: &s.TestingFarm.WebhookToken, secret: true},
		{key: "testing_farm.internal_token", doc: "token of the internal ranch; without one nobody may use it", value: &s.TestingFarm.InternalToken, secret: true},
		{key: "testing_farm.internal_projects", doc: "projects (forge/namespace/name) that may use the internal ranch", value: &s.TestingFarm.InternalProjects},

		{key: "git.name", doc: "who signs our commits and changelog entries", value: &s.Git.Name},
		{key: "git.email", doc: "their address", value: &s.Git.Email},
		{key: "git.keyring", doc: "file with public keys (gpg --export), or directory of such files, by which signed commits are verified; empty: packages with allowed_gpg_keys are refused", value: &s.Git.Keyring},

		{key: "bodhi.url", doc: "address of Bodhi, for the list of releases and for updates", value: &s.Bodhi.URL},
		{key: "bodhi.user", doc: "our account there, in whose name updates are made; empty: none are", value: &s.Bodhi.User},
		{key: "bodhi.issuer", doc: "address of the identity provider by which Bodhi lets us in", value: &s.Bodhi.Issuer},

		{key: "koji.hub_url", doc: "address of Koji's hub, such as https://koji.fedoraproject.org/kojihub; empty: nothing is built there", value: &s.Koji.HubURL},
		{key: "koji.web_url", doc: "address of Koji's pages", value: &s.Koji.WebURL},
		{key: "koji.files_url", doc: "address of Koji's logs and packages", value: &s.Koji.FilesURL},

		{key: "distgit.forge", doc: "what dist-git is on: pagure or forgejo", value: &s.DistGit.Forge},
		{key: "distgit.url", doc: "address of dist-git, which knows who may commit to packages; empty: nobody has rights from there", value: &s.DistGit.URL},
		{key: "distgit.user", doc: "our account in dist-git", value: &s.DistGit.User},
		{key: "distgit.token", doc: "token of its API; empty: releases are proposed nowhere", value: &s.DistGit.Token, secret: true},
		{key: "distgit.password", doc: "what git shows to push to our forks over HTTPS; empty: the token", value: &s.DistGit.Password, secret: true},
		{key: "distgit.ssh_key", doc: "file with the key by which git pushes to our forks over SSH; empty: it pushes over HTTPS", value: &s.DistGit.SSHKey},
		{key: "distgit.ssh_known_hosts", doc: "file with the keys of the host that is pushed to; no other host is trusted", value: &s.DistGit.SSHKnownHosts},
		{key: "distgit.webhook_secrets", doc: "secrets of the webhooks that Forgejo posts to /hooks/forgejo", value: &s.DistGit.WebhookSecrets, secret: true},

		{key: "distgit.packager_group", doc: "group of those who may ask for work on packages in comments", value: &s.DistGit.PackagerGroup},

		{key: "tracker.url", doc: "address of a Pagure of whose projects issue_repository may name some", value: &s.Tracker.URL},
		{key: "tracker.user", doc: "our account there", value: &s.Tracker.User},
		{key: "tracker.token", doc: "token of its API, with the rights to create, comment and close issues; empty: no issues are opened there", value: &s.Tracker.Token, secret: true},

		{key: "fasjson.url", doc: "address of FASJSON, which knows what accounts people have at forges", value: &s.FASJSON.URL},
		{key: "fasjson.token", doc: "token to show there in place of one of Kerberos, which test instances take", value: &s.FASJSON.Token, secret: true},

		{key: "kerberos.principal", doc: "who we are for Kerberos, with the realm; empty: we log in nowhere with it", value: &s.Kerberos.Principal},
		{key: "kerberos.keytab", doc: "file with the keys of the principal", value: &s.Kerberos.Keytab},
		{key: "kerberos.proxy", doc: "address of the proxy through which the realm's key server is reached", value: &s.Kerberos.Proxy},
		{key: "kerberos.token", doc: "token to show in place of one of Kerberos, which test instances take", value: &s.Kerberos.Token, secret: true},

		{key: "lookaside.url", doc: "address of the cache with archives of packages; empty: archives stay where they are", value: &s.Lookaside.URL},
		{key: "lookaside.upload_url", doc: "address that takes archives; empty: upload.cgi below the other", value: &s.Lookaside.UploadURL},

		{key: "bugzilla.url", doc: "address of Bugzilla, which has the bugs about new versions; empty: nobody looks for them", value: &s.Bugzilla.URL},
		{key: "bugzilla.key", doc: "key of its API; public bugs need none", value: &s.Bugzilla.Key, secret: true},
		{key: "release_monitoring.url", doc: "address of release monitoring (Anitya), asked whether packages are watched for new versions; empty: nobody is asked", value: &s.Monitoring.URL},
		{key: "automation.list", doc: "address of a git repository with a list of packages that are switched on; empty: there is none", value: &s.Automation.List},
		{key: "automation.list_path", doc: "path of the list in it", value: &s.Automation.Path},
		{key: "automation.list_every", doc: "how often the list is read", value: &s.Automation.Every},

		{key: "login.issuer", doc: "address of the account system (OpenID Connect); empty: nobody can log in", value: &s.Login.Issuer},
		{key: "login.client_id", doc: "id that the account system gave us", value: &s.Login.ClientID},
		{key: "login.client_secret", doc: "secret that goes with it; @FILE reads it from a file", value: &s.Login.ClientSecret, secret: true},
		{key: "login.operator_groups", doc: "groups whose members operate this service", value: &s.Login.OperatorGroups},
		{key: "login.session", doc: "time after which everybody has to log in again", value: &s.Login.Session},
		{key: "login.idle", doc: "time after which who does nothing has to log in again", value: &s.Login.Idle},
		{key: "login.token_life", doc: "time after which a token expires, unless its user chooses otherwise", value: &s.Login.TokenLife},
		{key: "login.token_most", doc: "time after which any token expires", value: &s.Login.TokenMost},

		{key: "hooks.allowed_networks", doc: "networks that are not public and that hooks of projects may be sent to nevertheless, also without TLS, such as 10.1.0.0/16", value: &s.Hooks.AllowedNetworks},
		{key: "mail.relay", doc: "host and port of the relay that takes our mail; empty: nobody gets mail", value: &s.Mail.Relay},
		{key: "mail.from", doc: "who mail is from, such as Millrace <millrace@example.org>", value: &s.Mail.From},
		{key: "mail.user", doc: "our account at the relay; empty: it needs none", value: &s.Mail.User},
		{key: "mail.password", doc: "password of the account; @FILE reads it from a file", value: &s.Mail.Password, secret: true},
		{key: "mail.security", doc: "how the way to the relay is protected: starttls, tls, or none for a relay on this machine", value: &s.Mail.Security},
		{key: "mail.per_hour", doc: "mails to one person in an hour; what is more comes together in one", value: &s.Mail.PerHour},

		{key: "bus.url", doc: "amqps:// address of the message bus; empty: not connected, runs are polled", value: &s.Bus.URL},
		{key: "bus.ca", doc: "file with the broker's certificate authority", value: &s.Bus.CA},
		{key: "bus.certificate", doc: "file with our client certificate", value: &s.Bus.Certificate},
		{key: "bus.key", doc: "file with its key", value: &s.Bus.Key},
		{key: "bus.queue", doc: "name of our durable queue; empty: a queue that ends with the connection", value: &s.Bus.Queue},
		{key: "bus.topics", doc: "topics to listen to", value: &s.Bus.Topics},
		{key: "bus.prefetch", doc: "messages that may be under way to one process; half of them are stored together", value: &s.Bus.Prefetch},
		{key: "bus.tokens", doc: "tokens with which messages may be posted to /hooks/bus", value: &s.Bus.Tokens, secret: true},

		{key: "workers.listen", doc: "address where a process with workers alone answers /healthz, /readyz and /metrics; empty: nowhere", value: &s.Workers.Listen},
		{key: "workers.intake", doc: "deliveries handled at once by one process", value: &s.Workers.Intake},
		{key: "workers.work", doc: "groups carried out at once by one process", value: &s.Workers.Work},
		{key: "workers.poll", doc: "services asked at once by one process", value: &s.Workers.Poll},
		{key: "workers.report", doc: "reports sent at once by one process", value: &s.Workers.Report},
		{key: "workers.logs", doc: "logs fetched at once by one process", value: &s.Workers.Logs},
		{key: "workers.tell", doc: "hooks and people told at once by one process", value: &s.Workers.Tell},
		{key: "workers.lease", doc: "after this time without a sign of life a worker is taken for dead", value: &s.Workers.Lease},
		{key: "workers.sweep", doc: "between two looks for what was lost or is due", value: &s.Workers.Sweep},
		{key: "workers.first_poll", doc: "before a submitted run is asked about first; later ones wait longer", value: &s.Workers.Poll1},
		{key: "workers.longest_poll", doc: "between two questions at most", value: &s.Workers.PollMax},
		{key: "workers.first_retry", doc: "before the first retry; each further one waits twice as long", value: &s.Workers.Retry},
		{key: "workers.longest_retry", doc: "between two retries at most", value: &s.Workers.RetryMax},
		{key: "workers.tries", doc: "tries before a run ends in error", value: &s.Workers.Tries},
		{key: "workers.doubt", doc: "time after a crash until a request that was on its way then has arrived or never will", value: &s.Workers.Doubt},
		{key: "workers.shutdown", doc: "time that running jobs get before they give their work back", value: &s.Workers.Shutdown},
		{key: "workers.limits", doc: "groups of a kind carried out at once by all processes, as kind=number", value: &s.Workers.Limits},

		{key: "retention.logs", doc: "how long logs are kept", value: &s.Retention.Logs},
		{key: "retention.deliveries", doc: "how long the bodies of deliveries are kept", value: &s.Retention.Deliveries},
		{key: "retention.events", doc: "how long events without pipelines are kept", value: &s.Retention.Events},
		{key: "retention.dispatches", doc: "how long is kept what hooks and people were told, and how that went", value: &s.Retention.Dispatches},
	}
}

// maxPrefetch is the largest number that AMQP has for it.
const maxPrefetch = 65535

// defaults suit Fedora.
func defaults() *settings {
	s := new(settings)
	s.Listen, s.Base, s.Database, s.DataDir = "127.0.0.1:8080", "http://127.0.0.1:8080", "millrace.db", "data"
	s.Deployment, s.Prefix, s.LogLevel, s.LogLimit = "prod", "/packit", "info", 8<<20
	s.GitHub.Host = "github.com"
	s.Copr.URL, s.Copr.Owner, s.Copr.SRPM, s.Copr.KeepDays = copr.DefaultURL, "packit", "copr", 60
	s.Copr.Deps = slices.Clone(sources.CoprPackages)
	s.Git.Name, s.Git.Email = "Millrace", "millrace@localhost"
	s.TestingFarm.URL, s.TestingFarm.Ranch = "https://api.dev.testing-farm.io/v0.1", "public"
	s.Bodhi.URL, s.Bodhi.Issuer = bodhi.DefaultURL, bodhi.DefaultIssuer
	s.Koji.WebURL, s.Koji.FilesURL = koji.DefaultWebURL, koji.DefaultFilesURL
	s.DistGit.Forge, s.DistGit.URL, s.DistGit.User, s.FASJSON.URL = onPagure, pagure.DefaultURL, "packit", fasjson.DefaultURL
	s.Automation.Path, s.Automation.Every = "packages.yaml", 10*time.Minute
	s.DistGit.PackagerGroup = "packager"
	s.Tracker.URL, s.Tracker.User = "https://pagure.io", "packit"
	s.Lookaside.URL, s.Bugzilla.URL, s.Monitoring.URL = lookaside.DefaultURL, bugzilla.DefaultURL, anitya.DefaultURL
	s.Kerberos.Proxy = kerberos.DefaultProxy
	s.Login.Session, s.Login.Idle = 7*24*time.Hour, 24*time.Hour
	s.Login.TokenLife, s.Login.TokenMost = 90*24*time.Hour, 365*24*time.Hour
	s.Bus.Topics = topics()
	s.Bus.Prefetch = 64
	w := &s.Workers
	w.Intake, w.Work, w.Poll, w.Report, w.Logs, w.Tell = 16, 64, 16, 8, 4, 8
	w.Lease, w.Sweep, w.Poll1, w.PollMax = 30*time.Second, time.Second, 30*time.Second, 10*time.Minute
	w.Retry, w.RetryMax, w.Shutdown, w.Tries, w.Doubt = 30*time.Second, 30*time.Minute, 30*time.Second, 8, 5*time.Second
	w.Limits = map[models.StepKind]int{models.SRPMStep: 8}
	const day = 24 * time.Hour
	s.Retention.Logs, s.Retention.Deliveries, s.Retention.Events, s.Retention.Dispatches = 90*day, 14*day, 90*day, 90*day
	s.Mail.Security, s.Mail.PerHour = string(mail.StartTLS), 20
	return s
}

// topics are those of the messages that something is done for.
func topics() []string {
	var all []string
	for _, name := range []string{
		"copr.build.start", "copr.build.end",
		"pagure.git.receive", "pagure.pull-request.new", "pagure.pull-request.updated", "pagure.pull-request.rebased", "pagure.pull-request.comment.added",
		"forgejo.push", "forgejo.pull_request", "forgejo.issue_comment",
		"buildsys.build.state.change", "buildsys.task.state.change", "buildsys.tag", "hotness.update.bug.file", "bodhi.update.#",
	} {
		all = append(all, "org.fedoraproject.prod."+name)
	}
	return all
}

// check finds what is wrong with the settings together, and reads the key.
func (s *settings) check() []error {
	var problems []error
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	web := func(key, value string) {
		if u, err := url.Parse(value); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			complain("%s: %q is not an http or https address", key, value)
		}
	}
	if s.Database == "" || strings.Contains(s.Database, "://") && !store.IsPostgres(s.Database) {
		complain("database: %q is neither a postgres:// address nor the path of a file", s.Database)
	}
	for _, address := range []*string{&s.Base, &s.DistGit.URL, &s.Tracker.URL} {
		*address = strings.TrimSuffix(*address, "/")
	}
	web("base_url", s.Base)
	for key, value := range map[string]string{
		"copr.url": s.Copr.URL, "testing_farm.url": s.TestingFarm.URL, "bodhi.url": s.Bodhi.URL, "github.api_url": s.GitHub.APIURL, "login.issuer": s.Login.Issuer,
		"distgit.url": s.DistGit.URL, "tracker.url": s.Tracker.URL, "fasjson.url": s.FASJSON.URL, "kerberos.proxy": s.Kerberos.Proxy,
		"lookaside.url": s.Lookaside.URL, "lookaside.upload_url": s.Lookaside.UploadURL, "bugzilla.url": s.Bugzilla.URL, "release_monitoring.url": s.Monitoring.URL, "automation.list": s.Automation.List,
		"bodhi.issuer": s.Bodhi.Issuer, "koji.hub_url": s.Koji.HubURL, "koji.web_url": s.Koji.WebURL, "koji.files_url": s.Koji.FilesURL,
	} {
		if value != "" {
			web(key, value)
		}
	}
	if !slices.Contains([]string{"prod", "stg", "dev"}, s.Deployment) {
		complain("deployment: %q is none of prod, stg, dev", s.Deployment)
	}
	if _, err := newLog(io.Discard, s.LogLevel); err != nil {
		problems = append(problems, err)
	}
	if s.Copr.SRPM != "copr" && s.Copr.SRPM != "local" {
		complain("copr.srpm: %q is neither copr nor local", s.Copr.SRPM)
	}
	if s.GitHub.AppID != 0 && s.GitHub.PrivateKey == "" {
		complain("github.private_key: the App with the id %d needs one", s.GitHub.AppID)
	}
	for key, value := range map[string]*string{"github.private_key": &s.GitHub.PrivateKey, "login.client_secret": &s.Login.ClientSecret, "mail.password": &s.Mail.Password} {
		if file, ok := strings.CutPrefix(*value, "@"); ok {
			text, err := os.ReadFile(file)
			if err != nil {
				complain("%s: %v", key, err)
			}
			*value = string(text)
		}
	}
	if (s.Bus.Certificate == "") != (s.Bus.Key == "") {
		complain("bus.key: a certificate and its key go together")
	}
	if s.Bus.Prefetch > maxPrefetch {
		complain("bus.prefetch: must be at most %d", maxPrefetch)
	}
	s.Login.ClientSecret = strings.TrimSpace(s.Login.ClientSecret)
	if (s.Kerberos.Principal == "") != (s.Kerberos.Keytab == "") {
		complain("kerberos.keytab: it goes together with kerberos.principal; set both or none")
	}
	if s.DistGit.Token != "" && (s.DistGit.URL == "" || s.DistGit.User == "") {
		complain("distgit.token: it needs distgit.url and distgit.user")
	}
	problems = append(problems, s.checkDistGit()...)
	if s.DistGit.URL != "" && hostOf(s.DistGit.URL) == s.GitHub.Host {
		complain("distgit.url: dist-git and GitHub cannot be on one host, which says where a project is")
	}
	problems = append(problems, s.checkLogin()...)
	problems = append(problems, s.checkTelling()...)
	if at := s.Approval.Repository; at != "" {
		if p, err := models.ParseProjectURL(at); err != nil {
			complain("approval.repository: %v", err)
		} else if p.Forge != s.GitHub.Host {
			complain("approval.repository: %s is not on %s", at, s.GitHub.Host)
		}
	}
	for key, value := range map[string]time.Duration{
		"automation.list_every": s.Automation.Every, "workers.lease": s.Workers.Lease, "workers.sweep": s.Workers.Sweep, "workers.first_poll": s.Workers.Poll1,
		"workers.longest_poll": s.Workers.PollMax, "workers.first_retry": s.Workers.Retry, "workers.longest_retry": s.Workers.RetryMax,
	} {
		if value <= 0 {
			complain("%s: must be longer than nothing", key)
		}
	}
	for key, value := range map[string]int{
		"bus.prefetch": s.Bus.Prefetch, "workers.intake": s.Workers.Intake, "workers.work": s.Workers.Work, "workers.poll": s.Workers.Poll,
		"workers.report": s.Workers.Report, "workers.logs": s.Workers.Logs, "workers.tries": s.Workers.Tries,
		"workers.tell": s.Workers.Tell, "mail.per_hour": s.Mail.PerHour,
	} {
		if value <= 0 {
			complain("%s: must be at least 1", key)
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}
