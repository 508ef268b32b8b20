package fedbus

import (
	"encoding/json"
	"strconv"
	"strings"

	"millrace/clients/wire"
	"millrace/models"
)

// Koji's numbers for the states of builds, as its messages have them.
// https://pagure.io/koji/blob/master/f/koji/__init__.py
var kojiBuildStates = map[int]string{
	0: "building", 1: "complete", 2: "deleted", 3: "failed", 4: "canceled",
}

func parseKojiBuild(body []byte) (*models.Message, string, error) {
	var in struct {
		BuildID int64           `json:"build_id"`
		TaskID  int64           `json:"task_id"`
		Name    string          `json:"name"`
		Version string          `json:"version"`
		Release string          `json:"release"`
		Owner   string          `json:"owner"`
		New     *int            `json:"new"`
		Request json.RawMessage `json:"request"`
		URL     string          `json:"url"`
		Task    *struct {
			Request json.RawMessage `json:"request"`
		} `json:"task"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	if in.BuildID <= 0 || in.New == nil {
		return nil, "it does not say which build, or in which state", nil
	}
	state, ok := kojiBuildStates[*in.New]
	switch {
	case !ok:
		return nil, "the build has a state that is not known: " + strconv.Itoa(*in.New), nil
	case state == "deleted":
		return nil, "the build was deleted", nil
	case !packageName.MatchString(in.Name):
		return nil, "it does not name the package", nil
	}
	m := &models.Message{
		Kind:       models.KojiBuildEvent,
		Action:     models.Ended,
		ExternalID: strconv.FormatInt(in.BuildID, 10),
		State:      state,
		Package:    in.Name,
		NVR:        nvr(in.Name, in.Version, in.Release),
		Actor:      in.Owner,
		URL:        wire.WebURL(in.URL),
	}
	if state == "building" {
		m.Action = models.Started
	}
	if in.TaskID > 0 {
		m.TaskID = strconv.FormatInt(in.TaskID, 10)
	}
	if in.Task != nil && len(in.Request) == 0 {
		in.Request = in.Task.Request
	}
	var target string
	m.ProjectURL, m.Commit, target = kojiRequest(in.Request)
	// Fedora's targets are named like the branch they build, with this suffix
	// on the older branches; side tags have targets that are no branch.
	if branch := strings.TrimSuffix(target, "-candidate"); !strings.Contains(branch, "-side-") {
		m.Branch = wire.RefName(branch)
	}
	return m, "", nil
}

// kojiRequest reads what a build was asked for with: where its sources are and
// the target. Builds that were not made from git have none of it.
func kojiRequest(raw json.RawMessage) (project, commit, target string) {
	var request []json.RawMessage
	if json.Unmarshal(raw, &request) != nil || len(request) < 2 {
		return "", "", ""
	}
	var source string
	if json.Unmarshal(request[0], &source) != nil || json.Unmarshal(request[1], &target) != nil {
		return "", "", ""
	}
	address, ref, ok := strings.Cut(source, "#")
	if !ok {
		return "", "", target
	}
	// Between "?" and "#" Koji allows a directory of the repository.
	address, _, _ = strings.Cut(strings.TrimPrefix(address, "git+"), "?")
	return wire.WebURL(strings.TrimSuffix(strings.TrimRight(address, "/"), ".git")), wire.Hash(ref), target
}

// parseKojiTask reads about a scratch build: Koji tells of no other tasks.
func parseKojiTask(body []byte) (*models.Message, string, error) {
	var in struct {
		ID     int64  `json:"id"`
		New    string `json:"new"`
		Owner  string `json:"owner"`
		Method string `json:"method"`
		SRPM   string `json:"srpm"`
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	if in.ID <= 0 || in.New == "" {
		return nil, "it does not say which task, or in which state", nil
	}
	if in.Method != "" && in.Method != "build" {
		return nil, "nothing is done for tasks of the method " + wire.Quote(in.Method), nil
	}
	m := &models.Message{
		Kind:       models.KojiTaskEvent,
		ExternalID: strconv.FormatInt(in.ID, 10),
		State:      strings.ToLower(in.New),
		Actor:      in.Owner,
	}
	// The original dropped tasks that wait for a builder ("free").
	switch m.State {
	case "free", "open", "assigned":
		m.Action = models.Started
	case "closed", "failed", "canceled":
		m.Action = models.Ended
	default:
		return nil, "the task has a state that is not known: " + wire.Quote(in.New), nil
	}
	name := strings.TrimSuffix(in.SRPM[strings.LastIndexByte(in.SRPM, '/')+1:], ".src.rpm")
	if parts := strings.Split(name, "-"); name != in.SRPM && len(parts) >= 3 {
		n := len(parts)
		m.Package = strings.Join(parts[:n-2], "-")
		if m.NVR = nvr(m.Package, parts[n-2], parts[n-1]); m.NVR == "" {
			m.Package = ""
		}
	}
	return m, "", nil
}

func (p Parser) parseKojiTag(body []byte) (*models.Message, string, error) {
	var in struct {
		BuildID int64  `json:"build_id"`
		Tag     string `json:"tag"`
		Name    string `json:"name"`
		Version string `json:"version"`
		Release string `json:"release"`
		User    string `json:"user"`  // who tagged
		Owner   string `json:"owner"` // who built
	}
	if err := wire.Decode(body, &in); err != nil {
		return nil, "", err
	}
	m := &models.Message{
		Kind:       models.KojiTagEvent,
		Action:     models.Created,
		ExternalID: strconv.FormatInt(in.BuildID, 10),
		Tag:        wire.RefName(in.Tag), // Koji's tag, not git's
		Package:    in.Name,
		NVR:        nvr(in.Name, in.Version, in.Release),
		Actor:      in.User,
	}
	if m.Actor == "" {
		m.Actor = in.Owner
	}
	switch {
	case in.BuildID <= 0 || m.Tag == "":
		return nil, "it does not say which build was tagged, or how", nil
	case !packageName.MatchString(in.Name):
		return nil, "it does not name the package", nil
	}
	m.ProjectURL = p.distGit("rpms/" + in.Name)
	return m, "", nil
}
