package copr

import (
	"context"
	"fmt"
	"time"
)

// Limits of FindBuild: pages of builds, and how far the clocks of Copr and
// ours may be apart.
const (
	findPage  = 25
	findPages = 8
	clockSkew = 10 * time.Minute
)

// Lookup says which submission FindBuild looks for.
type Lookup struct {
	Owner, Project string
	Key            string    // as in BuildOptions
	Since          time.Time // when the submission was tried first
	Submitter      string    // our user in Copr, to pass over others' builds; empty to look at all
}

// FindBuild finds the build that was submitted with a key, to learn what became
// of a submission whose answer never came. It reads the newest builds of the
// project down to Since, and the source of each that may be the one: for the
// usual case of no or few builds since then, one to three short calls. An
// upload shows its key in the list itself.
//
// Copr may still be busy with a request that we gave up: "not found" is certain
// only when the client's timeout has passed since the submission.
func (c *Client) FindBuild(ctx context.Context, l Lookup) (b Build, found bool, err error) {
	if !keyPattern.MatchString(l.Key) {
		return Build{}, false, fmt.Errorf("%q cannot identify a submission", l.Key)
	}
	oldest := l.Since.Add(-clockSkew)
	seen := make(map[int64]bool) // new builds shift the pages while we read
	for page := range findPages {
		builds, err := c.Builds(ctx, l.Owner, l.Project, findPage, page*findPage)
		if IsNotFound(err) {
			return Build{}, false, nil // no project, no builds
		}
		if err != nil {
			return Build{}, false, fmt.Errorf("looking for submission %s: %w", l.Key, err)
		}
		for _, b := range builds {
			if b.Submitted.Before(oldest) {
				return Build{}, false, nil
			}
			if seen[b.ID] || (l.Submitter != "" && b.Submitter != "" && b.Submitter != l.Submitter) {
				continue
			}
			seen[b.ID] = true
			ok, err := c.hasKey(ctx, b, l.Key)
			if err != nil {
				return Build{}, false, fmt.Errorf("looking for submission %s: %w", l.Key, err)
			}
			if ok {
				return b, true, nil
			}
		}
		if len(builds) < findPage {
			return Build{}, false, nil
		}
	}
	return Build{}, false, fmt.Errorf("looking for submission %s: not among the newest %d builds of %s/%s, and there are more",
		l.Key, findPage*findPages, l.Owner, l.Project)
}

func (c *Client) hasKey(ctx context.Context, b Build, key string) (bool, error) {
	if hasSegment(b.SourceURL, key) || hasSegment(b.SourceURL, uploadName(key)) {
		return true, nil
	}
	source, err := c.Source(ctx, b.ID)
	if IsNotFound(err) {
		return false, nil // deleted meanwhile
	}
	if err != nil {
		return false, err
	}
	return HasKey(source, key), nil
}
