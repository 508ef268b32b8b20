package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"

	"millrace/clients/httpx"
	"millrace/clients/koji"
	"millrace/models"
)

// KojiScratch builds in Koji what is proposed upstream: nothing that is kept.
type KojiScratch struct {
	*Koji
	Open func(srpmPath string) (*os.File, error) // source RPMs that were built here
	HTTP *http.Client                            // fetches those of Copr
	Dir  string                                  // of files that are on the way; made if missing
}

// maxSRPM is the largest source RPM that is carried from Copr to Koji, in bytes.
const maxSRPM = 1 << 30

// Submit is part of Kind.
func (k *KojiScratch) Submit(ctx context.Context, w *Work) (Outcome, error) {
	run := w.Runs[0]
	task, err := k.find(ctx, w, koji.BuildRequest{Key: w.Group.Key})
	if err != nil {
		return Outcome{}, err
	}
	if task == 0 {
		_, err := k.Client.Target(ctx, run.Target)
		if errors.Is(err, models.ErrNotFound) {
			return Outcome{}, fail("Target not supported: %s", run.Target)
		}
		if err != nil {
			return Outcome{}, err
		}
		source, err := k.upload(ctx, w)
		if err != nil {
			return Outcome{}, err
		}
		task, err = k.submit(ctx, koji.BuildRequest{Source: source, Target: run.Target, Key: w.Group.Key, Scratch: true})
		if err != nil {
			return Outcome{}, err
		}
	}
	id := strconv.FormatInt(task, 10)
	return Outcome{ExternalID: id, Waiting: true, Runs: []Update{{
		Run: run, State: models.Queued, Reason: "RPM build has been submitted...", ExternalID: id, ExternalURL: k.Client.TaskURL(task),
	}}}, nil
}

// upload puts the pipeline's source RPM where Koji can build it.
func (k *KojiScratch) upload(ctx context.Context, w *Work) (string, error) {
	source, err := sourceOf(w)
	if err != nil {
		return "", err
	}
	var file *os.File
	name := path.Base(source.Run.Data.SRPMPath)
	if source.Run.Data.SRPMPath != "" {
		if file, err = k.Open(source.Run.Data.SRPMPath); err != nil {
			return "", broken(err, "The source RPM is no longer here; build it again.")
		}
	} else {
		if name, file, err = k.fetch(ctx, source.Run.Data.SRPMURL); err != nil {
			return "", err
		}
		defer os.Remove(file.Name())
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("reading the source RPM: %w", err)
	}
	uploaded, err := k.Client.UploadSRPM(ctx, koji.UploadDir(w.Group.Key), name, file, info.Size())
	if err != nil {
		return "", k.refused(err, "uploading the source RPM")
	}
	return uploaded, nil
}

// fetch downloads a source RPM that Copr made to a temporary file.
func (k *KojiScratch) fetch(ctx context.Context, address string) (name string, file *os.File, err error) {
	u, err := url.Parse(address)
	if err != nil || !strings.HasSuffix(u.Path, ".src.rpm") {
		return "", nil, broken(err, "Copr does not say where the source RPM is.")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", nil, fmt.Errorf("fetching the source RPM: %w", err)
	}
	refused := func(status int, err error) error {
		return &httpx.Error{Service: "copr", Method: http.MethodGet, URL: u.Path, Status: status, Err: err}
	}
	res, err := k.HTTP.Do(req)
	if err != nil {
		return "", nil, refused(0, err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotFound {
		return "", nil, broken(nil, "The source RPM is no longer in Copr; build it again.")
	}
	if res.StatusCode != http.StatusOK {
		return "", nil, refused(res.StatusCode, nil)
	}
	if err = os.MkdirAll(k.Dir, 0o755); err == nil {
		file, err = os.CreateTemp(k.Dir, "source-*.src.rpm")
	}
	if err != nil {
		return "", nil, fmt.Errorf("making room for the source RPM: %w", err)
	}
	n, err := io.Copy(file, io.LimitReader(res.Body, maxSRPM+1))
	if err == nil && n <= maxSRPM {
		return path.Base(u.Path), file, nil
	}
	file.Close()
	os.Remove(file.Name()) // best effort: the error matters more
	if err == nil {
		return "", nil, fail("The source RPM has more than %d bytes, which is too much to carry to Koji.", maxSRPM)
	}
	return "", nil, refused(0, err)
}

// Poll is part of Kind.
func (k *KojiScratch) Poll(ctx context.Context, w *Work) (Outcome, error) {
	id, err := kojiTask(w.Group.ExternalID)
	if err != nil {
		return Outcome{}, err
	}
	u, _, err := k.observe(ctx, w.Runs[0], id)
	return Outcome{Runs: []Update{u}}, err
}

// Cancel is part of Kind.
func (k *KojiScratch) Cancel(ctx context.Context, w *Work) error { return k.cancel(ctx, w) }
