package fedbus

import (
	"strconv"
	"strings"

	"millrace/clients/wire"
	"millrace/models"
)

func parseScan(body []byte, action models.Action) (*models.Message, string, error) {
	var in struct {
		TaskID  int64  `json:"task_id"`
		Status  string `json:"status"` // success, cancel, interrupt or fail; not at the start
		Added   string `json:"added.js"`
		Fixed   string `json:"fixed.js"`
		Results string `json:"scan-results.js"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	if in.TaskID <= 0 {
		return nil, "it does not say which task", nil
	}
	m := &models.Message{
		Kind:       models.ScanEvent,
		Action:     action,
		ExternalID: strconv.FormatInt(in.TaskID, 10),
		State:      strings.ToLower(in.Status),
	}
	if action == models.Started {
		return m, "", nil
	}
	if m.State == "" {
		return nil, "it does not say how the scan ended", nil
	}
	for name, address := range map[string]string{"added": in.Added, "fixed": in.Fixed, "all": in.Results} {
		if address = wire.WebURL(address); address != "" {
			if m.Reports == nil {
				m.Reports = make(map[string]string)
			}
			m.Reports[name] = address
		}
	}
	return m, "", nil
}
