package jobs

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/clients/bodhi"
	"millrace/clients/bodhi/bodhifake"
	"millrace/clients/copr"
	"millrace/clients/copr/coprfake"
	"millrace/clients/github"
	"millrace/clients/github/githubfake"
	"millrace/clients/testingfarm"
	"millrace/clients/testingfarm/testingfarmfake"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// world is the outside, and a runner in it.
type world struct {
	*Runner
	github *githubfake.Fake
	copr   *coprfake.Fake
	farm   *testingfarmfake.Server
	bodhi  *bodhifake.Server
	host   string // of the forge
}

const hookSecret = "hush"

// key is made once: making one takes long.
var key = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// newWorld starts all fakes and a runner that knows them. Everything moves
// within fractions of a second.
func newWorld(t *testing.T, s *store.Store) *world {
	t.Helper()
	w := new(world)
	w.Runner, _ = newRunner(t, s)
	hooks := httptest.NewServer(http.HandlerFunc(w.receive))
	t.Cleanup(hooks.Close)
	w.Base = hooks.URL
	w.startGitHub(t, hooks.URL)
	w.startCopr(t)
	w.startFarm(t, hooks.URL)
	w.bodhi = bodhifake.New()
	releases := httptest.NewServer(w.bodhi)
	t.Cleanup(releases.Close)
	w.Bodhi = &bodhi.Client{BaseURL: releases.URL}
	w.Deployment, w.Worker, w.Prefix = "prod", "test", "/packit"
	w.AllowAll = false
	w.Hears = func(p *models.Project) bool { return w.Forges[p.Forge] != nil }
	return w
}

// receive is what package handlers does, without its answers.
func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	if id, ok := strings.CutPrefix(r.URL.Path, "/srpms/"); ok {
		w.redirectToSource(rw, r, id)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	var d *models.Delivery
	switch r.URL.Path {
	case "/github":
		d, err = github.ParseWebhook(r.Header, body, []string{hookSecret})
	case "/testing-farm":
		d, err = testingfarm.ParseWebhook(body, []string{hookSecret})
	}
	if err == nil {
		_, err = w.Accept(r.Context(), d)
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
	}
}

// redirectToSource sends Copr to where the source RPM of a run is.
func (w *world) redirectToSource(rw http.ResponseWriter, r *http.Request, path string) {
	id, _, _ := strings.Cut(path, "/")
	n, err := strconv.ParseInt(id, 10, 64)
	if err == nil {
		var run *models.Run
		if run, err = w.Store.Run(r.Context(), n); err == nil {
			http.Redirect(rw, r, run.Data.SRPMURL, http.StatusFound)
			return
		}
	}
	http.Error(rw, err.Error(), http.StatusNotFound)
}

// builder is a simulated one whose source RPMs are files: those of scripts are
// made, others must be there.
func builder(pace coprfake.Pace) coprfake.Builder {
	simulated := coprfake.Simulated(pace)
	return func(ctx context.Context, task coprfake.Task) (coprfake.Outcome, error) {
		o, err := simulated(ctx, task)
		if err != nil || task.Chroot != copr.SourceChroot {
			return o, err
		}
		if task.Build.Source.Type == "link" {
			return o, fetchSource(ctx, task.Build.Source.Data["url"])
		}
		o.SRPM = "hello-1.0-1.src.rpm"
		return o, os.WriteFile(filepath.Join(task.Dir, o.SRPM), []byte("the source"), 0o644)
	}
}

func fetchSource(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 100))
	if err == nil && (res.StatusCode != http.StatusOK || string(body) != "the source") {
		err = fmt.Errorf("fetching %s: %s: %s", address, res.Status, body)
	}
	return err
}

func (w *world) startGitHub(t *testing.T, hooks string) {
	f, err := githubfake.New(githubfake.Config{
		Dir: t.TempDir(), PublicKey: &key().PublicKey, WebhookURL: hooks + "/github", WebhookSecret: hookSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.SetURL(server.URL)
	w.github, w.host = f, host(t, server.URL)
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key())})
	w.Forges = map[string]Forge{w.host: GitHub{&github.Client{BaseURL: server.URL + "/api/v3/", AppID: 1, PrivateKey: private}}}
}

func (w *world) startCopr(t *testing.T) {
	f, err := coprfake.New(coprfake.Options{
		Dir:   t.TempDir(),
		Users: []coprfake.User{{Name: "packit", Login: "login", Token: "token"}},
		Publish: func(topic string, body []byte) {
			d := &models.Delivery{Source: models.FromBus, Key: rand.Text(), Type: topic, Body: body}
			if _, err := w.Accept(context.Background(), d); err != nil {
				w.Log.Error("publishing", "error", err)
			}
		},
		Builder: builder(coprfake.Pace{Source: 20 * time.Millisecond, Build: 60 * time.Millisecond}),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(f)
	t.Cleanup(func() {
		server.Close()
		f.Close()
	})
	w.copr = f
	service := &Copr{
		Client: &copr.Client{BaseURL: server.URL, Login: "login", Token: "token"}, Owner: "packit",
		OmitHost: map[string]bool{w.host: true}, Releases: w.Runner.Releases, KeepDays: 60,
	}
	w.Kinds[models.SRPMStep] = &SRPMInCopr{Copr: service, Script: func(context.Context, *Work) (string, error) { return "echo", nil }}
	w.Kinds[models.CoprBuildStep] = &CoprBuild{Copr: service, Base: w.Base}
}

func (w *world) startFarm(t *testing.T, hooks string) {
	f, err := testingfarmfake.New(testingfarmfake.Config{
		Pace: testingfarmfake.Pace{New: 10 * time.Millisecond, Queued: 10 * time.Millisecond, Running: 50 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	w.farm = f
	w.Kinds[models.TestsStep] = &Tests{
		Client: &testingfarm.Client{BaseURL: server.URL + "/v0.1", Token: "token"}, Forge: w.Runner.Forge, Releases: w.Runner.Releases,
		Webhook: testingfarm.Webhook{URL: hooks + "/testing-farm", Token: hookSecret}, Ranch: testingfarm.Public, Deployment: "prod",
	}
}

func host(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

const helloConfig = `
specfile_path: hello.spec
jobs:
- job: copr_build
  trigger: pull_request
  targets: [fedora-43, fedora-44]
- job: tests
  trigger: pull_request
  targets: [fedora-43, fedora-44]
`

var helloFiles = map[string]string{
	".packit.yaml": helloConfig, "hello.spec": "Name: hello\nVersion: 1\n", ".fmf/version": "1\n", "hello.sh": "echo hello\n",
}

// allow puts a namespace on the allowlist.
func (w *world) allow(t *testing.T, namespace string) {
	t.Helper()
	err := w.Store.InTx(t.Context(), func(tx *store.Tx) error {
		return tx.SetAllowance(t.Context(), &models.Allowance{Forge: w.host, Namespace: namespace, State: models.AllowedState})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// open makes a repository with the App installed and a pull request in it.
func (w *world) open(t *testing.T, owner, name string, files, changes map[string]string) githubfake.Pull {
	t.Helper()
	if _, err := w.github.CreateRepo(t.Context(), owner, name, files, githubfake.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.github.Install(owner); err != nil {
		t.Fatal(err)
	}
	full := owner + "/" + name
	if _, err := w.github.Commit(t.Context(), full, githubfake.Change{Branch: "topic", Message: "Change it", Files: changes}); err != nil {
		t.Fatal(err)
	}
	pull, err := w.github.OpenPull(t.Context(), full, githubfake.NewPull{Title: "Change it", Head: "topic"})
	if err != nil {
		t.Fatal(err)
	}
	return pull
}

// theEvent waits for the decision about the newest event of a kind.
func (w *world) theEvent(t *testing.T, kind models.EventKind, n int) *models.Event {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var found []*models.Event
		var last int64
		for id := int64(1); ; id++ {
			e, err := w.Store.Event(t.Context(), id)
			if err != nil {
				if id > last+10 { // ids may be missing in between
					break
				}
				continue
			}
			last = id
			if e.Kind == kind && e.State != models.EventNew {
				found = append(found, e)
			}
		}
		if len(found) >= n {
			return found[n-1]
		}
	}
	t.Fatalf("no decision about a %s", kind)
	return nil
}

// checks are the newest check runs of a commit at the forge, by name.
func (w *world) checks(full, sha string) map[string]string {
	all := map[string]string{}
	for _, c := range w.github.CheckRuns(full, sha) {
		all[c.Name] = strings.TrimSuffix(c.Status+" "+c.Conclusion, " ")
	}
	return all
}

// eventuallyChecks waits until the forge shows these checks.
func (w *world) eventuallyChecks(t *testing.T, full, sha string, want map[string]string) {
	t.Helper()
	var got map[string]string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got = w.checks(full, sha); fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
	}
	t.Fatalf("checks are\n%v, want\n%v", got, want)
}

// onBoth runs f in a world on each database.
func onBoth(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		w.Log = slog.New(slog.DiscardHandler)
		f(t, w)
	})
}

// onSQLite runs f in a world where the database does not matter.
func onSQLite(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	w := newWorld(t, storetest.SQLite(t))
	w.Log = slog.New(slog.DiscardHandler)
	f(t, w)
}

// soon waits until ok says that something is as it shall be; what it returns
// beside is for the message if it never is.
func soon(t *testing.T, what string, ok func() (bool, any)) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		done, is := ok()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %+v", what, is)
		}
	}
}
