package copr

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func pack(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadLog(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("0123456789", 10)
	tests := []struct {
		name, text string
		limit      int
		want       Log
	}{
		{"empty", "", 8, Log{Head: []byte{}}},
		{"shorter than the head", "a", 8, Log{Head: []byte("a")}},
		{"just the head", "ab", 8, Log{Head: []byte("ab")}},
		{"just the limit", "abcdefgh", 8, Log{Head: []byte("abcdefgh")}},
		{"one too many", "abcdefghi", 8, Log{Head: []byte("ab"), Tail: []byte("defghi"), Skipped: 1}},
		{"long", digits, 8, Log{Head: []byte("01"), Tail: []byte("456789"), Skipped: 92}},
		{"a limit too small", "abcdef", 0, Log{Head: []byte("a"), Tail: []byte("def"), Skipped: 2}},
	}
	for _, test := range tests {
		for kind, r := range map[string]io.Reader{"plain": strings.NewReader(test.text), "packed": bytes.NewReader(pack(t, test.text)),
			"byte by byte": iotest.OneByteReader(strings.NewReader(test.text))} {
			got, err := readLog(r, test.limit)
			if err != nil {
				t.Fatalf("%s, %s: %v", test.name, kind, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", test.name, kind, diff)
			}
		}
	}
	l := Log{Head: []byte("ab"), Tail: []byte("yz"), Skipped: 22}
	if got, want := string(l.Bytes()), "ab\n[... 22 bytes left out ...]\nyz"; got != want {
		t.Errorf("as one text: %q, want %q", got, want)
	}
}

func TestReadLogCutShort(t *testing.T) {
	t.Parallel()
	packed := pack(t, strings.Repeat("all work and no play ", 10_000))
	l, err := readLog(bytes.NewReader(packed[:len(packed)-4]), 100)
	if err != nil || !l.Partial || len(l.Tail) != 75 {
		t.Errorf("log that is still being packed: %+v, %v", l, err)
	}
	if _, err := readLog(iotest.TimeoutReader(iotest.HalfReader(strings.NewReader(strings.Repeat("x", 100_000)))), 100); err == nil {
		t.Error("a broken connection went unnoticed")
	}
	if _, err := readLog(strings.NewReader("\x1f\x8bno gzip at all"), 100); err == nil {
		t.Error("a broken packed log went unnoticed")
	}
}

func FuzzReadLog(f *testing.F) {
	f.Add([]byte("plain\n"), 20)
	f.Add(pack(f, "packed\n"), 5)
	f.Add([]byte("\x1f\x8b"), 5)
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		limit %= 1 << 16
		l, err := readLog(bytes.NewReader(data), limit)
		if n := len(l.Head) + len(l.Tail); n > max(limit, 4) {
			t.Errorf("kept %d bytes of at most %d", n, limit)
		}
		packed := len(data) > 1 && data[0] == 0x1f && data[1] == 0x8b
		if !packed && (err != nil || int64(len(l.Head)+len(l.Tail))+l.Skipped != int64(len(data))) {
			t.Errorf("%d bytes became %+v, %v", len(data), l, err)
		}
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	const want = "attempt-1"
	for _, script := range []string{"", "#!/bin/sh\ntrue", "#!/bin/sh\ntrue\n", "echo '# millrace-submission: ' >x", "# millrace-submission: another\n"} {
		if got := KeyOf(Source{Type: "custom", Data: map[string]string{"script": markScript(script, want)}}); got != want {
			t.Errorf("key in %q is %q, want %q", script, got, want)
		}
		if marked := markScript(script, ""); marked != script {
			t.Errorf("without a key, %q became %q", script, marked)
		}
	}
	if got := KeyOf(Source{Type: "upload", Data: map[string]string{"pkg": uploadName("attempt-2")}}); got != "attempt-2" {
		t.Errorf("key of an upload is %q", got)
	}
	if got := KeyOf(Source{Type: "upload", Data: map[string]string{"pkg": uploadName("")}}); got != "" {
		t.Errorf("an upload without a key has %q", got)
	}
}
