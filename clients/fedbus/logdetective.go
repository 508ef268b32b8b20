package fedbus

import (
	"encoding/json"
	"strings"

	"millrace/clients/wire"
	"millrace/models"
)

// parseAnalysis reads why Log Detective thinks a build failed. The message is
// the only way to learn it.
func parseAnalysis(body []byte) (*models.Message, string, error) {
	var in struct {
		ID          string `json:"log_detective_analysis_id"`
		Status      string `json:"status"`
		TargetBuild string `json:"target_build"`
		BuildSystem string `json:"build_system"`
		ProjectURL  string `json:"project_url"`
		CommitSHA   string `json:"commit_sha"`
		PR          int    `json:"pr_id"`
		ErrorMsg    string `json:"error_msg"`
		Response    *struct {
			Explanation json.RawMessage `json:"explanation"`
			Solution    json.RawMessage `json:"solution"`
		} `json:"log_detective_response"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	m := &models.Message{
		Kind:        models.AnalysisEvent,
		Action:      models.Ended,
		ExternalID:  in.ID,
		State:       strings.ToLower(in.Status),
		BuildSystem: strings.ToLower(in.BuildSystem),
		AnalyzedID:  in.TargetBuild,
		ProjectURL:  wire.WebURL(in.ProjectURL),
		Commit:      wire.Hash(in.CommitSHA),
		PR:          max(0, in.PR),
		Text:        in.ErrorMsg,
	}
	if m.State == "running" {
		m.Action = models.Started
	}
	if r := in.Response; r != nil {
		m.Text = strings.TrimSpace(text(r.Explanation) + "\n\n" + text(r.Solution))
	}
	const longest = 100
	if !wire.Printable(m.ExternalID, longest) || !wire.Printable(m.State, longest) {
		return nil, "it does not say which analysis, or in which state", nil
	}
	return m, "", nil
}

// text reads {"text": "..."}, or the text alone as older versions sent it.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var object struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &object) == nil {
		return object.Text
	}
	return ""
}
