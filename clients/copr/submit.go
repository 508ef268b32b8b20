package copr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"regexp"
	"strings"
	"sync"
	"time"

	"millrace/clients/httpx"
)

// MaxScript is how many bytes of a custom script Copr takes, those of our
// marker included (see Key).
const MaxScript = 4096

// keyMark goes before a key in a custom script.
const keyMark = "# millrace-submission: "

var keyPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{8,64}$`)

// BuildOptions are common to all ways of submitting a build.
type BuildOptions struct {
	Owner, Project string

	// Key identifies the submission: the same in every repeat of it, another
	// in every new attempt. Copr takes no such key, so it is put where it does
	// no harm and can be read again: in a comment line of a custom script, in
	// the file name of an upload, in the address of an SRPM. With it FindBuild
	// finds out whether a submission whose answer was lost has arrived. 8 to
	// 64 letters, digits, dots, dashes and underscores; empty for none.
	Key string

	Chroots      []string // empty means all of the project
	EnableNet    bool
	Timeout      time.Duration // empty means Copr's default of five hours
	ForgeProject string        // "github.com/namespace/repo", checked by Copr against the project's list
	Background   bool          // after all builds that are not
	Bootstrap    string        // as in ProjectOptions; empty means the project's
	Dirname      string        // such as "project:pr:12"; empty means the project itself
}

// CustomBuild asks Copr to run a script that makes sources and spec file, or
// an SRPM.
type CustomBuild struct {
	BuildOptions
	Script       string
	ScriptChroot string   // in which the script runs; empty means Copr's default
	BuildDeps    []string // packages installed before
	ResultDir    string   // relative to where the script runs; empty means there
	Repos        []string // from which BuildDeps come as well
}

// SubmitCustom submits a build whose SRPM is made by a script in Copr.
func (c *Client) SubmitCustom(ctx context.Context, b CustomBuild) (Build, error) {
	in, err := b.body()
	if err != nil {
		return Build{}, err
	}
	script := markScript(b.Script, b.Key)
	if len(script) > MaxScript {
		return Build{}, fmt.Errorf("the source script has %d bytes, Copr takes %d", len(script), MaxScript)
	}
	in["script"] = script
	in["builddeps"] = strings.Join(b.BuildDeps, " ")
	in["resultdir"] = b.ResultDir
	in["repos"] = strings.Join(b.Repos, " ")
	if b.ScriptChroot != "" {
		in["chroot"] = b.ScriptChroot
	}
	var out buildJSON
	err = c.call(ctx, "build.create_custom", http.MethodPost, "/build/create/custom", nil, in, &out)
	return submitted(out, err)
}

// SubmitURL submits a build of the SRPM at address, which Copr fetches. The
// path must end in ".src.rpm", and one of the names in it must be the key, as
// in "https://example.org/srpm/KEY/hello-1.0-1.src.rpm".
func (c *Client) SubmitURL(ctx context.Context, o BuildOptions, address string) (Build, error) {
	in, err := o.body()
	if err != nil {
		return Build{}, err
	}
	if (o.Key != "" && !hasSegment(address, o.Key)) || strings.ContainsAny(address, " \t\r\n") {
		return Build{}, errors.New("the address of the SRPM must have the key in its path, and no blanks")
	}
	in["pkgs"] = []string{address}
	var out struct {
		Items []buildJSON `json:"items"`
	}
	err = c.call(ctx, "build.create_url", http.MethodPost, "/build/create/url", nil, in, &out)
	if err == nil && len(out.Items) != 1 {
		return Build{}, fmt.Errorf("copr made %d builds of one address", len(out.Items))
	}
	if err != nil {
		return Build{}, err
	}
	return submitted(out.Items[0], nil)
}

// SubmitUpload submits a build of an SRPM of ours, which is read only once and
// never held in memory. The HTTP client's timeout must allow for its size.
func (c *Client) SubmitUpload(ctx context.Context, o BuildOptions, srpm io.Reader) (Build, error) {
	in, err := o.body()
	if err != nil {
		return Build{}, err
	}
	form, err := json.Marshal(in)
	if err != nil {
		return Build{}, fmt.Errorf("encoding the build's options: %w", err)
	}
	r, w := io.Pipe()
	parts := multipart.NewWriter(w)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base()+"/api_3/build/create/upload", r)
	if err != nil {
		return Build{}, fmt.Errorf("making the upload: %w", err)
	}
	var writing sync.WaitGroup
	writing.Go(func() { w.CloseWithError(writeUpload(parts, form, uploadName(o.Key), srpm)) })
	defer writing.Wait() // so that srpm is ours no longer when we return
	defer r.Close()      // ends the writing if the request did not read all

	req.Header.Set("Content-Type", parts.FormDataContentType())
	req.Header.Set("Accept", "application/json")
	c.authorize(req)
	var out buildJSON
	err = c.caller().Do(ctx, "build.create_upload", req, &out)
	return submitted(out, err)
}

func writeUpload(parts *multipart.Writer, form []byte, name string, srpm io.Reader) error {
	part, err := parts.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="json"; filename="json"`}, "Content-Type": {"application/json"}})
	if err == nil {
		_, err = part.Write(form)
	}
	if err != nil {
		return err
	}
	part, err = parts.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="pkgs"; filename="` + name + `"`}, "Content-Type": {"application/x-rpm"}})
	if err == nil {
		_, err = io.Copy(part, srpm)
	}
	if err != nil {
		return err
	}
	return parts.Close()
}

// submitted makes sure that a build has an id: without one it is lost.
func submitted(b buildJSON, err error) (Build, error) {
	if err == nil && b.ID <= 0 {
		err = &httpx.Error{Service: "copr", Method: http.MethodPost, URL: "/api_3/build/create", Status: http.StatusBadGateway,
			Message: "the answer to a submission has no build id"}
	}
	if err != nil {
		return Build{}, err
	}
	return b.build(), nil
}

func (o BuildOptions) body() (map[string]any, error) {
	if o.Key != "" && !keyPattern.MatchString(o.Key) {
		return nil, fmt.Errorf("%q cannot identify a submission", o.Key)
	}
	in := map[string]any{"ownername": o.Owner, "projectname": o.Project, "enable_net": o.EnableNet}
	if len(o.Chroots) > 0 {
		in["chroots"] = o.Chroots
	}
	if o.Timeout > 0 {
		in["timeout"] = int(o.Timeout.Seconds())
	}
	if o.Background {
		in["background"] = true
	}
	for name, value := range map[string]string{"packit_forge_project": o.ForgeProject, "bootstrap": o.Bootstrap, "project_dirname": o.Dirname} {
		if value != "" {
			in[name] = value
		}
	}
	return in, nil
}

func markScript(script, key string) string {
	if key == "" {
		return script
	}
	// The last line: the first may be the interpreter's.
	if script != "" && !strings.HasSuffix(script, "\n") {
		script += "\n"
	}
	return script + keyMark + key + "\n"
}

// hasSegment reports whether name stands between two slashes of an address, or
// after the last.
func hasSegment(address, name string) bool {
	return strings.Contains(address+"/", "/"+name+"/")
}

func uploadName(key string) string {
	if key == "" {
		return "package.src.rpm"
	}
	return "submission-" + key + ".src.rpm"
}

// HasKey reports whether this was submitted with key.
func HasKey(s Source, key string) bool {
	return key != "" && (KeyOf(s) == key || hasSegment(s.Data["url"], key))
}

// KeyOf returns the key in what was submitted, if it is a key of SubmitCustom
// or SubmitUpload; that of SubmitURL is a part of an address which only its
// caller knows (see HasKey).
func KeyOf(s Source) string {
	marked := ""
	for line := range strings.Lines(s.Data["script"]) {
		if key, ok := strings.CutPrefix(line, keyMark); ok {
			marked = strings.TrimSpace(key) // the last counts: ours is the last line
		}
	}
	if marked != "" {
		return marked
	}
	key, isUpload := strings.CutPrefix(s.Data["pkg"], "submission-")
	key, isSRPM := strings.CutSuffix(key, ".src.rpm")
	if isUpload && isSRPM {
		return key
	}
	return ""
}
