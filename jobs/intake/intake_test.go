package intake_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"millrace/clients/fedbus"
	"millrace/jobs/intake"
	"millrace/models"

	"github.com/google/go-cmp/cmp"
)

const (
	hash = "1111111111111111111111111111111111111111"
	copr = `{"build": 900, "chroot": "fedora-43-x86_64", "status": 1, "user": "carl", "owner": "@mill", "copr": "wheel", "pkg": "hello", "version": "1-1"}`
)

func TestSources(t *testing.T) {
	t.Parallel()
	push := `{"ref": "refs/heads/main", "after": "` + hash + `", "checkout_sha": "` + hash + `",
		"repository": {"html_url": "https://example.org/mill/wheel"}, "project": {"web_url": "https://example.org/mill/wheel"}}`
	pushed := &models.Message{Kind: models.PushEvent, ProjectURL: "https://example.org/mill/wheel", Branch: "main", Commit: hash}
	built := &models.Message{
		Kind: models.CoprBuildEvent, Action: models.Ended, ExternalID: "900", Target: "fedora-43-x86_64", State: "succeeded",
		Package: "hello", Actor: "carl", Owner: "@mill", CoprProject: "wheel",
	}
	started := *built
	started.Action, started.State, started.Target, started.Package = models.Started, "running", "srpm-builds", ""
	tests := []struct {
		name, source, typ, body string
		want                    *models.Message
	}{
		{"GitHub", "github", "push", push, pushed},
		{"GitLab", "gitlab", "Push Hook", push, pushed},
		{"Forgejo", "forgejo", "push", push, pushed},
		{"Forgejo over the bus", "bus", "org.fedoraproject.prod.forgejo.push", `{"agent": null, "headers": {}, "body": ` + push + `}`, pushed},
		{"Forgejo over the bus, stored", "bus", "org.fedoraproject.prod.forgejo.push", `{"topic": "t", "body": {"headers": {}, "body": ` + push + `}}`, pushed},
		{"Copr", "bus", "org.fedoraproject.prod.copr.build.end", copr, built},
		{"Copr, stored", "bus", "org.fedoraproject.stg.copr.build.end", `{"topic": "t", "id": "i", "body": ` + copr + `}`, built},
		{"SRPM in Copr", "bus", "org.fedoraproject.prod.copr.build.start",
			strings.NewReplacer("fedora-43-x86_64", "srpm-builds", `"status": 1`, `"status": 3`, `"hello"`, "null", `"1-1"`, "null").Replace(copr), &started},
		{"other topics", "bus", "org.fedoraproject.prod.openscanhub.task.started", `{"task_id": 5}`,
			&models.Message{Kind: models.ScanEvent, Action: models.Started, ExternalID: "5"}},
		{"other topics, stored before 2022", "bus", "org.fedoraproject.prod.openscanhub.task.started", `{"topic": "t", "msg_id": "i", "msg": {"task_id": 5}}`,
			&models.Message{Kind: models.ScanEvent, Action: models.Started, ExternalID: "5"}},
		{"Testing Farm", "testing-farm", "results", `{"request_id": "a-1"}`, &models.Message{Kind: models.TestResultEvent, ExternalID: "a-1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, reason, err := intake.Parse(tt.source, tt.typ, []byte(tt.body))
			if err != nil || reason != "" {
				t.Fatalf("reason %q, error %v", reason, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfiguredAddress(t *testing.T) {
	t.Parallel()
	p := intake.Parser{Bus: fedbus.Parser{DistGit: "https://git.example.org"}}
	m, _, err := p.Parse("bus", "org.fedoraproject.prod.buildsys.tag", []byte(`{"build_id": 5, "tag": "t", "name": "mill"}`))
	if err != nil || m == nil || m.ProjectURL != "https://git.example.org/rpms/mill" {
		t.Errorf("%+v, %v; want a project of the configured dist-git", m, err)
	}
}

func TestBroken(t *testing.T) {
	t.Parallel()
	for _, source := range append(intake.Sources(), "pigeon") {
		for _, typ := range []string{"push", "Push Hook", "org.fedoraproject.prod.copr.build.end", "org.fedoraproject.prod.forgejo.push"} {
			m, reason, err := intake.Parse(source, typ, []byte(`{"cut": `))
			if _, ok := errors.AsType[*models.InputError](err); !ok || m != nil || reason != "" {
				t.Errorf("%s %s: %+v, reason %q, error %v; want an InputError alone", source, typ, m, reason, err)
			}
		}
	}
	wrong := strings.Replace(copr, "fedora-43-x86_64", "../../etc", 1)
	if _, _, err := intake.Parse("bus", "copr.build.end", []byte(wrong)); err == nil {
		t.Error("a chroot that is a path was accepted")
	}
}

func TestTextOfStrangers(t *testing.T) {
	t.Parallel()
	body := func(title, text string) []byte {
		return []byte(`{"action": "created", "issue": {"number": 1, "title": "` + title + `", "pull_request": {}, "labels": [{"name": "\u0000"}, {"name": "ok"}]},
			"comment": {"id": 1, "body": "` + text + `", "user": {"login": "ann\u0000"}}, "sender": {"login": "ann\u0007"},
			"repository": {"html_url": "https://example.org/mill/wheel"}}`)
	}
	m, reason, err := intake.Parse("github", "issue_comment", body(`a\nb\u001b[1m`, `one\u0000\r\n\ttwo\u0008`))
	if err != nil || reason != "" {
		t.Fatalf("reason %q, error %v", reason, err)
	}
	want := &models.Message{
		Kind: models.CommentEvent, Action: models.Created, CommentOn: "pull_request", ProjectURL: "https://example.org/mill/wheel", PR: 1, CommentID: 1,
		Title: "ab[1m", Comment: "one\r\n\ttwo", Actor: "ann", Author: "ann", Labels: []string{"ok"},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}

	m, _, err = intake.Parse("github", "issue_comment", body(strings.Repeat("é", 1<<10), "x"+strings.Repeat("é", 64<<10)))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Title) > 1<<10 || len(m.Comment) > 64<<10 || !utf8.ValidString(m.Title+m.Comment) {
		t.Errorf("title of %d and comment of %d bytes, want them cut between characters", len(m.Title), len(m.Comment))
	}
}

// TestPolled: what we wrote down ourselves is read as it was, and nothing else is.
func TestPolled(t *testing.T) {
	t.Parallel()
	want := &models.Message{
		Kind: models.KojiBuildEvent, Action: models.Ended, ProjectURL: "https://example.org/rpms/mill", Branch: "f43", Commit: strings.Repeat("a", 40),
		ExternalID: "500", TaskID: "600", State: "complete", Package: "mill", NVR: "mill-1.0-3.fc43", Actor: "carl", URL: "https://example.org/build/500",
	}
	body, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	m, reason, err := intake.Parse(models.FromPoll, "koji_build", body)
	if err != nil || reason != "" {
		t.Fatalf("%q, %v", reason, err)
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
	if m, reason, err := intake.Parse(models.FromPoll, "x", []byte(`{"kind": "installation", "account": "eve"}`)); m != nil || reason == "" || err != nil {
		t.Errorf("an installation: %+v, %q, %v", m, reason, err)
	}
	m, _, err = intake.Parse(models.FromPoll, "push", []byte(`{"kind": "push", "branch": "a\u0000b", "project_url": "javascript:x", "comment": "/packit build"}`))
	if err != nil || m.Branch != "" || m.ProjectURL != "" || m.Comment != "" {
		t.Errorf("what nobody wrote: %+v, %v", m, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(uint8(5), "push", []byte(`{"kind": "push", "branch": "x"}`))
	f.Add(uint8(0), "push", []byte(`{"ref": "refs/heads/x"}`))
	f.Add(uint8(3), "org.fedoraproject.prod.copr.build.end", []byte(copr))
	f.Add(uint8(3), "forgejo.action_run_success", []byte(`{"body": {"run": {}}}`))
	sources := intake.Sources()
	f.Fuzz(func(t *testing.T, source uint8, typ string, body []byte) {
		m, reason, err := intake.Parse(sources[int(source)%len(sources)], typ, body)
		if m == nil {
			if (reason == "") == (err == nil) {
				t.Errorf("reason %q, error %v: want one of them", reason, err)
			}
			return
		}
		for _, text := range []string{m.Actor, m.Title, m.Comment, m.Branch, m.Target, m.ExternalID, m.ProjectURL} {
			if strings.ContainsRune(text, 0) || !utf8.ValidString(text) || len(text) > 64<<10 {
				t.Errorf("text that no database takes: %q", text)
			}
		}
	})
}
