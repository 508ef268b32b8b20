package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"millrace/models/store/storetest"
)

// TestUpgradeKeepsOldPrograms upgrades a service again and again, as builds that
// wait see it.
func TestUpgradeKeepsOldPrograms(t *testing.T) {
	t.Parallel()
	site := newMill(t, storetest.SQLite(t))
	dir, now := t.TempDir(), time.Now()
	site.Server.Programs = Programs(filepath.Join(dir, "programs"))
	var addresses []string
	upgrade := func(text string, after time.Duration) {
		t.Helper()
		now = now.Add(after)
		site.Server.Program = filepath.Join(dir, fmt.Sprintf("millrace-%d", len(addresses)))
		if err := os.WriteFile(site.Server.Program, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := site.Server.Programs.Keep(site.Server, now); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(text))
		addresses = append(addresses, "/srpm-tool/"+hex.EncodeToString(sum[:])+"/millrace")
	}
	served := func() []bool {
		var all []bool
		for _, at := range addresses {
			all = append(all, site.get(t, at).Code == 200)
		}
		return all
	}
	upgrade("first", 0)
	upgrade("second", time.Hour)
	if w := site.get(t, addresses[0]); w.Code != 200 || w.Body.String() != "first" || w.Header().Get("Etag") == "" {
		t.Errorf("the one before: %d %q", w.Code, w.Body)
	}
	for i := range mostPrograms - 1 {
		upgrade(fmt.Sprintf("more %d", i), time.Hour)
	}
	if got, want := served(), []bool{false, true, true, true, true}; !slices.Equal(got, want) {
		t.Errorf("served after many upgrades: %v, want %v", got, want)
	}
	upgrade("much later", 2*programKeeping)
	if got, want := served(), []bool{false, false, false, false, false, true}; !slices.Equal(got, want) {
		t.Errorf("served after a long time: %v, want %v", got, want)
	}
	for _, at := range []string{"/srpm-tool/..%2f..%2fmillrace-0/millrace", "/srpm-tool/new-1/millrace"} {
		if w := site.get(t, at); w.Code != 404 {
			t.Errorf("%s: status %d", at, w.Code)
		}
	}
}
