package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateConfigGolden = flag.Bool("update-config", false, "write the output of config check to its golden files")

func TestConfigCheckForPeople(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int{"service": 0, "monorepo": 0, "broken": 1, "syntax": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			dir := filepath.Join("testdata", "config")
			got := configCommand([]string{"check", filepath.Join(dir, name+".yaml"), "--repo-name", "widget", "--repo-file=widget.spec"}, &out, &errs)
			if got != code || errs.Len() > 0 {
				t.Fatalf("exit status %d, want %d; %s", got, code, errs.String())
			}
			golden := filepath.Join(dir, name+".golden")
			if *updateConfigGolden {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfigCheckJSON(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := configCommand([]string{"check", "--json", "testdata/config/broken.yaml"}, &out, &errs); code != 1 {
		t.Fatalf("exit status %d, %s", code, errs.String())
	}
	var answer struct {
		OK     *bool
		Errors []struct {
			Key, Message string
			Line, Column int
		}
	}
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.OK == nil || *answer.OK || len(answer.Errors) == 0 || answer.Errors[0].Line == 0 || answer.Errors[0].Message == "" {
		t.Errorf("answer = %s", out.String())
	}
}

func TestConfigUsage(t *testing.T) {
	t.Parallel()
	tests := map[string]int{
		"": 2, "nonsense": 2, "help": 0, "check": 2, "check a b": 2, "check --what a": 2, "check /does/not/exist": 2,
		"check --help": 0, "aliases": 2, "aliases --releases /does/not/exist": 2,
		"aliases --releases testdata/config/broken.yaml": 1,
	}
	for line, want := range tests {
		var out, errs bytes.Buffer
		if got := configCommand(strings.Fields(line), &out, &errs); got != want {
			t.Errorf("config %s: exit status %d, want %d (%s)", line, got, want, errs.String())
		}
	}
}

func TestConfigAliases(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "releases.json")
	row := `{"name":"F44","long_name":"Fedora 44","version":"44","id_prefix":"FEDORA","branch":"f44","state":"current"},
		{"name":"F45","long_name":"Fedora 45","version":"45","id_prefix":"FEDORA","branch":"rawhide","state":"pending"}`
	for _, text := range []string{"[" + row + "]", `{"releases": [` + row + `], "page": 1}`, `{"bodhi_releases": [` + row + `]}`} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if code := configCommand([]string{"aliases", "fedora-all-aarch64", "--releases", file}, &out, &errs); code != 0 {
			t.Fatalf("exit status %d, %s", code, errs.String())
		}
		var got aliasTable
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][2]string{{"fedora-44", "f44"}, {"fedora-rawhide", "rawhide"}}, got.Aliases["fedora-all"]); diff != "" {
			t.Errorf("fedora-all (-want +got):\n%s", diff)
		}
		want := aliasLookup{[]string{"f44", "main"}, []string{"f44", "main", "rawhide"}, []string{"f44", "rawhide"},
			[]string{"fedora-44-x86_64", "fedora-rawhide-x86_64"}}
		if diff := cmp.Diff(want, got.Lookups["fedora-all"]); diff != "" {
			t.Errorf("lookup of fedora-all (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"fedora-44-aarch64", "fedora-rawhide-aarch64"}, got.Lookups["fedora-all-aarch64"].Chroots); diff != "" {
			t.Errorf("lookup of a name (-want +got):\n%s", diff)
		}
	}
}

// In a checkout nothing needs to be said.
func TestConfigCheckInCheckout(t *testing.T) {
	t.Parallel()
	top := filepath.Join(t.TempDir(), "gadget")
	for name, text := range map[string]string{".git/HEAD": "", "rpm/odd.spec": "", ".packit.yaml": "jobs: [{job: copr_build, trigger: commit}]"} {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	if code := configCommand([]string{"check", filepath.Join(top, ".packit.yaml"), "--json"}, &out, &errs); code != 0 {
		t.Fatalf("exit status %d, %s%s", code, out.String(), errs.String())
	}
	if text := out.String(); !strings.Contains(text, `"specfile_path": "rpm/odd.spec"`) || !strings.Contains(text, `"package": "gadget"`) {
		t.Errorf("answer = %s", text)
	}
}

// What users write must not reach a terminal as commands.
func TestConfigCheckOutputIsPrintable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(`{"a\e[31m": 1, jobs: [], targets: ["x\r\e]0;y\a"], owner: "\u202e"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	configCommand([]string{"check", "--repo-name", "x", file}, &out, &errs)
	if text := out.String(); strings.ContainsAny(text, "\x1b\r\a\u202e") || !strings.Contains(text, "Unknown field.") {
		t.Errorf("output = %q", text)
	}
}
