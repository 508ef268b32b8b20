package github_test

import (
	"strings"
	"testing"

	"millrace/clients/github"
	"millrace/models"

	"github.com/google/go-cmp/cmp"
)

const (
	hashA  = "1111111111111111111111111111111111111111"
	hashB  = "2222222222222222222222222222222222222222"
	noHash = "0000000000000000000000000000000000000000"

	// rest is what is at the end of most webhooks.
	rest = `"repository": {"html_url": "https://github.com/mill/wheel", "owner": {"login": "mill"}},
		"sender": {"login": "carl"}, "installation": {"id": 7}`
	repo = "https://github.com/mill/wheel"
)

func pullRequest(action, more string) string {
	return `{"action": "` + action + `", "number": 12, ` + more + `
		"pull_request": {"html_url": "https://github.com/mill/wheel/pull/12", "title": "Turn", "draft": true,
			"user": {"login": "ann"}, "labels": [{"name": "ready"}, {"name": "fast"}],
			"head": {"ref": "turn", "sha": "` + hashA + `", "repo": {"html_url": "https://github.com/ann/wheel"}},
			"base": {"ref": "main", "sha": "` + hashB + `"}}, ` + rest + `}`
}

func issueComment(action, issue, text string) string {
	return `{"action": "` + action + `", "issue": {"number": 5, "title": "Slow", "labels": [{"name": "bug"}]` + issue + `},
		"comment": {"id": 99, "body": "` + text + `", "user": {"login": "bob"}, "html_url": "https://github.com/mill/wheel/issues/5#c99"}, ` + rest + `}`
}

func push(ref, before, after, more string) string {
	return `{"ref": "` + ref + `", "before": "` + before + `", "after": "` + after + `", "pusher": {"name": "carl"}, ` + more + rest + `}`
}

func checkRun(action, more string) string {
	return `{"action": "` + action + `", "check_run": {"id": 3, "name": "rpm-build:fedora-43-x86_64", "head_sha": "` + hashA + `",
		"external_id": "41", "html_url": "https://github.com/mill/wheel/runs/3", "app": {"slug": "millrace"},
		"check_suite": {"head_branch": "turn"}, "pull_requests": [{"number": 12}]` + more + `}, ` + rest + `}`
}

const somePR = `, "pull_request": {"url": "https://api.github.com/x"}`

func TestEvents(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, typ, body string
		want            *models.Message
	}{
		{"opened", "pull_request", pullRequest("opened", ""), &models.Message{
			Kind: models.PullRequestEvent, Action: models.Opened, ProjectURL: repo, SourceProjectURL: "https://github.com/ann/wheel",
			PR: 12, Branch: "turn", TargetBranch: "main", Commit: hashA, Actor: "carl", Author: "ann",
			Title: "Turn", Labels: []string{"ready", "fast"}, Draft: true, URL: repo + "/pull/12", Installation: 7,
		}},
		{"pushed to a pull request", "pull_request", pullRequest("synchronize", `"before": "`+hashB+`",`), &models.Message{
			Kind: models.PullRequestEvent, Action: models.Updated, ProjectURL: repo, SourceProjectURL: "https://github.com/ann/wheel",
			PR: 12, Branch: "turn", TargetBranch: "main", Commit: hashA, CommitBefore: hashB, Actor: "carl", Author: "ann",
			Title: "Turn", Labels: []string{"ready", "fast"}, Draft: true, URL: repo + "/pull/12", Installation: 7,
		}},
		{"comment on a pull request", "issue_comment", issueComment("created", somePR, "/packit build"), &models.Message{
			Kind: models.CommentEvent, Action: models.Created, ProjectURL: repo, PR: 5, Comment: "/packit build", CommentID: 99,
			CommentOn: "pull_request", Actor: "carl", Author: "bob", Title: "Slow", Labels: []string{"bug"}, URL: repo + "/issues/5#c99", Installation: 7,
		}},
		{"comment on a pull request edited to nothing", "issue_comment", issueComment("edited", somePR, ""), &models.Message{
			Kind: models.CommentEvent, Action: models.Edited, ProjectURL: repo, PR: 5, CommentID: 99,
			CommentOn: "pull_request", Actor: "carl", Author: "bob", Title: "Slow", Labels: []string{"bug"}, URL: repo + "/issues/5#c99", Installation: 7,
		}},
		{"comment on an issue", "issue_comment", issueComment("created", "", "hello"), &models.Message{
			Kind: models.CommentEvent, Action: models.Created, ProjectURL: repo, Issue: 5, Comment: "hello", CommentID: 99,
			CommentOn: "issue", Actor: "carl", Author: "bob", URL: repo + "/issues/5#c99", Installation: 7,
		}},
		{"comment on a commit", "commit_comment",
			`{"action": "created", "comment": {"id": 8, "commit_id": "` + hashA + `", "body": "nice", "user": {"login": "carl"}}, ` + rest + `}`,
			&models.Message{
				Kind: models.CommentEvent, Action: models.Created, ProjectURL: repo, Commit: hashA, Comment: "nice", CommentID: 8,
				CommentOn: "commit", Actor: "carl", Author: "carl", Installation: 7,
			}},
		{"release", "release", `{"action": "published", "release": {"tag_name": "v1.2", "name": "Spring"}, ` + rest + `}`, &models.Message{
			Kind: models.ReleaseEvent, Action: models.Created, ProjectURL: repo, Tag: "v1.2", Title: "Spring", Actor: "carl", Installation: 7,
		}},
		{"push", "push", push("refs/heads/a/b", hashB, hashA, `"head_commit": {"id": "`+hashA+`", "message": "Oil it\n\nWell"},`), &models.Message{
			Kind: models.PushEvent, ProjectURL: repo, Branch: "a/b", Commit: hashA, CommitBefore: hashB, Title: "Oil it", Actor: "carl", Installation: 7,
		}},
		{"new branch", "push", push("refs/heads/new", noHash, hashA, ""), &models.Message{
			Kind: models.PushEvent, ProjectURL: repo, Branch: "new", Commit: hashA, Actor: "carl", Installation: 7,
		}},
		{"annotated tag", "push", push("refs/tags/v2", noHash, hashB, `"head_commit": {"id": "`+hashA+`"},`), &models.Message{
			Kind: models.TagPushEvent, ProjectURL: repo, Tag: "v2", Commit: hashA, Actor: "carl", Installation: 7,
		}},
		{"check again", "check_run", checkRun("rerequested", ""), &models.Message{
			Kind: models.CheckRerunEvent, ProjectURL: repo, PR: 12, Branch: "turn", Commit: hashA, ExternalID: "41", App: "millrace",
			CheckName: "rpm-build:fedora-43-x86_64", Actor: "carl", URL: repo + "/runs/3", Installation: 7,
		}},
		{"button of a check", "check_run", strings.Replace(checkRun("requested_action", ""), "{", `{"requested_action": {"identifier": "failed"}, `, 1), &models.Message{
			Kind: models.CheckRerunEvent, ProjectURL: repo, PR: 12, Branch: "turn", Commit: hashA, ExternalID: "41", App: "millrace",
			CheckName: "rpm-build:fedora-43-x86_64", RequestedID: "failed", Actor: "carl", URL: repo + "/runs/3", Installation: 7,
		}},
		{"all checks again", "check_suite", `{"action": "rerequested", "check_suite": {"id": 6, "head_sha": "` + hashA + `", "head_branch": "turn",
			"app": {"slug": "millrace"}, "pull_requests": [{"number": 1}, {"number": 2}]}, ` + rest + `}`, &models.Message{
			Kind: models.CheckRerunEvent, Suite: true, ProjectURL: repo, Branch: "turn", Commit: hashA, App: "millrace", Actor: "carl", Installation: 7,
		}},
		{"installed", "installation", `{"action": "created", "installation": {"id": 70, "account": {"login": "mill", "type": "Organization",
			"html_url": "https://github.com/mill"}}, "repositories": [{"full_name": "mill/wheel"}, {"full_name": "mill/race"}], "sender": {"login": "carl"}}`,
			&models.Message{
				Kind: models.InstallationEvent, Action: models.Created, Installation: 70, Account: "mill", AccountType: "organization",
				Repositories: []string{"mill/wheel", "mill/race"}, URL: "https://github.com/mill", Actor: "carl",
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, reason, err := github.ParseEvent(tt.typ, []byte(tt.body))
			if err != nil || reason != "" {
				t.Fatalf("reason %q, error %v", reason, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoEvents(t *testing.T) {
	t.Parallel()
	without := func(body, what string) string { return strings.Replace(body, what, "", 1) }
	tests := []struct{ name, typ, body, reason string }{
		{"ping", "ping", `{"zen": "x"}`, "tries out"},
		{"unknown type", "star", `{}`, `"star"`},
		{"labeled", "pull_request", pullRequest("labeled", ""), `"labeled"`},
		{"closed", "pull_request", pullRequest("closed", ""), `"closed"`},
		{"fork is gone", "pull_request", strings.Replace(pullRequest("opened", ""), `{"html_url": "https://github.com/ann/wheel"}`, "null", 1), "gone"},
		{"no head", "pull_request", without(pullRequest("opened", ""), hashA), "commit"},
		{"hash that is an option", "pull_request", strings.Replace(pullRequest("opened", ""), hashA, "--exec=x", 1), "commit"},
		{"no repository", "pull_request", without(pullRequest("opened", ""), `"html_url": "https://github.com/mill/wheel", `), "repository"},
		{"negative number", "pull_request", strings.Replace(pullRequest("opened", ""), "12", "-12", 1), "which pull request"},
		{"comment deleted", "issue_comment", issueComment("deleted", somePR, "x"), `"deleted"`},
		{"issue comment edited", "issue_comment", issueComment("edited", "", "x"), "edited"},
		{"empty issue comment", "issue_comment", issueComment("created", "", `\n`), "empty"},
		{"comment without id", "issue_comment", without(issueComment("created", "", "x"), `"id": 99,`), "which comment"},
		{"commit comment without commit", "commit_comment", `{"comment": {"id": 1}, ` + rest + `}`, "commit"},
		{"release not published", "release", `{"action": "created", "release": {"tag_name": "v1"}, ` + rest + `}`, `"created"`},
		{"release without tag", "release", `{"action": "published", "release": {}, ` + rest + `}`, "tag"},
		{"branch deleted", "push", push("refs/heads/x", hashA, noHash, `"deleted": true,`), "deleted"},
		{"notes", "push", push("refs/notes/commits", hashA, hashB, ""), "neither"},
		{"branch like an option", "push", push("refs/heads/--all", hashA, hashB, ""), "neither"},
		{"check created", "check_run", checkRun("created", ""), `"created"`},
		{"button without name", "check_run", checkRun("requested_action", ""), "which action"},
		{"suite requested", "check_suite", `{"action": "requested", ` + rest + `}`, `"requested"`},
		{"uninstalled", "installation", `{"action": "deleted", ` + rest + `}`, `"deleted"`},
		{"installation without account", "installation", `{"action": "created", "installation": {"id": 1}}`, "which installation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, reason, err := github.ParseEvent(tt.typ, []byte(tt.body))
			if got != nil || err != nil || !strings.Contains(reason, tt.reason) {
				t.Errorf("got %+v, reason %q, error %v; want a reason with %q", got, reason, err, tt.reason)
			}
		})
	}
}

func TestBrokenEvents(t *testing.T) {
	t.Parallel()
	for _, typ := range []string{"pull_request", "issue_comment", "commit_comment", "release", "push", "check_run", "check_suite", "installation", "ping", "star"} {
		for _, body := range []string{``, `null`, `[]`, `{"action": `, `{} x`, `{"a": ` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`} {
			if m, reason, err := github.ParseEvent(typ, []byte(body)); err == nil || m != nil || reason != "" {
				t.Errorf("%s %.20q: got %+v, reason %q, error %v; want an error alone", typ, body, m, reason, err)
			}
		}
	}
	if _, _, err := github.ParseEvent("pull_request", []byte(`{"number": "12"}`)); err == nil || !strings.Contains(err.Error(), "number") {
		t.Errorf("a number that is a string: error %v, want one that names it", err)
	}
}

func FuzzParseEvent(f *testing.F) {
	for typ, body := range map[string]string{
		"pull_request": pullRequest("opened", ""), "issue_comment": issueComment("created", somePR, "x"), "push": push("refs/tags/v1", noHash, hashA, ""),
		"check_run": checkRun("rerequested", ""), "check_suite": `{"check_suite": null}`, "release": `{"release": {"tag_name": "\u0000"}}`,
		"installation": `{"installation": {"account": 5}}`, "commit_comment": `{"comment": []}`,
	} {
		f.Add(typ, []byte(body))
	}
	f.Fuzz(func(t *testing.T, typ string, body []byte) {
		m, reason, err := github.ParseEvent(typ, body)
		said := 0
		for _, b := range []bool{m != nil, reason != "", err != nil} {
			if b {
				said++
			}
		}
		if said != 1 {
			t.Errorf("message %+v, reason %q, error %v: want one of them", m, reason, err)
		}
		if m != nil && (m.Kind == "" || strings.HasPrefix(m.Commit, "-") || strings.HasPrefix(m.Branch, "-") || strings.HasPrefix(m.Tag, "-")) {
			t.Errorf("an unsafe message %+v", m)
		}
	})
}
