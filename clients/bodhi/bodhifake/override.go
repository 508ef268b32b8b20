package bodhifake

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"millrace/clients/bodhi"
)

type override struct {
	NVR, Notes, User   string
	Submitted, Expires time.Time
	Expired            time.Time
}

func (s *Server) overrideJSON(o *override) map[string]any {
	var expired any
	switch {
	case !o.Expired.IsZero():
		expired = o.Expired.Format(time.DateTime)
	case o.Expires.Before(s.now()):
		expired = o.Expires.Format(time.DateTime)
	}
	return map[string]any{
		"nvr": o.NVR, "notes": o.Notes, "submission_date": o.Submitted.Format(time.DateTime), "expiration_date": o.Expires.Format(time.DateTime),
		"expired_date": expired, "build": map[string]any{"nvr": o.NVR}, "submitter": map[string]any{"name": o.User},
	}
}

func (s *Server) listOverrides(w http.ResponseWriter, r *http.Request) {
	page, rows, ok := paging(w, r, 100)
	if !ok {
		return
	}
	builds := strings.FieldsFunc(strings.Join(r.URL.Query()["builds"], ","), func(r rune) bool { return r == ',' })
	found := []map[string]any{}
	for _, o := range slices.Backward(s.state.Overrides) {
		shown := s.overrideJSON(o)
		if len(builds) > 0 && !slices.Contains(builds, o.NVR) || r.URL.Query().Get("expired") == "false" && shown["expired_date"] != nil {
			continue
		}
		found = append(found, shown)
	}
	from := min((page-1)*rows, len(found))
	answer(w, http.StatusOK, map[string]any{"overrides": found[from:min(from+rows, len(found))], "page": page,
		"pages": (len(found) + rows - 1) / rows, "rows_per_page": rows, "total": len(found)})
}

func (s *Server) override(nvr string) *override {
	for _, o := range s.state.Overrides {
		if o.NVR == nvr {
			return o
		}
	}
	return nil
}

func (s *Server) showOverride(w http.ResponseWriter, nvr string) {
	o := s.override(nvr)
	if o == nil {
		refuse(w, http.StatusNotFound, "url", "nvr", "No buildroot override for this build")
		return
	}
	answer(w, http.StatusOK, map[string]any{"override": s.overrideJSON(o)})
}

func (s *Server) saveOverride(w http.ResponseWriter, user string, f form) {
	bad := func(name, text string, args ...any) {
		refuse(w, http.StatusBadRequest, "body", name, fmt.Sprintf(text, args...))
	}
	nvr, edited := f.text("nvr", ""), f.text("edited", "")
	o := s.override(nvr)
	until, err := time.Parse(time.DateTime, f.text("expiration_date", ""))
	switch {
	case packageOf(nvr) == "":
		bad("nvr", "Invalid build")
	case edited != "" && o == nil:
		bad("edited", "No such buildroot override")
	case edited == "" && o != nil && o.Expired.IsZero():
		bad("nvr", "Buildroot override for %s already exists", nvr)
	case len(f.text("notes", "")) < 2:
		bad("notes", "Shorter than minimum length 2")
	case err != nil:
		bad("expiration_date", "Invalid date")
	case edited == "" && (!until.After(s.now()) || until.After(s.now().Add(bodhi.MaxOverride+time.Minute))):
		bad("expiration_date", "Expiration date must be in the future and at most 31 days ahead")
	case !s.allowed(w, user, []string{packageOf(nvr)}):
	default:
		if edited == "" {
			o = &override{NVR: nvr, User: user, Submitted: s.now()}
			s.state.Overrides = append(slices.DeleteFunc(s.state.Overrides, func(old *override) bool { return old.NVR == nvr }), o)
		}
		o.Notes, o.Expires = f.text("notes", ""), until
		if f.yes("expired", false) {
			o.Expired = s.now()
		}
		topic := "tag"
		if !o.Expired.IsZero() {
			topic = "untag"
		}
		s.publish("bodhi.buildroot_override."+topic, map[string]any{"override": s.overrideJSON(o)})
		answer(w, http.StatusOK, s.overrideJSON(o))
	}
}
