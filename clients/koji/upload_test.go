package koji_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace/clients/httpx"
	"millrace/clients/koji"
	"millrace/clients/koji/kojifake"
)

const srpmName = "hello-1.0-3.fc43.src.rpm"

func srpm(t *testing.T, size int) []byte {
	t.Helper()
	content := make([]byte, size)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	return content
}

func uploads(h *hub) int {
	return len(slices.DeleteFunc(h.Calls(), func(m string) bool { return m != "upload" }))
}

func TestUploadIsBuilt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, kojifake.Options{Manual: true, Dir: dir})
	c := h.as("packit")
	content := srpm(t, 5<<19) // two chunks and a half
	path, err := c.UploadSRPM(t.Context(), koji.UploadDir("key-00000001"), srpmName, bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	there, err := os.ReadFile(filepath.Join(dir, "work", path))
	if err != nil || !bytes.Equal(there, content) {
		t.Fatalf("%d bytes are there, error %v", len(there), err)
	}
	if n := uploads(h); n != 3 {
		t.Errorf("%d chunks", n)
	}
	id := submit(t, c, koji.BuildRequest{Source: path, Target: "rawhide", Scratch: true})
	h.Settle()
	children, err := c.TaskChildren(t.Context(), id)
	if err != nil || len(children) != 3 || children[0].Method != "rebuildSRPM" || taskOf(t, c, id).State != koji.TaskClosed {
		t.Errorf("%+v, error %v", children, err)
	}
	// The same once more sends nothing.
	if _, err := c.UploadSRPM(t.Context(), koji.UploadDir("key-00000001"), srpmName, bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	if n := uploads(h); n != 3 {
		t.Errorf("%d chunks after the second time", n)
	}
}

func TestUploadIsInterrupted(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		faults kojifake.Faults
		chunks int // in all, if the second is interrupted
	}{
		"half of a chunk": {kojifake.Faults{CutUploads: true}, 4},
		"answer is lost":  {kojifake.Faults{LoseAnswers: true}, 3},
		"proxy":           {kojifake.Faults{Status: 502}, 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			h := start(t, kojifake.Options{Manual: true, Dir: dir})
			c := h.as("packit")
			content := srpm(t, 3<<20)
			in := &interrupted{Reader: bytes.NewReader(content), at: 1 << 20, do: func() {
				test.faults.Methods, test.faults.Calls = []string{"upload"}, 1
				h.SetFaults(test.faults)
			}}
			if _, err := c.UploadSRPM(t.Context(), "cli-build/x", srpmName, in, int64(len(content))); !httpx.Temporary(err) {
				t.Fatalf("error = %v", err)
			}
			path, err := c.UploadSRPM(t.Context(), "cli-build/x", srpmName, bytes.NewReader(content), int64(len(content)))
			if err != nil {
				t.Fatal(err)
			}
			there, err := os.ReadFile(filepath.Join(dir, "work", path))
			if err != nil || !bytes.Equal(there, content) {
				t.Errorf("%d bytes are there, error %v", len(there), err)
			}
			if n := uploads(h); n != test.chunks {
				t.Errorf("%d chunks, want %d", n, test.chunks)
			}
		})
	}
}

// interrupted calls do before it reads at an offset.
type interrupted struct {
	*bytes.Reader
	at int64
	do func()
}

func (i *interrupted) ReadAt(p []byte, offset int64) (int, error) {
	if offset == i.at {
		i.do()
	}
	return i.Reader.ReadAt(p, offset)
}

func TestSomethingElseIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, kojifake.Options{Manual: true, Dir: dir})
	c := h.as("packit")
	for _, size := range []int{3 << 19, 1 << 19, 1<<20 + 1} { // shorter and longer than what was there
		content := srpm(t, size)
		path, err := c.UploadSRPM(t.Context(), "cli-build/x", srpmName, bytes.NewReader(content), int64(size))
		if err != nil {
			t.Fatal(err)
		}
		there, err := os.ReadFile(filepath.Join(dir, "work", path))
		if err != nil || !bytes.Equal(there, content) {
			t.Errorf("%d bytes are there in place of %d, error %v", len(there), size, err)
		}
	}
}

func TestUploadsThatAreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, kojifake.Options{Manual: true})
	c := h.as("packit")
	content := strings.NewReader("content")
	if _, err := c.UploadSRPM(t.Context(), "cli-build/x", srpmName, content, content.Size()); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		client    *koji.Client
		dir, file string
		size      int64
		want      string
	}{
		"another's directory": {h.as("somebody"), "cli-build/x", "other-1-1.src.rpm", 7, "not owner"},
		"outside":             {c, "../x", srpmName, 7, "Invalid upload directory"},
		"of a task":           {c, "tasks/1/1", srpmName, 7, "builders"},
		"no login":            {h.anonymous(), "cli-build/y", srpmName, 7, "login"},
		"no source RPM":       {c, "cli-build/y", "a.rpm", 7, "not the name"},
		"a path":              {c, "cli-build/y", "../a.src.rpm", 7, "not the name"},
		"nothing":             {c, "cli-build/y", srpmName, 0, "empty"},
		"less than promised":  {c, "cli-build/y", srpmName, 8, "EOF"},
	} {
		if path, err := test.client.UploadSRPM(t.Context(), test.dir, test.file, content, test.size); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %q, error %v", name, path, err)
		}
	}
}
