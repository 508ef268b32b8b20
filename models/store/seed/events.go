package seed

import (
	"fmt"
	"time"

	"millrace/models"
)

// config is what projects have in their package config.
const config = `specfile_path: %[1]s.spec
upstream_package_name: %[1]s
downstream_package_name: %[1]s
jobs:
  - job: copr_build
    trigger: pull_request
    targets: %[2]v
  - job: tests
    trigger: pull_request
  - job: copr_build
    trigger: commit
    branch: %[3]s
  - job: copr_build
    trigger: release
`

// happening is an event and the commit it happened at.
type happening struct {
	project *project
	commit  *models.Commit
	event   *models.Event
}

// someHappening makes up an event that a pipeline is planned for.
func (m *maker) someHappening(at time.Time) happening {
	p := m.someProject()
	switch n := m.rand.IntN(100); {
	case n < 68:
		return m.pullRequest(p, nil, at)
	case n < 92:
		c := m.commit(p, models.BranchRef, p.branch, title(m.rand), at)
		return happening{p, c, m.event(p, c, models.PushEvent, "", at)}
	}
	p.version++
	tag := fmt.Sprintf("v1.%d.%d", p.version/4, p.version%4)
	c := m.commit(p, models.ReleaseRef, tag, "Release "+tag, at)
	return happening{p, c, m.event(p, c, models.ReleaseEvent, models.Created, at)}
}

// pullRequest is a new pull request, or a push to an open one: to that of before
// if it is given.
func (m *maker) pullRequest(p *project, before *models.Commit, at time.Time) happening {
	if before == nil && len(p.open) > 0 && m.rand.IntN(5) < 3 {
		before = p.open[m.rand.IntN(len(p.open))]
	}
	action := models.Updated
	if before == nil {
		action = models.Opened
		p.number += 1 + m.rand.IntN(3)
		before = &models.Commit{Ref: fmt.Sprint(p.number), Title: title(m.rand), Author: pick(m.rand, people)}
		p.open = append(p.open, before)
		if len(p.open) > 4 {
			p.open = p.open[1:]
		}
	}
	c := m.commit(p, models.PullRequestRef, before.Ref, before.Title, at)
	c.TargetRef, c.Author = p.branch, before.Author
	c.SourceURL = m.ForgeURL + "/" + c.Author + "/" + p.Name
	e := m.event(p, c, models.PullRequestEvent, action, at)
	e.Actor = c.Author
	return happening{p, c, e}
}

func (m *maker) commit(p *project, kind models.RefKind, ref, title string, at time.Time) *models.Commit {
	m.commitID++
	c := &models.Commit{
		ID: m.commitID, ProjectID: p.ID, Kind: kind, Ref: ref, SHA: hex(m.rand, 40), Title: title,
		Author: pick(m.rand, people), CreatedAt: at,
	}
	m.batch.commits = append(m.batch.commits, c)
	return c
}

// event is an event with its delivery.
func (m *maker) event(p *project, c *models.Commit, kind models.EventKind, action models.Action, at time.Time) *models.Event {
	m.deliveryID++
	m.eventID++
	d := &models.Delivery{
		ID: m.deliveryID, Source: models.FromGitHub, Type: string(kind), Size: 6000 + m.rand.IntN(20000),
		Key:        fmt.Sprintf("%s-%s-%s", hex(m.rand, 8), hex(m.rand, 4), hex(m.rand, 12)),
		ReceivedAt: at.Add(-time.Second), HandledAt: at,
	}
	e := &models.Event{
		ID: m.eventID, DeliveryID: d.ID, ProjectID: p.ID, CommitID: c.ID, Kind: kind, Action: action, Actor: c.Author,
		State: models.EventPlanned, CreatedAt: at, DecidedAt: at.Add(700 * time.Millisecond),
		ConfigFile: ".packit.yaml", ConfigSHA: c.SHA,
		Message: &models.Message{
			Kind: kind, Action: action, ProjectURL: p.URL, Commit: c.SHA, Actor: c.Author, Title: c.Title,
			URL: p.URL + "/commit/" + c.SHA,
		},
	}
	switch kind {
	case models.PullRequestEvent:
		fmt.Sscan(c.Ref, &e.Message.PR)
		e.Message.TargetBranch, e.Message.URL = p.branch, p.URL+"/pull/"+c.Ref
	case models.ReleaseEvent:
		e.Message.Tag, e.Message.URL = c.Ref, p.URL+"/releases/tag/"+c.Ref
	case models.PushEvent:
		e.Message.Branch = c.Ref
	}
	if m.Pipelines < 1000 || m.rand.IntN(10) == 0 { // of a full history most texts were dropped
		e.ConfigText = fmt.Sprintf(config, p.Name, p.chroots, p.branch)
	}
	m.batch.deliveries = append(m.batch.deliveries, d)
	m.batch.events = append(m.batch.events, e)
	return e
}

// noise is what arrives besides: comments, labels, messages that ask for nothing.
func (m *maker) noise(h happening, at time.Time) {
	for range m.rand.IntN(2) {
		e := m.event(h.project, h.commit, models.CommentEvent, models.Created, at.Add(time.Duration(m.rand.IntN(600))*time.Second))
		if e.CreatedAt.After(m.Now) {
			e.CreatedAt = m.Now
		}
		e.DecidedAt = e.CreatedAt
		e.Actor, e.State = pick(m.rand, people), models.EventNothing
		e.Reason = "The comment is no command."
		e.ConfigFile, e.ConfigSHA, e.ConfigText = "", "", ""
		e.Message.Comment = "Looks good to me, thanks!"
	}
}
