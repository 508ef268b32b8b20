package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"millrace/models"
	"millrace/models/store"
)

// logFetcher is what a kind does whose services keep logs.
type logFetcher interface {
	// FetchLog returns the log of a finished run: at most limit bytes of it, its
	// beginning and its end, and how many bytes were left out.
	FetchLog(ctx context.Context, run *models.Run, limit int) (text []byte, cut int64, err error)
}

// defaultLogLimit is how many bytes of a log are kept if no setting says so.
const defaultLogLimit = 8 << 20

// appendLog adds text to the log of a run that is being carried out here.
func (e *Engine) appendLog(ctx context.Context, run *models.Run, text []byte) error {
	text = bytes.ToValidUTF8(bytes.ReplaceAll(text, []byte{0}, []byte("�")), []byte("�"))
	return e.Store.InTx(ctx, func(tx *store.Tx) error {
		return tx.AppendLog(ctx, run.ID, text, int64(e.logLimit()))
	})
}

func (e *Engine) logLimit() int {
	if e.LogLimit > 0 {
		return e.LogLimit
	}
	return defaultLogLimit
}

// fetchLog keeps the log of a run as far as it is, and of a failed one finds the
// line that explains it. last says that nobody will try again: then what there is
// must do.
func (r *Runner) fetchLog(ctx context.Context, runID int64, last bool) error {
	run, err := r.Store.Run(ctx, runID)
	if err != nil {
		return err
	}
	fetcher, ok := r.Kinds[run.Kind].(logFetcher)
	if !ok || run.LogURL == "" {
		return nil
	}
	kept, err := r.Store.Log(ctx, runID)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return err
	}
	if kept != nil && kept.Complete {
		return nil
	}
	text, cut, err := fetcher.FetchLog(ctx, run, r.logLimit())
	switch {
	case err != nil && !run.State.Finished():
		return nil // it may not have begun, or have moved; there is another time
	case err != nil && last:
		r.Log.WarnContext(ctx, "a log cannot be had", "run", runID, "error", err)
		text = []byte("The log could not be fetched: " + inWords(err) + "\n")
	case err != nil:
		return fmt.Errorf("fetching the log of run %d: %w", runID, err)
	}
	text = bytes.ToValidUTF8(bytes.ReplaceAll(text, []byte{0}, []byte("�")), []byte("�"))
	err = r.Store.InTx(ctx, func(tx *store.Tx) error {
		return tx.ReplaceLog(ctx, runID, run.LogURL, text, cut, run.State.Finished())
	})
	if err != nil {
		return err
	}
	return r.explain(ctx, run, string(text))
}

// remindLogs makes jobs for finished runs whose log was never kept: their jobs
// were lost.
func (r *Runner) remindLogs(ctx context.Context) error {
	missing, err := r.Store.MissingLogs(ctx, store.Now().Add(-logsLookBack), store.Now().Add(-logsPatience))
	if err != nil || len(missing) == 0 {
		return err
	}
	return r.Store.InTx(ctx, func(tx *store.Tx) error {
		for _, id := range missing {
			if err := r.Queue.Add(ctx, tx, fetchLogArgs{id}); err != nil {
				return err
			}
		}
		return nil
	})
}

// How long after its end a run's log is missed first, and until when.
const (
	logsPatience = 5 * time.Minute // after River's own tries
	logsLookBack = 6 * time.Hour
)

// explain remembers the end of a failed run's log and the line that explains the
// failure, for the page of its pipeline.
func (e *Engine) explain(ctx context.Context, run *models.Run, text string) error {
	if run.State != models.Failed && run.State != models.Error {
		return nil
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return e.change(ctx, run.PipelineID, func(_ *store.Tx, g *models.Graph) error {
		if r := g.Run(run.ID); r != nil {
			r.Data.LogLine = models.ErrorLine(lines)
			r.Data.LogTail = models.LogTail(lines, r.Data.LogLine)
			g.TouchRun(r)
		}
		return nil
	})
}
