package jobs

import (
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"

	"millrace/clients/mail/mailfake"
	"millrace/models"
	"millrace/models/store"
	"millrace/models/store/storetest"
)

// letter is a mail as its reader sees it.
type letter struct {
	to, subject, text string
	header            netmail.Header
}

func letters(t *testing.T, relay *mailfake.Server) (all []letter) {
	t.Helper()
	for _, m := range relay.Mails() {
		read, err := netmail.ReadMessage(strings.NewReader(m.Text))
		if err != nil {
			t.Fatal(err)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(read.Header.Get("Subject"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(read.Body))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, letter{m.To, subject, strings.ReplaceAll(string(text), "\r\n", "\n"), read.Header})
	}
	return all
}

func subscribe(t *testing.T, s *store.Store, userID int64, interest models.Interest, projectID int64, level models.Level) *models.Subscription {
	t.Helper()
	var made *models.Subscription
	err := s.InTx(t.Context(), func(tx *store.Tx) (err error) {
		made, err = tx.Subscribe(t.Context(), userID, interest, projectID, level)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestMailToThoseWhoWatch: who wants to hear of failures alone hears of them,
// and that it works again; who wants everything hears of each end; nobody hears
// twice of one, or without an address.
func TestMailToThoseWhoWatch(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, services := telling(t, s)
		relay := withMail(t, r)
		fails := true
		services[models.TestsStep].submit = func(w *Work) (Outcome, error) {
			if fails {
				return Outcome{Runs: []Update{{Run: w.Runs[0], State: models.Failed, Reason: "Two tests fail."}}}, nil
			}
			return everyRun(w, models.Passed, ""), nil
		}
		ada, bo, nobody := person(t, s, "ada", "ada@example.org"), person(t, s, "bo", "bo@example.org"), person(t, s, "nobody", "")
		p := project(t, s, "packit/hello")
		watch := subscribe(t, s, ada.ID, models.ProjectInterest, p.ID, models.UrgentLevel)
		subscribe(t, s, ada.ID, models.OwnInterest, 0, models.UrgentLevel)
		subscribe(t, s, bo.ID, models.ProjectInterest, p.ID, models.EverythingLevel)
		subscribe(t, s, nobody.ID, models.ProjectInterest, p.ID, models.EverythingLevel)
		play := func(requester int64) {
			t.Helper()
			var id int64
			err := s.InTx(t.Context(), func(tx *store.Tx) error {
				g, err := storetest.Create(t.Context(), tx, "packit/hello", 7, storetest.PullRequest)
				if err != nil {
					return err
				}
				id, g.RequesterID = g.ID, requester
				return r.advance(t.Context(), tx, g)
			})
			if err != nil {
				t.Fatal(err)
			}
			soon(t, "the pipeline does not end", func() (bool, any) {
				p, err := s.Pipeline(t.Context(), id)
				return err == nil && p.State.Finished(), err
			})
		}
		run(t, r)
		count := func(n int) {
			t.Helper()
			soon(t, fmt.Sprintf("not %d mails", n), func() (bool, any) { return len(relay.Mails()) >= n, relay.Mails() })
		}
		play(ada.ID)
		count(2)
		fails = false
		play(0)
		count(4)
		play(0)
		count(5)
		var got []string
		all := letters(t, relay)
		for _, l := range all {
			got = append(got, l.to+" "+l.subject)
		}
		slices.Sort(got)
		const subject = "packit/hello: PR 7 (Change number 7) "
		want := []string{
			"ada@example.org " + subject + "failed: the test run of fedora-43-x86_64 and 1 more", "ada@example.org " + subject + "works again",
			"bo@example.org " + subject + "failed: the test run of fedora-43-x86_64 and 1 more", "bo@example.org " + subject + "passed", "bo@example.org " + subject + "works again",
		}
		if !slices.Equal(got, want) {
			t.Errorf("mails\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		i := slices.IndexFunc(all, func(l letter) bool { return l.to == "ada@example.org" })
		first := all[i]
		stop := "http://millrace.test/mail/stop/" + watch.Token
		for _, part := range []string{"Two tests fail.", "/rerun?scope=failed", "What you can do", "You hear of packit/hello, which you watch", stop} {
			if !strings.Contains(first.text, part) {
				t.Errorf("the text has no %q:\n%s", part, first.text)
			}
		}
		if first.header.Get("List-Unsubscribe") != "<"+stop+">" || first.header.Get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" {
			t.Errorf("headers %v", first.header)
		}
		threads := map[string]bool{}
		for _, l := range all {
			threads[l.header.Get("References")] = true
		}
		if len(threads) != 1 || threads[""] {
			t.Errorf("one pull request has the threads %v", threads)
		}
	})
}

// TestDigest: what is too much for an hour comes together.
func TestDigest(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := telling(t, s)
		relay := withMail(t, r)
		r.Teller.MailsAnHour = 2
		ada := person(t, s, "ada", "ada@example.org")
		p := project(t, s, "packit/hello")
		subscribe(t, s, ada.ID, models.ProjectInterest, p.ID, models.EverythingLevel)
		run(t, r)
		for n := range 6 {
			id := create(t, r, "packit/hello", n+1, storetest.PullRequest)
			eventually(t, r, id, map[string]models.State{"pipeline": models.Passed})
		}
		held := func() (n int) {
			var rows []*models.Dispatch
			if err := s.Writer().NewSelect().Model(&rows).Where("held").Where("state = 'waiting'").Where("not_before IS NOT NULL").Scan(t.Context()); err != nil {
				t.Fatal(err)
			}
			return len(rows)
		}
		soon(t, "four are not held back", func() (bool, any) { n := held(); return n == 4, n })
		if n := len(relay.Mails()); n != 2 {
			t.Fatalf("%d mails", n)
		}
		// An hour later, in one step for all.
		if _, err := s.Writer().ExecContext(t.Context(), "UPDATE dispatches SET finished_at = ?, not_before = NULL WHERE channel = 'mail'", store.Now().Add(-mailWindow)); err != nil {
			t.Fatal(err)
		}
		soon(t, "no digest comes", func() (bool, any) { return len(relay.Mails()) == 3 && held() == 0, relay.Mails() })
		digest := letters(t, relay)[2]
		if !strings.HasSuffix(digest.subject, "4 things happened") || strings.Count(digest.text, "packit/hello: PR") != 4 || digest.header.Get("List-Unsubscribe-Post") == "" {
			t.Errorf("%s\n%s", digest.subject, digest.text)
		}
	})
}

// TestRelayIsDown: mail waits for a relay that is away, and ends with one that
// says no.
func TestRelayIsDown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := telling(t, s)
		relay := withMail(t, r)
		relay.Misbehave(mailfake.Fault{Command: "greeting", Answer: "421 too busy"}, mailfake.Fault{Command: "RCPT", Answer: "451 later"})
		ada := person(t, s, "ada", "ada@example.org")
		subscribe(t, s, ada.ID, models.ProjectInterest, project(t, s, "packit/hello").ID, models.EverythingLevel)
		run(t, r)
		passed := func(n int) {
			t.Helper()
			id := create(t, r, "packit/hello", n, storetest.PullRequest)
			eventually(t, r, id, map[string]models.State{"pipeline": models.Passed})
		}
		passed(1)
		soon(t, "it was not sent", func() (bool, any) { return len(relay.Mails()) == 1, nil })
		relay.Misbehave(mailfake.Fault{Command: "RCPT", Answer: "550 no such person"})
		passed(2)
		soon(t, "it is tried for ever", func() (bool, any) {
			var rows []*models.Dispatch
			err := s.Writer().NewSelect().Model(&rows).Where("state = 'failed'").Scan(t.Context(), &rows)
			return len(rows) == 1 && strings.Contains(rows[0].Error, "no such person"), err
		})
		if n := len(relay.Mails()); n != 1 {
			t.Errorf("%d mails", n)
		}
	})
}

// TestProductsAreTold: what becomes of a pull request, once for each change.
func TestProductsAreTold(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, _ := telling(t, s)
		in := newReceiver(t, nil)
		hook := hookTo(t, s, "rpms/hello", in.URL, models.PullChanged)
		p := hook.Project
		for _, state := range []models.ProductState{models.ProductOpen, models.ProductOpen, models.ProductClosed, models.ProductOpen, models.ProductMerged, models.ProductMerged} {
			err := s.InTx(t.Context(), func(tx *store.Tx) error {
				return r.saveProduct(t.Context(), tx, &models.Product{
					Kind: models.PullProduct, Key: "pr/1", ProjectID: p.ID, Package: "hello", Branch: "f44", Name: "PR 1", Version: "1.2", State: state, URL: "https://src.test/pr/1",
				})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		words, rows := dispatches(t, s, hook.ID)
		want := []string{
			"pull_request.changed open waiting", "pull_request.changed closed waiting", "pull_request.changed open waiting", "pull_request.changed merged waiting",
		}
		if !slices.Equal(words, want) {
			t.Fatalf("told %q", words)
		}
		if h := rows[0].Happening; h.Title != "PR 1 to 1.2 for f44 was opened" || h.TodoURL != "https://src.test/pr/1" || h.URL != "http://millrace.test/packages/hello" {
			t.Errorf("told %+v", h)
		}
		run(t, r)
		soon(t, "not all arrived", func() (bool, any) { return len(in.got()) == 4, in.got() })
	})
}
