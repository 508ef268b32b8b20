package lookaside_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/lookaside"
)

var (
	sum512 = strings.Repeat("0a", 64)
	sum5   = strings.Repeat("0b", 16)
)

func TestParseSources(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       lookaside.Sources
		says       string
	}{
		{name: "empty"},
		{name: "one", text: "SHA512 (hello-1.0.tar.gz) = " + sum512 + "\n", want: lookaside.Sources{{Name: "hello-1.0.tar.gz", HashType: "sha512", Hash: sum512}}},
		{name: "without an end, with blank lines", text: "\n  \nSHA512 (a) = " + strings.ToUpper(sum512), want: lookaside.Sources{{Name: "a", HashType: "sha512", Hash: sum512}}},
		{name: "as before 2017", text: sum5 + "  hello.zip\r\n", want: lookaside.Sources{{Name: "hello.zip", HashType: "md5", Hash: sum5, Old: true}}},
		{name: "md5 in the new style", text: "MD5 (a) = " + sum5, want: lookaside.Sources{{Name: "a", HashType: "md5", Hash: sum5}}},
		{name: "short sum", text: "\nSHA512 (a) = 00", says: "line 2"},
		{name: "no such sum", text: "CRC32 (a) = 00000000", says: "no kind of sum"},
		{name: "another directory", text: "SHA512 (../a) = " + sum512, says: "cannot be the name"},
		{name: "nonsense", text: "hello", says: "neither"},
		{name: "a conflict", text: "<<<<<<< HEAD\n", says: "line 1"},
		{name: "endless", text: strings.Repeat("\n", 2<<20), says: "larger"},
	}
	for _, test := range tests {
		got, err := lookaside.ParseSources([]byte(test.text))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.says)
		}
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	old := lookaside.Entry{Name: "a-1.tar", HashType: "sha512", Hash: sum512}
	other := lookaside.Entry{Name: "b.tar", HashType: "sha512", Hash: sum512}
	newer := lookaside.Entry{Name: "a-1.tar", HashType: "sha512", Hash: strings.Repeat("1", 128)}
	got, err := lookaside.Sources{old, other}.Add(newer)
	if diff := cmp.Diff(lookaside.Sources{newer, other}, got); diff != "" || err != nil {
		t.Errorf("replaced (-want +got):\n%s\n%v", diff, err)
	}
	got, err = lookaside.Sources{old}.Add(other)
	if want := old.String() + "\n" + other.String() + "\n"; err != nil || string(got.Bytes()) != want {
		t.Errorf("added:\n%s\n%v", got.Bytes(), err)
	}
	if _, err := (lookaside.Sources{old}).Add(lookaside.Entry{Name: "c", HashType: "md5", Hash: sum5}); !errors.Is(err, lookaside.ErrMixed) {
		t.Errorf("mixed: %v", err)
	}
	if _, err := (lookaside.Sources{{Name: "a-1.tar", HashType: "md5", Hash: sum5, Old: true}}).Add(newer); err != nil {
		t.Errorf("the only one is replaced: %v", err)
	}
	if _, err := (lookaside.Sources{}).Add(lookaside.Entry{Name: "x y", HashType: "sha512", Hash: sum512}); err == nil {
		t.Error("a name with a space was taken")
	}
}

func TestIgnore(t *testing.T) {
	t.Parallel()
	tests := []struct{ before, name, after string }{
		{"", "hello-1.0.tar.gz", "/hello-1.0.tar.gz\n"},
		{"/hello-*.tar.gz\n", "hello-1.0.tar.gz", "/hello-*.tar.gz\n"},
		{"*.gz", "hello-1.0.tar.gz", "*.gz"},
		{"/hello-0.9.tar.gz", "hello-1.0.tar.gz", "/hello-0.9.tar.gz\n/hello-1.0.tar.gz\n"},
		{"*.gz\n!hello-*\n", "hello-1.0.tar.gz", "*.gz\n!hello-*\n/hello-1.0.tar.gz\n"},
		{"# hello\n", "hello", "# hello\n/hello\n"},
	}
	for _, test := range tests {
		if got := string(lookaside.Ignore([]byte(test.before), test.name)); got != test.after {
			t.Errorf("%q with %s: %q, want %q", test.before, test.name, got, test.after)
		}
	}
}

// What is written is read as the same again.
func FuzzParseSources(f *testing.F) {
	f.Add([]byte("SHA512 (hello-1.0.tar.gz) = " + sum512 + "\n" + sum5 + "  old.zip\n"))
	f.Add([]byte("SHA512 (a (b)) = "))
	f.Add([]byte("\x00\n\n  MD5 (\xff) = " + sum5))
	f.Fuzz(func(t *testing.T, text []byte) {
		first, err := lookaside.ParseSources(text)
		if err != nil {
			return
		}
		again, err := lookaside.ParseSources(first.Bytes())
		if diff := cmp.Diff(first, again); diff != "" || err != nil {
			t.Errorf("%q, written and read again (-first +again):\n%s\n%v", text, diff, err)
		}
	})
}
