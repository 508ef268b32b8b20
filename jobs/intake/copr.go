package intake

import (
	"fmt"
	"strconv"

	"millrace/clients/copr"
	"millrace/models"
)

func parseCopr(topic string, body []byte) (*models.Message, string, error) {
	in, err := copr.ParseMessage(topic, body)
	if err != nil {
		return nil, "", fmt.Errorf("reading it as one of Copr: %w", err)
	}
	m := &models.Message{
		Kind:        models.CoprBuildEvent,
		Action:      models.Started,
		ExternalID:  strconv.FormatInt(in.BuildID, 10),
		Target:      in.Chroot,
		State:       in.State,
		Package:     in.Package,
		Actor:       in.User,
		Owner:       in.Owner,
		CoprProject: in.Project,
	}
	if in.Ended {
		m.Action = models.Ended
	}
	return m, "", nil
}
