package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millrace/clients/bodhi/bodhifake"
	"millrace/clients/copr/coprfake"
	"millrace/clients/github/githubfake"
	"millrace/clients/ports"
	"millrace/clients/testingfarm/testingfarmfake"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	crashKills     = 20
	crashPipelines = 30
)

// TestCrashes kills the service by SIGKILL again and again while pipelines run,
// and then looks whether anything was lost or done twice. The services it talks
// to live in this process, so that they see everything and forget nothing.
func TestCrashes(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	program := buildProgram(t)
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		crash(t, program, storetest.SQLiteAddress(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		crash(t, program, storetest.PostgresAddress(t))
	})
}

// buildProgram builds the program as users have it.
func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "millrace")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return program
}

// victim is the service that is killed, and the world around it.
type victim struct {
	t       *testing.T
	program string
	env     []string
	base    string
	log     *lockedBuffer

	github *githubfake.Fake
	copr   *coprfake.Fake
	farm   *testingfarmfake.Server

	process *exec.Cmd
}

const crashSecret = "not a secret"

func crash(t *testing.T, program, database string) {
	v := &victim{t: t, program: program, log: new(lockedBuffer), base: "http://" + freeAddress(t)}
	v.startWorld(database)
	v.command("migrate")
	forge := v.forge()
	v.command("allow", forge+"/mill")
	v.start()
	defer v.stop()
	v.await(time.Minute)

	if _, err := v.github.Install("mill"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.github.CreateRepo(t.Context(), "mill", "wheel", crashFiles, githubfake.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	var opening sync.WaitGroup
	opening.Go(func() {
		for i := range crashPipelines {
			v.open(i)
			time.Sleep(time.Duration(200+mathrand.IntN(300)) * time.Millisecond)
		}
	})
	for range crashKills {
		time.Sleep(time.Duration(300+mathrand.IntN(900)) * time.Millisecond)
		v.kill()
		v.start()
	}
	opening.Wait()
	v.await(time.Minute)
	v.redeliver()
	v.judge(database)
}

var crashFiles = map[string]string{
	".packit.yaml": `
specfile_path: wheel.spec
jobs:
- job: copr_build
  trigger: pull_request
  targets: [fedora-43, fedora-44, fedora-rawhide]
- job: tests
  trigger: pull_request
  targets: [fedora-43, fedora-44]
`,
	"wheel.spec": "Name: wheel\nVersion: 1\n", ".fmf/version": "1\n", "README": "A wheel.\n",
}

// startWorld starts everything that outlives the victim.
func (v *victim) startWorld(database string) {
	t := v.t
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	v.github, err = githubfake.New(githubfake.Config{
		Dir: t.TempDir(), PublicKey: &key.PublicKey, WebhookURL: v.base + "/hooks/github", WebhookSecret: crashSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.github.Close)
	github := httptest.NewServer(v.github)
	t.Cleanup(github.Close)
	v.github.SetURL(github.URL)

	v.copr, err = coprfake.New(coprfake.Options{
		Dir: t.TempDir(), Users: []coprfake.User{{Name: "packit", Login: "login", Token: "token"}}, Publish: v.publish,
		Builder: coprfake.Simulated(coprfake.Pace{Source: 200 * time.Millisecond, Build: 500 * time.Millisecond}),
	})
	if err != nil {
		t.Fatal(err)
	}
	copr := httptest.NewServer(v.copr)
	t.Cleanup(func() { copr.Close(); v.copr.Close() })

	v.farm, err = testingfarmfake.New(testingfarmfake.Config{
		Pace: testingfarmfake.Pace{New: 50 * time.Millisecond, Queued: 100 * time.Millisecond, Running: 300 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.farm.Close)
	farm := httptest.NewServer(v.farm)
	t.Cleanup(farm.Close)
	bodhi := httptest.NewServer(bodhifake.New())
	t.Cleanup(bodhi.Close)

	private := filepath.Join(t.TempDir(), "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(private, text, 0o600); err != nil {
		t.Fatal(err)
	}
	v.env = append(os.Environ(),
		"MILLRACE_LISTEN="+strings.TrimPrefix(v.base, "http://"), "MILLRACE_BASE_URL="+v.base,
		"MILLRACE_DATABASE="+database, "MILLRACE_DATA_DIR="+t.TempDir(), "MILLRACE_LOG_LEVEL=warn",
		"MILLRACE_GITHUB_HOST="+strings.TrimPrefix(github.URL, "http://"), "MILLRACE_GITHUB_API_URL="+github.URL+"/api/v3/",
		"MILLRACE_GITHUB_APP_ID=1", "MILLRACE_GITHUB_PRIVATE_KEY=@"+private, "MILLRACE_GITHUB_WEBHOOK_SECRETS="+crashSecret,
		"MILLRACE_COPR_URL="+copr.URL, "MILLRACE_COPR_LOGIN=login", "MILLRACE_COPR_TOKEN=token",
		"MILLRACE_TESTING_FARM_URL="+farm.URL+"/v0.1", "MILLRACE_TESTING_FARM_TOKEN=token", "MILLRACE_TESTING_FARM_WEBHOOK_TOKEN="+crashSecret,
		"MILLRACE_BODHI_URL="+bodhi.URL, "MILLRACE_BUS_TOKENS="+crashSecret,
		"MILLRACE_WORKERS_LEASE=2s", "MILLRACE_WORKERS_SWEEP=200ms", "MILLRACE_WORKERS_DOUBT=500ms",
		"MILLRACE_WORKERS_FIRST_POLL=1s", "MILLRACE_WORKERS_LONGEST_POLL=2s", "MILLRACE_WORKERS_FIRST_RETRY=200ms", "MILLRACE_WORKERS_TRIES=50",
	)
}

// publish hands a bus message over, if anybody listens: a bus does not wait.
func (v *victim) publish(topic string, body []byte) {
	message := fmt.Sprintf(`{"id": %q, "topic": %q, "body": %s}`, rand.Text(), topic, body)
	req, err := http.NewRequest(http.MethodPost, v.base+"/hooks/bus", strings.NewReader(message))
	if err != nil {
		return
	}
	req.Header.Set("Authorization", "Bearer "+crashSecret)
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
	}
}

func (v *victim) forge() string {
	for _, e := range v.env {
		if host, ok := strings.CutPrefix(e, "MILLRACE_GITHUB_HOST="); ok {
			return host
		}
	}
	return ""
}

func (v *victim) command(args ...string) {
	v.t.Helper()
	cmd := exec.Command(v.program, args...)
	cmd.Env = v.env
	if out, err := cmd.CombinedOutput(); err != nil {
		v.t.Fatalf("millrace %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (v *victim) start() {
	v.t.Helper()
	v.process = exec.Command(v.program, "serve")
	v.process.Env, v.process.Stderr, v.process.Stdout = v.env, v.log, io.Discard
	v.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := v.process.Start(); err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) kill() {
	v.process.Process.Kill()
	v.process.Wait() // it was killed, so this is an error
}

// stop ends the victim gently, so that the database can be looked at.
func (v *victim) stop() {
	if v.process.ProcessState != nil {
		return
	}
	v.process.Process.Signal(syscall.SIGTERM)
	v.process.Wait()
}

// await waits until the victim answers.
func (v *victim) await(most time.Duration) {
	v.t.Helper()
	for deadline := time.Now().Add(most); ; time.Sleep(20 * time.Millisecond) {
		res, err := http.Get(v.base + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("the service does not answer: %v\n%s", err, v.log)
		}
	}
}

func (v *victim) open(i int) {
	branch := fmt.Sprintf("topic-%d", i)
	_, err := v.github.Commit(context.Background(), "mill/wheel", githubfake.Change{
		Branch: branch, Message: "Turn the wheel", Files: map[string]string{"README": fmt.Sprintf("A wheel, number %d.\n", i)},
	})
	if err == nil {
		_, err = v.github.OpenPull(context.Background(), "mill/wheel", githubfake.NewPull{Title: fmt.Sprintf("Turn the wheel %d", i), Head: branch})
	}
	if err != nil {
		v.t.Error(err)
	}
}

// redeliver sends again what nobody answered, as an operator does after an
// outage.
func (v *victim) redeliver() {
	v.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		left := 0
		for _, d := range v.github.Deliveries() {
			if d.Event != "pull_request" || d.State == "delivered" {
				continue
			}
			left++
			if d.State != "pending" {
				if err := v.github.Redeliver(d.ID); err != nil {
					v.t.Fatal(err)
				}
			}
		}
		if left == 0 {
			return
		}
	}
	v.t.Fatal("webhooks cannot be delivered")
}

// judge waits until everything has ended and looks at what the world saw.
func (v *victim) judge(database string) {
	t := v.t
	t.Helper()
	v.awaitEnd(5 * time.Minute)
	v.stop()
	db, err := store.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	events, planned := 0, 0
	for id, missing := int64(1), 0; missing < 200; id++ {
		d, err := db.Delivery(t.Context(), id)
		if err != nil {
			missing++
			continue
		}
		missing = 0
		if d.HandledAt.IsZero() {
			t.Errorf("delivery %d (%s) was never handled: %s", d.ID, d.Type, d.Error)
		}
	}
	for id, missing := int64(1), 0; missing < 200; id++ {
		e, err := db.Event(t.Context(), id)
		if err != nil {
			missing++
			continue
		}
		missing = 0
		if e.Kind != models.PullRequestEvent {
			continue
		}
		events++
		if e.State == models.EventPlanned && len(e.Pipelines) == 1 {
			planned++
		}
		for _, p := range e.Pipelines {
			if p.State != models.Passed {
				t.Errorf("pipeline %d is %s", p.ID, p.State)
			}
		}
	}
	if planned != crashPipelines {
		t.Errorf("%d of %d pull requests have their pipeline (%d events)", planned, crashPipelines, events)
	}
	v.judgeSubmissions()
	v.judgeChecks()
}

// judgeSubmissions looks whether anything was submitted twice, or not at all.
func (v *victim) judgeSubmissions() {
	t := v.t
	builds := v.copr.Keys()
	for key, n := range builds {
		if n != 1 {
			t.Errorf("submission %s was made %d times in Copr", key, n)
		}
	}
	if len(builds) != crashPipelines {
		t.Errorf("%d builds in Copr, want %d", len(builds), crashPipelines)
	}
	tests := v.farm.Submissions()
	for key, n := range tests {
		if n != 1 {
			t.Errorf("submission %s was made %d times in Testing Farm", key, n)
		}
	}
	if len(tests) != 2*crashPipelines {
		t.Errorf("%d requests in Testing Farm, want %d", len(tests), 2*crashPipelines)
	}
}

// judgeChecks looks whether the forge was told the end of everything.
func (v *victim) judgeChecks() {
	for _, pull := range v.github.Pulls("mill/wheel") {
		last := v.conclusions(pull.HeadSHA)
		if len(last) != 5 {
			v.t.Errorf("pull request %d has %d checks, want 5", pull.Number, len(last))
		}
		for name, conclusion := range last {
			if conclusion != "success" {
				v.t.Errorf("check %s of pull request %d ended as %q", name, pull.Number, conclusion)
			}
		}
	}
}

// conclusions are how the newest check runs of a commit ended, by name; empty if
// they have not.
func (v *victim) conclusions(sha string) map[string]string {
	last := map[string]string{}
	for _, c := range v.github.CheckRuns("mill/wheel", sha) {
		last[c.Name] = c.Conclusion
	}
	return last
}

// awaitEnd waits until every check of every pull request is at its end.
func (v *victim) awaitEnd(most time.Duration) {
	v.t.Helper()
	for deadline := time.Now().Add(most); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		done := 0
		for _, pull := range v.github.Pulls("mill/wheel") {
			for _, conclusion := range v.conclusions(pull.HeadSHA) {
				if conclusion != "" {
					done++
				}
			}
		}
		if done >= 5*crashPipelines {
			v.quiet()
			return
		}
	}
	v.t.Errorf("not everything has ended\n%s", v.log.tail(4000))
}

// quiet waits until the victim has handled and reported everything, and has had
// nothing to do for a while, in which comes what is late.
func (v *victim) quiet() {
	v.t.Helper()
	looks := 0
	for deadline := time.Now().Add(5 * time.Minute); looks < 4; time.Sleep(500 * time.Millisecond) {
		if time.Now().After(deadline) {
			v.t.Fatalf("the service does not come to an end\n%s", v.log.tail(4000))
		}
		var queue struct {
			Unhandled int `json:"unhandled_deliveries"`
			Unsent    int `json:"unsent_reports"`
		}
		getJSON(v.t, v.base+"/api/v3/queue", &queue)
		if looks++; queue.Unhandled > 0 || queue.Unsent > 0 {
			looks = 0
		}
	}
}

// lockedBuffer keeps what the victim logs.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string { return b.tail(1 << 20) }

func (b *lockedBuffer) tail(n int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.buf.String()
	return text[max(0, len(text)-n):]
}

// freeAddress is where a service can listen that is started again and again.
func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", free[0])
}
