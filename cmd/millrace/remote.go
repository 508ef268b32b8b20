package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"millrace/clients/httpx"
	"millrace/handlers"
)

// remotePatience is how long one answer of a service may take.
const remotePatience = time.Minute

// remote is a Millrace service that a command asks over its API, as the person
// whose token it shows.
type remote struct {
	base  string // its address, without a slash at the end
	token string
	http  *http.Client
}

// logins are what `millrace login` stored: the token of each service, by its
// address.
type logins struct {
	Default string            `json:"default"` // the service that is asked if none is named
	Tokens  map[string]string `json:"tokens"`
}

// loginFile is where logins are, for this user of the machine alone.
func loginFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("finding your directory for settings: %w", err)
	}
	return filepath.Join(dir, "millrace", "login.json"), nil
}

// readLogins reads what is stored; what is not there is empty.
func readLogins() (logins, error) {
	all := logins{Tokens: map[string]string{}}
	file, err := loginFile()
	if err != nil {
		return all, err
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return all, fmt.Errorf("%s is damaged; remove it and log in again: %w", file, err)
	}
	if all.Tokens == nil {
		all.Tokens = map[string]string{}
	}
	return all, nil
}

// write stores logins so that nobody else on the machine reads them, and whole
// or not at all.
func (l logins) write() (file string, err error) {
	if file, err = loginFile(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return "", fmt.Errorf("storing the login: %w", err)
	}
	next, err := os.CreateTemp(filepath.Dir(file), "login") // which only its user may read
	if err != nil {
		return "", err
	}
	defer os.Remove(next.Name()) // gone already if all went well
	if _, err := next.Write(append(text, '\n')); err != nil {
		return "", errors.Join(err, next.Close())
	}
	if err := next.Close(); err != nil {
		return "", err
	}
	return file, os.Rename(next.Name(), file)
}

// remoteFlags are those of every command that asks a service.
func remoteFlags(flags *flag.FlagSet) (server *string, asJSON *bool) {
	server = flags.String("server", "", "address of the service; that of your login if it is not said, or $MILLRACE_SERVER")
	return server, flags.Bool("json", false, "print the service's answer as JSON")
}

// remoteOf is the service that a command is to ask: the one that is named, that
// of an address of a pipeline, or that of the last login. The token comes from
// $MILLRACE_TOKEN, or from the login.
func remoteOf(named string) (*remote, error) {
	all, err := readLogins()
	if err != nil {
		return nil, err
	}
	for _, base := range []string{named, os.Getenv("MILLRACE_SERVER"), all.Default} {
		if base == "" {
			continue
		}
		r, err := newRemote(base)
		if err != nil {
			return nil, err
		}
		if r.token = os.Getenv("MILLRACE_TOKEN"); r.token == "" {
			r.token = all.Tokens[r.base]
		}
		return r, nil
	}
	return nil, errors.New("which service? Log in first, with `millrace login --server URL`, or name it with --server")
}

func newRemote(base string) (*remote, error) {
	u, err := url.Parse(strings.TrimRight(base, "/"))
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q is not the address of a service; want one such as https://millrace.example", base)
	case u.Scheme != "https" && (u.Scheme != "http" || !local(u.Hostname())):
		return nil, fmt.Errorf("%q must begin with https: everybody on the way could read your token", base)
	}
	// A token is for the service it was made at, not for where that one may lead.
	client := &http.Client{Timeout: remotePatience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &remote{base: u.String(), http: client}, nil
}

// remoteError is a refusal in the words of the service.
type remoteError struct {
	status  int
	problem handlers.Problem
}

func (e *remoteError) Error() string {
	text := e.problem.Detail
	if text == "" {
		text = fmt.Sprintf("the service answers %d %s", e.status, http.StatusText(e.status))
	}
	if e.problem.Link != "" {
		text += "\n" + e.problem.Link
	}
	if e.status >= 500 && e.problem.RequestID != "" {
		text += "\nIts operators find more under the number " + e.problem.RequestID + "."
	}
	return text
}

// ask sends a request to the API and reads the answer into out, which may be nil.
func (r *remote) ask(ctx context.Context, method, path string, in, out any, headers ...string) error {
	req, err := httpx.NewRequest(ctx, method, r.base+"/api/v3"+path, in)
	if err != nil {
		return err
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	req.Header.Set("User-Agent", "millrace/"+version)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	refused := new(remoteError)
	caller := httpx.Caller{Service: r.base, HTTP: r.http, Explain: func(body []byte) string {
		if json.Unmarshal(body, &refused.problem) != nil { // a proxy's page, perhaps
			refused.problem = handlers.Problem{}
		}
		return ""
	}}
	err = caller.Do(ctx, method+" "+path, req, out)
	if status := httpx.Status(err); status >= 300 {
		refused.status = status
		return refused
	}
	return err
}

// pipelineArgument reads what names a pipeline: its number, or the address of its
// page, which names the service too.
func pipelineArgument(text string) (server string, id int64, err error) {
	number := strings.TrimPrefix(text, "#")
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		before, rest, found := strings.Cut(u.Path, "/pipelines/")
		if !found {
			return "", 0, fmt.Errorf("%q is not the address of a pipeline", text)
		}
		server = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(before, "/api/v3")}).String()
		number, _, _ = strings.Cut(rest, "/")
	}
	id, err = strconv.ParseInt(number, 10, 64)
	if err != nil || id <= 0 {
		return "", 0, fmt.Errorf("%q is neither the number nor the address of a pipeline", text)
	}
	return server, id, nil
}

// remotePipeline finds the service and the pipeline that a command line names.
func remotePipeline(argument, server string) (*remote, int64, error) {
	at, id, err := pipelineArgument(argument)
	if err != nil {
		return nil, 0, err
	}
	if at != "" && server != "" && strings.TrimRight(server, "/") != at {
		return nil, 0, fmt.Errorf("%s is not at %s; leave out --server, or give the number alone", argument, server)
	}
	if at != "" {
		server = at
	}
	r, err := remoteOf(server)
	return r, id, err
}

// refusedBy explains what went wrong to the person at the command line, and how
// it can go right.
func refusedBy(stderr io.Writer, command string, r *remote, err error) int {
	if e, ok := errors.AsType[*remoteError](err); ok && e.status == http.StatusUnauthorized {
		err = fmt.Errorf("%w\nLog in with `millrace login --server %s`, with a token from %s/settings/tokens", err, r.base, r.base)
	}
	return complain(stderr, command, err)
}

// printJSON prints an answer as the service gave it, but for people.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// targetsOf counts what a list of a preview has, by step, in its order.
func targetsOf(list []handlers.RerunTarget) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		var names []string
		for ; j < len(list) && list[j].Step == list[i].Step; j++ {
			names = append(names, list[j].Target)
		}
		parts = append(parts, list[i].Step+": "+strings.Join(names, ", "))
		i = j
	}
	return strings.Join(parts, "; ")
}
