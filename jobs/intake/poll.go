package intake

import (
	"encoding/json"

	"millrace/clients/wire"
	"millrace/models"
)

// parsePoll reads what we found out by asking, or took from another message, and wrote
// down as a message. It takes
// no more of it than is written.
func parsePoll(body []byte) (*models.Message, string, error) {
	var in models.Message
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, "", err
	}
	switch in.Kind {
	case models.PushEvent, models.KojiBuildEvent, models.KojiTagEvent, models.UpstreamVersionEvent:
	default:
		return nil, "nobody asks for what it tells of", nil
	}
	return &models.Message{
		Kind: in.Kind, Action: in.Action, ProjectURL: wire.WebURL(in.ProjectURL), Branch: wire.RefName(in.Branch), Tag: wire.RefName(in.Tag),
		Commit: wire.Hash(in.Commit), PR: max(in.PR, 0), Actor: in.Actor, ExternalID: in.ExternalID, TaskID: in.TaskID, State: in.State,
		Package: in.Package, NVR: in.NVR, Title: in.Title, URL: wire.WebURL(in.URL),
		Versions: in.Versions, Newer: in.Newer, UpstreamID: in.UpstreamID,
	}, "", nil
}
