package handlers

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/models/store"
	"millrace/models/store/storetest"
)

func TestOwnPackages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newShop(t, s)
		d.stock(t, "cowsay")
		if err := d.distGit.CreateRepo(t.Context(), "rpms/olgas", "olga"); err != nil {
			t.Fatal(err)
		}
		says(t, d.get(t, "/packages"), "In dist-git, as far as anything happened to them here.", "No package Packages stand here once something happened")
		for login, want := range map[string][]string{
			"ada":  {"2 packages of yours in dist-git", "cowsay nothing none", "hello nothing none"},
			"bo":   {"1 package of yours in dist-git", "hello nothing none"}, // on some branches
			"otto": {"0 packages of yours in dist-git", "No package of yours Dist-git names none that you may work on."},
		} {
			b := d.browser()
			b.login(t, login)
			w := b.open(t, "/packages")
			says(t, w, want...)
			if strings.Contains(w.Body.String(), "olgas") {
				t.Errorf("%s is shown the package of another", login)
			}
		}
		ada := d.browser()
		ada.login(t, "ada")
		says(t, ada.open(t, "/packages?q=ell"), "1 has that in the name", "hello nothing")
		says(t, ada.open(t, "/packages?q=h*"), "hello nothing")
		w := ada.open(t, "/packages?q=olgas")
		contains(t, w, `href="/packages/olgas"`)
		says(t, w, "None in this list has that in its name. Look for olgas in dist-git")
		says(t, ada.open(t, "/packages?q=x*y"), "The name of none in this list is like that.")
		says(t, ada.open(t, "/packages?all=1"), "as far as anything happened to them here", "No package")
	})
}

// Who has many packages reads them part by part.
func TestManyOwnPackages(t *testing.T) {
	t.Parallel()
	d := newShop(t, storetest.SQLite(t))
	names := []string{}
	for i := range 2*packagesListed + 1 {
		names = append(names, fmt.Sprintf("pkg-%03d", i))
	}
	err := d.Store.InTx(t.Context(), func(tx *store.Tx) error {
		return tx.Cache(t.Context(), "packages of people", "olga", names)
	})
	if err != nil {
		t.Fatal(err)
	}
	b := d.browser()
	b.login(t, "olga")
	for path, want := range map[string]struct{ first, last, back, on string }{
		"/packages":              {"pkg-000", "pkg-099", "", "pkg-100"},
		"/packages?from=pkg-100": {"pkg-100", "pkg-199", "pkg-000", "pkg-200"},
		"/packages?from=pkg-200": {"pkg-200", "pkg-200", "pkg-100", ""},
		"/packages?from=pkg-05":  {"pkg-050", "pkg-149", "pkg-000", "pkg-150"},
		"/packages?from=x":       {"pkg-101", "pkg-200", "pkg-001", ""},
	} {
		body := b.open(t, path).Body.String()
		wanted := names[slices.Index(names, want.first) : slices.Index(names, want.last)+1]
		var shown []string
		for _, input := range strings.Split(body, `name="package" value="`)[1:] {
			name, _, _ := strings.Cut(input, `"`)
			shown = append(shown, name)
		}
		if !slices.Equal(shown, wanted) {
			t.Errorf("%s has %q, want %q", path, shown, wanted)
		}
		for rel, name := range map[string]string{"prev": want.back, "next": want.on} {
			link := fmt.Sprintf(`rel="%s" href="/packages?from=%s"`, rel, name)
			if name == "" && strings.Contains(body, `rel="`+rel+`"`) || name != "" && !strings.Contains(body, link) {
				t.Errorf("%s: the link %s does not lead to %q", path, rel, name)
			}
		}
	}
}

// What dist-git said is shown while it does not answer, and who was never asked
// about is told so.
func TestOwnPackagesWhileDistGitIsDown(t *testing.T) {
	t.Parallel()
	d := newShop(t, storetest.SQLite(t))
	ada, olga := d.browser(), d.browser()
	ada.login(t, "ada")
	olga.login(t, "olga")
	says(t, ada.open(t, "/packages"), "1 package of yours")
	d.down(true)
	if _, err := d.Store.Writer().ExecContext(t.Context(), "UPDATE cached_items SET fetched_at = ? WHERE source = 'packages of people'", store.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	says(t, ada.open(t, "/packages"), "1 package of yours", "hello")
	says(t, olga.open(t, "/packages"), "Dist-git is being asked which packages are yours.", "Yours, as far as they are known here.")
	var waiting int
	if err := d.Store.Writer().NewSelect().Table("river_job").ColumnExpr("count(*)").Where("kind = 'find_packages'").Scan(t.Context(), &waiting); err != nil || waiting != 2 {
		t.Errorf("%d lists are being fetched, %v", waiting, err)
	}
}

// TestPackageThatNothingHappenedTo is found in dist-git.
func TestPackageThatNothingHappenedTo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newShop(t, s)
		w := d.get(t, "/packages/hello")
		says(t, w, "hello", "No release yet", "No pipeline yet", "Automation")
		contains(t, w, `href="/packages/hello/automation"`)
		if strings.Contains(w.Body.String(), "project:0") {
			t.Error("the page listens to a project that is none")
		}
		if w := d.get(t, "/packages/hello.json"); w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
			t.Errorf("its JSON: status %d, %s", w.Code, w.Header().Get("Content-Type"))
		}
		if w := d.get(t, "/packages/helo"); w.Code != http.StatusNotFound {
			t.Errorf("no package: status %d", w.Code)
		}
		d.down(true)
		if w := d.get(t, "/packages/unknown"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("while dist-git is down: status %d", w.Code)
		}
		var projects int
		if err := s.Writer().NewSelect().Table("projects").ColumnExpr("count(*)").Where("name = 'hello'").Scan(t.Context(), &projects); err != nil || projects != 0 {
			t.Errorf("looking made %d projects, %v", projects, err)
		}
	})
}
