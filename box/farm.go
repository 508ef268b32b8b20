package box

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"millrace/clients/git"
	"millrace/clients/testingfarm/testingfarmfake"
)

// Testing Farm in the box does not run tests but reads them: one fails if its
// script has a line that is nothing but "false" or "exit 1".

const maxSubmission = 4 << 20

// serveFarm answers for Testing Farm. Of a new request it finds out first how
// its tests will end.
func (b *Box) serveFarm(w http.ResponseWriter, r *http.Request) {
	farm := http.StripPrefix("/testing-farm", b.Farm)
	if r.Method != http.MethodPost || r.URL.Path != "/testing-farm/v0.1/requests" {
		farm.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxSubmission+1))
	if err != nil {
		http.Error(w, "the request cannot be read", http.StatusBadRequest)
		return
	}
	rule := b.verdict(r.Context(), body)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	// The rule is for this request alone.
	b.farming.Lock()
	defer b.farming.Unlock()
	b.Farm.SetRules(rule)
	farm.ServeHTTP(w, r)
}

// verdict is how the tests of a submission will end.
func (b *Box) verdict(ctx context.Context, body []byte) testingfarmfake.Rule {
	rule := testingfarmfake.Rule{Ending: testingfarmfake.Passes, Queue: b.farmQueue()}
	var in struct {
		Test struct {
			TMT, FMF struct{ URL, Ref, Path, Name string }
		}
	}
	if json.Unmarshal(body, &in) != nil {
		return rule // the farm itself will say so
	}
	test := in.Test.TMT
	if test.URL == "" {
		test = in.Test.FMF
	}
	u, err := url.Parse(test.URL)
	if err != nil || !strings.HasPrefix(test.URL, b.access.URL+"/") {
		return rule
	}
	r, err := b.repository(submatch(repoPath, u.Path))
	if err != nil {
		rule.Ending, rule.Summary = testingfarmfake.Errs, "The repository with the tests cannot be cloned"
		return rule
	}
	ref := cmp.Or(test.Ref, "HEAD")
	broken, err := b.brokenTest(ctx, r.FullName(), ref, test.Path, path.Base("/"+test.Name))
	switch {
	case err != nil:
		rule.Ending, rule.Summary = testingfarmfake.Errs, "The tests cannot be checked out at "+ref
	case broken != "":
		rule.Ending, rule.Summary = testingfarmfake.Fails, broken+" has failed"
	}
	return rule
}

// brokenTest returns the first test that would fail. Of a plan those below the
// directory of the same name count, if there is one.
func (b *Box) brokenTest(ctx context.Context, repo, ref, dir, plan string) (string, error) {
	bare := b.bare(repo)
	found, err := bare.Find(ctx, ref)
	if err != nil {
		return "", err
	}
	entries, err := bare.LsTree(ctx, found.SHA, "", true)
	if err != nil {
		return "", err
	}
	dir = strings.Trim(path.Clean("/"+dir), "/")
	var all, planned []git.Entry
	for _, e := range entries[:min(len(entries), 10*maxTree)] {
		if dir != "" && !strings.HasPrefix(e.Path, dir+"/") || !strings.Contains("/"+e.Path, "/tests/") ||
			!strings.HasSuffix(e.Path, ".sh") || !strings.HasPrefix(e.Mode, "100") || e.Size > maxText {
			continue
		}
		all = append(all, e)
		if strings.Contains("/"+e.Path, "/tests/"+plan+"/") {
			planned = append(planned, e)
		}
	}
	if len(planned) > 0 {
		all = planned
	}
	for _, e := range all[:min(len(all), maxTree)] {
		text, err := bare.ShowFile(ctx, found.SHA, e.Path, maxText)
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line == "false" || line == "exit 1" {
				return "/" + path.Dir(e.Path), nil
			}
		}
	}
	return "", nil
}
