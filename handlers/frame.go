package handlers

import (
	"context"
	"hash/fnv"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // readers have zones that the machine may not know

	"millrace/models"
	"millrace/views"
)

// withFrame gives the pages rendered with ctx what they share.
func (s *Server) withFrame(ctx context.Context, r *http.Request) context.Context {
	if _, ok := ctx.Value(framedKey{}).(bool); ok {
		return ctx
	}
	ctx = context.WithValue(ctx, framedKey{}, true)
	same := ""
	if !onlyForPeople(r.URL.Path) {
		same = apiPrefix + here(r)
	}
	return views.WithFrame(ctx, views.Frame{
		JSON:    same,
		Version: s.Version, Now: time.Now().UTC(), Zone: zoneOf(r),
		Absolute: cookie(r, "times") == "absolute", Theme: cookie(r, "theme"),
		Path: here(r), Demo: s.Demo, Notice: s.Notice, Source: s.Source,
		LastEvent: s.Live.LastEvent(), Viewer: viewerOf(r), Login: s.loginAddress(r),
	})
}

// onlyForPeople reports whether a page has no form as JSON.
func onlyForPeople(path string) bool {
	switch path {
	case "/help", "/find", "/pipelines/selected", "/packages/-/automation", "/admin/automation-list":
		return true
	}
	return strings.HasPrefix(path, "/login") || strings.HasSuffix(path, "/rerun") || strings.HasSuffix(path, "/automation/readiness") ||
		strings.HasPrefix(path, "/mail/stop/") || strings.Contains(path, "/-/settings/hooks/") && strings.HasSuffix(path, "/delete")
}

// loginAddress leads through the login back to the page; empty if nobody can log
// in. From the pages of a login itself it leads to the front page.
func (s *Server) loginAddress(r *http.Request) string {
	if s.Logins.Accounts == nil {
		return ""
	}
	if strings.HasPrefix(r.URL.Path, "/login") {
		return views.LoginURL("/")
	}
	return views.LoginURL(here(r))
}

type framedKey struct{}

// here is the path and query of a page, to come back to.
func here(r *http.Request) string {
	u := url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	return u.RequestURI()
}

func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	value, err := url.QueryUnescape(c.Value)
	if err != nil || len(value) > 100 {
		return ""
	}
	return value
}

// zones keeps what was loaded: there are some hundred names, and reading one
// costs a file.
var (
	zones    sync.Map // of names to *time.Location
	zoneName = regexp.MustCompile(`^[A-Z][A-Za-z0-9_+-]{1,30}(/[A-Za-z0-9_+-]{1,30}){0,2}$`)
)

// zoneOf is the time zone that the reader's browser said it has, or UTC.
func zoneOf(r *http.Request) *time.Location {
	name := cookie(r, "tz")
	if !zoneName.MatchString(name) || name == "Local" {
		return time.UTC
	}
	if known, ok := zones.Load(name); ok {
		return known.(*time.Location)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	zones.Store(name, zone)
	return zone
}

// pageTag is the weak tag of a page that changes with version: other readers
// may see it otherwise, and ages on it grow.
func (s *Server) pageTag(r *http.Request, kind string, version int64) string {
	f := views.FrameOf(r.Context())
	h := fnv.New64a()
	for _, part := range []string{
		kind, s.Version, f.Zone.String(), f.Theme, strconv.FormatBool(f.Absolute), r.URL.RawQuery, s.Notice,
		f.Now.Format("200601021504"), strconv.FormatBool(visitOf(r).json), r.Header.Get("HX-Request"), viewerTag(f.Viewer),
	} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return `W/"` + strconv.FormatInt(version, 10) + "-" + strconv.FormatUint(h.Sum64(), 36) + `"`
}

// viewerTag is what of the viewer pages show.
func viewerTag(v *models.Viewer) string {
	if v == nil {
		return ""
	}
	return v.Login + "\x00" + v.Name + "\x00" + strconv.FormatBool(v.Operator)
}

// chooseDisplay takes the form with theme and times for readers whose browser
// runs no scripts, and sends them back.
func (s *Server) chooseDisplay(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		return &refusal{status: http.StatusBadRequest, detail: "The form cannot be read."}
	}
	for name, values := range map[string][]string{"theme": {"system", "light", "dark"}, "times": {"relative", "absolute"}} {
		for _, value := range values {
			if r.PostForm.Get(name) == value {
				http.SetCookie(w, &http.Cookie{
					Name: name, Value: value, Path: "/", MaxAge: 365 * 24 * 3600,
					SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(s.Base, "https://"),
				})
			}
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, local(r.PostForm.Get("back")), http.StatusSeeOther)
	return nil
}

// local returns an address if it stays with us, otherwise the front page.
func local(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" ||
		!strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.ContainsAny(address, "\\\r\n") {
		return "/"
	}
	u.Fragment = ""
	return u.RequestURI()
}
