package box

import (
	"context"
	"io"
	"net/http"
	"time"
)

// install gives the App to everybody in the box, once.
func (b *Box) install() error {
	has := make(map[string]bool)
	for _, i := range b.Forge.Installations() {
		has[i.Account] = true
	}
	for _, s := range samples {
		if has[s.owner] {
			continue
		}
		has[s.owner] = true
		if _, err := b.Forge.InstallAs(s.maintainer(), s.owner); err != nil {
			return err
		}
	}
	return nil
}

// lookAfter waits for the service, hands it what was sent while it was away,
// and then opens pull requests if that is wanted.
func (b *Box) lookAfter() {
	if !b.awaitService(b.ctx) {
		return
	}
	for _, d := range b.Forge.Deliveries() {
		if d.State != "pending" && d.State != "unreachable" && d.State != "undirected" {
			continue
		}
		// One that was sent meanwhile is only repeated, under the same GUID.
		if err := b.Forge.Redeliver(d.ID); err != nil {
			b.log.Warn("webhook not sent again", "delivery", d.GUID, "error", err)
		}
	}
	if b.options.Ambient {
		b.stroll(b.ctx)
	}
}

// awaitService waits until the service says that it is alive.
func (b *Box) awaitService(ctx context.Context) bool {
	client := &http.Client{Timeout: 5 * time.Second}
	for {
		if address := b.Service(); address != "" && alive(ctx, client, address+"/healthz") {
			return true
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return false
		}
	}
}

func alive(ctx context.Context, client *http.Client, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	// What it says does not matter; reading it lets the connection be used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4096))
	return res.StatusCode == http.StatusOK
}

// stroll opens a few pull requests, one after the other, always the same. A box
// that is started again goes on where it was.
func (b *Box) stroll(ctx context.Context) {
	for {
		b.mu.Lock()
		done := b.state.Ambient
		b.mu.Unlock()
		if done >= len(ambient) {
			return
		}
		if _, err := b.Open(ctx, ambient[done].repo, ambient[done].scenario); err != nil && ctx.Err() == nil {
			b.log.WarnContext(ctx, "pull request not opened", "repository", ambient[done].repo, "error", err)
		}
		b.mu.Lock()
		b.state.Ambient = done + 1
		err := b.save()
		b.mu.Unlock()
		if err != nil {
			b.log.ErrorContext(ctx, "the box cannot write down what it did", "error", err)
		}
		if !sleep(ctx, b.options.Pace.Stroll) {
			return
		}
	}
}

// ambient is what the box does by itself.
var ambient = []struct {
	repo     string
	scenario Scenario
}{
	{"packit/hello-world", Passes},
	{"osbuild-demo/cauldron", Passes},
	{"fedora-crafts/loom", BreaksTest},
	{"mill/monorepo", Passes},
	{"windmill-club/windmill", Passes},
}
