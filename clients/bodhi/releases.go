package bodhi

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"millrace/models"
)

// maxPages is how many pages of releases are read. There are two or three.
const maxPages = 50

// Releases lists the releases that get updates or will get them, those that
// aliases are made of, by name. It calls Bodhi once for each hundred. An answer
// without any Fedora is an error: nothing could be built after believing it.
func (c *Client) Releases(ctx context.Context) (models.Releases, error) {
	var all models.Releases
	for page := 1; ; page++ {
		var answer struct {
			Releases models.Releases `json:"releases"`
			Pages    int             `json:"pages"`
		}
		query := url.Values{
			"state":         {"current", "pending", "frozen"},
			"rows_per_page": {"100"},
			"page":          {strconv.Itoa(page)},
		}
		if err := c.get(ctx, "releases.list", "/releases/", query, &answer); err != nil {
			return nil, fmt.Errorf("listing releases: %w", err)
		}
		for _, r := range answer.Releases {
			// A release may appear twice if another was added between pages.
			if !slices.ContainsFunc(all, func(o models.Release) bool { return o.Name == r.Name }) {
				all = append(all, r)
			}
		}
		if page >= answer.Pages || len(answer.Releases) == 0 {
			break
		}
		if page == maxPages {
			return nil, fmt.Errorf("listing releases: there are %d pages, more than %d", answer.Pages, maxPages)
		}
	}
	if !slices.ContainsFunc(all, func(r models.Release) bool { return r.IDPrefix == "FEDORA" && r.Name != "ELN" }) {
		return nil, errNoFedora
	}
	return all, nil
}

var errNoFedora = errors.New("listing releases: the answer has no release of Fedora")

// LastKnownDate is the day for which LastKnown is right.
const LastKnownDate = "2026-11-20"

// In the shape of Bodhi's answer, cut to the fields we use. Bring
// LastKnownDate up to date with it.
//
//go:embed releases.json
var lastKnown []byte

// LastKnown are the releases this program was made with. They are for a fresh
// machine that cannot reach Bodhi, and for looking at configs offline.
func LastKnown() models.Releases {
	var answer struct{ Releases models.Releases }
	// The file is part of the program, and a test reads it.
	_ = json.Unmarshal(lastKnown, &answer)
	return answer.Releases
}
