package gitlab_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"millrace/clients/gitlab"
	"millrace/models"

	"github.com/google/go-cmp/cmp"
)

const (
	hashA  = "1111111111111111111111111111111111111111"
	hashB  = "2222222222222222222222222222222222222222"
	noHash = "0000000000000000000000000000000000000000"
	repo   = "https://gitlab.com/mill/wheel"
	top    = `"user": {"username": "carl"}, "project": {"web_url": "https://gitlab.com/mill/wheel"}`
)

func mergeRequest(state, action, more string) string {
	return `{"object_kind": "merge_request", ` + top + `, "object_attributes": {` + more + `"action": "` + action + `", ` + inner(state) + `}}`
}

func inner(state string) string {
	return `"id": 900, "iid": 12, "state": "` + state + `", "title": "Turn", "url": "https://gitlab.com/mill/wheel/-/merge_requests/12",
		"source": {"web_url": "https://gitlab.com/ann/wheel"}, "source_branch": "turn", "target_branch": "main",
		"last_commit": {"id": "` + hashA + `"}, "labels": [{"title": "ready"}], "work_in_progress": true`
}

func note(attributes, about string) string {
	return `{"object_kind": "note", ` + top + `, "object_attributes": {"id": 77, "note": "/packit build", "url": "https://gitlab.com/n#77"` + attributes + `}` + about + `}`
}

func push(ref, before, after, checkout, more string) string {
	return `{"before": "` + before + `", "after": "` + after + `", "checkout_sha": ` + checkout + `, "ref": "` + ref + `", "user_username": "carl",
		"project": {"web_url": "https://gitlab.com/mill/wheel"}` + more + `}`
}

func TestEvents(t *testing.T) {
	t.Parallel()
	mr := func(action models.Action, before string) *models.Message {
		return &models.Message{
			Kind: models.PullRequestEvent, Action: action, ProjectURL: repo, SourceProjectURL: "https://gitlab.com/ann/wheel",
			PR: 12, Branch: "turn", TargetBranch: "main", Commit: hashA, CommitBefore: before, Actor: "carl",
			Title: "Turn", Labels: []string{"ready"}, Draft: true, URL: repo + "/-/merge_requests/12",
		}
	}
	comment := func(m models.Message) *models.Message {
		m.Kind, m.ProjectURL, m.Actor, m.URL = models.CommentEvent, repo, "carl", "https://gitlab.com/n#77"
		m.Comment, m.CommentID = "/packit build", 77
		return &m
	}
	tests := []struct {
		name, typ, body string
		want            *models.Message
	}{
		{"opened", "Merge Request Hook", mergeRequest("opened", "open", ""), mr(models.Opened, "")},
		{"reopened", "Merge Request Hook", mergeRequest("opened", "reopen", ""), mr(models.Reopened, "")},
		{"closed", "Merge Request Hook", mergeRequest("closed", "close", ""), mr(models.Closed, "")},
		{"new commits", "Merge Request Hook", mergeRequest("opened", "update", `"oldrev": "`+hashB+`", `), mr(models.Updated, hashB)},
		{"new title", "Merge Request Hook", mergeRequest("opened", "update", ""), mr(models.Edited, "")},
		{"comment on a merge request", "Note Hook", note("", `, "merge_request": {`+inner("opened")+`}`), comment(models.Message{
			Action: models.Created, CommentOn: "pull_request", SourceProjectURL: "https://gitlab.com/ann/wheel", PR: 12,
			Branch: "turn", TargetBranch: "main", Commit: hashA, Title: "Turn", Labels: []string{"ready"}, Draft: true,
		})},
		{"edited comment on an issue", "Note Hook", note(`, "action": "update"`, `, "issue": {"iid": 5, "state": "opened"}`), comment(models.Message{
			Action: models.Edited, CommentOn: "issue", Issue: 5,
		})},
		{"comment on a commit", "Note Hook", note(`, "action": "create"`, `, "commit": {"id": "`+hashA+`"}`), comment(models.Message{
			Action: models.Created, CommentOn: "commit", Commit: hashA,
		})},
		{"push", "Push Hook", push("refs/heads/a/b", hashB, hashA, `"`+hashA+`"`, `, "commits": [{"id": "`+hashB+`", "title": "Old"}, {"id": "`+hashA+`", "title": "Oil it"}]`),
			&models.Message{Kind: models.PushEvent, ProjectURL: repo, Branch: "a/b", Commit: hashA, CommitBefore: hashB, Actor: "carl", Title: "Oil it"}},
		{"branch at an old commit", "Push Hook", push("refs/heads/b", noHash, hashA, `"`+hashA+`"`, `, "commits": []`),
			&models.Message{Kind: models.PushEvent, ProjectURL: repo, Branch: "b", Commit: hashA, Actor: "carl"}},
		{"annotated tag", "Tag Push Hook", push("refs/tags/v1", noHash, hashB, `"`+hashA+`"`, ""),
			&models.Message{Kind: models.TagPushEvent, ProjectURL: repo, Tag: "v1", Commit: hashA, Actor: "carl"}},
		{"release", "Release Hook", `{"action": "create", "tag": "v1", "name": "Spring", "commit": {"id": "` + hashA + `"}, ` + top + `}`,
			&models.Message{Kind: models.ReleaseEvent, Action: models.Created, ProjectURL: repo, Tag: "v1", Commit: hashA, Title: "Spring", Actor: "carl"}},
		{"pipeline of a merge request", "Pipeline Hook", `{"object_attributes": {"id": 55, "ref": "turn", "sha": "` + hashB + `", "status": "failed"},
			"merge_request": {` + inner("opened") + `}, ` + top + `}`,
			func() *models.Message {
				m := mr(models.Ended, "")
				m.Kind, m.ExternalID, m.State, m.Commit = models.CIResultEvent, "55", "failed", hashB
				return m
			}()},
		{"pipeline of a tag", "Pipeline Hook", `{"object_attributes": {"id": 55, "ref": "v1", "tag": true, "sha": "` + hashA + `", "status": "running"}, ` + top + `}`,
			&models.Message{Kind: models.CIResultEvent, Action: models.Started, ProjectURL: repo, ExternalID: "55", State: "running", Tag: "v1", Commit: hashA, Actor: "carl"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, reason, err := gitlab.ParseEvent(tt.typ, []byte(tt.body))
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
		{"unknown type", "Issue Hook", `{}`, `"Issue Hook"`},
		{"merged", "Merge Request Hook", mergeRequest("merged", "merge", ""), `"merged"`},
		{"approved", "Merge Request Hook", mergeRequest("opened", "approved", ""), `"approved"`},
		{"pushed though closed", "Merge Request Hook", mergeRequest("closed", "update", `"oldrev": "`+hashB+`", `), "closed"},
		{"no commit", "Merge Request Hook", strings.Replace(mergeRequest("opened", "open", ""), hashA, "HEAD", 1), "commit"},
		{"system note", "Note Hook", note(`, "system": true`, `, "issue": {"iid": 5, "state": "opened"}`), "itself"},
		{"closed issue", "Note Hook", note("", `, "issue": {"iid": 5, "state": "closed"}`), `"closed"`},
		{"snippet", "Note Hook", note("", `, "snippet": {}`), "something else"},
		{"branch deleted", "Push Hook", push("refs/heads/x", hashA, noHash, "null", ""), "deleted"},
		{"release changed", "Release Hook", `{"action": "update", "tag": "v1", ` + top + `}`, `"update"`},
		{"pipeline without commit", "Pipeline Hook", `{"object_attributes": {"id": 1, "status": "failed"}, ` + top + `}`, "commit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, reason, err := gitlab.ParseEvent(tt.typ, []byte(tt.body))
			if got != nil || err != nil || !strings.Contains(reason, tt.reason) {
				t.Errorf("got %+v, reason %q, error %v; want a reason with %q", got, reason, err, tt.reason)
			}
		})
	}
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	header := func(token string) http.Header {
		return http.Header{"X-Gitlab-Token": {token}, "X-Gitlab-Event": {"Push Hook"}, "X-Gitlab-Event-Uuid": {"u-1"}}
	}
	got, err := gitlab.ParseWebhook(header("b"), []byte(`{}`), []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&models.Delivery{Source: "gitlab", Key: "u-1", Type: "Push Hook", Body: []byte(`{}`), Size: 2}, got); diff != "" {
		t.Errorf("delivery (-want +got):\n%s", diff)
	}
	for _, token := range []string{"", "c"} {
		if _, err := gitlab.ParseWebhook(header(token), []byte(`{}`), []string{"a", ""}); !errors.Is(err, models.ErrUnproven) {
			t.Errorf("token %q: %v, want ErrUnproven", token, err)
		}
	}
	again := header("a")
	again.Set("Idempotency-Key", "k-1")
	if got, err := gitlab.ParseWebhook(again, []byte(`{}`), []string{"a"}); err != nil || got.Key != "k-1" {
		t.Errorf("with an idempotency key: %+v, %v; want it for key", got, err)
	}
	anonymous := header("a")
	anonymous.Del("X-Gitlab-Event-Uuid")
	for name, h := range map[string]http.Header{"X-Gitlab-Event-UUID": anonymous, "body": header("a")} {
		_, err := gitlab.ParseWebhook(h, []byte(`[]`), []string{"a"})
		if bad, ok := errors.AsType[*models.InputError](err); !ok || bad.Field != name {
			t.Errorf("%v, want an InputError about %s", err, name)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	for typ, body := range map[string]string{
		"Merge Request Hook": mergeRequest("opened", "update", ""), "Note Hook": note("", `, "commit": {"id": "x"}`),
		"Push Hook": push("refs/heads/x", noHash, hashA, "null", ""), "Release Hook": `{"commit": 1}`, "Pipeline Hook": `{"object_attributes": {"id": -1}}`,
	} {
		f.Add(typ, []byte(body))
	}
	f.Fuzz(func(t *testing.T, typ string, body []byte) {
		m, reason, err := gitlab.ParseEvent(typ, body)
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
