// Package handlers answers HTTP requests: pages, the same as JSON, live
// updates, and what forges and services send.
package handlers

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"millrace/jobs/access"
	"millrace/models"
	"millrace/models/store"
	"millrace/static"
)

// Server answers requests. Its fields are what handlers work with; they are set
// before Handler is called and not changed afterwards.
type Server struct {
	Store   *store.Store
	Log     *slog.Logger
	Metrics *Metrics // NewMetrics; nil counts nothing
	Live    *Hub     // NewHub; not nil

	// Accept stores a delivery with the job that will handle it, and reports
	// false if its source sent it before.
	Accept  func(ctx context.Context, d *models.Delivery) (fresh bool, err error)
	Secrets Secrets
	Logins  Logins
	Rights  *access.Rights // who may do what to which project; nil: only operators are known

	Steering   Steering                // nil: nothing can be started or stopped here
	Telling    Telling                 // nil: no hooks are sent from here
	Mails      bool                    // people get mail
	Automating Automating              // nil: there is no dist-git whose packages anything is done for
	Limits     map[models.StepKind]int // groups of a kind that are worked on at once in all processes; absent: no limit

	// Checks are what /readyz asks besides the database, by name.
	Checks map[string]func(ctx context.Context) error

	Base         string        // address of our pages, without a trailing slash
	Version      string        // of the program
	Source       string        // address of the program's source; may be empty
	Demo         string        // address of Fedora in a box; empty outside demos
	Notice       string        // what operators want everybody to know; may be empty
	Prefix       string        // of comment commands, such as /packit
	Flat         string        // forge whose namespaces have no slash in them
	PackageForge string        // where packages are, such as src.fedoraproject.org; empty: nowhere
	KeepRaw      time.Duration // how long raw messages are kept; 0: for ever
	Program      string        // file that /srpm-tool serves; empty: this very program
	Programs     Programs      // those that ran here before, which it serves too

	big      chan struct{} // large messages that are being read
	sessions *scs.SessionManager
	tries    *tries // to log in
	api      *api
	reads    *tries // of configs as they are now
}

// Secrets prove where messages come from. Several are valid at a time, so that
// they can be replaced without a gap. A source without any takes nothing.
type Secrets struct {
	GitHub      []string // of webhooks
	GitLab      []string
	Forgejo     []string
	TestingFarm []string // tokens in notifications
	Bus         []string // bearer tokens of those who may hand over bus messages
}

// handler answers a request, or leaves the answer to its error to others.
type handler func(w http.ResponseWriter, r *http.Request) error

// pageTime is how long finding an answer may take.
const pageTime = 15 * time.Second

// Handler returns everything the server answers, one line a route.
func (s *Server) Handler() http.Handler {
	s.big = make(chan struct{}, maxBigHooks)
	s.sessions, s.tries = s.sessionsOf(), new(tries)
	s.api = s.newAPI()
	s.reads = new(tries)
	s.Metrics.watchQueue(s.Log, func(ctx context.Context) (*models.Queue, error) { return s.Store.Queue(ctx, "") })
	s.Metrics.watchDispatches(s.Log, s.Store.WaitingDispatches)
	return s.enter(s.routes())
}

// routes are the addresses of everything that is answered.
func (s *Server) routes() chi.Router {
	r := chi.NewRouter()
	programs := s.programs()
	r.Use(routed, middleware.GetHead, asPrograms(programs))
	r.NotFound(s.recognized(s.answer(s.nothingHere)).ServeHTTP)
	r.MethodNotAllowed(s.answer(func(w http.ResponseWriter, req *http.Request) error {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if r.Match(chi.NewRouteContext(), method, req.URL.Path) || programs.Match(chi.NewRouteContext(), method, req.URL.Path) {
				w.Header().Add("Allow", method)
			}
		}
		return &refusal{status: http.StatusMethodNotAllowed}
	}))

	r.Group(func(r chi.Router) { // signed or guarded by tokens: no cookies, no browsers
		for path, source := range s.sources() {
			r.Post(path, s.receive(source))
		}
	})
	r.Get("/mail/stop/{token}", s.page(s.askStop))
	r.Post("/mail/stop/{token}", s.page(s.stopMail)) // by programs for mail, which nobody is logged in with
	r.Get("/live", s.answer(s.live))
	r.Get("/healthz", s.answer(s.healthy))
	r.Get("/readyz", s.answer(s.ready))
	r.Method(http.MethodGet, "/metrics", s.Metrics.Handler())
	r.Get("/version.json", s.answer(s.showVersion))
	r.Get("/robots.txt", s.answer(s.robots))
	r.Get("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) {
		redirect(w, static.Favicon("neutral"), http.StatusFound)
	})
	r.Handle(static.Prefix+"*", static.Handler())
	r.Get("/srpm-tool/{sha256}/millrace", s.answer(s.program))
	r.Get("/srpms/{run}/{key}/{file}", s.answer(s.sourcePackage))

	r.Group(func(r chi.Router) {
		r.Use(http.NewCrossOriginProtection().Handler, s.recognized)
		r.Post("/settings/display", s.answer(s.chooseDisplay))
		r.Get("/login", s.answer(s.beginLogin))
		r.Get("/login/callback", s.answer(s.finishLogin))
		r.Post("/logout", s.answer(s.logout(false)))
		r.Post("/logout/everywhere", s.answer(s.logout(true)))

		r.Get("/", s.page(s.showHome))
		r.Get("/find", s.page(s.find))
		r.Get("/projects", s.page(s.listProjects))
		r.Get("/projects/*", s.page(s.inProject))
		r.Post("/projects/*", s.page(s.inProject))
		r.Put("/projects/*", s.page(s.inProject))
		r.Delete("/projects/*", s.page(s.inProject))
		r.Get("/packages", s.page(s.listPackages))
		r.Get("/packages/-/automation", s.page(s.showMany))
		r.Post("/packages/-/automation", s.page(s.takeMany))
		r.Get("/packages/{name}", s.page(s.showPackage))
		r.Get("/packages/{name}/automation", s.page(s.showAutomation))
		r.Post("/packages/{name}/automation", s.page(s.takeAutomation))
		r.Get("/packages/{name}/automation/readiness", s.page(s.showReadiness))
		r.Get("/pipelines", s.page(s.listPipelines))
		r.Get("/pipelines/selected", s.page(s.showSelected))
		r.Post("/pipelines/selected", s.page(s.steerSelected))
		r.Get("/pipelines/{id}", s.page(s.showPipeline))
		r.Get("/pipelines/{id}/rerun", s.page(s.showRerun))
		r.Post("/pipelines/{id}/rerun", s.page(s.startRerun))
		r.Post("/pipelines/{id}/cancel", s.page(s.stop))
		r.Get("/pipelines/{id}/steps/{step}", s.page(s.showStep))
		r.Get("/pipelines/{id}/steps/{step}/{target}", s.page(s.showTarget))
		r.Get("/runs/{id}", s.page(s.showRun))
		r.Get("/runs/{id}/log", s.page(s.showLog))
		r.Get("/runs/{id}/log.txt", s.answer(s.rawLog))
		r.Get("/events", s.page(s.listEvents))
		r.Get("/events/{id}", s.page(s.showEvent))
		r.Get("/queue", s.page(s.showQueue))
		r.Get("/pipelines.atom", s.page(s.pipelinesFeed))
		r.Get("/events.atom", s.page(s.eventsFeed))
		r.Get("/help", s.page(s.showHelp))
		r.Get("/settings/accounts", s.page(s.showAccounts))
		r.Get("/settings/notifications", s.page(s.showNotifications))
		r.Post("/settings/notifications", s.page(s.takeNotifications))
		r.Get("/settings/tokens", s.page(s.listTokens))
		r.Post("/settings/tokens", s.page(s.makeToken))
		r.Post("/settings/tokens/{id}/revoke", s.page(s.endToken))
		r.Get("/admin/allowlist", s.page(s.listAllowances))
		r.Post("/admin/allowlist", s.page(s.changeAllowance))
		r.Get("/admin/audit", s.page(s.listAudit))
		r.Get("/admin/automation-list", s.page(s.showAutomationList))
	})
	return r
}

// StatusHandler returns what operators ask a process that has no pages: whether
// it lives, whether it can work, and its metrics.
func (s *Server) StatusHandler() http.Handler {
	r := chi.NewRouter()
	r.Use(routed, middleware.GetHead)
	r.Get("/healthz", s.answer(s.healthy))
	r.Get("/readyz", s.answer(s.ready))
	r.Method(http.MethodGet, "/metrics", s.Metrics.Handler())
	r.Get("/version.json", s.answer(s.showVersion))
	return s.enter(r)
}

// answer lets h answer, and answers for it if it cannot.
func (s *Server) answer(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	}
}

// page is answer for what reads the database for a reader: within a time, and
// with the frame that all pages share.
func (s *Server) page(h handler) http.HandlerFunc {
	return s.answer(func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), pageTime)
		defer cancel()
		return h(w, r.WithContext(s.withFrame(ctx, r)))
	})
}

// jitter is a number that is different each time.
func (s *Server) jitter() int { return rand.IntN(1 << 20) }
