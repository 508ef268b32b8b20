package jobs

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/clients/koji/kojifake"
	"millrace/models"
)

// withScratch lets a chain build what is proposed upstream.
func (c *chain) withScratch(t *testing.T) {
	t.Helper()
	here := &SRPMHere{DataDir: t.TempDir()}
	path := filepath.Join("srpms", "hello-1.0-1.src.rpm")
	if err := os.MkdirAll(filepath.Join(here.DataDir, "srpms"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(here.DataDir, path), []byte(strings.Repeat("the source", 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	// Making a source RPM is another's test; here it is there already.
	made := &service{submit: func(w *Work) (Outcome, error) {
		data := w.Runs[0].Data
		data.SRPMPath = path
		return Outcome{Runs: []Update{{Run: w.Runs[0], State: models.Passed, Data: &data}}}, nil
	}}
	c.Kinds[models.SRPMStep].(*SRPMInCopr).Otherwise = made
	c.Kinds[models.KojiScratchStep] = &KojiScratch{Koji: c.Runner.Koji, Open: here.Open, HTTP: http.DefaultClient, Dir: t.TempDir()}
}

const scratchConfig = `
jobs:
- {job: upstream_koji_build, trigger: pull_request, scratch: true, targets: [f43, rawhide, f99]}
`

// TestScratchBuild: a source RPM that was made here is built in Koji for each target
// that Koji has, once, also when the answer is lost.
func TestScratchBuild(t *testing.T) {
	t.Parallel()
	eachChain(t, func(t *testing.T, c *chain) {
		c.withScratch(t)
		c.builds.SetFaults(kojifake.Faults{Methods: []string{"build"}, Calls: 1, LoseAnswers: true, DoubleMessages: true})
		pull, id := c.start(t, scratchConfig)
		eventually(t, c.Runner, id, map[string]models.State{
			"upstream_koji_build f43": models.Passed, "upstream_koji_build rawhide": models.Passed, "upstream_koji_build f99": models.Failed,
		})
		if n := c.submissions(); n != 2 {
			t.Errorf("Koji was asked for %d builds", n)
		}
		c.eventuallyChecks(t, "packit/hello", pull.HeadSHA, map[string]string{
			"koji-build:f43": "completed success", "koji-build:rawhide": "completed success", "koji-build:f99": "completed failure",
		})
		run := c.pipeline(t, id).Steps[1].Target("f99").Run
		if run.Reason != "Target not supported: f99" {
			t.Errorf("f99 failed because %q", run.Reason)
		}
	})
}

// TestScratchBuildOfCopr: a source RPM that Copr made is carried over.
func TestScratchBuildOfCopr(t *testing.T) {
	t.Parallel()
	onChain(t, func(t *testing.T, c *chain) {
		c.withScratch(t)
		_, id := c.start(t, `
jobs:
- {job: copr_build, trigger: pull_request, targets: [fedora-43]}
- {job: upstream_koji_build, trigger: pull_request, scratch: true, targets: [f43]}
`)
		eventually(t, c.Runner, id, map[string]models.State{"pipeline": models.Passed, "upstream_koji_build f43": models.Passed})
		left, err := filepath.Glob(filepath.Join(c.Kinds[models.KojiScratchStep].(*KojiScratch).Dir, "*"))
		if err != nil || len(left) != 0 {
			t.Errorf("files that were on the way are still here: %v, %v", left, err)
		}
	})
}
