package githubfake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/clients/git"
)

const (
	zeroSHA = "0000000000000000000000000000000000000000"
	maxPush = 512 << 20
)

func (f *Fake) gitDir(fullName string) string {
	return filepath.Join(f.config.Dir, "git", key(fullName)+".git")
}

func (f *Fake) bare(fullName string) *git.Bare { return f.git.Bare(f.gitDir(fullName)) }

func gitEnvironment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C.UTF-8", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
	}
}

// run carries out a git command that writes to a repository of ours.
func (f *Fake) run(ctx context.Context, fullName string, stdin io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", append([]string{"--git-dir=" + f.gitDir(fullName)}, args...)...)
	cmd.Env = gitEnvironment()
	cmd.Stdin = stdin
	cmd.WaitDelay = time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("git %s in %s: %w: %s", args[0], fullName, err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// repositoryConfig lets people read everything and push everything but the
// heads of pull requests, as on GitHub.
const repositoryConfig = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
[http]
	receivepack = true
[receive]
	hideRefs = refs/pull
	denyDeleteCurrent = ignore
	autogc = false
[uploadpack]
	allowAnySHA1InWant = true
	allowFilter = true
[gc]
	auto = 0
`

// initRepo makes a repository on disk, empty or as a copy of another.
func (f *Fake) initRepo(ctx context.Context, fullName, branch, copyOf string) error {
	dir := f.gitDir(fullName)
	if _, err := f.run(ctx, fullName, nil, "init", "--quiet", "--bare", "--template=", "--initial-branch="+branch, dir); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(repositoryConfig), 0o644); err != nil {
		return err
	}
	if copyOf == "" {
		return nil
	}
	_, err := f.run(ctx, fullName, nil, "fetch", "--quiet", "--no-write-fetch-head", f.gitDir(copyOf),
		"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
	return err
}

// Change is a commit to be made.
type Change struct {
	Branch  string            // the default branch if empty; made if missing
	From    string            // where a new branch starts; the default branch if empty
	Message string            // "Change files" if empty
	Author  string            // a login; the owner if empty
	Files   map[string]string // path and new text; "#!" makes it executable
	Remove  []string
}

// Commit makes a commit on a branch, as if it had been pushed, and returns it.
func (f *Fake) Commit(ctx context.Context, fullName string, c Change) (sha string, err error) {
	f.mu.Lock()
	r, err := f.repo(fullName)
	if err != nil {
		f.mu.Unlock()
		return "", err
	}
	c.Branch, c.Author, c.Message = or(c.Branch, r.DefaultBranch), or(c.Author, r.Owner), or(c.Message, "Change files")
	c.From = or(c.From, r.DefaultBranch)
	f.mu.Unlock()

	f.pushing.Lock()
	defer f.pushing.Unlock()
	start := ""
	for _, branch := range []string{c.Branch, c.From} {
		if start, err = f.bare(fullName).RevParse(ctx, "refs/heads/"+branch); err == nil {
			break
		}
		if !errors.Is(err, git.ErrNotFound) {
			return "", err
		}
	}
	stream, err := c.stream(start, f.now())
	if err != nil {
		return "", err
	}
	if _, err := f.run(ctx, fullName, stream, "fast-import", "--quiet", "--force", "--date-format=raw"); err != nil {
		return "", err
	}
	if sha, err = f.bare(fullName).RevParse(ctx, "refs/heads/"+c.Branch); err != nil {
		return "", err
	}
	return sha, f.noticed(ctx, fullName, c.Author)
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// stream is the change in the words of git-fast-import(1).
func (c Change) stream(start string, at time.Time) (io.Reader, error) {
	if err := git.CheckRef("refs/heads/" + c.Branch); err != nil {
		return nil, err
	}
	if strings.ContainsAny(c.Author, "<>\n\x00") {
		return nil, fmt.Errorf("author %q: %w", c.Author, git.ErrBadName)
	}
	var b bytes.Buffer
	who := fmt.Sprintf("%s <%s@example.org> %d +0000", c.Author, strings.ReplaceAll(c.Author, " ", "."), at.Unix())
	fmt.Fprintf(&b, "commit refs/heads/%s\nauthor %s\ncommitter %s\ndata %d\n%s\n", c.Branch, who, who, len(c.Message), c.Message)
	if start != "" {
		fmt.Fprintf(&b, "from %s\n", start)
	}
	for _, path := range slices.Sorted(maps.Keys(c.Files)) {
		if err := checkPath(path); err != nil {
			return nil, err
		}
		text, mode := c.Files[path], "100644"
		if strings.HasPrefix(text, "#!") {
			mode = "100755"
		}
		fmt.Fprintf(&b, "M %s inline %s\ndata %d\n%s\n", mode, path, len(text), text)
	}
	for _, path := range c.Remove {
		if err := checkPath(path); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "D %s\n", path)
	}
	b.WriteString("done\n")
	return &b, nil
}

func checkPath(path string) error {
	if strings.HasPrefix(path, `"`) {
		return fmt.Errorf("path %q: %w", path, git.ErrBadName)
	}
	return git.CheckPath(path)
}

// gitRequest says which repository and which part of git's protocol is asked
// for; no part if it is something else.
func gitRequest(r *http.Request) (fullName, service string) {
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 3)
	if len(parts) != 3 {
		return "", ""
	}
	asked := r.URL.Query().Get("service")
	switch parts[2] {
	case "git-receive-pack", "git-upload-pack":
	case "info/refs":
		if asked != "git-receive-pack" && asked != "git-upload-pack" {
			return "", ""
		}
	default:
		return "", ""
	}
	return parts[0] + "/" + strings.TrimSuffix(parts[1], ".git"), parts[2]
}

// serveGit lets git-http-backend(1) answer, and afterwards looks what a push
// changed.
func (f *Fake) serveGit(w http.ResponseWriter, r *http.Request) {
	fullName, service := gitRequest(r)
	if service == "" {
		http.NotFound(w, r)
		return
	}
	push := service == "git-receive-pack" || r.URL.Query().Get("service") == "git-receive-pack"
	f.mu.Lock()
	repository, err := f.repo(fullName)
	fail := err == nil && every(f.faults.GitFailEvery, &f.nth.git)
	login := ""
	if err == nil && push {
		login = f.pusher(repository, r)
	}
	f.mu.Unlock()
	switch {
	case err != nil:
		http.Error(w, "Repository not found.", http.StatusNotFound)
		return
	case fail:
		http.Error(w, "Service unavailable.", http.StatusServiceUnavailable)
		return
	case push && login == "":
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		http.Error(w, "You may not push here.", http.StatusUnauthorized)
		return
	}
	if err := wholeBody(w, r); err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	defer r.Body.Close()
	handler := &cgi.Handler{
		Path: gitBackend(), Root: "/", Stderr: io.Discard, Dir: f.config.Dir,
		Env: append(gitEnvironment(), "GIT_PROJECT_ROOT="+filepath.Join(f.config.Dir, "git"), "GIT_HTTP_EXPORT_ALL=1",
			"REMOTE_USER="+login),
	}
	r.URL.Path = "/" + key(fullName) + ".git/" + service
	if service != "git-receive-pack" {
		handler.ServeHTTP(w, r)
		return
	}
	handler.ServeHTTP(w, r)
	// The client may be gone, but its push is there. If it is not gone, its
	// answer ends when we return, and by then the push was noticed.
	if err := f.notice(context.WithoutCancel(r.Context()), fullName, login); err != nil {
		f.config.Log.ErrorContext(r.Context(), "push not noticed", "repository", fullName, "error", err)
	}
}

var gitBackend = sync.OnceValue(func() string {
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

// pusher says who pushes, or "" if nobody may. The caller holds mu.
func (f *Fake) pusher(r *repo, req *http.Request) string {
	user, password, ok := req.BasicAuth()
	if !ok {
		if f.config.OpenPush {
			return r.Owner
		}
		return ""
	}
	if t, ok := f.world.Tokens[password]; ok && f.now().Before(t.Expires) {
		if i := f.installation(r); i != nil && i.ID == t.Installation {
			return f.bot().Login
		}
		return ""
	}
	if login, ok := f.config.Tokens[password]; ok {
		user = login
	} else if !f.config.OpenPush {
		return ""
	}
	if canWrite(r.permission(user)) {
		return user
	}
	return ""
}
