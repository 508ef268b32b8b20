package koji

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strconv"
)

// BuildLog is the log of a task that people want to see first.
const BuildLog = "build.log"

// logPiece is how much of a log is asked for at once.
const logPiece = 1 << 20

// Log is a log, or its beginning and its end if it is longer than was asked.
type Log struct {
	Head    []byte
	Tail    []byte // nil if Head is all
	Skipped int64  // bytes between them
}

// Bytes is the log as one text, with a line that says what is left out.
func (l Log) Bytes() []byte {
	if l.Skipped == 0 {
		return append(l.Head[:len(l.Head):len(l.Head)], l.Tail...)
	}
	text := fmt.Appendf(l.Head[:len(l.Head):len(l.Head)], "\n[... %d bytes left out ...]\n", l.Skipped)
	return append(text, l.Tail...)
}

// TaskOutput lists the files that a task has made so far, with their sizes:
// logs and packages.
func (c *Client) TaskOutput(ctx context.Context, id int64) (map[string]int64, error) {
	var in map[string]struct {
		Size any `json:"st_size"`
	}
	if err := c.call(ctx, "listTaskOutput", &in, id, Keywords{"stat": true}); err != nil {
		return nil, err
	}
	files := make(map[string]int64, len(in))
	for name, stat := range in {
		switch size := stat.Size.(type) {
		case float64:
			files[name] = int64(size)
		case string: // as the hub writes it, for readers that know 32 bits only
			n, err := strconv.ParseInt(size, 10, 64)
			if err != nil {
				return nil, c.garbled(fmt.Errorf("the size of %q is %.40q", name, size))
			}
			files[name] = n
		}
	}
	return files, nil
}

// TaskLog reads a file of a task, such as BuildLog, and keeps at most limit
// bytes: a quarter from its beginning, the rest from its end. A task that is
// not at work yet has no files, which is a *Fault.
func (c *Client) TaskLog(ctx context.Context, id int64, name string, limit int64) (Log, error) {
	if name != path.Base(name) || name == "." || name == ".." {
		return Log{}, fmt.Errorf("%q is not the name of a log", name)
	}
	files, err := c.TaskOutput(ctx, id)
	if err != nil {
		return Log{}, err
	}
	size, limit := files[name], max(limit, 4)
	if size <= limit {
		// It may have grown since; so much is taken as well.
		head, err := c.download(ctx, id, name, 0, limit)
		return Log{Head: head}, err
	}
	head, err := c.download(ctx, id, name, 0, limit/4)
	if err != nil {
		return Log{}, err
	}
	rest := limit - int64(len(head))
	tail, err := c.download(ctx, id, name, size-rest, rest)
	return Log{Head: head, Tail: tail, Skipped: size - rest - int64(len(head))}, err
}

// download reads at most size bytes of a file.
func (c *Client) download(ctx context.Context, id int64, name string, offset, size int64) ([]byte, error) {
	var content []byte
	for int64(len(content)) < size {
		piece := min(size-int64(len(content)), logPiece)
		value, err := c.send(ctx, nil, "downloadTaskOutput", []any{id, name, offset + int64(len(content)), piece})
		if err != nil {
			return content, err
		}
		b, err := decoded(value)
		if err != nil || int64(len(b)) > piece {
			return content, c.garbled(fmt.Errorf("a piece of %s is not what was asked for", name))
		}
		content = append(content, b...)
		if int64(len(b)) < piece {
			break
		}
	}
	return content, nil
}

// decoded reads base64, which the hub sends as a text.
func decoded(value any) ([]byte, error) {
	switch v := value.(type) {
	case []byte:
		return v, nil
	case string:
		return base64.StdEncoding.DecodeString(v)
	}
	return nil, errors.New("not base64")
}

// TaskLogURL is where a file of a task is for some weeks.
func (c *Client) TaskLogURL(id int64, name string) string {
	const shelves = 10000 // a directory for each remainder
	return fmt.Sprintf("%s/work/tasks/%d/%d/%s", c.files(), id%shelves, id, url.PathEscape(name))
}
