package jobs

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"millrace/models/store"
)

// A list that was read long ago is shown, and read again meanwhile.
func TestOwnPackages(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		f := newFedora(t, w)
		create := func(name string) {
			if err := f.distGit.CreateRepo(t.Context(), "rpms/"+name, "mona"); err != nil {
				t.Fatal(err)
			}
		}
		is := func(want ...string) {
			t.Helper()
			own, err := w.OwnPackages(t.Context(), "mona")
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(want, own.Names); diff != "" || own.At.IsZero() {
				t.Errorf("packages (-want +got):\n%s\nas of %s", diff, own.At)
			}
		}
		create("mill")
		is("mill")
		create("wheel")
		is("mill")
		long := store.Now().Add(-time.Hour)
		if _, err := w.Store.Writer().ExecContext(t.Context(), "UPDATE cached_items SET fetched_at = ? WHERE source = ?", long, ownSource); err != nil {
			t.Fatal(err)
		}
		is("mill")
		run(t, w.Runner)
		for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			own, err := w.keptPackages(t.Context(), "mona")
			if err != nil {
				t.Fatal(err)
			}
			if own.At.After(long) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the list is not read again")
			}
		}
		is("mill", "wheel")
	})
}
