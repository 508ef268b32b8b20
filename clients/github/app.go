package github

import (
	"context"
	"errors"
	"fmt"
	"time"

	gh "github.com/google/go-github/v92/github"

	"millrace/clients/httpx"
)

// GitAuthorization returns the header with which git may read (and, as the
// App's permissions are, write) a repository over HTTPS for about an hour; ""
// for a stranger.
func (c *Client) GitAuthorization(ctx context.Context, repo Repo) (string, error) {
	if c.AppID == 0 {
		if c.Token == "" {
			return "", nil
		}
		return basic(c.Token), nil
	}
	if err := repo.check(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(httpx.WithOperation(ctx, "apps.token"), callTimeout)
	defer cancel()
	s, err := c.seat(ctx, repo)
	if err != nil {
		return "", fmt.Errorf("acting for %s: %w", repo, err)
	}
	token, err := s.transport.Token(ctx)
	if err != nil {
		return "", fmt.Errorf("getting a token for %s: %w", repo, c.outdated(repo, explain(err)))
	}
	return basic(token), nil
}

// Installation is an account that has the App.
type Installation struct {
	ID      int64
	Account string
}

// Installations lists where the App is installed.
func (c *Client) Installations(ctx context.Context) ([]Installation, error) {
	c.mu.Lock()
	app, err := c.asApp()
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(httpx.WithOperation(ctx, "apps.installations"), callTimeout)
	defer cancel()
	var all []Installation
	for page := 1; page != 0 && page <= maxPages; {
		found, response, err := app.Apps.ListInstallations(ctx, &gh.ListOptions{Page: page, PerPage: perPage})
		if err != nil {
			return nil, fmt.Errorf("listing installations: %w", explain(err))
		}
		for _, i := range found {
			all = append(all, Installation{ID: i.GetID(), Account: i.GetAccount().GetLogin()})
		}
		page = response.NextPage
	}
	return all, nil
}

// HookDelivery is a webhook as GitHub remembers it, for about three days.
type HookDelivery struct {
	ID        int64
	GUID      string // the same for each attempt
	Event     string
	Action    string
	OK        bool // an attempt was answered with success
	Delivered time.Time
}

// HookDeliveries lists the App's webhooks since a time, the newest first.
// GitHub does not repeat those that failed: see Redeliver.
func (c *Client) HookDeliveries(ctx context.Context, since time.Time) ([]HookDelivery, error) {
	c.mu.Lock()
	app, err := c.asApp()
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(httpx.WithOperation(ctx, "hooks.deliveries"), callTimeout)
	defer cancel()
	var all []HookDelivery
	options := gh.ListCursorOptions{PerPage: perPage}
	for range maxPages {
		found, response, err := app.Apps.ListHookDeliveries(ctx, &options)
		if err != nil {
			return nil, fmt.Errorf("listing webhook deliveries: %w", explain(err))
		}
		for _, d := range found {
			if d.GetDeliveredAt().Before(since) {
				return all, nil
			}
			all = append(all, HookDelivery{ID: d.GetID(), GUID: d.GetGUID(), Event: d.GetEvent(), Action: d.GetAction(),
				OK: d.GetStatusCode()/100 == 2, Delivered: d.GetDeliveredAt().Time})
		}
		if options.Cursor = response.Cursor; options.Cursor == "" {
			break
		}
	}
	return all, nil
}

// Redeliver asks GitHub to send a webhook once more.
func (c *Client) Redeliver(ctx context.Context, id int64) error {
	c.mu.Lock()
	app, err := c.asApp()
	c.mu.Unlock()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(httpx.WithOperation(ctx, "hooks.redeliver"), callTimeout)
	defer cancel()
	_, _, err = app.Apps.RedeliverHookDelivery(ctx, id)
	if _, accepted := errors.AsType[*gh.AcceptedError](err); err != nil && !accepted {
		return fmt.Errorf("redelivering webhook %d: %w", id, explain(err))
	}
	return nil
}
