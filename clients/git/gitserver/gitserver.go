// Package gitserver serves bare repositories of this machine by git's protocol
// over HTTP, and writes to them. The forges that are made for tests and
// demonstrations stand on it.
package gitserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ZeroSHA stands for no object, as in a ref that is made or deleted.
const ZeroSHA = "0000000000000000000000000000000000000000"

const maxPush = 512 << 20

func environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C.UTF-8", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
	}
}

// Run carries out a git command that may write to the bare repository in dir,
// and returns what it printed without the space around it.
func Run(ctx context.Context, dir string, stdin io.Reader, args ...string) (string, error) {
	return RunAs(ctx, dir, nil, stdin, args...)
}

// RunAs is Run with more in the environment, such as who commits.
func RunAs(ctx context.Context, dir string, env []string, stdin io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", append([]string{"--git-dir=" + dir}, args...)...)
	cmd.Env = append(environment(), env...)
	cmd.Stdin = stdin
	cmd.WaitDelay = time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("git %s in %s: %w: %s", args[0], filepath.Base(dir), err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// Init makes the bare repository dir, empty, with a default branch and with the
// configuration given.
func Init(ctx context.Context, dir, branch, config string) error {
	if _, err := Run(ctx, dir, nil, "init", "--quiet", "--bare", "--template=", "--initial-branch="+branch, dir); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o644)
}

// Copy brings all branches and tags of one repository to another.
func Copy(ctx context.Context, from, to string) error {
	_, err := Run(ctx, to, nil, "fetch", "--quiet", "--no-write-fetch-head", from, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
	return err
}

// Request is what a request for a repository asks for.
type Request struct {
	Repository string // the path before ".git", without the slash at its start
	Push       bool
	Service    string // the rest of the path

	changes bool // not only asks what there is
}

// Parse says what is asked for by git's protocol. If it is something else, ok
// is false.
func Parse(r *http.Request) (request Request, ok bool) {
	for _, service := range []string{"info/refs", "git-receive-pack", "git-upload-pack"} {
		repository, found := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/"+service)
		if !found {
			continue
		}
		asked := service
		if service == "info/refs" {
			asked = r.URL.Query().Get("service")
		}
		if asked != "git-receive-pack" && asked != "git-upload-pack" {
			return Request{}, false
		}
		return Request{
			Repository: strings.TrimSuffix(repository, ".git"), Push: asked == "git-receive-pack", Service: service,
			changes: service == "git-receive-pack",
		}, true
	}
	return Request{}, false
}

// Changes reports whether refs may be different after the request.
func (r Request) Changes() bool { return r.changes }

// Serve lets git-http-backend(1) answer a request for the bare repository in
// dir. Whether who asks may do so is the caller's matter; user is whom the hooks
// of the repository find in REMOTE_USER, beside env.
func Serve(w http.ResponseWriter, r *http.Request, request Request, dir, user string, env ...string) {
	if err := wholeBody(w, r); err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	defer r.Body.Close()
	handler := &cgi.Handler{
		Path: backend(), Root: "/", Stderr: io.Discard, Dir: dir,
		Env: append(append(environment(), "GIT_PROJECT_ROOT="+filepath.Dir(dir), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER="+user), env...),
	}
	r.URL.Path = "/" + filepath.Base(dir) + "/" + request.Service
	handler.ServeHTTP(w, r)
}

var backend = sync.OnceValue(func() string {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return "git-http-backend" // which then says that it is not there
	}
	return filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
})

// wholeBody reads a body of unknown length into a file: CGI wants to know the
// length, and git does not say it for large pushes.
func wholeBody(w http.ResponseWriter, r *http.Request) error {
	body := http.MaxBytesReader(w, r.Body, maxPush)
	r.Body = body
	if r.ContentLength >= 0 {
		return nil
	}
	file, err := os.CreateTemp("", "push-*")
	if err != nil {
		return err
	}
	os.Remove(file.Name())
	n, err := io.Copy(file, body)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return err
	}
	r.Body, r.ContentLength, r.TransferEncoding = file, n, nil
	return nil
}
