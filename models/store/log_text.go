package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// LogText is the text of a log as it was when it was opened, to be read from any
// place. It keeps one piece in memory, not the log.
type LogText struct {
	ctx   context.Context
	from  queries
	runID int64
	parts []logPart
	size  int64
	at    int64 // what is read next

	held int    // index of the part in text; -1 for none
	text []byte // of that part
}

// logPart is where a chunk begins.
type logPart struct {
	line, offset, size int64
}

// LogText opens the log of a run. What is read is read with ctx.
func (q queries) LogText(ctx context.Context, runID int64) (*LogText, error) {
	var chunks []struct {
		FirstLine int64
		Tail      []byte
	}
	// A gzip stream ends with the size of what was packed.
	err := q.db.NewSelect().Model((*logChunk)(nil)).Column("first_line").ColumnExpr("substr(content, length(content) - 3) AS tail").
		Where("run_id = ?", runID).Order("first_line").Scan(ctx, &chunks)
	if err != nil {
		return nil, fmt.Errorf("measuring the log of run %d: %w", runID, err)
	}
	l := &LogText{ctx: ctx, from: q, runID: runID, held: -1}
	for _, c := range chunks {
		if len(c.Tail) != 4 {
			return nil, fmt.Errorf("measuring the log of run %d: line %d is not packed", runID, c.FirstLine)
		}
		part := logPart{line: c.FirstLine, offset: l.size, size: int64(binary.LittleEndian.Uint32(c.Tail))}
		l.parts = append(l.parts, part)
		l.size += part.size
	}
	return l, nil
}

// Size is how many bytes there are.
func (l *LogText) Size() int64 { return l.size }

// Seek chooses what is read next.
func (l *LogText) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += l.at
	case io.SeekEnd:
		offset += l.size
	}
	if offset < 0 {
		return 0, errors.New("seeking to before the beginning of a log")
	}
	l.at = offset
	return offset, nil
}

// Read reads from one chunk. If the log was replaced meanwhile by another, the
// error is io.ErrUnexpectedEOF.
func (l *LogText) Read(p []byte) (int, error) {
	if l.at >= l.size {
		return 0, io.EOF
	}
	i, found := slices.BinarySearchFunc(l.parts, l.at, func(part logPart, at int64) int { return int(part.offset - at) })
	if !found {
		i--
	}
	part := l.parts[i]
	if l.held != i {
		if err := l.load(i); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.text[l.at-part.offset:part.size])
	l.at += int64(n)
	return n, nil
}

func (l *LogText) load(i int) error {
	l.held = -1
	part := l.parts[i]
	c := new(logChunk)
	err := l.from.db.NewSelect().Model(c).Where("run_id = ?", l.runID).Where("first_line = ?", part.line).Scan(l.ctx)
	if err != nil {
		return fmt.Errorf("reading the log of run %d: %w", l.runID, errors.Join(notFound(err), io.ErrUnexpectedEOF))
	}
	if l.text, err = unpack(c.Content); err != nil {
		return fmt.Errorf("unpacking the log of run %d: %w", l.runID, err)
	}
	if int64(len(l.text)) < part.size {
		return fmt.Errorf("reading the log of run %d: %w", l.runID, io.ErrUnexpectedEOF)
	}
	l.held = i
	return nil
}
