package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpecAndRPMCommands(t *testing.T) {
	t.Parallel()
	const spec = "%global pre rc1\r\nName: t\r\nVersion: 1.0%{?pre:~%{pre}}\r\nRelease: 2%{?dist}\r\n%changelog\r\n"
	path := filepath.Join(t.TempDir(), "t.spec")
	if err := os.WriteFile(path, []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		code int
		out  string
	}{
		{"a release", []string{"spec", "set-version", path, "1.1", "--prerelease-suffix-macro", "pre"}, 0,
			"#global pre rc1\r\nName: t\r\nVersion: 1.1%{?pre:~%{pre}}\r\nRelease: 2%{?dist}\r\n%changelog\r\n"},
		{"a pre-release, flags first", []string{"spec", "set-version", "--prerelease-suffix-macro=pre", path, "1.0-beta2"}, 0,
			"%global pre beta2\r\nName: t\r\nVersion: 1.0%{?pre:~%{pre}}\r\nRelease: 2%{?dist}\r\n%changelog\r\n"},
		{"no pattern", []string{"spec", "set-version", path, "7rc1", "--prerelease-suffix-pattern", ""}, 0,
			"%global pre rc1\r\nName: t\r\nVersion: 7rc1\r\nRelease: 2%{?dist}\r\n%changelog\r\n"},
		{"an entry", []string{"spec", "changelog", path, "--author", "A <a@b>", "--date", "2026-08-05", "--entry", "- x", "--entry", "- y"}, 0,
			spec + "* Wed Aug 05 2026 A <a@b> - 1.0~rc1-2\r\n- x\r\n- y\r\n"},
		{"a macro as version", []string{"spec", "set-version", path, "%(id)"}, 1, ""},
		{"no file", []string{"spec", "set-version", path + ".no", "1"}, 1, ""},
		{"no version", []string{"spec", "set-version", path}, 2, ""},
		{"no author", []string{"spec", "changelog", path, "--entry", "- x"}, 2, ""},
		{"no date", []string{"spec", "changelog", path, "--author", "A", "--entry", "- x", "--date", "today"}, 2, ""},
		{"no such edit", []string{"spec", "fry", path}, 2, ""},
		{"older", []string{"rpm", "vercmp", "1.0~rc1", "1.0"}, 0, "-1\n"},
		{"a dash first", []string{"rpm", "vercmp", "--", "-1", "1"}, 0, "0\n"},
		{"epochs", []string{"rpm", "evrcmp", "1:1.0-1", "2.0-9"}, 0, "1\n"},
		{"no EVR", []string{"rpm", "evrcmp", "1", "1-2-3"}, 1, ""},
		{"one version", []string{"rpm", "vercmp", "1"}, 2, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if code := run(tt.args, &stdout, &stderr); code != tt.code {
				t.Errorf("exit status %d, want %d: %s", code, tt.code, stderr.String())
			}
			if diff := cmp.Diff(tt.out, stdout.String()); diff != "" {
				t.Error(diff)
			}
			if (tt.code == 0) != (stderr.Len() == 0) {
				t.Errorf("said %q", stderr.String())
			}
		})
	}
}
