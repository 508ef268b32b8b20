package githubfake

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/clients/git"
	"millrace/clients/wire"
)

const maxDeliveries = 2000

// object is a JSON object.
type object map[string]any

// hooks delivers webhooks, one after the other. Everything is guarded by the
// fake's mu but what belongs to the channel and the wait group.
type hooks struct {
	log     []*Delivery // the oldest first
	queue   []*Delivery
	held    *Delivery // until the next one was sent
	busy    int       // being sent or late
	changed *sync.Cond
	closed  bool
	cancel  context.CancelFunc
	ctx     context.Context
	running sync.WaitGroup
}

func (h *hooks) start(f *Fake) {
	h.changed = sync.NewCond(&f.mu)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	f.loadDeliveries()
	h.running.Go(func() { h.run(f) })
}

func (h *hooks) stop() {
	h.changed.L.Lock()
	h.closed = true
	h.cancel()
	h.changed.Broadcast()
	h.changed.L.Unlock()
	h.running.Wait()
}

// run sends what is queued, in order, until the fake is closed.
func (h *hooks) run(f *Fake) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for len(h.queue) == 0 && !h.closed {
			h.changed.Wait()
		}
		if h.closed {
			return
		}
		d := h.queue[0]
		h.queue = h.queue[1:]
		h.busy++
		if f.faults.HookDelay > 0 {
			h.running.Go(func() { h.late(f, d, f.Faults().HookDelay) })
			continue
		}
		f.send(d)
		h.done()
	}
}

// late sends a delivery after a while, without keeping others waiting.
func (h *hooks) late(f *Fake, d *Delivery, delay time.Duration) {
	select {
	case <-time.After(delay):
	case <-h.ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer h.done()
	if !h.closed {
		f.send(d)
	}
}

func (h *hooks) done() {
	h.busy--
	h.changed.Broadcast()
}

// enqueue makes a webhook out of an event. The caller holds mu.
func (f *Fake) enqueue(r *repo, event, action string, payload object) {
	i := f.installation(r)
	if i == nil {
		return // the App hears only of those who have it
	}
	payload["installation"] = object{"id": i.ID, "node_id": fmt.Sprint(i.ID)}
	payload["repository"] = f.repoJSON(r)
	f.enqueueApp(r.FullName(), event, action, payload)
}

// enqueueApp queues a payload that is complete. The caller holds mu.
func (f *Fake) enqueueApp(fullName, event, action string, payload object) {
	if action != "" {
		payload["action"] = action
	}
	body, err := json.Marshal(payload)
	if err != nil {
		f.config.Log.Error("webhook not written", "event", event, "error", err)
		return
	}
	d := &Delivery{
		ID: f.newID(), GUID: wire.NewUUID(), Event: event, Action: action, Repo: fullName, URL: f.config.WebhookURL,
		Body: body, Created: f.now(), State: "pending",
	}
	f.hooks.log = append(f.hooks.log, d)
	if over := len(f.hooks.log) - maxDeliveries; over > 0 {
		for _, old := range f.hooks.log[:over] {
			os.Remove(f.deliveryFile(old.ID)) // a leftover is only read again
		}
		f.hooks.log = slices.Delete(f.hooks.log, 0, over)
	}
	switch {
	case d.URL == "":
		d.State = "undirected"
	case every(f.faults.HookLoseEvery, &f.nth.lose):
		d.State = "lost"
	case every(f.faults.HookSwapEvery, &f.nth.swap) && f.hooks.held == nil:
		f.hooks.held = d
	default:
		f.hooks.queue = append(f.hooks.queue, d)
		if every(f.faults.HookDoubleEvery, &f.nth.double) {
			f.hooks.queue = append(f.hooks.queue, d)
		}
		if f.hooks.held != nil {
			f.hooks.queue = append(f.hooks.queue, f.hooks.held)
			f.hooks.held = nil
		}
	}
	f.keep(d)
	f.hooks.changed.Broadcast()
}

// send makes one attempt. The caller holds mu, which is released meanwhile.
func (f *Fake) send(d *Delivery) {
	d.URL = f.config.WebhookURL
	secret, url, client := f.config.WebhookSecret, d.URL, f.config.HTTP
	f.mu.Unlock()
	status, answer, err := f.post(client, url, secret, d)
	f.mu.Lock()
	d.Attempts++
	d.StatusCode, d.Answer = status, answer
	switch {
	case err != nil:
		d.State, d.Answer = "unreachable", err.Error()
	case status/100 == 2:
		d.State = "delivered"
	default:
		d.State = "refused"
	}
	f.keep(d)
}

func (f *Fake) post(client *http.Client, url, secret string, d *Delivery) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(f.hooks.ctx, http.MethodPost, url, bytes.NewReader(d.Body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "GitHub-Hookshot/fake")
	req.Header.Set("X-GitHub-Event", d.Event)
	req.Header.Set("X-GitHub-Delivery", d.GUID)
	req.Header.Set("X-GitHub-Hook-ID", fmt.Sprint(f.config.AppID))
	req.Header.Set("X-GitHub-Hook-Installation-Target-ID", fmt.Sprint(f.config.AppID))
	req.Header.Set("X-GitHub-Hook-Installation-Target-Type", "integration")
	if secret != "" {
		req.Header.Set("X-Hub-Signature", "sha1="+sign(sha1.New, secret, d.Body))
		req.Header.Set("X-Hub-Signature-256", "sha256="+sign(sha256.New, secret, d.Body))
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	begin, err := io.ReadAll(io.LimitReader(res.Body, 1000))
	if err != nil {
		return res.StatusCode, "", err
	}
	return res.StatusCode, strings.ToValidUTF8(string(begin), "�"), nil
}

func sign(algorithm func() hash.Hash, secret string, body []byte) string {
	mac := hmac.New(algorithm, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Redeliver sends a delivery once more, under the same GUID, as GitHub does
// when it is asked to. Faults do not apply.
func (f *Fake) Redeliver(id int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.hooks.log {
		if d.ID == id {
			if f.config.WebhookURL == "" {
				return errors.New("there is no address to send webhooks to")
			}
			d.Redelivered, d.State = true, "pending"
			f.hooks.queue = append(f.hooks.queue, d)
			f.hooks.changed.Broadcast()
			return nil
		}
	}
	return fmt.Errorf("delivery %d: %w", id, ErrNotFound)
}

// Deliveries lists the webhooks, the oldest first, without those that are long
// gone.
func (f *Fake) Deliveries() []Delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]Delivery, 0, len(f.hooks.log))
	for _, d := range f.hooks.log {
		c := *d
		c.Body = slices.Clone(d.Body)
		all = append(all, c)
	}
	return all
}

// Flush waits until all webhooks were sent, also the one that is held back.
func (f *Fake) Flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.hooks.changed.Broadcast()
	})
	defer stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hooks.held != nil {
		f.hooks.queue = append(f.hooks.queue, f.hooks.held)
		f.hooks.held = nil
		f.hooks.changed.Broadcast()
	}
	for len(f.hooks.queue) > 0 || f.hooks.busy > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if f.hooks.closed {
			return errors.New("the fake was closed")
		}
		f.hooks.changed.Wait()
	}
	return nil
}

func (f *Fake) deliveryFile(id int64) string {
	return filepath.Join(f.config.Dir, "deliveries", fmt.Sprintf("%020d.json", id))
}

// keep writes a delivery down. The caller holds mu.
func (f *Fake) keep(d *Delivery) {
	if err := writeJSON(f.deliveryFile(d.ID), d); err != nil {
		f.config.Log.Error("delivery not kept", "delivery", d.ID, "error", err)
	}
}

func (f *Fake) loadDeliveries() {
	files, err := filepath.Glob(filepath.Join(f.config.Dir, "deliveries", "*.json"))
	if err != nil {
		return // the pattern is good
	}
	slices.Sort(files)
	for _, file := range files[max(0, len(files)-maxDeliveries):] {
		d := new(Delivery)
		if err := readJSON(file, d); err != nil {
			f.config.Log.Error("delivery not read", "file", file, "error", err)
			continue
		}
		f.hooks.log = append(f.hooks.log, d)
		f.lastID = max(f.lastID, d.ID)
	}
}

// pushInfo is what a push says about commits.
type pushInfo struct {
	commits []git.Commit // the oldest first
	head    *git.Commit
	forced  bool
}

// The methods below make the payloads. Callers hold mu.

func (f *Fake) sendPush(r *repo, login string, u update, info pushInfo) {
	var head any
	if info.head != nil {
		head = f.pushedCommitJSON(r, *info.head)
	}
	commits := []object{}
	for _, c := range info.commits {
		commits = append(commits, f.pushedCommitJSON(r, c))
	}
	f.enqueue(r, "push", "", object{
		"ref": u.ref, "before": u.before, "after": u.after, "base_ref": nil,
		"created": u.before == zeroSHA, "deleted": u.after == zeroSHA, "forced": info.forced,
		"compare": f.html(r, "compare", u.before[:12]+"..."+u.after[:12]), "commits": commits, "head_commit": head,
		"pusher": object{"name": login, "email": login + "@example.org"}, "sender": f.userJSON(login),
	})
	if u.before != zeroSHA && u.after != zeroSHA {
		return
	}
	event, kind := "create", "branch"
	if u.after == zeroSHA {
		event = "delete"
	}
	if strings.HasPrefix(u.ref, "refs/tags/") {
		kind = "tag"
	}
	f.enqueue(r, event, "", object{
		"ref": strings.SplitN(u.ref, "/", 3)[2], "ref_type": kind, "master_branch": r.DefaultBranch,
		"description": r.Description, "pusher_type": "user", "sender": f.userJSON(login),
	})
}

func (f *Fake) sendPull(r *repo, p *Pull, action, login string, more object) {
	payload := object{"number": p.Number, "pull_request": f.pullJSON(r, p), "sender": f.userJSON(login)}
	for name, value := range more {
		payload[name] = value
	}
	f.enqueue(r, "pull_request", action, payload)
}

func (f *Fake) sendComment(r *repo, c *Comment, action, login string) {
	f.enqueue(r, "issue_comment", action, object{
		"issue": f.issueJSON(r, c.Number), "comment": f.commentJSON(r, c), "sender": f.userJSON(login),
	})
}

func (f *Fake) sendCheckRun(r *repo, c *CheckRun, action, login string, more object) {
	payload := object{"check_run": f.checkRunJSON(r, c), "sender": f.userJSON(login)}
	for name, value := range more {
		payload[name] = value
	}
	f.enqueue(r, "check_run", action, payload)
}

func (f *Fake) sendRelease(r *repo, release *Release, action, login string) {
	f.enqueue(r, "release", action, object{"release": f.releaseJSON(r, release), "sender": f.userJSON(login)})
}
