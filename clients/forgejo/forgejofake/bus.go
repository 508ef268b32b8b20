package forgejofake

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"millrace/clients/git/fakeforge"
)

// actions are what happens to a pull request, in the words of webhooks.
var actions = map[fakeforge.EventKind]string{
	fakeforge.Opened: "opened", fakeforge.Updated: "synchronized", fakeforge.Rebased: "synchronized", fakeforge.Edited: "edited",
	fakeforge.Closed: "closed", fakeforge.Reopened: "reopened",
}

// payload is the webhook about an event; no kind if there is none.
func (f *Fake) payload(e fakeforge.Event) (kind string, body object) {
	base := f.config.URL
	body = object{"repository": f.repoJSON(base, e.Repo, false), "sender": f.userJSON(e.Actor)}
	switch {
	case e.Kind == fakeforge.Pushed:
		body["ref"], body["before"], body["after"] = e.Push.Ref, e.Push.Before, e.Push.After
		body["total_commits"], body["pusher"] = e.Push.Commits, f.userJSON(e.Actor)
		changed, commits := map[string][]string{}, []object{}
		for path, what := range e.Push.Files {
			key := map[string]string{"A": "added", "D": "removed"}[what]
			changed[cmp.Or(key, "modified")] = append(changed[cmp.Or(key, "modified")], path)
		}
		if e.Push.Commits > 0 {
			commits = append(commits, object{"id": e.Push.After, "added": changed["added"], "removed": changed["removed"], "modified": changed["modified"]})
		}
		body["commits"] = commits
		return "push", body
	case e.Kind == fakeforge.Commented:
		last := e.Pull.Comments[len(e.Pull.Comments)-1]
		issue := f.pullJSON(base, e.Repo.Path, e.Pull)
		issue["pull_request"] = object{"merged": e.Pull.State == fakeforge.Merged}
		body["action"], body["is_pull"], body["issue"] = "created", true, issue
		body["pull_request"], body["comment"] = f.pullJSON(base, e.Repo.Path, e.Pull), f.commentJSON(base, e.Repo.Path, e.Pull.Number, last)
		return "issue_comment", body
	case e.Kind == fakeforge.IssueSaid:
		last := e.Issue.Comments[len(e.Issue.Comments)-1]
		body["action"], body["is_pull"], body["issue"] = "created", false, f.issueJSON(base, e.Repo.Path, e.Issue)
		body["comment"] = f.commentJSON(base, e.Repo.Path, e.Issue.Number, last)
		return "issue_comment", body
	}
	action, ok := actions[e.Kind]
	if !ok {
		return "", nil
	}
	body["action"], body["number"], body["pull_request"] = action, e.Pull.Number, f.pullJSON(base, e.Repo.Path, e.Pull)
	return "pull_request", body
}

// said is the webhook about an event as it was caused; no kind if there is none.
func (f *Fake) said(e fakeforge.Event) (kind string, payload object) {
	kind, payload = f.payload(e)
	if kind == "pull_request" && (e.Kind == fakeforge.Updated || e.Kind == fakeforge.Rebased) {
		payload["sender"] = f.userJSON(e.Pull.Author) // and not the forge itself
	}
	return kind, payload
}

// publish sends the webhook about an event as a message, as Fedora's bridge does.
func (f *Fake) publish(e fakeforge.Event) {
	kind, payload := f.said(e)
	if kind == "" {
		return
	}
	body, err := json.Marshal(object{"body": payload, "headers": object{"x-forgejo-event": kind}, "agent": payload["sender"].(object)["login"]})
	if err != nil {
		f.config.Log.Error("a message could not be written", "kind", kind, "error", err)
		return
	}
	f.config.Publish(f.config.Topic+".forgejo."+kind, body)
}

// maxPost is how long a webhook may take.
const maxPost = 5 * time.Second

// post sends the webhook about an event. As at the real one, one that is not taken
// is not sent again.
func (f *Fake) post(e fakeforge.Event) {
	kind, payload := f.said(e)
	if kind == "" {
		return
	}
	body, err := json.Marshal(payload)
	if err != nil {
		f.config.Log.Error("a webhook could not be written", "kind", kind, "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxPost)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.config.Webhook, bytes.NewReader(body))
	if err != nil {
		f.config.Log.Error("a webhook could not be sent", "kind", kind, "error", err)
		return
	}
	mac := hmac.New(sha256.New, []byte(f.config.Secret))
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forgejo-Event", kind)
	req.Header.Set("X-Forgejo-Delivery", rand.Text())
	req.Header.Set("X-Forgejo-Signature", hex.EncodeToString(mac.Sum(nil)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		f.config.Log.Warn("a webhook was not taken", "kind", kind, "error", err)
		return
	}
	res.Body.Close()
}
