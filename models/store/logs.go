package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"millrace/models"
)

// Log says what is kept of a run's log.
type Log struct {
	bun.BaseModel `bun:"table:logs,alias:log"`

	RunID     int64 `bun:",pk"`
	SourceURL string
	Lines     int64 // kept
	Bytes     int64 // kept, unpacked
	CutBytes  int64 // left out where it was too long
	Complete  bool  // nothing more will come
	UpdatedAt time.Time
}

type logChunk struct {
	bun.BaseModel `bun:"table:log_chunks,alias:chunk"`

	RunID     int64 `bun:",pk"`
	FirstLine int64 `bun:",pk"` // from 1
	Lines     int
	Content   []byte // gzip
}

// chunkBytes is about how much text a chunk holds before it is packed: a page
// of a log reads one to three.
const chunkBytes = 64 << 10

// Log returns what is kept of a run's log. If nothing ever was, the error is
// models.ErrNotFound.
func (q queries) Log(ctx context.Context, runID int64) (*Log, error) {
	l := new(Log)
	if err := q.db.NewSelect().Model(l).Where("run_id = ?", runID).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading about the log of run %d: %w", runID, notFound(err))
	}
	return l, nil
}

// LogLines returns at most n lines of a log beginning with line first, from 1,
// without their line ends.
func (q queries) LogLines(ctx context.Context, runID, first int64, n int) ([]string, error) {
	var chunks []*logChunk
	err := q.db.NewSelect().Model(&chunks).Where("run_id = ?", runID).
		Where("first_line < ?", first+int64(n)).
		Where("first_line >= COALESCE((SELECT max(first_line) FROM log_chunks WHERE run_id = ? AND first_line <= ?), 0)", runID, first).
		Order("first_line").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the log of run %d: %w", runID, err)
	}
	var lines []string
	for _, c := range chunks {
		text, err := unpack(c.Content)
		if err != nil {
			return nil, fmt.Errorf("unpacking the log of run %d: %w", runID, err)
		}
		for i, line := range splitLines(text) {
			if at := c.FirstLine + int64(i); at >= first && len(lines) < n {
				lines = append(lines, line)
			}
		}
	}
	return lines, nil
}

// AppendLog adds whole lines to a run's log. When limit bytes are reached the
// rest is only counted.
func (tx *Tx) AppendLog(ctx context.Context, runID int64, text []byte, limit int64) error {
	l, err := tx.lockLog(ctx, runID)
	if err != nil {
		return err
	}
	room := max(0, limit-l.Bytes)
	if int64(len(text)) > room {
		cut := bytes.LastIndexByte(text[:room], '\n') + 1
		l.CutBytes += int64(len(text) - cut)
		text = text[:cut]
	}
	if err := tx.addChunks(ctx, l, text); err != nil {
		return err
	}
	return tx.saveLog(ctx, l)
}

// ReplaceLog makes text the whole of a run's log. cut bytes of it were left out.
func (tx *Tx) ReplaceLog(ctx context.Context, runID int64, source string, text []byte, cut int64, complete bool) error {
	l, err := tx.lockLog(ctx, runID)
	if err != nil {
		return err
	}
	if l.Complete && !complete {
		return nil // somebody fetched it while it still grew, and comes late
	}
	if _, err := tx.db.NewDelete().Model((*logChunk)(nil)).Where("run_id = ?", runID).Exec(ctx); err != nil {
		return fmt.Errorf("replacing the log of run %d: %w", runID, err)
	}
	l.SourceURL, l.Lines, l.Bytes, l.CutBytes, l.Complete = source, 0, 0, cut, complete
	if err := tx.addChunks(ctx, l, text); err != nil {
		return err
	}
	return tx.saveLog(ctx, l)
}

func (tx *Tx) lockLog(ctx context.Context, runID int64) (*Log, error) {
	l := &Log{RunID: runID, UpdatedAt: Now()}
	if _, err := tx.db.NewInsert().Model(l).On("CONFLICT (run_id) DO NOTHING").Exec(ctx); err != nil {
		return nil, fmt.Errorf("beginning the log of run %d: %w", runID, err)
	}
	if err := forUpdate(tx.db.NewSelect().Model(l).Where("run_id = ?", runID)).Scan(ctx); err != nil {
		return nil, fmt.Errorf("locking the log of run %d: %w", runID, err)
	}
	return l, nil
}

func (tx *Tx) addChunks(ctx context.Context, l *Log, text []byte) error {
	for len(text) > 0 {
		end := len(text)
		if end > chunkBytes {
			end = chunkBytes
			if i := bytes.LastIndexByte(text[:end], '\n'); i >= 0 {
				end = i + 1
			} else if i := bytes.IndexByte(text[end:], '\n'); i >= 0 {
				end += i + 1
			} else {
				end = len(text)
			}
		}
		piece := text[:end]
		text = text[end:]
		c := &logChunk{RunID: l.RunID, FirstLine: l.Lines + 1, Lines: len(splitLines(piece)), Content: pack(piece)}
		if _, err := tx.db.NewInsert().Model(c).Exec(ctx); err != nil {
			return fmt.Errorf("writing the log of run %d: %w", l.RunID, err)
		}
		l.Lines += int64(c.Lines)
		l.Bytes += int64(len(piece))
	}
	return nil
}

func (tx *Tx) saveLog(ctx context.Context, l *Log) error {
	l.UpdatedAt = Now()
	if _, err := tx.db.NewUpdate().Model(l).WherePK().Exec(ctx); err != nil {
		return fmt.Errorf("saving the log of run %d: %w", l.RunID, err)
	}
	return tx.Announce(ctx, models.Change{Topic: models.LogTopic, Object: l.RunID, Version: l.Lines})
}

func splitLines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "\r")
	}
	return lines
}

func pack(text []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // that level exists
	w.Write(text)                                   // a buffer takes everything
	w.Close()
	return b.Bytes()
}

func unpack(content []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// MissingLogs returns runs that finished between two times, whose service keeps a
// log, and of which we keep no whole one.
func (q queries) MissingLogs(ctx context.Context, from, until time.Time) ([]int64, error) {
	var ids []int64
	err := q.db.NewSelect().Model((*models.Run)(nil)).Column("run.id").
		Where("run.finished_at > ?", from).Where("run.finished_at < ?", until).Where("run.log_url <> ''").
		Where("NOT EXISTS (SELECT 1 FROM logs WHERE logs.run_id = run.id AND logs.complete)").
		Order("run.finished_at").Limit(100).Scan(ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("finding runs without a log: %w", err)
	}
	return ids, nil
}
