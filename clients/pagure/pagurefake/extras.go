package pagurefake

import (
	"cmp"
	"errors"
	"net/http"
	"path"
	"strings"

	"millrace/clients/git"
	"millrace/clients/git/fakeforge"
)

// SetMonitoring says whether release monitoring looks after a package:
// "monitoring", "no-monitoring", "monitoring-with-scratch" and so on.
func (f *Fake) SetMonitoring(path, value string) error {
	return f.forge.SetNote(path, "monitoring", value)
}

// Orphan takes a package away from its owner.
func (f *Fake) Orphan(path, reason string) error {
	r, err := f.forge.Repo(path)
	if err != nil {
		return err
	}
	if err := f.forge.SetNote(path, "orphan", reason); err != nil {
		return err
	}
	r.Access.Owner = nobody
	return f.forge.SetAccess(path, r.Access)
}

// nobody owns what is orphaned.
const nobody = "orphan"

func (f *Fake) showExtra(show func(fakeforge.Repo) object) http.HandlerFunc {
	return f.plain(func(r *http.Request) (any, error) {
		repo, err := f.forge.Repo(r.PathValue("namespace") + "/" + r.PathValue("name"))
		if err != nil {
			return nil, noProject()
		}
		return show(repo), nil
	})
}

func monitoring(r fakeforge.Repo) object {
	return object{"monitoring": cmp.Or(r.Notes["monitoring"], "no-monitoring")}
}

func orphan(r fakeforge.Repo) object {
	if r.Access.Owner != nobody {
		return object{"orphan": false, "reason": nil, "reason_info": nil}
	}
	return object{"orphan": true, "reason": cmp.Or(r.Notes["orphan"], "Other"), "reason_info": ""}
}

// maxFile is how large files are that are shown raw.
const maxFile = 64 << 20

// serveRaw sends a file: /rpms/hello/raw/rawhide/f/hello.spec.
func (f *Fake) serveRaw(w http.ResponseWriter, r *http.Request) bool {
	repo, rest, ok := f.find(strings.Trim(r.URL.Path, "/"))
	if !ok || len(rest) < 4 || rest[0] != "raw" {
		return false
	}
	for i := 2; i < len(rest)-1; i++ { // branches may have slashes in them
		if rest[i] != "f" {
			continue
		}
		ref, file := strings.Join(rest[1:i], "/"), path.Join(rest[i+1:]...)
		text, err := f.forge.Bare(repo.Path).ShowFile(r.Context(), ref, file, maxFile)
		if errors.Is(err, git.ErrNotFound) || errors.Is(err, git.ErrBadName) {
			continue
		}
		if err != nil {
			http.Error(w, "Internal Server Error", http.StatusInternalServerError)
			return true
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(text)
		return true
	}
	page(w, http.StatusNotFound)
	return true
}

// servePage shows a page, or a file.
func (f *Fake) servePage(w http.ResponseWriter, r *http.Request) {
	if answered, _ := f.misbehave(w, r); answered || f.serveRaw(w, r) {
		return
	}
	repo, rest, ok := f.find(strings.Trim(r.URL.Path, "/"))
	switch {
	case ok && len(rest) == 0:
		f.pages.ShowRepo(w, r, repo.Path)
	case ok && len(rest) == 1 && rest[0] == "pull-requests":
		f.pages.ShowRepo(w, r, repo.Path)
	case ok && len(rest) == 2 && rest[0] == "pull-request":
		f.pages.ServePull(w, r, repo.Path, rest[1])
	case ok && len(rest) == 2 && rest[0] == "c":
		f.pages.ShowCommit(w, r, repo.Path, rest[1])
	case r.URL.Path == "/":
		f.pages.ShowAll(w, r)
	default:
		page(w, http.StatusNotFound)
	}
}
