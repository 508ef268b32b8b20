package copr_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"millrace/clients/copr"
)

func TestParseMessage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, topic, body string
		want              copr.Message
		log               string
	}{
		{"RPMs have ended", "org.fedoraproject.prod.copr.build.end",
			`{"user":"miller","owner":"@mill","copr":"wheel-7","pkg":"wheel","version":"2.1-1.fc43","build":4711,"chroot":"fedora-43-x86_64","status":1,"what":"..."}`,
			copr.Message{Ended: true, BuildID: 4711, Chroot: "fedora-43-x86_64", State: "succeeded", User: "miller", Owner: "@mill",
				Project: "wheel-7", Package: "wheel", Version: "2.1-1.fc43"},
			"https://results.example/@mill/wheel-7/fedora-43-x86_64/00004711-wheel/builder-live.log"},
		{"SRPM has started", "copr.build.start",
			`{"user":"miller","owner":"miller","copr":"wheel:pr:7","pkg":null,"version":null,"build":4711,"chroot":"srpm-builds","status":3,"timestamp":1700000000}`,
			copr.Message{BuildID: 4711, Chroot: "srpm-builds", State: "running", User: "miller", Owner: "miller", Project: "wheel:pr:7",
				Timestamp: time.Unix(1700000000, 0).UTC()},
			"https://results.example/miller/wheel:pr:7/srpm-builds/00004711/builder-live.log"},
		{"failed", "a.copr.build.end", `{"user":"m","copr":"w","build":1,"chroot":"c","status":0}`,
			copr.Message{Ended: true, BuildID: 1, Chroot: "c", State: "failed", User: "m", Owner: "m", Project: "w"}, ""},
		{"canceled", "a.copr.build.end", `{"owner":"m","copr":"w","build":1,"chroot":"c","status":2,"pkg":"p"}`,
			copr.Message{Ended: true, BuildID: 1, Chroot: "c", State: "canceled", Owner: "m", Project: "w", Package: "p"},
			"https://results.example/m/w/c/00000001-p/builder-live.log"},
		{"a state of tomorrow", "a.copr.build.end", `{"owner":"m","copr":"w","build":123456789,"chroot":"srpm-builds","status":77}`,
			copr.Message{Ended: true, BuildID: 123456789, Chroot: "srpm-builds", State: "unknown", Owner: "m", Project: "w"},
			"https://results.example/m/w/srpm-builds/123456789/builder-live.log"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := copr.ParseMessage(test.topic, []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			if log := got.LogURL("https://results.example/"); log != test.log {
				t.Errorf("log at %q, want %q", log, test.log)
			}
		})
	}
}

func TestParseMessageRefuses(t *testing.T) {
	t.Parallel()
	const topic = "org.fedoraproject.prod.copr.build.end"
	for name, body := range map[string]string{
		"no JSON":          `build 7 is done`,
		"a list":           `[]`,
		"no build":         `{"owner":"m","copr":"w","chroot":"c","status":1}`,
		"negative build":   `{"owner":"m","copr":"w","chroot":"c","status":1,"build":-4}`,
		"build as text":    `{"owner":"m","copr":"w","chroot":"c","status":1,"build":"4"}`,
		"no status":        `{"owner":"m","copr":"w","chroot":"c","build":4}`,
		"path as a chroot": `{"owner":"m","copr":"w","chroot":"../etc","status":1,"build":4}`,
		"path as an owner": `{"owner":"../m","copr":"w","chroot":"c","status":1,"build":4}`,
		"no project":       `{"owner":"m","chroot":"c","status":1,"build":4}`,
		"path as package":  `{"owner":"m","copr":"w","chroot":"c","status":1,"build":4,"pkg":"a/b"}`,
		"too large":        `{"what":"` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		if m, err := copr.ParseMessage(topic, []byte(body)); err == nil {
			t.Errorf("%s: parsed as %+v", name, m)
		}
	}
	for _, topic := range []string{"", "org.fedoraproject.prod.copr.chroot.start", "notcopr.build.end", "copr.build.ending"} {
		if _, err := copr.ParseMessage(topic, []byte(`{}`)); !errors.Is(err, copr.ErrOtherTopic) {
			t.Errorf("topic %q: error = %v", topic, err)
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add("copr.build.end", []byte(`{"user":"m","owner":"m","copr":"w","pkg":"p","version":"1-1","build":9,"chroot":"c","status":1}`))
	f.Add("x.copr.build.start", []byte(`{"owner":"@g","copr":"w:pr:1","build":9,"chroot":"srpm-builds","status":3,"timestamp":1.5}`))
	f.Add("copr.build.end", []byte(`{"build":1e3,"status":null}`))
	f.Fuzz(func(t *testing.T, topic string, body []byte) {
		m, err := copr.ParseMessage(topic, body)
		if err != nil {
			return
		}
		if m.BuildID <= 0 || m.Chroot == "" || m.Owner == "" || m.Project == "" || m.State == "" {
			t.Errorf("incomplete: %+v", m)
		}
		log := m.LogURL("https://r.example")
		if strings.Contains(log, "/../") || strings.ContainsAny(log, " \n\"<>") {
			t.Errorf("log at %q", log)
		}
	})
}
