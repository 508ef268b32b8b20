package fedbus_test

import (
	"strconv"
	"strings"
	"testing"

	"millrace/clients/fedbus"
	"millrace/models"

	"github.com/google/go-cmp/cmp"
)

const (
	hashA  = "1111111111111111111111111111111111111111"
	hashB  = "2222222222222222222222222222222222222222"
	prefix = "org.fedoraproject.prod."
	distro = "https://src.fedoraproject.org"
)

func kojiBuild(state, request string) string {
	return `{"build_id": 500, "task_id": 600, "name": "mill", "version": "1.0", "release": "3.fc43", "epoch": null, "owner": "carl",
		"old": null, "new": ` + state + `, "request": ` + request + `}`
}

const fromGit = `["git+https://src.fedoraproject.org/rpms/mill.git?#` + hashA + `", "f43-candidate", {}]`

func kojiTask(state, srpm string) string {
	return `{"id": 600, "new": "` + state + `", "old": "FREE", "owner": "carl", "method": "build", "srpm": "` + srpm + `", "info": {"children": []}}`
}

func pullRequest(more string) string {
	return `{"agent": "pagure", ` + more + `"pullrequest": {"id": 12, "title": "Turn", "branch": "f43", "branch_from": "turn", "commit_stop": "` + hashA + `",
		"full_url": "https://src.fedoraproject.org/rpms/mill/pull-request/12", "project": {"full_url": "https://src.fedoraproject.org/rpms/mill"},
		"repo_from": {"full_url": "https://src.fedoraproject.org/fork/ann/rpms/mill"}, "user": {"name": "ann"}, "tags": ["ready"], "remote_git": null,
		"comments": [{"id": 1, "comment": "old", "user": {"name": "x"}}, {"id": 2, "comment": "/packit build", "user": {"name": "bob"}}]}}`
}

func release(distro, versions string) string {
	return `{"message": {"upstream_versions": ` + versions + `, "packages": [{"distro": "Fedora", "package_name": "mill"}, {"distro": "` + distro + `", "package_name": "mill-el"}]},
		"project": {"id": 42, "name": "Mill"}}`
}

func hotness(name, versions string) string {
	return `{"package": "` + name + `", "bug": {"bug_id": 9000}, "trigger": {"topic": "x", "msg": ` + release("Debian", versions) + `}}`
}

func TestEvents(t *testing.T) {
	t.Parallel()
	built := models.Message{
		Kind: models.KojiBuildEvent, Action: models.Ended, ProjectURL: distro + "/rpms/mill", Branch: "f43", Commit: hashA, Actor: "carl",
		ExternalID: "500", TaskID: "600", State: "complete", Package: "mill", NVR: "mill-1.0-3.fc43",
	}
	with := func(m models.Message, change func(*models.Message)) *models.Message {
		change(&m)
		return &m
	}
	proposed := models.Message{
		Kind: models.PullRequestEvent, Action: models.Opened, ProjectURL: distro + "/rpms/mill", SourceProjectURL: distro + "/fork/ann/rpms/mill",
		PR: 12, Branch: "turn", TargetBranch: "f43", Commit: hashA, Actor: "ann", Author: "ann", Title: "Turn", Labels: []string{"ready"},
		URL: distro + "/rpms/mill/pull-request/12",
	}
	flag := pullRequest(`"flag": {"username": "CI", "status": "Success", "comment": "fine", "commit_hash": "` + hashB + `", "url": "https://ci.example.org/1"}, `)
	flagged := with(proposed, func(m *models.Message) {
		m.Kind, m.Action, m.Actor, m.Commit, m.URL = models.FlagEvent, models.Updated, "pagure", hashB, "https://ci.example.org/1"
		m.CheckName, m.State, m.Text = "CI", "success", "fine"
	})
	tests := []struct {
		name, topic, body string
		want              *models.Message
	}{
		{"build complete", "buildsys.build.state.change", kojiBuild("1", fromGit), &built},
		{"update", "bodhi.update.request.testing", `{"agent": "ann", "update": {"alias": "FEDORA-2026-0a1b2c3d4e", "status": "pending",
			"url": "https://bodhi.example.org/updates/FEDORA-2026-0a1b2c3d4e", "builds": [{"nvr": "mill-1.0-3.fc43"}]}}`, &models.Message{
			Kind: models.BodhiUpdateEvent, Action: models.Updated, Actor: "ann", ExternalID: "FEDORA-2026-0a1b2c3d4e", State: "pending",
			URL: "https://bodhi.example.org/updates/FEDORA-2026-0a1b2c3d4e", Builds: []string{"mill-1.0-3.fc43"},
		}},
		{"comment on an update", "bodhi.update.comment", `{"agent": "bob", "comment": {"karma": 1, "update": {"alias": "FEDORA-EPEL-2026-0a1b2c3d4e"}}}`, &models.Message{
			Kind: models.BodhiUpdateEvent, Action: models.Updated, Actor: "bob", ExternalID: "FEDORA-EPEL-2026-0a1b2c3d4e",
		}},
		{"build started", "buildsys.build.state.change", kojiBuild("0", fromGit), with(built, func(m *models.Message) {
			m.Action, m.State = models.Started, "building"
		})},
		{"build in a side tag", "buildsys.build.state.change", kojiBuild("3", strings.Replace(fromGit, "f43-candidate", "f43-build-side-7", 1)),
			with(built, func(m *models.Message) { m.State, m.Branch = "failed", "" })},
		{"imported build", "buildsys.build.state.change", kojiBuild("1", "null"), with(built, func(m *models.Message) {
			m.ProjectURL, m.Commit, m.Branch = "", "", ""
		})},
		{"build of an odd request", "buildsys.build.state.change", kojiBuild("1", `{"a": [1]}`), with(built, func(m *models.Message) {
			m.ProjectURL, m.Commit, m.Branch = "", "", ""
		})},
		{"scratch build waits", "buildsys.task.state.change", kojiTask("FREE", "mill-wheel-1.0-3.fc43.src.rpm"), &models.Message{
			Kind: models.KojiTaskEvent, Action: models.Started, ExternalID: "600", State: "free", Actor: "carl", Package: "mill-wheel", NVR: "mill-wheel-1.0-3.fc43",
		}},
		{"scratch build failed", "buildsys.task.state.change", kojiTask("FAILED", "x.src.rpm"), &models.Message{
			Kind: models.KojiTaskEvent, Action: models.Ended, ExternalID: "600", State: "failed", Actor: "carl",
		}},
		{"tagged", "buildsys.tag", `{"build_id": 500, "tag": "f43-build-side-7", "name": "mill", "version": "1.0", "release": "3.fc43", "user": "bodhi", "owner": "carl"}`,
			&models.Message{Kind: models.KojiTagEvent, Action: models.Created, ProjectURL: distro + "/rpms/mill", Tag: "f43-build-side-7", Actor: "bodhi",
				ExternalID: "500", Package: "mill", NVR: "mill-1.0-3.fc43"}},
		{"push", "pagure.git.receive", `{"agent": "ann", "branch": "rawhide", "old_commit": "` + hashB + `", "end_commit": "` + hashA + `", "pull_request_id": null,
			"changed_files": {"sources": "M", "mill.spec": "M"}, "repo": {"name": "mill", "namespace": "rpms"}}`, &models.Message{
			Kind: models.PushEvent, ProjectURL: distro + "/rpms/mill", Branch: "rawhide", Commit: hashA, CommitBefore: hashB, Actor: "ann", Changed: []string{"mill.spec", "sources"},
		}},
		{"merge", "pagure.git.receive", `{"agent": "pagure", "branch": "f43", "end_commit": "` + hashA + `", "pull_request_id": 12,
			"repo": {"name": "mill", "namespace": null, "full_url": "https://pagure.io/mill"}}`, &models.Message{
			Kind: models.PushEvent, ProjectURL: "https://pagure.io/mill", Branch: "f43", PR: 12, Commit: hashA, Actor: "pagure",
		}},
		{"pull request", "pagure.pull-request.new", pullRequest(""), &proposed},
		{"rebased", "pagure.pull-request.rebased", pullRequest(""), with(proposed, func(m *models.Message) { m.Action = models.Updated })},
		{"fork is gone", "pagure.pull-request.new", strings.Replace(pullRequest(""), `{"full_url": "https://src.fedoraproject.org/fork/ann/rpms/mill"}`, "null", 1),
			with(proposed, func(m *models.Message) { m.SourceProjectURL = m.ProjectURL })},
		{"last comment", "pagure.pull-request.comment.added", strings.Replace(pullRequest(""), `"pagure"`, `"bob"`, 1), with(proposed, func(m *models.Message) {
			m.Kind, m.Action, m.Actor, m.Author = models.CommentEvent, models.Created, "bob", "bob"
			m.Comment, m.CommentID, m.CommentOn = "/packit build", 2, "pull_request"
		})},
		{"flag", "pagure.pull-request.flag.updated", flag, flagged},
		{"new version in Fedora", "hotness.update.bug.file", hotness("mill", `["1.1", "1.2"]`), &models.Message{
			Kind: models.UpstreamVersionEvent, ProjectURL: distro + "/rpms/mill", Package: "mill", Versions: []string{"1.1", "1.2"}, Bug: 9000, UpstreamID: 42, Title: "Mill",
		}},
		{"scan started", "openscanhub.task.started", `{"task_id": 15}`, &models.Message{Kind: models.ScanEvent, Action: models.Started, ExternalID: "15"}},
		{"scan finished", "openscanhub.task.finished", `{"task_id": 15, "status": "success", "added.js": "https://scan.example.org/15/added.js", "fixed.js": "javascript:x",
			"scan-results.js": "https://scan.example.org/15/all.js"}`, &models.Message{
			Kind: models.ScanEvent, Action: models.Ended, ExternalID: "15", State: "success",
			Reports: map[string]string{"added": "https://scan.example.org/15/added.js", "all": "https://scan.example.org/15/all.js"},
		}},
		{"analysis", "logdetective.analysis", `{"log_detective_analysis_id": "a-1", "status": "complete", "target_build": "600", "build_system": "koji", "pr_id": 12,
			"commit_sha": "` + hashA + `", "project_url": "` + distro + `/rpms/mill", "error_msg": null,
			"log_detective_response": {"explanation": {"text": "No water."}, "solution": {"text": "Rain."}}}`, &models.Message{
			Kind: models.AnalysisEvent, Action: models.Ended, ExternalID: "a-1", State: "complete", AnalyzedID: "600", BuildSystem: "koji", PR: 12, Commit: hashA,
			ProjectURL: distro + "/rpms/mill", Text: "No water.\n\nRain.",
		}},
		{"analysis that failed", "logdetective.analysis", `{"log_detective_analysis_id": "a-1", "status": "error", "error_msg": "no model", "log_detective_response": null}`,
			&models.Message{Kind: models.AnalysisEvent, Action: models.Ended, ExternalID: "a-1", State: "error", Text: "no model"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, reason, err := fedbus.Parser{}.ParseEvent(prefix+tt.topic, []byte(tt.body))
			if err != nil || reason != "" {
				t.Fatalf("reason %q, error %v", reason, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOtherSites(t *testing.T) {
	t.Parallel()
	p := fedbus.Parser{DistGit: "https://git.example.org/", StreamDistGit: "https://stream.example.org"}
	for topic, want := range map[string][2]string{
		"org.example.stg.hotness.update.bug.file":                      {hotness("mill", `["2"]`), "https://git.example.org/rpms/mill"},
		"org.release-monitoring.prod.anitya.project.version.update.v2": {release("CentOS", `["2"]`), "https://stream.example.org/rpms/mill-el"},
	} {
		m, reason, err := p.ParseEvent(topic, []byte(want[0]))
		if err != nil || m == nil || m.ProjectURL != want[1] {
			t.Errorf("%s: %+v, reason %q, error %v; want project %s", topic, m, reason, err, want[1])
		}
	}
}

func TestNoEvents(t *testing.T) {
	t.Parallel()
	many := make([]string, 501)
	for i := range many {
		many[i] = `"f` + strconv.Itoa(i) + `": "A"`
	}
	tests := []struct{ name, topic, body, reason string }{
		{"unknown topic", "meetbot.meeting.start", `{}`, "meetbot"},
		{"update without alias", "bodhi.update.edit", `{"update": {"alias": "../x"}}`, "which update"},
		{"build deleted", "buildsys.build.state.change", kojiBuild("2", "null"), "deleted"},
		{"build in an unknown state", "buildsys.build.state.change", kojiBuild("9", "null"), "9"},
		{"build without state", "buildsys.build.state.change", kojiBuild("null", "null"), "state"},
		{"task of another method", "buildsys.task.state.change", strings.Replace(kojiTask("OPEN", ""), `"method": "build"`, `"method": "image"`, 1), `"image"`},
		{"task in an unknown state", "buildsys.task.state.change", kojiTask("LOST", ""), `"LOST"`},
		{"package that is a path", "buildsys.tag", `{"build_id": 1, "tag": "t", "name": "../x"}`, "package"},
		{"push to a path", "pagure.git.receive", `{"branch": "f43", "end_commit": "` + hashA + `", "repo": {"name": "..", "namespace": "rpms"}}`, "repository"},
		{"branch deleted", "pagure.git.receive", `{"branch": "f43", "end_commit": "` + strings.Repeat("0", 40) + `", "repo": {"name": "mill"}}`, "commit"},
		{"pull request without commit", "pagure.pull-request.new", strings.Replace(pullRequest(""), hashA, "", 1), "commit"},
		{"no comment", "pagure.pull-request.comment.added", `{"pullrequest": {"id": 1, "project": {"full_url": "https://x.org/y"}, "comments": []}}`, "no comment"},
		{"flag of nothing", "pagure.pull-request.flag.added", pullRequest(""), "commit"},
		{"no versions", "hotness.update.bug.file", hotness("mill", "[]"), "no new version"},
		{"not for CentOS", "anitya.project.version.update.v2", release("Debian", `["1"]`), "CentOS"},
		{"scan without task", "openscanhub.task.started", `{}`, "which task"},
		{"scan without end", "openscanhub.task.finished", `{"task_id": 1}`, "how"},
		{"analysis without id", "logdetective.analysis", `{"status": "complete"}`, "which analysis"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, reason, err := fedbus.Parser{}.ParseEvent(prefix+tt.topic, []byte(tt.body))
			if got != nil || err != nil || !strings.Contains(reason, tt.reason) {
				t.Errorf("got %+v, reason %q, error %v; want a reason with %q", got, reason, err, tt.reason)
			}
		})
	}

	vast := `{"branch": "f43", "end_commit": "` + hashA + `", "repo": {"name": "mill"}, "changed_files": {` + strings.Join(many, ",") + `}}`
	m, _, err := fedbus.Parser{}.ParseEvent("pagure.git.receive", []byte(vast))
	if err != nil || m == nil || m.Changed != nil {
		t.Errorf("after a vast push: %+v, %v; want a message without the list of files", m, err)
	}
}

func TestBroken(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `[]`, `{`, `{"task_id": "x"}`, `{"task_id": 1.5}`} {
		if m, reason, err := (fedbus.Parser{}).ParseEvent(prefix+"openscanhub.task.started", []byte(body)); err == nil || m != nil || reason != "" {
			t.Errorf("%q: %+v, reason %q, error %v; want an error alone", body, m, reason, err)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	for topic, body := range map[string]string{
		"buildsys.build.state.change": kojiBuild("1", fromGit), "buildsys.task.state.change": kojiTask("OPEN", "a/b-1-1.src.rpm"), "buildsys.tag": `{"tag": 1}`,
		"pagure.git.receive": `{"changed_files": []}`, "pagure.pull-request.comment.added": pullRequest(""), "pagure.pull-request.flag.added": pullRequest(`"flag": null, `),
		"hotness.update.bug.file": hotness("mill", `["1"]`), "anitya.project.version.update.v2": release("CentOS", "null"),
		"bodhi.update.edit":         `{"update": {"alias": "FEDORA-2026-0a1b2c3d4e", "builds": null}}`,
		"openscanhub.task.finished": `{"body": {"msg": {"body": {"body": {}}}}}`, "logdetective.analysis": `{"log_detective_response": {"explanation": "x"}}`,
	} {
		f.Add(topic, []byte(body))
	}
	f.Fuzz(func(t *testing.T, topic string, body []byte) {
		m, reason, err := fedbus.Parser{}.ParseEvent(topic, body)
		said := 0
		for _, b := range []bool{m != nil, reason != "", err != nil} {
			if b {
				said++
			}
		}
		if said != 1 {
			t.Errorf("message %+v, reason %q, error %v: want one of them", m, reason, err)
		}
		if m != nil && strings.Contains(m.Package, "/") {
			t.Errorf("an unsafe package %q", m.Package)
		}
	})
}
