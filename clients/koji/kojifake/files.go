package kojifake

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"millrace/clients/koji"
)

// append writes to a file below the Fake's directory. What goes wrong is only
// logged: whoever looks for the file finds it missing.
func (f *Fake) append(name, text string) {
	file := f.path(filepath.FromSlash(name))
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	var out *os.File
	if err == nil {
		out, err = os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	}
	if err == nil {
		_, err = out.WriteString(text)
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil {
		f.log.Error("koji cannot write a file", "file", name, "error", err)
	}
}

// logDir is where the logs of a complete build are.
func logDir(s Spec) string { return path.Join("packages", s.Name, s.Version, s.Release, "data/logs") }

// keepLogs puts the logs of a build where those of complete builds are.
func (f *Fake) keepLogs(t *Task, b *Build) {
	for _, c := range f.children(t) {
		if c.Method != "buildArch" {
			continue
		}
		text, err := f.root.ReadFile(path.Join(taskDir(c.ID), koji.BuildLog))
		if err != nil {
			f.log.Error("koji has no log of a build", "task", c.ID, "error", err)
			continue
		}
		f.append(path.Join(logDir(b.Spec), c.Arch, koji.BuildLog), string(text))
	}
}

// taskFiles are the files of a task with their sizes.
func (f *Fake) taskFiles(id int64) map[string]int64 {
	files := map[string]int64{}
	entries, err := fs.ReadDir(f.root.FS(), taskDir(id))
	if err != nil {
		return files // as long as it has not written any
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			files[entry.Name()] = info.Size()
		}
	}
	return files
}

// serveFiles serves logs and packages, but nothing that is not for everybody.
func (f *Fake) serveFiles(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	if strings.HasPrefix(path.Base(name), ".") {
		http.NotFound(w, r)
		return
	}
	if strings.HasSuffix(name, ".log") {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	http.ServeFileFS(w, r, f.root.FS(), name)
}

// writeLog writes the next part of a task's log.
func (f *Fake) writeLog(t *Task) {
	name := "?"
	if parent := f.tasks[t.Parent]; parent != nil && parent.Spec != nil {
		name = parent.Spec.NVR()
	}
	parts := [logParts]string{
		fmt.Sprintf("Building target platforms: %s\nBuilding for target %s\n", t.Arch, t.Arch),
		"Executing(%prep): /bin/sh -e /var/tmp/rpm-tmp\n+ umask 022\n",
		"Executing(%build): /bin/sh -e /var/tmp/rpm-tmp\n+ make\n",
		fmt.Sprintf("Wrote: /builddir/build/RPMS/%s.%s.rpm\n", name, t.Arch),
	}
	if t.Label == "srpm" {
		parts[2], parts[3] = "", "Wrote: the source package\n"
	}
	if t.Method == "tagBuild" || t.Method == "waitrepo" {
		parts = [logParts]string{}
	}
	f.appendLog(t, parts[t.Written])
	t.Written++
	f.touchTask(t)
}

// taskDir is where the files of a task are, below the Fake's directory.
func taskDir(id int64) string { return path.Join("work/tasks", fmt.Sprint(id%10000), fmt.Sprint(id)) }

func (f *Fake) appendLog(t *Task, text string) {
	if text != "" {
		f.append(path.Join(taskDir(t.ID), koji.BuildLog), text)
	}
}

func (f *Fake) outputFile(t *Task, name, text string) { f.append(path.Join(taskDir(t.ID), name), text) }
