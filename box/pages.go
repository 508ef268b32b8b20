package box

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"millrace/clients/github/githubfake"
	"millrace/static"

	"github.com/a-h/templ"
)

// listed is how many things a list shows.
const listed = 100

// show is a page: it returns what to render.
type show func(ctx context.Context, r *http.Request) (templ.Component, error)

func (b *Box) page(s show) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := s(r.Context(), r)
		if err != nil {
			b.refuse(w, r, err)
			return
		}
		b.render(w, r, http.StatusOK, c)
	}
}

// routes are the pages of the box. Those of the forge begin with the name of an
// owner, all others with a word that is none.
func (b *Box) routes() http.Handler {
	own := http.NewServeMux()
	own.Handle("GET "+static.Prefix, static.Handler())
	own.Handle("GET "+stylesheetPath, http.HandlerFunc(serveStylesheet))
	own.HandleFunc("GET /{$}", b.page(b.showHome))
	own.HandleFunc("GET /-/webhooks", b.page(b.showWebhooks))
	own.HandleFunc("GET /-/webhooks/{id}", b.page(b.showWebhook))
	own.HandleFunc("GET /-/bus", b.page(b.showBus))
	own.HandleFunc("GET /-/bus/{id}", b.page(b.showMessage))
	own.HandleFunc("GET /-/receiver", b.page(b.showReceiver))
	own.HandleFunc("POST /-/receiver", b.do(b.actReceiver))
	own.HandleFunc("POST "+receiverPath, b.receive)
	own.HandleFunc("GET /-/mail", b.page(b.showMail))
	own.HandleFunc("GET /-/mail/{number}", b.page(b.showLetter))
	own.HandleFunc("POST /-/redeliver/{kind}/{id}", b.do(b.actRedeliver))
	own.HandleFunc("POST /-/trouble", b.do(b.actTrouble))
	own.HandleFunc("GET /copr/{$}", b.page(b.showCopr))
	own.HandleFunc("GET /copr/coprs/{owner}/{project}/{$}", b.page(b.showCoprProject))
	own.HandleFunc("GET /copr/coprs/build/{id}/{$}", b.page(b.showBuild))
	own.HandleFunc("GET /testing-farm/{$}", b.page(b.showFarm))
	own.HandleFunc("GET /bodhi/{$}", b.page(b.showBodhi))
	own.HandleFunc("GET /fedora/{$}", b.page(b.showFedora))
	own.HandleFunc("GET /anitya/{$}", b.page(b.showAnitya))
	own.HandleFunc("GET /anitya/project/{id}/{$}", b.page(b.showAnitya))
	own.HandleFunc("POST /fedora/pass", b.do(b.actPass))
	own.HandleFunc("POST /fedora/fail", b.do(b.actFailBuild))
	own.HandleFunc("POST /fedora/merge/{package}", b.do(b.actDistGitMerge))
	own.HandleFunc("POST /fedora/karma/{alias}", b.do(b.actKarma))
	own.HandleFunc("GET /bugzilla/show_bug.cgi", b.page(b.showBug))
	own.HandleFunc("GET /accounts/{$}", b.page(b.showPeople))
	own.HandleFunc("POST /accounts/people/{login}", b.do(b.actPerson))
	own.HandleFunc("GET /accounts/login", b.showLogin)
	own.HandleFunc("POST /accounts/login", b.do(b.actLogin))
	own.HandleFunc("/", b.nothing)

	forge := http.NewServeMux()
	forge.HandleFunc("GET /{owner}", b.page(b.showOwner))
	forge.HandleFunc("GET /{owner}/{repo}", b.page(b.showRepo))
	forge.HandleFunc("GET /{owner}/{repo}/tree/{rev...}", b.page(b.showRepo))
	forge.HandleFunc("GET /{owner}/{repo}/blob/{rev}/{path...}", b.page(b.showFile))
	forge.HandleFunc("GET /{owner}/{repo}/commit/{rev}", b.page(b.showCommit))
	forge.HandleFunc("GET /{owner}/{repo}/archive/{tag}/{file}", b.serveArchive)
	forge.HandleFunc("GET /{owner}/{repo}/pulls", b.page(b.showRepo))
	forge.HandleFunc("GET /{owner}/{repo}/pull/{number}", b.page(b.showPull))
	forge.HandleFunc("GET /{owner}/{repo}/issues", b.page(b.showRepo))
	forge.HandleFunc("GET /{owner}/{repo}/issues/{number}", b.page(b.showIssue))
	forge.HandleFunc("POST /{owner}/install", b.do(b.actInstall))
	forge.HandleFunc("POST /{owner}/{repo}/issues", b.do(b.actOpenIssue))
	forge.HandleFunc("POST /{owner}/{repo}/issues/{number}/comment", b.do(b.actCommentIssue))
	forge.HandleFunc("POST /{owner}/{repo}/commit/{rev}/comment", b.do(b.actCommentCommit))
	forge.HandleFunc("POST /{owner}/{repo}/release", b.do(b.actRelease))
	forge.HandleFunc("POST /{owner}/{repo}/open", b.do(b.actOpen))
	forge.HandleFunc("POST /{owner}/{repo}/pulls", b.do(b.actOpenFrom))
	for name, act := range map[string]func(context.Context, string, int, *http.Request) error{
		"push": b.actPush, "close": b.actClose, "reopen": b.actReopen, "merge": b.actMerge, "comment": b.actComment,
		"rerequest": b.actRerequest, "rerequest-all": b.actRerequestAll, "request": b.actRequest,
	} {
		forge.HandleFunc("POST /{owner}/{repo}/pull/{number}/"+name, b.do(b.onPull(act)))
	}
	forge.HandleFunc("/", b.nothing)

	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if slices.Contains([]string{"", "-", "static", "copr", "testing-farm", "bodhi", "fedora", "anitya", "bugzilla", "accounts"}, first) {
			own.ServeHTTP(w, r)
			return
		}
		forge.ServeHTTP(w, r)
	})
	return http.NewCrossOriginProtection().Handler(secured(pages))
}

func (b *Box) nothing(w http.ResponseWriter, r *http.Request) {
	b.refuse(w, r, fmt.Errorf("%s: %w", r.URL.Path, githubfake.ErrNotFound))
}

// policy lets forms lead to the sources forms, and nothing come from elsewhere.
func policy(forms string) string {
	return "default-src 'self'; base-uri 'none'; form-action " + forms + "; frame-ancestors 'none'; object-src 'none'"
}

// secured forbids what pages do not need.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy("'self'"))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// frame is what all pages show.
type frame struct {
	Service string
	Now     time.Time
	Path    string
	Refresh bool   // without scripts, by the browser
	Again   string // address of the same page that does so, or does so no more
	Theme   string
	Trouble map[Trouble]time.Time
}

type frameKey struct{}

func frameOf(ctx context.Context) *frame {
	if f, ok := ctx.Value(frameKey{}).(*frame); ok {
		return f
	}
	return &frame{}
}

// render writes a page once it is whole.
func (b *Box) render(w http.ResponseWriter, r *http.Request, status int, c templ.Component) {
	f := &frame{Service: b.Service(), Now: time.Now().UTC(), Path: r.URL.Path, Again: again(r.URL), Refresh: r.URL.Query().Get("refresh") == "1", Trouble: b.Troubles()}
	if theme, err := r.Cookie("theme"); err == nil {
		f.Theme = theme.Value
	}
	var page bytes.Buffer
	if err := c.Render(context.WithValue(r.Context(), frameKey{}, f), &page); err != nil {
		b.log.ErrorContext(r.Context(), "page not rendered", "path", r.URL.Path, "error", err)
		http.Error(w, "This page cannot be shown. The log of the box says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // whoever asked may have left
}
