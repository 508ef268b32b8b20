package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
)

const top = "../.."

// documents are the texts of all documents, by their paths from the top.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		files, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(top, file)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(text)
		}
	}
	if len(texts) < 9 {
		t.Fatalf("only %d documents were found", len(texts))
	}
	return texts
}

var (
	codeBlock   = regexp.MustCompile("(?s)```.*?```")
	markdown    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	htmlLink    = regexp.MustCompile(`(?:src|srcset|href)="([^"]+)"`)
	heading     = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInAnchor = regexp.MustCompile(`[^a-z0-9 _-]`)
)

func TestLinksOfDocuments(t *testing.T) {
	t.Parallel()
	texts := documents(t)
	seen := 0
	for name, text := range texts {
		plain := codeBlock.ReplaceAllString(text, "")
		for _, m := range slices.Concat(markdown.FindAllStringSubmatch(plain, -1), htmlLink.FindAllStringSubmatch(plain, -1)) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if u.Scheme != "" || u.Host != "" {
				continue
			}
			seen++
			to := name
			if u.Path != "" {
				to = filepath.Join(filepath.Dir(name), u.Path)
			}
			if _, err := os.Stat(filepath.Join(top, to)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
			if u.Fragment != "" && !slices.Contains(anchors(texts[to]), u.Fragment) {
				t.Errorf("%s links to %s, but there is no such heading", name, m[1])
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d links were looked at", seen)
	}
}

// anchors are the names under which forges show the headings of a document.
func anchors(text string) []string {
	var names []string
	for _, m := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		plain := notInAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(plain, " ", "-"))
	}
	return names
}

// commandLine is a use of the program in a document: as code, or after a prompt.
var commandLine = regexp.MustCompile("(?m)(?:`|^\\$ (?:[A-Z_]+=\\S+ )*)(?:bin/)?millrace ([a-z-]+)([^`\n|]*)")

func TestCommandsInDocuments(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	helps := map[string]string{}
	for _, c := range commands() {
		var out strings.Builder
		if code := c.run([]string{"--help"}, &out, &out); code != 0 {
			t.Errorf("millrace %s --help exits with %d", c.name, code)
		}
		known[c.name], helps[c.name] = true, out.String()
	}
	option := regexp.MustCompile(`--([a-z][a-z-]+)`)
	named := map[string]bool{}
	for name, text := range documents(t) {
		for _, m := range commandLine.FindAllStringSubmatch(text, -1) {
			if !known[m[1]] {
				t.Errorf("%s: there is no command %q", name, m[1])
				continue
			}
			named[m[1]] = true
			for _, o := range option.FindAllStringSubmatch(m[2], -1) {
				if !regexp.MustCompile(`-`+o[1]+`\b`).MatchString(helps[m[1]]) && o[1] != "help" {
					t.Errorf("%s: the help of millrace %s does not know --%s", name, m[1], o[1])
				}
			}
		}
	}
	for name := range known {
		// bench is a tool for those who change the service, and named by its make target.
		if !named[name] && name != "bench" {
			t.Errorf("no document names the command %s", name)
		}
	}
}

func TestTargetsInDocuments(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(top, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range documents(t) {
		for _, m := range regexp.MustCompile("(?m)(?:`|^\\$ )make ([a-z]+)").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s: there is no target %q", name, m[1])
			}
		}
	}
}

func TestSettingsAreDocumented(t *testing.T) {
	t.Parallel()
	text := documents(t)["docs/configuration.md"]
	row := regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| `([A-Z_]+)` \\| (?:-|`([^`]*)`) \\| (.+) \\|$")
	var written, want []string
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		written = append(written, fmt.Sprintf("%s %s %q", m[1], m[2], m[3]))
		if len(m[4]) < 10 {
			t.Errorf("%s: say more than %q", m[1], m[4])
		}
	}
	for _, s := range defaults().all() {
		value := s.show()
		if s.secret {
			value = ""
			if !reflect.ValueOf(s.value).Elem().IsZero() {
				t.Errorf("the secret %s has a default", s.key)
			}
		}
		want = append(want, fmt.Sprintf("%s %s %q", s.key, envName(s.key), value))
	}
	if diff := cmp.Diff(want, written); diff != "" {
		t.Errorf("docs/configuration.md is not what the program has (-program +document):\n%s", diff)
	}
}

// TestShownSettingsCanBeRead: what `millrace settings` prints is what may be
// written.
func TestShownSettingsCanBeRead(t *testing.T) {
	t.Parallel()
	from, to := defaults(), new(settings)
	for i, s := range to.all() {
		if shown := from.all()[i]; !shown.secret {
			if err := s.set(shown.show()); err != nil {
				t.Errorf("%s: %v", s.key, err)
			}
		}
	}
	if diff := cmp.Diff(from, to); diff != "" {
		t.Error(diff)
	}
}

func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join(top, "handlers", "metrics.go"))
	if err != nil {
		t.Fatal(err)
	}
	metric := regexp.MustCompile(`\bmillrace_[a-z_]+\b`)
	inDocument := metric.FindAllString(documents(t)["docs/operations.md"], -1)
	inProgram := metric.FindAllString(string(source), -1)
	for _, list := range []*[]string{&inDocument, &inProgram} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if diff := cmp.Diff(inProgram, inDocument); diff != "" || len(inProgram) < 5 {
		t.Errorf("docs/operations.md has other metrics than the program (-program +document):\n%s", diff)
	}
}

func TestKeysOfMessagesAreDocumented(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(documents(t)["docs/contracts.md"], "## `millrace event parse")
	section, _, _ = strings.Cut(section, "\n## ")
	var written, want []string
	for line := range strings.Lines(section) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cell, -1) {
			if strings.HasPrefix(line, "| ") {
				written = append(written, m[1])
			}
		}
	}
	for field := range reflect.TypeFor[models.Message]().Fields() {
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		want = append(want, key)
	}
	slices.Sort(written)
	slices.Sort(want)
	if diff := cmp.Diff(want, written); diff != "" {
		t.Errorf("docs/contracts.md lists other keys than messages have (-program +document):\n%s", diff)
	}
}

// TestTypesOfTheAPI: the types that docs/api.md names are in the code.
func TestTypesOfTheAPI(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(top, "handlers", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var source []byte
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, text...)
	}
	rows := regexp.MustCompile("(?m)^\\| `/.* \\| `(\\w+)`(?:, `(\\w+)`)? \\|$").FindAllStringSubmatch(documents(t)["docs/api.md"], -1)
	if len(rows) < 10 {
		t.Errorf("only %d rows name a type", len(rows))
	}
	for _, m := range rows {
		for _, name := range m[1:] {
			if name != "" && !strings.Contains(string(source), "\ntype "+name+" struct {") {
				t.Errorf("package handlers has no type %s", name)
			}
		}
	}
}

// TestFilesInArchitecture: the files that the page names are there, and the
// functions of its tables are in them.
func TestFilesInArchitecture(t *testing.T) {
	t.Parallel()
	text := documents(t)["docs/architecture.md"]
	file := regexp.MustCompile("`([a-z_]+(?:/[a-z_]+)*/[a-z_]+\\.go)`")
	row := regexp.MustCompile("(?m)^\\| *\\d+ \\| (`[^|]+) \\| `(\\w+)` \\|")
	for _, m := range file.FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(top, m[1])); err != nil {
			t.Error(err)
		}
	}
	rows := row.FindAllStringSubmatch(text, -1)
	if len(rows) < 15 {
		t.Errorf("only %d rows name a function", len(rows))
	}
	for _, m := range rows {
		for _, f := range file.FindAllStringSubmatch(m[1], -1) {
			source, err := os.ReadFile(filepath.Join(top, f[1]))
			if err == nil && !regexp.MustCompile(`(?m)^func (\([^)]*\) )?`+m[2]+`\(`).Match(source) {
				t.Errorf("there is no function %s in %s", m[2], f[1])
			}
		}
	}
}

// TestDependenciesAreExplained: CONTRIBUTING.md names the modules that our code
// imports, and no others.
func TestDependenciesAreExplained(t *testing.T) {
	t.Parallel()
	gomod, err := os.ReadFile(filepath.Join(top, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(gomod), -1) {
		direct = append(direct, m[1])
	}
	used := map[string]bool{}
	for path := range imports(t) {
		module := ""
		for _, d := range direct {
			if (path == d || strings.HasPrefix(path, d+"/")) && len(d) > len(module) {
				module = d
			}
		}
		if module != "" {
			used[module] = true
		}
	}
	_, section, _ := strings.Cut(documents(t)["CONTRIBUTING.md"], "## Dependencies")
	section, _, _ = strings.Cut(section, "\n## ")
	explained := map[string]bool{}
	for line := range strings.Lines(section) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, m := range regexp.MustCompile("`([a-zA-Z0-9.-]+\\.[a-z]+/\\S+)`").FindAllStringSubmatch(cell, -1) {
			explained[m[1]] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(explained))); diff != "" {
		t.Errorf("CONTRIBUTING.md explains other modules than we use (-used +explained):\n%s", diff)
	}
}

// imports are all paths that our packages and their tests import.
func imports(t *testing.T) map[string]bool {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=Imports,TestImports,XTestImports", "millrace/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct{ Imports, TestImports, XTestImports []string }
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return paths
		} else if err != nil {
			t.Fatal(err)
		}
		for _, path := range slices.Concat(pkg.Imports, pkg.TestImports, pkg.XTestImports) {
			paths[path] = true
		}
	}
}
