package koji

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"net/url"
	"strconv"
	"strings"
)

// uploadChunk is how much of a file is sent at once.
const uploadChunk = 1 << 20

// UploadDir is where the source RPM of a submission goes. It has its key, so
// that an upload that was interrupted goes on where it was.
func UploadDir(key string) string { return "cli-build/millrace-" + key }

// UploadSRPM puts a source RPM into a directory of the hub's and returns the
// path that a build takes as its source. What is there already from an earlier
// try is kept if it is the beginning of the same file. Who made a directory
// first owns it.
func (c *Client) UploadSRPM(ctx context.Context, dir, name string, content io.ReaderAt, size int64) (string, error) {
	if !strings.HasSuffix(name, ".src.rpm") || strings.ContainsAny(name, "/\\") || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("uploading to koji: %q is not the name of a source RPM", name)
	}
	if size <= 0 {
		return "", fmt.Errorf("uploading %s to koji: it is empty", name)
	}
	offset, err := c.uploaded(ctx, dir, name, content, size)
	if err != nil {
		return "", fmt.Errorf("looking for an upload of %s: %w", name, err)
	}
	buf := make([]byte, uploadChunk)
	for offset < size {
		chunk := buf[:min(size-offset, uploadChunk)]
		if n, err := content.ReadAt(chunk, offset); n < len(chunk) {
			return "", fmt.Errorf("reading %s: %w", name, err)
		}
		if err := c.uploadChunk(ctx, dir, name, offset, chunk); err != nil {
			return "", fmt.Errorf("uploading %s: %w", name, err)
		}
		offset += int64(len(chunk))
	}
	there, err := c.uploaded(ctx, dir, name, content, size)
	if err != nil {
		return "", fmt.Errorf("checking the upload of %s: %w", name, err)
	}
	if there != size {
		return "", c.garbled(fmt.Errorf("the upload of %s is not what was sent", name))
	}
	return dir + "/" + name, nil
}

// uploaded is how much of content is there: 0 if it is not its beginning.
func (c *Client) uploaded(ctx context.Context, dir, name string, content io.ReaderAt, size int64) (int64, error) {
	var in struct {
		Size   int64  `json:"size"`
		Digest string `json:"hexdigest"`
	}
	// Python writes sizes of more than 32 bits as they are.
	if err := c.call(ctx, "checkUpload", &in, dir, name, "sha256"); err != nil {
		return 0, err
	}
	if in.Size <= 0 || in.Size > size {
		return 0, nil
	}
	digest := sha256.New()
	if _, err := io.Copy(digest, io.NewSectionReader(content, 0, in.Size)); err != nil {
		return 0, fmt.Errorf("reading %s: %w", name, err)
	}
	if hex.EncodeToString(digest.Sum(nil)) != in.Digest {
		return 0, nil
	}
	return in.Size, nil
}

// uploadChunk writes a part of a file at its place and cuts off what was
// there behind it, so that it may be repeated.
func (c *Client) uploadChunk(ctx context.Context, dir, name string, offset int64, chunk []byte) error {
	address := c.hub() + "?" + url.Values{"filename": {name}, "filepath": {dir}, "fileverify": {"adler32"},
		"offset": {strconv.FormatInt(offset, 10)}, "overwrite": {"1"}}.Encode()
	value, err := c.inSession(ctx, func(s *session) (any, error) {
		return c.post(ctx, s, "upload", address, "application/octet-stream", chunk)
	})
	if err != nil {
		return err
	}
	var out struct {
		Size   int64  `json:"size"`
		Digest string `json:"hexdigest"`
	}
	if err := c.store("upload", value, &out); err != nil {
		return err
	}
	if out.Size != int64(len(chunk)) || out.Digest != fmt.Sprintf("%08x", adler32.Checksum(chunk)) {
		return c.garbled(errors.New("the hub got another chunk than was sent"))
	}
	return nil
}
