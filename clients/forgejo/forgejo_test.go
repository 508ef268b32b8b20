package forgejo_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"

	"millrace/clients/forgejo"
	"millrace/models"

	"github.com/google/go-cmp/cmp"
)

const (
	hashA  = "1111111111111111111111111111111111111111"
	hashB  = "2222222222222222222222222222222222222222"
	noHash = "0000000000000000000000000000000000000000"
	repo   = "https://forge.example.org/mill/wheel"
	rest   = `"repository": {"html_url": "https://forge.example.org/mill/wheel"}, "sender": {"login": "carl"}`
	pr     = `"pull_request": {"number": 12, "title": "Turn", "html_url": "https://forge.example.org/mill/wheel/pulls/12", "user": {"login": "ann"},
		"labels": [{"name": "ready"}], "head": {"ref": "turn", "sha": "` + hashA + `", "repo": {"html_url": "https://forge.example.org/ann/wheel"}},
		"base": {"ref": "main", "sha": "` + hashB + `", "repo": {"html_url": "https://forge.example.org/mill/wheel"}}}`
)

func pullRequest(action string) string {
	return `{"action": "` + action + `", "number": 12, ` + pr + `, ` + rest + `}`
}

func comment(action, more string) string {
	return `{"action": "` + action + `", "issue": {"number": 5, "title": "Slow"}, ` + more +
		`"comment": {"id": 99, "body": "/packit build", "user": {"login": "bob"}}, ` + rest + `}`
}

func actionRun(more string) string {
	return `{"run": {"id": 31, "title": "Turn", "status": "Failure", "commit_sha": "` + hashA + `", "prettyref": "main",
		"trigger_user": {"login": "carl"}, "repository": {"html_url": "https://forge.example.org/mill/wheel"}` + more + `}}`
}

func TestEvents(t *testing.T) {
	t.Parallel()
	opened := func(action models.Action) *models.Message {
		return &models.Message{
			Kind: models.PullRequestEvent, Action: action, ProjectURL: repo, SourceProjectURL: "https://forge.example.org/ann/wheel",
			PR: 12, Branch: "turn", TargetBranch: "main", Commit: hashA, Actor: "carl", Author: "ann", Title: "Turn",
			Labels: []string{"ready"}, URL: repo + "/pulls/12",
		}
	}
	tests := []struct {
		name, typ, body string
		want            *models.Message
	}{
		{"opened", "pull_request", pullRequest("opened"), opened(models.Opened)},
		{"pushed to", "pull_request", pullRequest("synchronized"), opened(models.Updated)},
		{"comment on a pull request", "issue_comment", comment("created", `"is_pull": true, `+pr+`, `), &models.Message{
			Kind: models.CommentEvent, Action: models.Created, CommentOn: "pull_request", ProjectURL: repo, SourceProjectURL: "https://forge.example.org/ann/wheel",
			PR: 5, Branch: "turn", TargetBranch: "main", Commit: hashA, Actor: "carl", Author: "bob", Title: "Turn", Labels: []string{"ready"},
			Comment: "/packit build", CommentID: 99,
		}},
		{"comment on an issue", "issue_comment", comment("created", ""), &models.Message{
			Kind: models.CommentEvent, Action: models.Created, CommentOn: "issue", ProjectURL: repo, Issue: 5, Actor: "carl", Author: "bob",
			Comment: "/packit build", CommentID: 99,
		}},
		{"push", "push", `{"ref": "refs/heads/main", "before": "` + hashB + `", "after": "` + hashA + `", "pusher": {"login": "dora"},
			"head_commit": {"id": "` + hashA + `", "message": "Oil it\n"}, ` + rest + `}`, &models.Message{
			Kind: models.PushEvent, ProjectURL: repo, Branch: "main", Commit: hashA, CommitBefore: hashB, Actor: "dora", Title: "Oil it",
		}},
		{"annotated tag", "push", `{"ref": "refs/tags/v1", "before": "` + noHash + `", "after": "` + hashB + `", "head_commit": {"id": "` + hashA + `"}, ` + rest + `}`,
			&models.Message{Kind: models.TagPushEvent, ProjectURL: repo, Tag: "v1", Commit: hashA, Actor: "carl"}},
		{"release", "release", `{"action": "published", "release": {"tag_name": "v1", "name": "Spring"}, ` + rest + `}`,
			&models.Message{Kind: models.ReleaseEvent, Action: models.Created, ProjectURL: repo, Tag: "v1", Title: "Spring", Actor: "carl"}},
		{"run of a push", "action_run_failure", actionRun(`, "trigger_event": "push"`), &models.Message{
			Kind: models.CIResultEvent, Action: models.Ended, ProjectURL: repo, Branch: "main", Commit: hashA, ExternalID: "31", State: "failure", Actor: "carl", Title: "Turn",
		}},
		{"run of a pull request", "action_run_success", actionRun(`, "trigger_event": "pull_request",
			"event_payload": "{\"pull_request\": {\"number\": 12, \"head\": {\"ref\": \"turn\"}, \"base\": {\"ref\": \"main\"}}}"`), &models.Message{
			Kind: models.CIResultEvent, Action: models.Ended, ProjectURL: repo, PR: 12, Branch: "turn", TargetBranch: "main", Commit: hashA,
			ExternalID: "31", State: "failure", Actor: "carl", Title: "Turn",
		}},
		{"run with a cut payload", "action_run_success", actionRun(`, "trigger_event": "pull_request", "event_payload": "{\"pull_re"`), &models.Message{
			Kind: models.CIResultEvent, Action: models.Ended, ProjectURL: repo, Commit: hashA, ExternalID: "31", State: "failure", Actor: "carl", Title: "Turn",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, reason, err := forgejo.ParseEvent(tt.typ, []byte(tt.body))
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
	tests := []struct{ name, typ, body, reason string }{
		{"unknown type", "fork", `{}`, `"fork"`},
		{"closed", "pull_request", pullRequest("closed"), `"closed"`},
		{"fork is gone", "pull_request", strings.Replace(pullRequest("opened"), `{"html_url": "https://forge.example.org/ann/wheel"}`, "null", 1), "gone"},
		{"comment deleted", "issue_comment", comment("deleted", ""), `"deleted"`},
		{"issue comment edited", "issue_comment", comment("edited", ""), "edited"},
		{"branch deleted", "push", `{"ref": "refs/heads/x", "after": "` + noHash + `", ` + rest + `}`, "deleted"},
		{"draft of a release", "release", `{"action": "published", "release": {"tag_name": "v1", "draft": true}, ` + rest + `}`, "release"},
		{"run without commit", "action_run_success", strings.Replace(actionRun(""), hashA, "", 1), "commit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, reason, err := forgejo.ParseEvent(tt.typ, []byte(tt.body))
			if got != nil || err != nil || !strings.Contains(reason, tt.reason) {
				t.Errorf("got %+v, reason %q, error %v; want a reason with %q", got, reason, err, tt.reason)
			}
		})
	}
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	mac := hmac.New(sha256.New, []byte("b"))
	mac.Write([]byte(`{}`))
	signature := hex.EncodeToString(mac.Sum(nil))
	header := http.Header{"X-Forgejo-Signature": {signature}, "X-Forgejo-Event": {"push"}, "X-Forgejo-Delivery": {"d-1"}}
	got, err := forgejo.ParseWebhook(header, []byte(`{}`), []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&models.Delivery{Source: "forgejo", Key: "d-1", Type: "push", Body: []byte(`{}`), Size: 2}, got); diff != "" {
		t.Errorf("delivery (-want +got):\n%s", diff)
	}
	for name, secrets := range map[string][]string{"other": {"a"}, "none": nil} {
		if _, err := forgejo.ParseWebhook(header, []byte(`{}`), secrets); !errors.Is(err, models.ErrUnproven) {
			t.Errorf("%s secret: %v, want ErrUnproven", name, err)
		}
	}
	if _, err := forgejo.ParseWebhook(http.Header{"X-Hub-Signature": {"sha1=" + signature[:40]}}, []byte(`{}`), []string{"b"}); !errors.Is(err, models.ErrUnproven) {
		t.Errorf("no signature: %v, want ErrUnproven", err)
	}
	header.Del("X-Forgejo-Delivery")
	_, err = forgejo.ParseWebhook(header, []byte(`{}`), []string{"b"})
	if bad, ok := errors.AsType[*models.InputError](err); !ok || bad.Field != "X-Forgejo-Delivery" {
		t.Errorf("%v, want an InputError about the delivery", err)
	}
}

func FuzzParseEvent(f *testing.F) {
	for typ, body := range map[string]string{
		"pull_request": pullRequest("opened"), "issue_comment": comment("created", ""), "push": `{"after": 5}`,
		"release": `{"release": null}`, "action_run_success": actionRun(`, "trigger_event": "pull_request", "event_payload": "[[["`),
	} {
		f.Add(typ, []byte(body))
	}
	f.Fuzz(func(t *testing.T, typ string, body []byte) {
		m, reason, err := forgejo.ParseEvent(typ, body)
		said := 0
		for _, b := range []bool{m != nil, reason != "", err != nil} {
			if b {
				said++
			}
		}
		if said != 1 {
			t.Errorf("message %+v, reason %q, error %v: want one of them", m, reason, err)
		}
	})
}
