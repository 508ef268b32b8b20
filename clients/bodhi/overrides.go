package bodhi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// Override is a build that others are built against before it is stable.
type Override struct {
	NVR       string
	Notes     string
	Submitter string
	Submitted time.Time // UTC
	Expires   time.Time // when it ends by itself
	Expired   time.Time // when it ended; zero if it has not
}

// UnmarshalJSON reads an override in Bodhi's words.
func (o *Override) UnmarshalJSON(b []byte) error {
	var in struct {
		NVR       string  `json:"nvr"`
		Notes     string  `json:"notes"`
		Submitter *author `json:"submitter"`
		Submitted stamp   `json:"submission_date"`
		Expires   stamp   `json:"expiration_date"`
		Expired   stamp   `json:"expired_date"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*o = Override{in.NVR, in.Notes, in.Submitter.name(), in.Submitted.Time, in.Expires.Time, in.Expired.Time}
	return nil
}

// MaxOverride is for how long a build may override.
const MaxOverride = 31 * 24 * time.Hour

// Override returns the override of a build. Without one the error is IsNotFound.
func (c *Client) Override(ctx context.Context, nvr string) (*Override, error) {
	var answer struct {
		Override *Override `json:"override"`
	}
	if err := c.get(ctx, "overrides.get", "/overrides/"+url.PathEscape(nvr), nil, &answer); err != nil {
		return nil, fmt.Errorf("reading the override of %s: %w", nvr, err)
	}
	if answer.Override == nil {
		return nil, fmt.Errorf("reading the override of %s: the answer has none", nvr)
	}
	return answer.Override, nil
}

// CreateOverride lets others be built against a build until a time, at most
// MaxOverride from now.
func (c *Client) CreateOverride(ctx context.Context, nvr, notes string, until time.Time) (*Override, error) {
	o, err := c.override(ctx, "overrides.create", map[string]any{"nvr": nvr, "notes": notes, "expiration_date": until.UTC().Format(time.DateTime)})
	if err != nil {
		return nil, fmt.Errorf("creating an override of %s: %w", nvr, err)
	}
	return o, nil
}

// ExpireOverride ends an override now.
func (c *Client) ExpireOverride(ctx context.Context, o *Override) (*Override, error) {
	ended, err := c.override(ctx, "overrides.expire", map[string]any{
		"nvr": o.NVR, "edited": o.NVR, "notes": o.Notes, "expiration_date": o.Expires.UTC().Format(time.DateTime), "expired": true,
	})
	if err != nil {
		return nil, fmt.Errorf("ending the override of %s: %w", o.NVR, err)
	}
	return ended, nil
}

func (c *Client) override(ctx context.Context, operation string, body map[string]any) (*Override, error) {
	o := new(Override)
	err := c.write(ctx, operation, "/overrides/", func(csrf string) any {
		body["csrf_token"] = csrf
		return body
	}, o)
	if err != nil {
		return nil, err
	}
	return o, nil
}
