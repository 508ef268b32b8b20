package pagure

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"

	"millrace/clients/forge"
)

// maxUID is how long Pagure lets the id of a flag be.
const maxUID = 32

// FlagUID is the id under which a check of that name has its flag, so that a
// later one replaces it.
func FlagUID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])[:maxUID]
}

func flagForm(s forge.Status) url.Values {
	return url.Values{"username": {s.Name}, "comment": {s.Text}, "url": {s.URL}, "status": {string(s.State)}, "uid": {FlagUID(s.Name)}}
}

// SetPullStatus flags a pull request, which means its newest commit.
func (c *Client) SetPullStatus(ctx context.Context, repo string, p forge.PullRequest, s forge.Status) error {
	return c.act(ctx, "pull.flag", "flagging", repo, p.Number, "/flag", flagForm(s))
}

// SetCommitStatus flags a commit. On Fedora's instance only tokens that an
// administrator has made may do that.
func (c *Client) SetCommitStatus(ctx context.Context, repo, sha string, s forge.Status) error {
	at, err := address(repo)
	if err != nil {
		return err
	}
	if err := c.post(ctx, "commit.flag", at+"/c/"+url.PathEscape(sha)+"/flag", flagForm(s), nil); err != nil {
		return fmt.Errorf("flagging commit %s of %s: %w", sha, repo, err)
	}
	return nil
}

// Statuses lists the flags of a commit, which are those of the pull request
// whose newest commit it is, too. repo is where the pull request is open.
func (c *Client) Statuses(ctx context.Context, repo, sha string) ([]forge.Status, error) {
	at, err := address(repo)
	if err != nil {
		return nil, err
	}
	var in struct {
		Flags []struct {
			Name   string      `json:"username"`
			Status forge.State `json:"status"`
			Text   string      `json:"comment"`
			URL    string      `json:"url"`
		} `json:"flags"`
	}
	if err := c.get(ctx, "commit.flags", at+"/c/"+url.PathEscape(sha)+"/flag", nil, &in); err != nil {
		return nil, fmt.Errorf("asking for the flags of commit %s of %s: %w", sha, repo, err)
	}
	var all []forge.Status
	for _, f := range in.Flags {
		all = append(all, forge.Status{Name: f.Name, State: f.Status, Text: f.Text, URL: f.URL})
	}
	return all, nil
}
