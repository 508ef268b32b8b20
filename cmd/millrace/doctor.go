package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"time"

	"millrace/clients/copr"
	"millrace/clients/fedmsg"
	"millrace/clients/gpg"
	"millrace/clients/httpx"
	"millrace/clients/testingfarm"
	"millrace/jobs"
	"millrace/jobs/sandbox"
	"millrace/models/store"
)

// A checkup looks at one thing that the service needs. It returns what it found
// in good words, or what is wrong and what to do.
type checkup struct {
	name string
	look func(ctx context.Context) (string, error)
}

// doctorCommand looks at everything that the service needs and says what is
// wrong. It changes nothing.
func doctorCommand(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	explain(flags, args, stdout, stderr, "Usage: millrace doctor [--config FILE]\n\n"+
		"Asks each service that is configured whether it can be used, and says what is wrong.\nExits with 1 if anything is.\n")
	file := configFlag(flags)
	if code, done := parseOnly(flags, args, stderr); done {
		return code
	}
	s, err := loadSettings(*file)
	if err != nil {
		return complain(stderr, "doctor", err)
	}
	ctx := context.Background()
	v, err := openService(ctx, s, slog.New(slog.DiscardHandler), jobs.Capacity{}, nil)
	if err != nil {
		fmt.Fprintf(stdout, "%-14s WRONG  %v\n", "database", err)
		return 1
	}
	defer v.store.Close()
	code := 0
	for _, c := range v.checkups() {
		timed, cancel := context.WithTimeout(ctx, 20*time.Second)
		started := time.Now()
		found, err := c.look(timed)
		cancel()
		if err != nil {
			fmt.Fprintf(stdout, "%-14s WRONG  %v\n", c.name, err)
			code = 1
			continue
		}
		fmt.Fprintf(stdout, "%-14s ok     %s (%s)\n", c.name, found, time.Since(started).Round(time.Millisecond))
	}
	return code
}

func (v *service) checkups() []checkup {
	return []checkup{
		{"database", func(ctx context.Context) (string, error) { return v.settings.databaseName(), v.store.Ping(ctx) }},
		{"data_dir", v.checkData},
		{"git", func(ctx context.Context) (string, error) { return program(ctx, "git", "--version") }},
		{"keyring", v.checkKeyring},
		{"sandbox", v.checkSandbox},
		{"github", v.checkGitHub},
		{"copr", v.checkCopr},
		{"testing_farm", v.checkFarm},
		{"bodhi", v.checkBodhi},
		{"koji", v.checkKoji},
		{"bus", v.checkBus},
		{"login", v.checkLogin},
		{"distgit", v.checkDistGit},
		{"distgit_push", v.checkPush},
		{"tracker", v.checkTracker},
		{"lookaside", v.checkLookaside},
		{"bugzilla", v.checkBugzilla},
		{"fasjson", v.checkFASJSON},
		{"monitoring", v.checkMonitoring},
		{"list", v.checkList},
		{"mail", v.checkMail},
	}
}

func (s *settings) databaseName() string {
	if store.IsPostgres(s.Database) {
		return "PostgreSQL"
	}
	return "SQLite, " + s.Database
}

func (v *service) checkKeyring(ctx context.Context) (string, error) {
	path := v.settings.Git.Keyring
	if path == "" {
		return "not configured; packages with allowed_gpg_keys are refused", nil
	}
	n, err := (&gpg.Keyring{Path: path}).Keys(ctx)
	if err != nil {
		return "", fmt.Errorf("signed commits cannot be verified: %w", err)
	}
	return fmt.Sprintf("%d keys in %s", n, path), nil
}

func program(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s cannot be run: install it (%w)", name, err)
	}
	return firstLine(string(out)), nil
}

func firstLine(text string) string {
	for i, c := range text {
		if c == '\n' {
			return text[:i]
		}
	}
	return text
}

func (v *service) checkData(context.Context) (string, error) {
	if err := os.MkdirAll(v.settings.DataDir, 0o755); err != nil {
		return "", fmt.Errorf("the data directory cannot be made: %w", err)
	}
	f, err := os.CreateTemp(v.settings.DataDir, "doctor-")
	if err != nil {
		return "", fmt.Errorf("the data directory cannot be written to: %w", err)
	}
	f.Close()
	return v.settings.DataDir, os.Remove(f.Name())
}

func (v *service) checkSandbox(ctx context.Context) (string, error) {
	if v.settings.Copr.SRPM != "local" {
		return "not needed, source RPMs are made in Copr", nil
	}
	kind, reason := (&sandbox.Sandbox{AllowUnsandboxed: v.settings.AllowUnsandboxed}).Detect(ctx)
	if kind == sandbox.None {
		return "", fmt.Errorf("commands of package configs cannot be run: %s", reason)
	}
	if _, err := program(ctx, "rpmbuild", "--version"); err != nil {
		return "", err
	}
	return string(kind), nil
}

func (v *service) checkGitHub(ctx context.Context) (string, error) {
	client := v.github()
	if client.AppID == 0 {
		if client.Token == "" {
			return "", fmt.Errorf("neither github.app_id nor github.token is set: nothing can be reported")
		}
		return "as a user, with commit statuses only", nil
	}
	installations, err := client.Installations(ctx)
	if err != nil {
		if httpx.Status(err) == 0 {
			return "", fmt.Errorf("GitHub does not answer: %w", err)
		}
		return "", fmt.Errorf("the App cannot log in; look at github.app_id and github.private_key: %w", err)
	}
	if len(v.settings.GitHub.WebhookSecrets) == 0 {
		return "", fmt.Errorf("github.webhook_secrets is not set: every webhook is refused")
	}
	return fmt.Sprintf("the App is installed on %d accounts", len(installations)), nil
}

func (v *service) checkCopr(ctx context.Context) (string, error) {
	s := v.settings.Copr
	if s.Login == "" || s.Token == "" {
		return "", fmt.Errorf("copr.login and copr.token are not set: nothing can be built")
	}
	client := &copr.Client{BaseURL: s.URL, Login: s.Login, Token: s.Token, HTTP: v.client("copr", 20*time.Second)}
	name, err := client.User(ctx)
	if err != nil {
		if status := httpx.Status(err); status == http.StatusUnauthorized || status == http.StatusForbidden {
			return "", fmt.Errorf("copr does not take the login; make a new token on its page of the API: %w", err)
		}
		return "", fmt.Errorf("copr does not answer: %w", err)
	}
	if name != s.Owner {
		return "", fmt.Errorf("the token is that of %s, but copr.owner is %s", name, s.Owner)
	}
	return "as " + name, nil
}

func (v *service) checkFarm(ctx context.Context) (string, error) {
	s := v.settings.TestingFarm
	client := &testingfarm.Client{BaseURL: s.URL, Token: s.Token, HTTP: v.client("testing-farm", 20*time.Second)}
	composes, err := client.Composes(ctx, s.Ranch)
	if err != nil {
		return "", fmt.Errorf("the list of composes cannot be read: %w", err)
	}
	if s.Token == "" {
		return "", fmt.Errorf("testing_farm.token is not set: no tests can be run")
	}
	if s.WebhookToken == "" {
		return "", fmt.Errorf("testing_farm.webhook_token is not set: its notes are refused, results come by polling only")
	}
	return fmt.Sprintf("%d composes on the ranch %s", len(composes), s.Ranch), nil
}

func (v *service) checkBus(ctx context.Context) (string, error) {
	if v.bus == nil {
		return "not configured; runs are polled", nil
	}
	listening, cancel := context.WithCancel(ctx)
	defer cancel()
	consumer := &fedmsg.Consumer{ // with a queue of its own, so that nothing is lost
		Broker: v.bus.Broker, Topics: v.bus.Topics, Log: slog.New(slog.DiscardHandler),
		Handle: func(context.Context, fedmsg.Message) error { return nil },
	}
	ended := make(chan error, 1)
	go func() { ended <- consumer.Run(listening) }()
	for {
		select {
		case err := <-ended:
			return "", err
		case <-ctx.Done():
			return "", fmt.Errorf("the bus cannot be reached: %s", consumer.Status().Error)
		case <-time.After(50 * time.Millisecond):
			if consumer.Status().Connected {
				return "connected", nil
			}
		}
	}
}
