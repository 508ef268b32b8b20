package models

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMarkLine(t *testing.T) {
	t.Parallel()
	tests := map[LineKind][]string{
		ErrorKind: {
			"error: Failed build dependencies:",
			"hello.c:12:5: error: 'x' undeclared (first use in this function)",
			"hello.c:1:10: fatal error: missing.h: No such file or directory",
			"/usr/bin/ld: hello.o: undefined reference to `twist'",
			"error[E0432]: unresolved import `serde`",
			"make[2]: *** [Makefile:12: hello.o] Error 1",
			"CMake Error at CMakeLists.txt:3 (find_package):",
			"Traceback (most recent call last):",
			"ModuleNotFoundError: No module named 'hello'",
			"E   AssertionError: assert 1 == 2",
			"--- FAIL: TestHello (0.00s)",
			"FAILED tests/test_hello.py::test_it - assert 1 == 2",
			"not ok 3 - turns the wheel",
			"No matching package to install: 'wheel-devel >= 3'",
			"No match for argument: wheel-devel",
			"Problem: nothing provides wheel needed by hello-1-1.noarch",
			" Problem 2: conflicting requests",
			"RPM build errors:",
			"    Bad exit status from /var/tmp/rpm-tmp.Xy (%build)",
			"error: Bad exit status from /var/tmp/rpm-tmp.Xy (%check)",
			"ERROR: Command failed: ",
			"E: Unable to locate package wheel",
			"fatal: not a git repository",
			"panic: runtime error: index out of range",
			"/bin/sh: line 1: cargo: command not found",
			"cp: cannot stat 'x': No such file or directory\r",
			"        fail: Command 'x' returned 1.",
		},
		WarningLine: {
			"warning: source_date_epoch_from_changelog set but %changelog is missing",
			"hello.c:3:1: warning: unused variable 'error:' [-Wunused]",
			"WARNING: Unable to build selinux chroot",
			"CMake Warning (dev):",
			"Failed to set locale, defaulting to C.UTF-8",
		},
		CommandLine: {
			"+ make -j4", "++ dirname hello", "$ rpmbuild -bs hello.spec", "ENTER ['do_with_status'](['bash'])",
			"Executing(%build): /bin/sh -e /var/tmp/rpm-tmp.Xy", "+ echo 'error: nothing'",
		},
		PlainLine: {
			"", "Wrote: /builddir/build/SRPMS/hello-1.0-1.src.rpm", "gcc -c -Werror -o error.o error.c",
			"Installing: perl-Error noarch 1:0.17", "0 errors, 0 failures", "test_error ... ok", "checking for failures... none",
			"## a heading", "Failover is configured",
		},
	}
	for want, lines := range tests {
		for _, line := range lines {
			if got := MarkLine(line); got != want {
				t.Errorf("%q is marked %q, want %q", line, got, want)
			}
		}
	}
}

func TestErrorLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, log, want string
	}{
		{"compiler", `
+ ./configure
checking for wheel... grep: /etc/wheel: No such file or directory
no
+ make -j2
gcc -c mill.c
mill.c:3:5: warning: implicit declaration of function 'turn'
mill.c:7:12: error: 'wheel' undeclared (first use in this function)
make: *** [Makefile:4: mill.o] Error 1
error: Bad exit status from /var/tmp/rpm-tmp.Qq (%build)
RPM build errors:
    Bad exit status from /var/tmp/rpm-tmp.Qq (%build)`, "mill.c:7:12: error:"},
		{"dependency", `
ENTER ['do_with_status'](['dnf', 'builddep'])
No matching package to install: 'wheel-devel >= 3'
Not all dependencies satisfied
ERROR: Exception(hello.src.rpm) Config(fedora-43-x86_64) 0 minutes 9 seconds
ERROR: Command failed:`, "No matching package"},
		{"python", `
Traceback (most recent call last):
  File "/builddir/setup.py", line 3, in <module>
    import wheel
ModuleNotFoundError: No module named 'wheel'
error: Bad exit status from /var/tmp/rpm-tmp.Qq (%build)`, "ModuleNotFoundError:"},
		{"missing program", `
+ cargo build
/var/tmp/rpm-tmp.Qq: line 40: cargo: command not found
error: Bad exit status from /var/tmp/rpm-tmp.Qq (%build)`, "/var/tmp/rpm-tmp.Qq: line 40: cargo"},
		{"only that it failed", `
+ false
error: Bad exit status from /var/tmp/rpm-tmp.Qq (%check)
RPM build errors:`, "error: Bad exit status"},
		{"tests", `
=== RUN   TestTurn
    mill_test.go:9: the wheel stands
--- FAIL: TestTurn (0.00s)
FAIL	mill	0.1s`, "--- FAIL: TestTurn"},
		{"no failure", "\nall is well\nerrors: 0", ""},
	}
	for _, test := range tests {
		lines := strings.Split(test.log, "\n")
		got := ErrorLine(lines)
		if (got == 0) != (test.want == "") || (got > 0 && !strings.HasPrefix(lines[got-1], test.want)) {
			t.Errorf("%s: line %d", test.name, got)
			if got > 0 {
				t.Logf("which is %q", lines[got-1])
			}
		}
	}
}

func TestLogTail(t *testing.T) {
	t.Parallel()
	lines := make([]string, 100)
	for i := range lines {
		lines[i] = fmt.Sprint(i + 1)
	}
	tests := []struct {
		n, at       int
		first, last string
	}{
		{100, 0, "81", "100"}, {100, 50, "45", "64"}, {100, 1, "1", "20"}, {100, 100, "81", "100"}, {100, 90, "81", "100"}, {5, 0, "1", "5"}, {5, 3, "1", "5"},
	}
	for _, test := range tests {
		got := strings.Split(LogTail(lines[:test.n], test.at), "\n")
		if got[0] != test.first || got[len(got)-1] != test.last || len(got) != min(test.n, 20) {
			t.Errorf("of %d lines around %d: %v", test.n, test.at, got)
		}
	}
	if got := LogTail(nil, 0); got != "" {
		t.Errorf("of no lines: %q", got)
	}
	if got := LogTail([]string{strings.Repeat("ä", 5000)}, 1); len(got) > longestLine+10 || !utf8.ValidString(got) {
		t.Errorf("a long line has %d bytes left", len(got))
	}
}

// FuzzErrorLine: the line that is found is one that is marked, and looking at a
// log while it is written finds the same.
func FuzzErrorLine(f *testing.F) {
	f.Add("a\nerror: b\nRPM build errors:\n")
	f.Add("x: No such file or directory\r\nFAILED y")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		at := ErrorLine(lines)
		if at < 0 || at > len(lines) || (at > 0 && MarkLine(lines[at-1]) != ErrorKind) {
			t.Fatalf("line %d of %d", at, len(lines))
		}
		if at == 0 {
			for _, line := range lines {
				if MarkLine(line) == ErrorKind {
					t.Fatalf("%q was not found", line)
				}
			}
		}
		if tail := LogTail(lines, at); strings.Count(tail, "\n") >= tailLines {
			t.Fatalf("%d lines of tail", strings.Count(tail, "\n")+1)
		}
	})
}
