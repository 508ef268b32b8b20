package pagurefake

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"millrace/clients/git/fakeforge"
	"millrace/clients/git/gitserver"
)

// topics are the names of events on the bus.
var topics = map[fakeforge.EventKind]string{
	fakeforge.Opened: "pagure.pull-request.new", fakeforge.Updated: "pagure.pull-request.updated", fakeforge.Rebased: "pagure.pull-request.rebased",
	fakeforge.Edited: "pagure.pull-request.initial_comment.edited", fakeforge.Commented: "pagure.pull-request.comment.added",
	fakeforge.Closed: "pagure.pull-request.closed", fakeforge.Reopened: "pagure.pull-request.reopened",
	fakeforge.Flagged: "pagure.pull-request.flag.added", fakeforge.Reflagged: "pagure.pull-request.flag.updated",
	fakeforge.IssueOpened: "pagure.issue.new", fakeforge.IssueSaid: "pagure.issue.comment.added", fakeforge.IssueClosed: "pagure.issue.edit",
}

// message is what Pagure says about an event; no topic if it says nothing.
func (f *Fake) message(e fakeforge.Event) (topic string, body object) {
	base := f.config.URL
	project := f.projectJSON(base, e.Repo)
	switch {
	case e.Kind == fakeforge.Pushed:
		return f.pushMessage(e, project)
	case e.Flag != nil && e.Pull == nil:
		topic := "pagure.commit.flag.added"
		if e.Kind == fakeforge.Reflagged {
			topic = "pagure.commit.flag.updated"
		}
		return topic, object{"repo": project, "flag": f.flagJSON(base, *e.Flag), "agent": e.Actor}
	case e.Issue != nil:
		return topics[e.Kind], object{"issue": f.issueJSON(base, e.Repo.Path, e.Issue), "project": project, "agent": e.Actor}
	}
	// Pagure leaves comments out of what it notices by itself.
	changed := e.Kind == fakeforge.Updated || e.Kind == fakeforge.Rebased || e.Kind == fakeforge.Edited
	body = object{"pullrequest": f.pullJSON(base, e.Repo.Path, e.Pull, !changed), "agent": e.Actor}
	switch {
	case e.Kind == fakeforge.Closed:
		body["merged"] = e.Pull.State == fakeforge.Merged
	case e.Flag != nil:
		body["flag"] = f.flagJSON(base, *e.Flag)
	case e.Kind == fakeforge.Edited:
		body["project"] = project
	}
	return topics[e.Kind], body
}

// pushMessage is about a branch that has other commits. Tags and branches that
// are gone have topics that nobody listens to.
func (f *Fake) pushMessage(e fakeforge.Event, project object) (topic string, body object) {
	branch, ok := strings.CutPrefix(e.Push.Ref, "refs/heads/")
	if !ok || e.Push.After == gitserver.ZeroSHA {
		return "", nil
	}
	authors := []object{}
	for _, name := range e.Push.Authors {
		authors = append(authors, object{"name": name, "fullname": name})
	}
	files := e.Push.Files
	if files == nil {
		files = map[string]string{}
	}
	var pull any
	if e.Push.Pull != 0 {
		pull = e.Push.Pull
	}
	return "pagure.git.receive", object{
		"repo": project, "agent": e.Actor, "branch": branch, "forced": e.Push.Forced, "authors": authors, "total_commits": e.Push.Commits,
		"start_commit": cmp.Or(e.Push.First, e.Push.After), "end_commit": e.Push.After, "old_commit": e.Push.Before, "changed_files": files, "pull_request_id": pull,
	}
}

// publish sends what an event is on the bus, as far as the bus works.
func (f *Fake) publish(e fakeforge.Event) {
	topic, in := f.message(e)
	if topic == "" {
		return
	}
	in["topic"] = f.config.Topic + "." + topic
	body, err := json.Marshal(in)
	if err != nil {
		f.config.Log.Error("a message could not be written", "topic", topic, "error", err)
		return
	}
	f.mu.Lock()
	lose, double := every(f.faults.LoseEvery, &f.nth.lose), every(f.faults.DoubleEvery, &f.nth.double)
	late := f.faults.Late
	f.mu.Unlock()
	send := func() {
		for range map[bool]int{false: 1, true: 2}[double] {
			f.config.Publish(f.config.Topic+"."+topic, body)
		}
	}
	switch {
	case lose:
	case late > 0:
		f.working.Go(func() {
			select {
			case <-time.After(late):
				send()
			case <-f.closed:
			}
		})
	default:
		send()
	}
}
