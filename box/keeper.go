package box

import (
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"millrace/clients/git/fakeforge"
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
// and then does things by itself if that is wanted.
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

// stroll does a few things, one after the other, always the same. A box that is
// started again goes on where it was.
func (b *Box) stroll(ctx context.Context) {
	for {
		b.mu.Lock()
		done := b.state.Ambient
		b.mu.Unlock()
		if done >= len(ambient) {
			return
		}
		if err := ambient[done](ctx, b); err != nil && ctx.Err() == nil {
			b.log.WarnContext(ctx, "not done by itself", "number", done, "error", err)
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

// ambient is what the box does by itself: a release is on its way to Fedora, and
// waits for people on some branches.
var ambient = []func(context.Context, *Box) error{
	opens("packit/hello-world", Passes),
	opens("osbuild-demo/cauldron", Passes),
	releases("packit/hello-world"),
	opens("fedora-crafts/loom", BreaksTest),
	opens("mill/monorepo", Passes),
	merges("hello-world", "rawhide"),
	merges("hello-world", "f45"),
	opens("windmill-club/windmill", Passes),
	merges("hello-world", "f44"),
}

func opens(repo string, scenario Scenario) func(context.Context, *Box) error {
	return func(ctx context.Context, b *Box) error {
		_, err := b.Open(ctx, repo, scenario)
		return err
	}
}

func releases(repo string) func(context.Context, *Box) error {
	return func(ctx context.Context, b *Box) error {
		_, err := b.Release(ctx, repo)
		return err
	}
}

// merges merges what is proposed to a branch of a package, if that comes to be
// within a while.
func merges(pkg, branch string) func(context.Context, *Box) error {
	return func(ctx context.Context, b *Box) error {
		for range 20 {
			pulls, err := b.Packages.Pulls("rpms/" + pkg)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(pulls, func(p *fakeforge.Pull) bool { return p.State == fakeforge.Open && p.Branch == branch })
			if i >= 0 {
				_, err = b.Packages.MergePull(ctx, "rpms/"+pkg, pulls[i].Number, visitor)
				return err
			}
			if !sleep(ctx, b.options.Pace.Stroll) {
				break
			}
		}
		return nil
	}
}
