package bench

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	hookConnections = 16
	hookBytes       = 26_000
)

// intake measures how many webhooks a second are checked and stored, beside the
// rows that pgbench inserts, and SQLite beside PostgreSQL.
func intake(ctx context.Context, b *bench) error {
	yardstick, err := b.insertLoad("intake")
	if err != nil {
		return err
	}
	var forges []*forge
	for _, postgres := range []bool{true, false} {
		address, err := b.empty(ctx, "intake", postgres)
		if err != nil {
			return err
		}
		site, err := openSite(ctx, address)
		if err != nil {
			return err
		}
		defer site.close()
		f, err := newForge(site.address)
		if err != nil {
			return err
		}
		defer f.close()
		forges = append(forges, f)
	}
	rates := make([][]float64, 3)
	seconds := b.pick(4, 2)
	for range b.pick(5, 3) {
		for i, measure := range []func() (float64, error){
			func() (float64, error) { return yardstick.rate(ctx, seconds) },
			func() (float64, error) { return forges[0].rate(time.Duration(seconds) * time.Second) },
			func() (float64, error) { return forges[1].rate(time.Duration(seconds) * time.Second) },
		} {
			rate, err := measure()
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], rate)
		}
	}
	rows, postgres, sqlite := median(rates[0]), median(rates[1]), median(rates[2])
	b.add(Row{
		What: "webhooks stored, PostgreSQL", Figure: forges[0].figure(postgres), Yardstick: fmt.Sprintf("%s %.0f/s", yardstick.name(), rows),
		Ratio: ratio(postgres, rows), Budget: "at least 0.13", Verdict: verdict(postgres >= 0.13*rows),
	})
	b.add(Row{
		What: "webhooks stored, SQLite", Figure: forges[1].figure(sqlite), Yardstick: fmt.Sprintf("PostgreSQL %.0f/s", postgres),
		Ratio: ratio(sqlite, postgres), Budget: "at least 1", Verdict: verdict(sqlite >= postgres),
	})
	return nil
}

// forge sends webhooks over several connections at once.
type forge struct {
	connections []*visitor
	body        []byte
	signature   string
	run         string // makes ids of deliveries differ from those of other forges
	sent        atomic.Int64

	mu   sync.Mutex // above took
	took sample
}

func newForge(address string) (*forge, error) {
	f := &forge{body: hookBody(), run: fmt.Sprintf("%08x", rand.Uint32())}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(f.body)
	f.signature = hex.EncodeToString(mac.Sum(nil))
	for range hookConnections {
		v, err := visit(address)
		if err != nil {
			f.close()
			return nil, err
		}
		f.connections = append(f.connections, v)
	}
	return f, nil
}

func (f *forge) close() {
	for _, v := range f.connections {
		v.conn.Close()
	}
}

// rate sends for a while and returns how many a second were accepted.
func (f *forge) rate(d time.Duration) (float64, error) {
	failures := make([]error, len(f.connections))
	counts := make([]int, len(f.connections))
	var senders sync.WaitGroup
	begin := time.Now()
	for i, v := range f.connections {
		senders.Go(func() {
			var took sample
			for time.Since(begin) < d && failures[i] == nil {
				at := time.Now()
				failures[i] = f.send(v)
				took = append(took, time.Since(at))
			}
			counts[i] = len(took)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.took = append(f.took, took...)
		})
	}
	senders.Wait()
	took, total := time.Since(begin), 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / took.Seconds(), errors.Join(failures...)
}

func (f *forge) send(v *visitor) error {
	head := fmt.Sprintf("POST /hooks/github HTTP/1.1\r\nHost: millrace.test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"+
		"X-GitHub-Event: pull_request\r\nX-GitHub-Delivery: %s-%d\r\nX-Hub-Signature-256: sha256=%s\r\n\r\n",
		len(f.body), f.run, f.sent.Add(1), f.signature)
	return v.exchange(head, f.body, func(r *http.Response) error {
		if r.StatusCode != http.StatusAccepted {
			return fmt.Errorf("a webhook was answered with %s", r.Status)
		}
		return nil
	})
}

func (f *forge) figure(rate float64) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("%.0f/s, %s", rate, f.took)
}

// hookBody is a webhook of usual size: repositories with many addresses, and
// text that does not repeat itself.
func hookBody() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	hash := func() string { return fmt.Sprintf("%016x%016x%08x", r.Uint64(), r.Uint64(), r.Uint32()) }
	repository := func(owner string) map[string]any {
		m := map[string]any{"id": r.IntN(1e9), "full_name": owner + "/hello", "private": false, "default_branch": "main", "pushed_at": "2026-05-31T10:00:00Z"}
		for _, what := range []string{
			"archive", "assignees", "blobs", "branches", "collaborators", "comments", "commits", "compare", "contents", "contributors",
			"deployments", "downloads", "events", "forks", "git_commits", "git_refs", "git_tags", "hooks", "issue_events", "issues", "keys",
			"labels", "languages", "merges", "milestones", "notifications", "pulls", "releases", "stargazers", "statuses", "tags", "trees",
		} {
			m[what+"_url"] = "https://api.github.com/repos/" + owner + "/hello/" + what + "{/number}"
		}
		return m
	}
	pull := map[string]any{
		"number": 42, "state": "open", "title": "Make hello say more", "head": map[string]any{"ref": "more", "sha": hash(), "repo": repository("jdoe")},
		"base": map[string]any{"ref": "main", "sha": hash(), "repo": repository("example")}, "merge_commit_sha": hash(),
	}
	body := map[string]any{"action": "synchronize", "number": 42, "pull_request": pull, "repository": repository("example"), "before": hash(), "after": hash()}
	var text []byte
	for {
		written, _ := json.Marshal(body) // strings and numbers only: it cannot fail
		if len(written) >= hookBytes {
			return written
		}
		for range max(1, (hookBytes-len(written))/120) {
			text = fmt.Appendf(text, "* commit %s changes what hello says to %d people, and how often\n", hash(), r.IntN(1000))
		}
		pull["body"] = string(text)
	}
}
