package coprfake_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"millrace/clients/copr"
	"millrace/clients/copr/coprfake"
)

// bus keeps what is published.
type bus struct {
	mu       sync.Mutex
	messages []copr.Message
}

func (b *bus) publish(t *testing.T) func(string, []byte) {
	return func(topic string, body []byte) {
		m, err := copr.ParseMessage(topic, body)
		if err != nil {
			t.Errorf("published %s %s: %v", topic, body, err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.messages = append(b.messages, m)
	}
}

// of returns "start chroot" or "state chroot" of each message about a build.
func (b *bus) of(id int64) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var words []string
	for _, m := range b.messages {
		if m.BuildID != id {
			continue
		}
		word := "start"
		if m.Ended {
			word = m.State
		}
		words = append(words, word+" "+m.Chroot)
	}
	return words
}

// wait waits until there are n messages about a build.
func (b *bus) wait(t *testing.T, id int64, n int) []string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if words := b.of(id); len(words) >= n {
			return words
		}
		if time.Now().After(deadline) {
			t.Fatalf("messages after 20 s: %v, want %d", b.of(id), n)
		}
	}
}

func submit(t *testing.T, c *copr.Client, key string) copr.Build {
	t.Helper()
	b, err := c.SubmitCustom(t.Context(), copr.CustomBuild{BuildOptions: copr.BuildOptions{Owner: "miller", Project: "wheel", Key: key},
		Script: "#!/bin/sh\ngit clone https://forge.example/mill/wheel\n"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMessages(t *testing.T) {
	t.Parallel()
	const chroot = "fedora-43-x86_64"
	all := []string{"start srpm-builds", "succeeded srpm-builds", "start " + chroot, "succeeded " + chroot}
	tests := []struct {
		name   string
		faults coprfake.Faults
		want   []string
	}{
		{"healthy", coprfake.Faults{}, all},
		{"early", coprfake.Faults{EarlyMessages: true}, all},
		{"doubled", coprfake.Faults{DoubleMessages: true}, []string{all[0], all[0], all[1], all[1], all[2], all[2], all[3], all[3]}},
		{"lost", coprfake.Faults{LoseMessages: true}, nil},
		{"SRPM fails", coprfake.Faults{Results: map[string]string{copr.SourceChroot: copr.Failed}}, []string{all[0], "failed srpm-builds"}},
		{"RPMs fail", coprfake.Faults{Results: map[string]string{chroot: copr.Failed}}, []string{all[0], all[1], all[2], "failed " + chroot}},
		{"skipped", coprfake.Faults{Results: map[string]string{chroot: copr.Skipped}}, []string{all[0], all[1], all[2], "skipped " + chroot}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var b bus
			fake, c := start(t, coprfake.Options{Publish: b.publish(t)})
			newProject(t, c, "wheel", chroot)
			fake.SetFaults(test.faults)
			id := submit(t, c, "").ID
			got := b.wait(t, id, len(test.want))
			ended := await(t, c, id)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			want := copr.Succeeded
			for _, state := range test.faults.Results {
				want = state
			}
			if ended.State != want {
				t.Errorf("build ended as %s, want %s", ended.State, want)
			}
		})
	}
}

func TestMessageBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	var b bus
	fake, c := start(t, coprfake.Options{Publish: b.publish(t), Queue: time.Hour})
	newProject(t, c, "wheel", "fedora-43-x86_64")
	fake.SetFaults(coprfake.Faults{EarlyMessages: true, LoseAnswers: true, Path: "/api_3/build/create"})
	_, err := c.SubmitCustom(t.Context(), copr.CustomBuild{BuildOptions: copr.BuildOptions{Owner: "miller", Project: "wheel"}, Script: "true"})
	if err == nil {
		t.Fatal("the answer came")
	}
	if diff := cmp.Diff([]string{"start srpm-builds"}, b.of(9000001)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	fake, c := start(t, coprfake.Options{Fails: func(b coprfake.Build, chroot string) bool { return strings.HasPrefix(chroot, "epel-") }})
	newProject(t, c, "wheel", "fedora-43-x86_64", "epel-9-x86_64")
	b := await(t, c, submit(t, c, "").ID)
	if b.State != copr.Failed {
		t.Errorf("build ended as %s", b.State)
	}
	states := make(map[string]string)
	kept, _ := fake.Build(b.ID)
	for _, part := range kept.Chroots {
		states[part.Chroot] = part.State
	}
	if diff := cmp.Diff(map[string]string{"fedora-43-x86_64": "succeeded", "epel-9-x86_64": "failed"}, states); diff != "" {
		t.Errorf("chroots (-want +got):\n%s", diff)
	}
	if text := logOf(t, c, b.ID, "epel-9-x86_64"); !strings.Contains(text, "ERROR:") {
		t.Errorf("log of the failure:\n%s", text)
	}

	fake.SetFaults(coprfake.Faults{Results: map[string]string{copr.SourceChroot: copr.Failed}})
	b = await(t, c, submit(t, c, "").ID)
	parts, err := c.BuildChroots(t.Context(), b.ID)
	if err != nil || b.State != copr.Failed || parts[0].State != copr.Failed || parts[0].ResultURL != "" {
		t.Errorf("without an SRPM: %+v, %+v, %v", b, parts, err)
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	release := make(chan string) // the chroot that may end
	builder := func(ctx context.Context, task coprfake.Task) (coprfake.Outcome, error) {
		fmt.Fprintln(task.Log, "working on", task.Chroot)
		for {
			select {
			case chroot := <-release:
				if chroot == task.Chroot {
					return coprfake.Outcome{Package: "wheel", Version: "1-1"}, nil
				}
				go func() { release <- chroot }() // it was for another
				time.Sleep(time.Millisecond)
			case <-ctx.Done():
				return coprfake.Outcome{}, ctx.Err()
			}
		}
	}
	_, c := start(t, coprfake.Options{Builder: builder, Import: 3 * time.Second}) // long enough to be seen
	newProject(t, c, "wheel", "fedora-43-x86_64", "fedora-44-x86_64")
	id := submit(t, c, "").ID
	reaches := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			b, err := c.Build(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if b.State == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("build is %s, want %s", b.State, want)
			}
		}
	}
	reaches(copr.Running)
	part, err := c.BuildChroot(t.Context(), id, copr.SourceChroot)
	if err != nil || !strings.HasSuffix(part.LogURL(), "/srpm-builds/09000001/builder-live.log") {
		t.Fatalf("%+v, %v", part, err)
	}
	for !strings.Contains(string(download(t, part.LogURL())), "working on srpm-builds") {
		time.Sleep(time.Millisecond)
	}
	if other, err := c.BuildChroot(t.Context(), id, "fedora-43-x86_64"); err != nil || other.State != copr.Waiting || other.LogURL() != "" {
		t.Errorf("chroot before the SRPM: %+v, %v", other, err)
	}
	release <- copr.SourceChroot
	reaches(copr.Importing)
	reaches(copr.Running)
	release <- "fedora-44-x86_64"
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		other, err := c.BuildChroot(t.Context(), id, "fedora-44-x86_64")
		if err == nil && other.State == copr.Succeeded {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v, %v", other, err)
		}
	}
	reaches(copr.Running) // the other chroot still is
	release <- "fedora-43-x86_64"
	reaches(copr.Succeeded)
}

func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func(pace coprfake.Pace, b *bus) (*coprfake.Fake, *httptest.Server, *copr.Client) {
		fake, err := coprfake.New(coprfake.Options{Dir: dir, Users: users, Builder: coprfake.Simulated(pace), Publish: b.publish(t)})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(fake)
		return fake, server, clientOf(server.URL, "miller")
	}
	pace := coprfake.Pace{Source: 20 * time.Millisecond, Build: 2 * time.Second}
	var before, after bus
	fake, server, c := open(pace, &before)
	newProject(t, c, "wheel", "fedora-43-x86_64")
	id := submit(t, c, "attempt-1").ID
	before.wait(t, id, 3) // the RPMs have started
	server.Close()
	fake.Close()
	if b, ok := fake.Build(id); !ok || b.State() != copr.Running {
		t.Fatalf("closed in the middle, the build is %s", b.State())
	}
	time.Sleep(4 * time.Second) // it would have ended meanwhile

	fake, server, c = open(pace, &after)
	defer fake.Close()
	defer server.Close()
	opened := time.Now()
	b := await(t, c, id)
	if b.State != copr.Succeeded || b.Ended.After(opened) {
		t.Errorf("after the restart: %+v, opened at %s", b, opened)
	}
	if diff := cmp.Diff([]string{"succeeded fedora-43-x86_64"}, after.wait(t, id, 1)); diff != "" {
		t.Errorf("messages after the restart (-want +got):\n%s", diff)
	}
	if text := logOf(t, c, id, "fedora-43-x86_64"); strings.Count(text, "Start: chroot init") != 1 || !strings.HasSuffix(text, "Finish: run\n") {
		t.Errorf("log after the restart:\n%s", text)
	}
	if n := fake.Submissions("attempt-1"); n != 1 {
		t.Errorf("%d submissions", n)
	}
	if next := submit(t, c, "attempt-2").ID; next != id+1 {
		t.Errorf("the next build is %d", next)
	}
	if p, err := c.Project(t.Context(), "miller", "wheel"); err != nil || !slices.Equal(p.Chroots, []string{"fedora-43-x86_64"}) {
		t.Errorf("project after the restart: %+v, %v", p, err)
	}
}

func TestRestartOfWhatWasQueued(t *testing.T) {
	t.Parallel()
	o := coprfake.Options{Dir: t.TempDir(), Users: users, Queue: 2 * time.Second, Import: 10 * time.Millisecond,
		Builder: coprfake.Simulated(coprfake.Pace{Source: 20 * time.Millisecond, Build: 20 * time.Millisecond})}
	fake, c := start(t, o)
	newProject(t, c, "wheel", "fedora-43-x86_64")
	id := submit(t, c, "").ID
	fake.Close()
	if b, _ := fake.Build(id); b.State() != copr.Pending {
		t.Fatalf("closed at once, the build is %s", b.State())
	}
	time.Sleep(5 * time.Second) // it would have ended meanwhile
	_, c = start(t, o)
	opened := time.Now()
	if b := await(t, c, id); b.State != copr.Succeeded {
		t.Errorf("after the restart: %+v", b)
	}
	part, err := c.BuildChroot(t.Context(), id, "fedora-43-x86_64")
	if err != nil || !part.Ended.Before(opened) {
		t.Errorf("after the restart: %+v, opened at %s, took %s, %v", part, opened, time.Since(opened), err)
	}
}

func TestKeysAreCounted(t *testing.T) {
	t.Parallel()
	fake, c := start(t, coprfake.Options{})
	newProject(t, c, "wheel", "fedora-43-x86_64")
	first := submit(t, c, "attempt-1")
	submit(t, c, "attempt-1")
	submit(t, c, "")
	await(t, c, first.ID)
	if err := c.DeleteBuild(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"attempt-1": 2}, fake.Keys()); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if n := len(fake.Builds()); n != 2 {
		t.Errorf("%d builds are left, want 2", n)
	}
}

func TestChrootAtItsEnd(t *testing.T) {
	t.Parallel()
	fake, c := start(t, coprfake.Options{})
	newProject(t, c, "wheel", "fedora-42-x86_64", "fedora-43-x86_64")
	fake.SetChroots([]string{"fedora-43-x86_64"})
	_, err := c.SubmitCustom(t.Context(), copr.CustomBuild{BuildOptions: copr.BuildOptions{Owner: "miller", Project: "wheel",
		Chroots: []string{"fedora-42-x86_64", "fedora-43-x86_64"}}, Script: "true"})
	if diff := cmp.Diff([]string{"fedora-42-x86_64"}, copr.UnknownChroots(err)); diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestResultsStayInside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, c := start(t, coprfake.Options{Dir: dir})
	newProject(t, c, "wheel", "fedora-43-x86_64")
	b := await(t, c, submit(t, c, "").ID)
	part, err := c.BuildChroot(t.Context(), b.ID, "fedora-43-x86_64")
	if err != nil {
		t.Fatal(err)
	}
	secret := t.TempDir() + "/secret"
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, dir+strings.TrimPrefix(part.ResultURL, c.BaseURL)+"link"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{part.ResultURL + "link", c.BaseURL + "/results/../builds/09000001.json", c.BaseURL + "/results/%2e%2e/builds/09000001.json"} {
		res, err := http.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			t.Errorf("%s was served", path)
		}
	}
	res, err := http.Get(part.LogURL())
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.Contains(res.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("log: %s, %v", res.Status, res.Header)
	}
}

func TestWorkersAreLimited(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now, most := 0, 0
	two := make(chan struct{}) // closed when two are at work
	builder := func(ctx context.Context, task coprfake.Task) (coprfake.Outcome, error) {
		mu.Lock()
		now++
		most = max(most, now)
		if now == 2 && most == 2 {
			select {
			case <-two:
			default:
				close(two)
			}
		}
		mu.Unlock()
		if task.Chroot != copr.SourceChroot {
			select {
			case <-two:
			case <-time.After(10 * time.Second):
			}
		}
		time.Sleep(5 * time.Millisecond) // a third would have come in
		mu.Lock()
		now--
		mu.Unlock()
		return coprfake.Outcome{Package: "wheel", Version: "1-1"}, nil
	}
	_, c := start(t, coprfake.Options{Builder: builder, Workers: 2})
	newProject(t, c, "wheel", "fedora-42-x86_64", "fedora-43-x86_64", "fedora-44-x86_64", "epel-9-x86_64", "epel-10-x86_64")
	b := await(t, c, submit(t, c, "").ID)
	if b.State != copr.Succeeded || most != 2 {
		t.Errorf("build ended as %s with %d at work at once, want 2", b.State, most)
	}
}

func TestRawAnswers(t *testing.T) {
	t.Parallel()
	_, c := start(t, coprfake.Options{})
	for path, want := range map[string]string{
		"/api_3":         `{"version":3}`,
		"/api_3/":        `{"version":3}`,
		"/api_3/nothing": `{"error":"The requested URL was not found on the server."}`,
		"/api_3/build/7": `{"error":"Build 7 does not exist."}`,
	} {
		res, err := http.Get(c.BaseURL + path)
		if err != nil {
			t.Fatal(err)
		}
		var got json.RawMessage
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", path, got, err)
		}
		res.Body.Close()
	}
}
