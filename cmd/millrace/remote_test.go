package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"millrace/clients/fas"
	"millrace/handlers"
	"millrace/jobs"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// accountsAway is an account system at which nobody can log in now; tokens do
// not need it.
type accountsAway struct{}

func (accountsAway) Name() string { return "https://id.example" }
func (accountsAway) Begin(context.Context) (*fas.Attempt, string, error) {
	return nil, "", fmt.Errorf("away")
}
func (accountsAway) Finish(context.Context, *fas.Attempt, url.Values) (*fas.Person, error) {
	return nil, fmt.Errorf("away")
}

// idle is a kind whose work nobody does.
type idle struct{}

func (idle) Submit(context.Context, *jobs.Work) (jobs.Outcome, error) { return jobs.Outcome{}, nil }
func (idle) Poll(context.Context, *jobs.Work) (jobs.Outcome, error)   { return jobs.Outcome{}, nil }
func (idle) Cancel(context.Context, *jobs.Work) error                 { return nil }

// served is a service that listens, with a pipeline one of whose builds failed.
type served struct {
	*handlers.Server
	runner   *jobs.Runner
	url      string
	pipeline *models.Graph
}

func newServed(t *testing.T) *served {
	t.Helper()
	s := storetest.SQLite(t)
	if err := jobs.Migrate(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	v := &served{runner: &jobs.Runner{AllowAll: true, Engine: &jobs.Engine{
		Store: s, Log: log, Timing: jobs.DefaultTiming,
		Kinds: map[models.StepKind]jobs.Kind{models.SRPMStep: idle{}, models.CoprBuildStep: idle{}, models.TestsStep: idle{}},
	}}}
	var err error
	if v.runner.Queue, err = jobs.NewQueue(s, v.runner.RiverConfig(jobs.Capacity{})); err != nil {
		t.Fatal(err)
	}
	var site http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { site.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	v.url = server.URL
	v.Server = &handlers.Server{
		Store: s, Log: log, Accept: v.runner.Accept, Base: v.url, Version: "1.2.3", Steering: v.runner,
		Logins: handlers.Logins{Accounts: accountsAway{}, Operators: []string{"sysadmin-main"}, Life: time.Hour, Idle: time.Hour, TokenLife: 24 * time.Hour, TokenMost: 24 * time.Hour},
	}
	v.Live = v.NewHub()
	site = v.Handler()
	v.pipeline = storetest.Pipeline(t, s, "mill/wheel", 7, storetest.PullRequest)
	v.end(t, v.pipeline.ID, "'passed'")
	v.end(t, v.pipeline.ID, "CASE WHEN target = 'fedora-43-x86_64' AND kind = 'copr_build' THEN 'failed' ELSE state END")
	return v
}

// end gives the runs of a pipeline a state.
func (v *served) end(t testing.TB, id int64, state string) {
	t.Helper()
	now := store.Now()
	_, err := v.Store.Writer().ExecContext(t.Context(), "UPDATE runs SET state = "+state+", started_at = ?, finished_at = ? WHERE pipeline_id = ?", now.Add(-time.Minute), now, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.runner.Advance(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// token makes one for a person, whom it makes too.
func (v *served) token(t testing.TB, login string, groups []string, scopes ...models.TokenScope) string {
	t.Helper()
	user := &models.User{Login: login, Groups: groups}
	token := &models.Token{Name: "laptop", Issuer: accountsAway{}.Name(), Scopes: scopes, ExpiresAt: time.Now().Add(time.Hour)}
	secret := token.NewSecret()
	err := v.Store.InTx(t.Context(), func(tx *store.Tx) error {
		if err := tx.SaveUser(t.Context(), user); err != nil {
			return err
		}
		token.UserID = user.ID
		return tx.CreateToken(t.Context(), token)
	})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// command runs one and returns what it prints.
func runCommand(t testing.TB, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(args, &out, &errs); code != status {
		t.Errorf("millrace %s: status %d, want %d\n%s%s", strings.Join(args, " "), code, status, &out, &errs)
	}
	return out.String(), errs.String()
}

func says(t testing.TB, text string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("%q is not in:\n%s", pattern, text)
		}
	}
}

// TestCommandsThatAsk drives a whole service over HTTP, as a person does.
func TestCommandsThatAsk(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("HOME", home)
	t.Setenv("MILLRACE_SERVER", "")
	t.Setenv("MILLRACE_TOKEN", "")
	v := newServed(t)
	first := fmt.Sprint(v.pipeline.ID)

	_, stderr := runCommand(t, 1, "rerun", first)
	says(t, stderr, "which service", "millrace login --server")
	_, stderr = runCommand(t, 1, "rerun", v.url+"/pipelines/"+first)
	says(t, stderr, "You are not logged in", "Log in with .millrace login --server "+v.url)
	_, stderr = runCommand(t, 1, "login", "--show", "--server", v.url)
	says(t, stderr, "not logged in", "with a token from "+v.url+"/settings/tokens")

	t.Run("login", func(t *testing.T) { v.testLogin(t, home) })
	t.Run("rerun", func(t *testing.T) { v.testRerun(t, first) })
	t.Run("cancel", func(t *testing.T) { v.testCancel(t) })
	t.Run("forget", func(t *testing.T) {
		stdout, _ := runCommand(t, 0, "login", "--forget")
		says(t, stdout, "not stored any more", "/settings/tokens")
		_, stderr := runCommand(t, 1, "cancel", first)
		says(t, stderr, "which service")
		_, stderr = runCommand(t, 1, "login", "--forget", "--server", v.url)
		says(t, stderr, "no token is stored")
	})
}

func (v *served) testLogin(t *testing.T, home string) {
	enter := func(status int, text string) (string, string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := login([]string{"--server", v.url + "/"}, strings.NewReader(text), &out, &errs); code != status {
			t.Errorf("login with %q: status %d, want %d\n%s%s", text, code, status, &out, &errs)
		}
		return out.String(), errs.String()
	}
	_, stderr := enter(1, "")
	says(t, stderr, "this is no token; they begin with millrace_")
	_, stderr = enter(1, "hunter2\n")
	says(t, stderr, "this is no token")
	_, stderr = enter(1, models.TokenPrefix+"nope\n")
	says(t, stderr, "There is no such token, or it was revoked")
	if file, err := loginFile(); err != nil || exists(file) {
		t.Errorf("a token that does not work was stored in %s, %v", file, err)
	}
	secret := v.token(t, "olga", []string{"sysadmin-main"}, models.RerunScope, models.CancelScope)
	stdout, _ := enter(0, "  "+secret+"\r\n")
	says(t, stdout, `^olga at http://127\.0\.0\.1:\d+, by the token "laptop": rerun, cancel, until \d{4}-`, "stored in "+home)
	if strings.Contains(stdout, secret) {
		t.Error("the token is printed")
	}
	file := filepath.Join(home, "millrace", "login.json")
	for path, mode := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	stdout, _ = runCommand(t, 0, "login", "--show", "--json")
	var me handlers.Me
	if err := json.Unmarshal([]byte(stdout), &me); err != nil || me.Login != "olga" || !me.Operator || me.Token == nil {
		t.Errorf("%+v, %v", me, err)
	}
	_, stderr = runCommand(t, 1, "login", "--show", "--server", "http://millrace.example")
	says(t, stderr, "must begin with https")
	_, stderr = runCommand(t, 2, "login", "millrace_abc")
	says(t, stderr, "not from the command line")
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func (v *served) testRerun(t *testing.T, first string) {
	stdout, _ := runCommand(t, 0, "rerun", first, "--dry-run")
	says(t, stdout, `^Pipeline \d+ at http://127`, `Runs again \(\d\): copr_build-1: fedora-43-x86_64; `, `Is kept \(\d\): srpm-0: source; copr_build-1: `)
	if attempts := v.attempts(t); attempts != 1 {
		t.Errorf("a dry run made an attempt: %d", attempts)
	}
	for args, text := range map[string]string{
		"--all --failed": "give one of", "--target x": "want STEP/TARGET", "--nope": "flag provided", "one two": "name one pipeline", "": "name one pipeline",
	} {
		_, stderr := runCommand(t, 2, append([]string{"rerun"}, append([]string{first}[:min(1, len(args))], strings.Fields(args)...)...)...)
		says(t, stderr, text)
	}
	_, stderr := runCommand(t, 1, "rerun", "wheel")
	says(t, stderr, "neither the number nor the address")
	_, stderr = runCommand(t, 1, "rerun", "99999")
	says(t, stderr, "404 Not Found")
	_, stderr = runCommand(t, 1, "rerun", first, "--step", "none")
	says(t, stderr, `this pipeline has no step "none"`)
	_, stderr = runCommand(t, 1, "rerun", v.url+"/pipelines/"+first, "--server", "https://other.example")
	says(t, stderr, "is not at https://other.example")

	stdout, _ = runCommand(t, 0, "rerun", v.url+"/pipelines/"+first+"/steps/srpm-0", "--target", "copr_build-1/fedora-43-x86_64")
	says(t, stdout, "Runs again", `Attempt 2 is pipeline \d+: `+v.url+"/pipelines/")
	_, stderr = runCommand(t, 1, "rerun", first)
	says(t, stderr, "Nothing has failed")

	id := v.newest(t)
	ended := make(chan struct{})
	go func() { // waited for below
		defer close(ended)
		next := v.follow(t, id)
		v.end(t, next, "'passed'")
	}()
	stdout, _ = runCommand(t, 0, "rerun", fmt.Sprint("#", id), "--all", "--restart", "--wait")
	<-ended
	says(t, stdout, "Attempt 3 is", `(?m)^passed: 5 of 5 runs are done, 0 not well$`)

	weak := v.token(t, "ada", nil, models.RerunScope)
	t.Setenv("MILLRACE_TOKEN", weak)
	stdout, stderr = runCommand(t, 1, "rerun", first, "--all")
	says(t, stdout, "You may not have it done: ")
	says(t, stderr, "right to write to")
	t.Setenv("MILLRACE_TOKEN", v.token(t, "olga", []string{"sysadmin-main"}, models.ReadScope))
	_, stderr = runCommand(t, 1, "rerun", first, "--all")
	says(t, stderr, "has not the scope rerun")
	t.Setenv("MILLRACE_TOKEN", "")
}

func (v *served) testCancel(t *testing.T) {
	id := fmt.Sprint(v.newest(t))
	_, stderr := runCommand(t, 1, "cancel", id)
	says(t, stderr, "nothing of it is running or waiting")
	runCommand(t, 0, "rerun", id, "--all")
	id = fmt.Sprint(v.newest(t))
	_, stderr = runCommand(t, 2, "cancel", id, "--target", "x")
	says(t, stderr, "with --target also --step")
	stdout, _ := runCommand(t, 0, "cancel", id, "--step", "copr_build-1", "--target", "fedora-43-x86_64", "--dry-run")
	says(t, stdout, `^Is stopped \(1\): copr_build-1: fedora-43-x86_64\n$`)
	stdout, _ = runCommand(t, 0, "cancel", id, "--step", "copr_build-1", "--target", "fedora-43-x86_64")
	says(t, stdout, `Stopped 1: `)
	stdout, _ = runCommand(t, 0, "cancel", id, "--json")
	var canceled handlers.Canceled
	if err := json.Unmarshal([]byte(stdout), &canceled); err != nil || canceled.Runs != 3 || canceled.Pipeline.State != models.Canceled {
		t.Errorf("%+v, %v", canceled, err)
	}
	v.Logins.Accounts = nil
	_, stderr = runCommand(t, 1, "cancel", id)
	says(t, stderr, "Nobody can log in here")
	v.Logins.Accounts = accountsAway{}
}

func (v *served) attempts(t testing.TB) int {
	t.Helper()
	p, err := v.Store.AttemptOf(t.Context(), v.pipeline.ID)
	if err != nil {
		t.Fatal(err)
	}
	return p.Attempt
}

func (v *served) newest(t testing.TB) int64 {
	t.Helper()
	p, err := v.Store.AttemptOf(t.Context(), v.pipeline.ID)
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// follow waits for the attempt after a pipeline.
func (v *served) follow(t testing.TB, id int64) int64 {
	for t.Context().Err() == nil {
		if p, err := v.Store.AttemptOf(t.Context(), v.pipeline.ID); err == nil && p.ID != id {
			return p.ID
		}
		time.Sleep(5 * time.Millisecond)
	}
	return 0
}

func TestPipelineArgument(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"62": " 62", "#62": " 62", "https://m.example/pipelines/62": "https://m.example 62", "https://m.example/pipelines/62/steps/x/y?from=2#log": "https://m.example 62",
		"https://m.example/mill/pipelines/62": "https://m.example/mill 62", "https://m.example/api/v3/pipelines/62": "https://m.example 62",
		"": "", "0": "", "-1": "", "x": "", "https://m.example/runs/62": "", "https://m.example/pipelines/": "", "99999999999999999999": "",
	} {
		server, id, err := pipelineArgument(text)
		got := fmt.Sprint(server, " ", id)
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}
