package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"millrace/clients/fasjson"
	"millrace/clients/pagure"
	"millrace/jobs/access"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// asked is a forge that was asked before.
type asked struct{}

func (asked) Service() fasjson.Service { return fasjson.GitHub }

func (asked) AccountID(context.Context, string) (int64, error) { return 1, nil }

func (asked) Role(context.Context, *models.Project, string) (models.Role, error) {
	return models.Anyone, errors.New("it was asked again")
}

// TestRerunOfBuildsAlone: who may write upstream reruns what writes nothing to
// Fedora, also in a pipeline that proposes a release.
func TestRerunOfBuildsAlone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		h := newWheelhouse(t, s)
		h.runner.Kinds[models.ProposeStep] = idle{}
		h.Rights = &access.Rights{
			Store: s, Log: quietLog(), Forges: map[string]access.Forge{"github.com": asked{}}, Accounts: &fasjson.Client{BaseURL: "http://127.0.0.1:1"},
			DistGit: &pagure.Client{BaseURL: "http://127.0.0.1:1"},
		}
		g := storetest.Pipeline(t, s, "mill/wheel", 77, storetest.Shape{
			{Kind: models.SRPMStep, Targets: []string{"source"}},
			{Kind: models.CoprBuildStep, Targets: []string{"fedora-44-x86_64"}, Needs: []int{0}},
			{Kind: models.ProposeStep, Targets: []string{"rawhide"}},
		})
		h.end(t, g.ID, models.Passed, "")
		ada := h.steerer(t, "ada")
		h.write(t, func(tx *store.Tx) error {
			u := &models.User{Login: "ada"}
			return errors.Join(tx.SaveUser(t.Context(), u), tx.SaveIdentity(t.Context(), u.ID, "github", "ada-gh"),
				tx.SaveProof(t.Context(), "github.com", models.Proof{Account: "ada-gh", Login: "ada"}),
				tx.SaveGrant(t.Context(), u.ID, "github.com/mill/wheel", "github.com", models.Grant{Role: models.Committer}))
		})
		page := fmt.Sprintf("/pipelines/%d", g.ID)
		w := ada.open(t, page)
		contains(t, w, `id="rerun-menu"`, "Rerun all: This writes to Fedora", page+"/rerun?scope=step&amp;step=copr_build-1")
		if body := w.Body.String(); strings.Contains(body, "step=propose_downstream-2") || !strings.Contains(body, "disabled>Rerun this step") {
			t.Error("the page offers to propose again")
		}
		contains(t, ada.open(t, page+"/steps/copr_build-1/fedora-44-x86_64"), `id="rerun-menu"`)
		contains(t, ada.open(t, page+"/steps/propose_downstream-2/rawhide"), `disabled aria-describedby="steer-why"`, "Rerun: This writes to Fedora")
		for _, tt := range []struct {
			query string
			want  int
		}{
			{"scope=all", http.StatusForbidden}, {"scope=step&step=propose_downstream-2", http.StatusForbidden}, {"scope=step&step=copr_build-1", http.StatusSeeOther},
		} {
			query, want := tt.query, tt.want
			form := previewForm(t, ada.open(t, page+"/rerun?"+query))
			if want == http.StatusForbidden {
				contains(t, ada.open(t, page+"/rerun?"+query), "This writes to Fedora")
			}
			w := ada.do(t, http.MethodPost, page+"/rerun?"+query, form.Encode())
			if w.Code != want {
				t.Errorf("%s: status %d, want %d", query, w.Code, want)
			}
		}
		// Who may commit to the package that the config names may rerun it here too.
		if _, err := s.Writer().NewRaw(`UPDATE steps SET config = ? WHERE name = 'propose_downstream-2'`,
			`{"downstream_package_name": "wheel"}`).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.write(t, func(tx *store.Tx) error {
			u := &models.User{Login: "ada"}
			return errors.Join(tx.SaveUser(t.Context(), u), tx.SaveGrant(t.Context(), u.ID, "rpms/wheel", "dist-git", models.Grant{Role: models.Committer}))
		})
		var newest int64
		if err := s.Writer().NewRaw("SELECT max(id) FROM pipelines").Scan(t.Context(), &newest); err != nil {
			t.Fatal(err)
		}
		w = ada.open(t, fmt.Sprintf("/pipelines/%d/steps/propose_downstream-2/rawhide", newest))
		if body := w.Body.String(); !strings.Contains(body, `id="rerun-menu"`) || strings.Contains(body, "This writes to Fedora") {
			t.Error("the page of the target does not offer to propose again")
		}
	})
}
