package lookaside_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/fault"
	"millrace/clients/httpx"
	"millrace/clients/lookaside"
	"millrace/clients/lookaside/lookasidefake"
)

const pkg = "rpms/hello"

func start(t *testing.T, config lookasidefake.Config) (*lookasidefake.Server, *lookaside.Client) {
	t.Helper()
	config.Dir, config.Users = t.TempDir(), map[string]string{"ticket": "packit", "other": "mallory"}
	fake, err := lookasidefake.New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return fake, &lookaside.Client{
		BaseURL: server.URL + "/repo/pkgs", Stall: 10 * time.Second,
		Negotiate: func(context.Context, string) (string, error) { return "ticket", nil },
	}
}

// archive makes a file of some size, and its entry.
func archive(t *testing.T, name string, size int) (path string, e lookaside.Entry) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, bytes.Repeat([]byte("0123456789abcdef"), size/16), 0o644); err != nil {
		t.Fatal(err)
	}
	e, err := lookaside.FileEntry(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return path, e
}

func TestUploadAndDownload(t *testing.T) {
	t.Parallel()
	var told atomic.Int32
	_, client := start(t, lookasidefake.Config{Publish: func(topic string, body []byte) {
		if strings.HasSuffix(topic, ".git.lookaside.new") && bytes.Contains(body, []byte(`"filename":"hello-1.0+b.tar.gz"`)) {
			told.Add(1)
		}
	}})
	ctx := t.Context()
	path, e := archive(t, "hello-1.0+b.tar.gz", 3<<20)
	for _, ask := range []func(context.Context, string, lookaside.Entry) (bool, error){client.Exists, client.Check} {
		if there, err := ask(ctx, pkg, e); err != nil || there {
			t.Errorf("before the upload: %t, %v", there, err)
		}
	}
	var last atomic.Int64
	if err := client.Upload(ctx, pkg, e, path, func(sent, size int64) {
		if size == 3<<20 {
			last.Store(sent)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if last.Load() != 3<<20 || told.Load() != 1 {
		t.Errorf("%d bytes were told of, and %d messages were sent", last.Load(), told.Load())
	}
	if err := client.Upload(ctx, pkg, e, path, nil); err != nil {
		t.Errorf("the same again: %v", err)
	}
	for _, ask := range []func(context.Context, string, lookaside.Entry) (bool, error){client.Exists, client.Check} {
		if there, err := ask(ctx, pkg, e); err != nil || !there {
			t.Errorf("after the upload: %t, %v", there, err)
		}
	}
	to := filepath.Join(t.TempDir(), "copy")
	if err := client.Download(ctx, pkg, e, to); err != nil {
		t.Fatal(err)
	}
	want, _ := os.ReadFile(path)
	if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
}

func TestTransfersThatBreak(t *testing.T) {
	t.Parallel()
	fake, client := start(t, lookasidefake.Config{})
	ctx := t.Context()
	path, e := archive(t, "hello-1.0.tar.gz", 4<<20)
	fake.SetMoves(lookasidefake.Moves{CutUpload: 1 << 20})
	if err := client.Upload(ctx, pkg, e, path, nil); !httpx.Temporary(err) {
		t.Errorf("an upload that breaks: %v, want a temporary error", err)
	}
	if there, err := client.Exists(ctx, pkg, e); err != nil || there {
		t.Errorf("after an upload that broke: %t, %v", there, err)
	}
	impatient := *client
	impatient.Stall = 50 * time.Millisecond
	fake.SetMoves(lookasidefake.Moves{Pause: 500 * time.Millisecond})
	if err := impatient.Upload(ctx, pkg, e, path, nil); !httpx.Temporary(err) || !strings.Contains(err.Error(), "nothing moves") {
		t.Errorf("an upload that stalls: %v", err)
	}
	fake.SetMoves(lookasidefake.Moves{})
	for _, f := range []fault.Fault{{Status: 503}, {Status: 500}, {Lose: true}} {
		fake.Misbehave(f)
		if err := client.Upload(ctx, pkg, e, path, nil); !httpx.Temporary(err) {
			t.Errorf("an upload with %+v: %v, want a temporary error", f, err)
		}
	}
	if err := client.Upload(ctx, pkg, e, path, nil); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy")
	fake.SetMoves(lookasidefake.Moves{CutDownload: 1 << 20})
	if err := client.Download(ctx, pkg, e, to); !httpx.Temporary(err) {
		t.Errorf("a download that breaks: %v, want a temporary error", err)
	}
	fake.SetMoves(lookasidefake.Moves{Pause: 500 * time.Millisecond})
	if err := impatient.Download(ctx, pkg, e, to); !httpx.Temporary(err) {
		t.Errorf("a download that stalls: %v", err)
	}
	fake.SetMoves(lookasidefake.Moves{Spoil: true})
	if err := client.Download(ctx, pkg, e, to); !errors.Is(err, lookaside.ErrWrongSum) {
		t.Errorf("a download of something else: %v", err)
	}
	fake.SetMoves(lookasidefake.Moves{})
	small := *client
	small.MaxFile = 1 << 20
	if err := small.Download(ctx, pkg, e, to); !errors.Is(err, httpx.ErrTooLarge) {
		t.Errorf("a download that is too large: %v", err)
	}
	found, err := os.ReadDir(filepath.Dir(to))
	if len(found) != 0 || err != nil {
		t.Errorf("left behind: %v, %v", found, err)
	}
}

func TestRefusedUploads(t *testing.T) {
	t.Parallel()
	_, client := start(t, lookasidefake.Config{
		Packager: func(user string) bool { return user == "packit" },
		Known:    func(name string) bool { return name == pkg },
	})
	ctx := t.Context()
	path, e := archive(t, "hello-1.0.tar.gz", 1<<20)
	login := func(token string) *lookaside.Client {
		c := *client
		c.Negotiate = func(context.Context, string) (string, error) { return token, nil }
		return &c
	}
	tests := []struct {
		name   string
		err    error
		status int
		words  string
	}{
		{"no ticket", login("stolen").Upload(ctx, pkg, e, path, nil), 401, "Kerberos"},
		{"no packager", login("other").Upload(ctx, pkg, e, path, nil), 403, "packager"},
		{"no such package", client.Upload(ctx, "rpms/gone", e, path, nil), 404, "does not know"},
		{"check without a ticket", func() error { _, err := login("").Check(ctx, pkg, e); return err }(), 401, "Kerberos"},
	}
	for _, test := range tests {
		if httpx.Status(test.err) != test.status || httpx.Temporary(test.err) || !strings.Contains(lookaside.Words(test.err), test.words) {
			t.Errorf("%s: %v, %q", test.name, test.err, lookaside.Words(test.err))
		}
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := client.Upload(ctx, pkg, e, path, nil); !errors.Is(err, lookaside.ErrChanged) || httpx.Temporary(err) {
		t.Errorf("a file that changed: %v", err)
	}
	client.Negotiate = func(context.Context, string) (string, error) { return "", errors.New("the ticket is over") }
	if err := client.Upload(ctx, pkg, e, path, nil); err == nil || !strings.Contains(err.Error(), "the ticket is over") {
		t.Errorf("without a login: %v", err)
	}
	if _, err := client.Exists(ctx, "../x", e); err == nil || httpx.Status(err) != 0 {
		t.Errorf("a package that cannot be: %v", err)
	}
}

// Bytes that are lost on the way are not the file's fault.
func TestLostOnTheWay(t *testing.T) {
	t.Parallel()
	path, e := archive(t, "hello-1.0.tar.gz", 1<<16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 20); err != nil || r.FormValue("sha512sum") != e.Hash {
			t.Errorf("form %v, %v", r.Form, err)
		}
		http.Error(w, "SHA512 check failed. Received 00 instead of "+e.Hash+".", http.StatusBadRequest)
	}))
	t.Cleanup(server.Close)
	client := &lookaside.Client{BaseURL: server.URL}
	if err := client.Upload(t.Context(), pkg, e, path, nil); !httpx.Temporary(err) || !strings.Contains(err.Error(), "did not arrive whole") {
		t.Errorf("an upload of which some was lost: %v", err)
	}
}

func TestOldLayout(t *testing.T) {
	t.Parallel()
	const sum = "5d41402abc4b2a76b9719d911017c592" // of "hello"
	e := lookaside.Entry{Name: "hello.txt", HashType: "md5", Hash: sum, Old: true}
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		if r.URL.Path != "/rpms/hello/hello.txt/"+sum+"/hello.txt" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("hello"))
	}))
	t.Cleanup(server.Close)
	to := filepath.Join(t.TempDir(), "hello.txt")
	err := (&lookaside.Client{BaseURL: server.URL}).Download(t.Context(), pkg, e, to)
	want := []string{"/rpms/hello/hello.txt/md5/" + sum + "/hello.txt", "/rpms/hello/hello.txt/" + sum + "/hello.txt"}
	if diff := cmp.Diff(want, asked); diff != "" || err != nil {
		t.Errorf("asked for (-want +got):\n%s\n%v", diff, err)
	}
}
