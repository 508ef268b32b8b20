package fedbus

import (
	"regexp"

	"millrace/clients/wire"
	"millrace/models"
)

var updateAlias = regexp.MustCompile(`^[A-Z][A-Z0-9-]{0,40}-[0-9]{4}-[0-9a-f]{4,40}$`)

// maxBuilds is how many builds of an update are read.
const maxBuilds = 1000

// parseUpdate reads about an update: whatever happened to it, who wants to know
// more asks Bodhi.
func parseUpdate(body []byte) (*models.Message, string, error) {
	var in struct {
		Update *struct {
			Alias  string `json:"alias"`
			Status string `json:"status"`
			URL    string `json:"url"`
			Builds []struct {
				NVR string `json:"nvr"`
			} `json:"builds"`
		} `json:"update"`
		Comment *struct {
			Update *struct {
				Alias string `json:"alias"`
			} `json:"update"`
		} `json:"comment"`
		Agent string `json:"agent"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	m := &models.Message{Kind: models.BodhiUpdateEvent, Action: models.Updated, Actor: in.Agent}
	switch {
	case in.Update != nil:
		m.ExternalID, m.State, m.URL = in.Update.Alias, in.Update.Status, wire.WebURL(in.Update.URL)
		for _, b := range in.Update.Builds[:min(len(in.Update.Builds), maxBuilds)] {
			m.Builds = append(m.Builds, b.NVR)
		}
	case in.Comment != nil && in.Comment.Update != nil:
		m.ExternalID = in.Comment.Update.Alias
	}
	if !updateAlias.MatchString(m.ExternalID) {
		return nil, "it does not say which update it is about", nil
	}
	return m, "", nil
}
