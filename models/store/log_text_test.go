package store_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"millrace/models/store"
	"millrace/models/store/storetest"
)

func TestLogTextIsReadFromAnywhere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		storetest.Pipeline(t, s, "packit/hello", 1, storetest.PullRequest)
		var whole strings.Builder
		for i := range 20_000 {
			fmt.Fprintf(&whole, "line %d of a log that takes several chunks\n", i)
		}
		text := whole.String()
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			for _, piece := range []string{text[:100_000], text[100_000:100_010], text[100_010:]} {
				if err := tx.AppendLog(ctx, 1, []byte(piece), 10<<20); err != nil {
					return err
				}
			}
			return nil
		})
		l, err := s.LogText(t.Context(), 1)
		if err != nil || l.Size() != int64(len(text)) {
			t.Fatalf("%d bytes, want %d, %v", l.Size(), len(text), err)
		}
		if err := iotest.TestReader(l, []byte(text)); err != nil { // also seeks
			t.Error(err)
		}
		if l, err = s.LogText(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		inTx(t, s, func(ctx context.Context, tx *store.Tx) error {
			return tx.ReplaceLog(ctx, 1, "", []byte("another\n"), 0, true)
		})
		if _, err := io.ReadAll(l); err == nil {
			t.Error("a log that was replaced is read to its end as if it were whole")
		}
		if none, err := s.LogText(t.Context(), 2); err != nil || none.Size() != 0 {
			t.Errorf("a run without a log: %d bytes, %v", none.Size(), err)
		}
	})
}
