package pagure

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"millrace/clients/forge"
	"millrace/clients/httpx"
)

const pause = 2 * time.Second

// Fork returns the fork of a project that belongs to user, whose token it must
// be. If there is none it is made. It returns when the fork has branches, or
// with an error when ctx ends, which should leave it minutes; Fork can then be
// called again.
func (c *Client) Fork(ctx context.Context, repo, user string) (forge.Repository, error) {
	if !forge.Name(user) {
		return forge.Repository{}, fmt.Errorf("%.80q is not the name of a user", user)
	}
	path := "forks/" + user + "/" + repo
	switch found, err := c.Repository(ctx, path); {
	case err == nil && found.DefaultBranch != "":
		return found, nil
	case err != nil && !IsNotFound(err):
		return forge.Repository{}, err
	case err != nil:
		if err := c.startFork(ctx, repo); err != nil {
			return forge.Repository{}, fmt.Errorf("forking %s: %w", repo, err)
		}
	}
	return c.awaitFork(ctx, path)
}

// startFork asks for a fork without waiting, which can take minutes. That there
// is one already is no error: it may not be seen yet.
func (c *Client) startFork(ctx context.Context, repo string) error {
	namespace, name := "", repo
	if i := strings.LastIndex(repo, "/"); i >= 0 {
		namespace, name = repo[:i], repo[i+1:]
	}
	// "wait" counts as set unless it is empty.
	err := c.post(ctx, "project.fork", "/fork", url.Values{"repo": {name}, "namespace": {namespace}, "wait": {""}}, nil)
	if e := httpx.Status(err); e == http.StatusBadRequest && strings.Contains(err.Error(), "already exists") {
		return nil
	}
	return err
}

func (c *Client) awaitFork(ctx context.Context, path string) (forge.Repository, error) {
	wait := c.Pause
	if wait == 0 {
		wait = pause
	}
	for {
		found, err := c.Repository(ctx, path)
		switch {
		case err == nil && found.DefaultBranch != "":
			return found, nil
		case err != nil && !IsNotFound(err):
			return forge.Repository{}, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return forge.Repository{}, fmt.Errorf("waiting for %s: %w", path, &Error{Service: "pagure", Method: http.MethodGet, URL: "/" + path, Err: ctx.Err()})
		}
	}
}
