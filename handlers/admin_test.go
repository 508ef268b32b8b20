package handlers

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

func TestAllowlistPage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDoors(t, s)
		b := d.browser()
		b.login(t, "olga")
		send := func(form string, status int, says string) {
			t.Helper()
			w := b.do(t, http.MethodPost, "/admin/allowlist", form)
			if w.Code != status {
				t.Errorf("%s: status %d, want %d", form, w.Code, status)
			}
			contains(t, w, says)
		}
		send("do=allow&path=https://GitHub.com/mill/&reason=they+asked&kind=namespace", 303, "")
		send("do=deny&path=github.com/mill/wheel&kind=project&reason=%00noisy", 303, "")
		send("do=allow&path=gitlab.com/a/b&kind=namespace", 303, "")
		send("do=remove&path=gitlab.com/a/b&kind=namespace", 303, "")
		send("do=remove&path=gitlab.com/a/b&kind=namespace", 404, "nothing at this address")
		send("do=allow&path=github.com/mill/wheel&kind=namespace", 422, "no slash in them")
		send("do=allow&path=%3Cscript%3E&reason=because", 422, "&lt;script&gt;")
		send("do=allow&path=github.com/mill&kind=project", 422, "a name after the namespace")
		send("do=fly&path=github.com/mill", 400, "what to do")

		w := b.open(t, "/admin/allowlist")
		contains(t, w, "github.<wbr>com/<wbr>mill", "they asked", "noisy", "Denied", "olga", `value="github.com/mill/wheel"`)
		w = b.open(t, "/admin/allowlist?q=WHEEL&state=denied")
		if body := w.Body.String(); !strings.Contains(body, "noisy") || strings.Contains(body, "they asked") {
			t.Error("the filter does not narrow")
		}
		if body := b.open(t, "/admin/allowlist?q=%25_").Body.String(); strings.Contains(body, "noisy") {
			t.Error("the text of the filter is a pattern")
		}
		list := decode[List[Allowance]](t, b.open(t, "/api/v3/admin/allowlist").Body)
		for i := range list.Items {
			list.Items[i].Since = nil
		}
		if diff := cmp.Diff([]Allowance{
			{Path: "github.com/mill/wheel", Project: true, State: models.DeniedState, Reason: "noisy", Actor: "olga"},
			{Path: "github.com/mill", State: models.AllowedState, Reason: "they asked", Actor: "olga"},
		}, list.Items); diff != "" {
			t.Error(diff)
		}

		log := decode[List[AuditEntry]](t, b.open(t, "/api/v3/admin/audit").Body)
		var actions []string
		for _, e := range log.Items {
			actions = append(actions, strings.Join([]string{e.Actor, string(e.Via), e.Action, e.Object, string(e.Result), e.Detail["reason"]}, " "))
		}
		if diff := cmp.Diff([]string{
			"olga button allowlist.remove gitlab.com/a/b done ",
			"olga button allowlist.allow gitlab.com/a/b done ",
			"olga button allowlist.deny github.com/mill/wheel done noisy",
			"olga button allowlist.allow github.com/mill done they asked",
			"olga button login " + d.Logins.Accounts.Name() + " done ",
		}, actions); diff != "" {
			t.Error(diff)
		}
		contains(t, b.open(t, "/admin/audit"), "allowlist.deny", "reason: noisy", "olga")
		w = b.open(t, "/admin/audit?limit=2")
		contains(t, w, "Older")
		if w := b.open(t, "/admin/audit?before=x"); w.Code != http.StatusBadRequest {
			t.Errorf("a place that is none: status %d", w.Code)
		}
	})
}

// TestRequestsToBeAllowed: those who ask stand on top, and one click decides.
func TestRequestsToBeAllowed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDoors(t, s)
		b := d.browser()
		b.login(t, "olga")
		if body := b.open(t, "/admin/allowlist").Body.String(); strings.Contains(body, `id="waiting"`) {
			t.Error("somebody waits, and nobody asked")
		}
		err := d.Store.InTx(t.Context(), func(tx *store.Tx) error {
			for _, name := range []string{"mill", "forge"} {
				a, err := tx.AskAllowance(t.Context(), &models.Allowance{Forge: "github.com", Namespace: name, Requester: "ada<b>", Reason: "Installed."})
				if err != nil {
					return err
				}
				if a.Issue, a.IssueURL = 7, "https://github.com/n/n/issues/7"; name == "mill" {
					if err := tx.NoteIssue(t.Context(), a); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		w := b.open(t, "/admin/allowlist")
		contains(t, w, "2 requests wait", "ada&lt;b&gt;", `href="https://github.com/n/n/issues/7"`, `aria-label="Allow github.com/mill"`, `href="/projects?forge=github.com&amp;q=forge%2F%2A"`)
		if w := b.do(t, http.MethodPost, "/admin/allowlist", "do=allow&kind=namespace&path=github.com/mill&reason=Known."); w.Code != http.StatusSeeOther {
			t.Errorf("status %d", w.Code)
		}
		if w := b.do(t, http.MethodPost, "/admin/allowlist", "do=deny&kind=namespace&path=github.com/forge&reason="); w.Code != http.StatusSeeOther {
			t.Errorf("status %d", w.Code)
		}
		if body := b.open(t, "/admin/allowlist").Body.String(); strings.Contains(body, `id="waiting"`) {
			t.Error("the decided still wait")
		}
		list := decode[List[Allowance]](t, b.open(t, "/api/v3/admin/allowlist").Body)
		for i := range list.Items {
			list.Items[i].Since = nil
		}
		if diff := cmp.Diff([]Allowance{
			{Path: "github.com/forge", State: models.DeniedState, Actor: "olga", Requester: "ada<b>"},
			{Path: "github.com/mill", State: models.AllowedState, Reason: "Known.", Actor: "olga", Requester: "ada<b>", IssueURL: "https://github.com/n/n/issues/7"},
		}, list.Items); diff != "" {
			t.Error(diff)
		}
	})
}

// TestOperatorPagesAreForOperators: others get the reason and the way, and
// change nothing.
func TestOperatorPagesAreForOperators(t *testing.T) {
	t.Parallel()
	d := newDoors(t, storetest.SQLite(t))
	out, in := d.browser(), d.browser()
	in.login(t, "ada")
	for _, path := range []string{"/admin/allowlist", "/admin/audit?limit=7"} {
		w := out.open(t, path)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s, not logged in: status %d", path, w.Code)
		}
		escaped := strings.NewReplacer("/", "%2F", "?", "%3F", "=", "%3D").Replace(path)
		contains(t, w, "You are not logged in.", `href="/login?back=`+escaped+`"`)
		w = in.open(t, path)
		if w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), `href="/login`) {
			t.Errorf("%s, without the right: status %d", path, w.Code)
		}
		contains(t, w, "Only operators of this service", "login.operator_groups", "Logged in as ada")
		w = in.open(t, "/api/v3"+path)
		if p := decode[Problem](t, w.Body); w.Code != http.StatusForbidden || !strings.Contains(p.Detail, "login.operator_groups") {
			t.Errorf("%s as JSON: %+v", path, p)
		}
	}
	form := "do=allow&path=github.com/mill"
	if w := out.do(t, http.MethodPost, "/admin/allowlist", form, "Referer", "https://millrace.example/admin/allowlist"); w.Code != http.StatusForbidden {
		t.Errorf("a form, not logged in: status %d", w.Code)
	} else {
		contains(t, w, `href="/login?back=%2Fadmin%2Fallowlist"`)
	}
	if w := in.do(t, http.MethodPost, "/admin/allowlist", form); w.Code != http.StatusForbidden {
		t.Errorf("a form, without the right: status %d", w.Code)
	}
	if all, err := d.Store.AllAllowances(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("the allowlist has %v, %v", all, err)
	}
	log, err := d.Store.AuditLog(t.Context(), models.Page{})
	if err != nil {
		t.Fatal(err)
	}
	if e := log.Rows[0]; len(log.Rows) != 2 || e.Actor != "ada" || e.Result != models.AuditRefused || e.Object != "github.com/mill" {
		t.Errorf("the audit log has %d rows, the last is %+v", len(log.Rows), e)
	}
	if in.open(t, "/help"); strings.Contains(in.open(t, "/help").Body.String(), "/admin/") {
		t.Error("the menu leads where one may not go")
	}
}
