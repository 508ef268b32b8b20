package kojifake

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"millrace/clients/koji"
	"millrace/clients/xmlrpc"
)

const (
	// maxRequest is the size in bytes of what a hub takes by default.
	maxRequest  = 4 << 20
	version     = "1.35.3"
	tokenPrefix = "sim:"
)

// session is a login.
type session struct {
	key     string
	user    string
	address string // from which alone it may be used
	last    int64  // number of the last call that changed something; -1 if there was none
	expired bool
}

func (f *Fake) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/kojihub", f.serveHub)
	mux.HandleFunc("/kojihub/ssllogin", f.serveLogin)
	mux.HandleFunc("GET /koji/taskinfo", f.showTask)
	mux.HandleFunc("GET /koji/buildinfo", f.showBuild)
	mux.HandleFunc("GET /koji/taginfo", f.showTag)
	mux.HandleFunc("GET /koji/{$}", f.showTasks)
	mux.HandleFunc("GET /work/", f.serveFiles)
	mux.HandleFunc("GET /packages/", f.serveFiles)
	return mux
}

// ServeHTTP implements http.Handler.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.mux.ServeHTTP(w, r) }

// request is a call as it came.
type request struct {
	method  string
	args    []any
	session *session   // nil for anonymous calls
	number  int64      // of the call in its session; -1 if there is none
	upload  url.Values // says where body goes; nil for calls
	body    []byte
}

func (f *Fake) serveHub(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	var req request
	if r.URL.RawQuery != "" {
		req.method, req.upload, req.body = "upload", r.URL.Query(), body
	} else {
		method, args, err := xmlrpc.DecodeCall(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		req.method, req.args = method, args
	}
	f.answer(w, r, &req)
}

// serveLogin is where the web server in front of a hub asks who is there.
func (f *Fake) serveLogin(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	method, args, err := xmlrpc.DecodeCall(body)
	if err != nil || method != "sslLogin" {
		http.Error(w, "this address is for logging in", http.StatusBadRequest)
		return
	}
	user := ""
	if token, isToken := strings.CutPrefix(r.Header.Get("Authorization"), "Negotiate "); isToken {
		raw, _ := base64.StdEncoding.DecodeString(token) // what is not base64 is no token
		user, _ = strings.CutPrefix(string(raw), tokenPrefix)
	} else if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		user = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	if user == "" {
		w.Header().Set("WWW-Authenticate", "Negotiate")
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	f.answer(w, r, &request{method: method, args: append(args, user), number: -1})
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	w.Header().Set("Koji-Version", version)
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		http.Error(w, "Request too long", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	if err != nil {
		http.Error(w, "the request ended too early", http.StatusBadRequest)
		return nil, false
	}
	return body, true
}

// answer carries a call out, with all that shall go wrong.
func (f *Fake) answer(w http.ResponseWriter, r *http.Request, req *request) {
	f.mu.Lock()
	x := f.faultsOf(req.method)
	f.mu.Unlock()
	if x.Down || x.Status != 0 {
		x.refuse(w)
		return
	}
	value, err := f.carryOut(r, req, x)
	if x.CutUploads && req.upload != nil {
		panic(http.ErrAbortHandler)
	}
	if x.DoubleCalls {
		value, err = f.carryOut(r, req, x)
	}
	if x.EarlyMessages && req.method == "build" && err == nil {
		if id, ok := value.(int64); ok {
			f.hurry(id)
		}
	}
	f.nudge()
	if x.LoseAnswers {
		panic(http.ErrAbortHandler)
	}
	if x.Delay > 0 {
		timer := time.NewTimer(x.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		case <-f.ctx.Done():
		}
	}
	f.write(w, req.method, value, err)
}

func (f *Fake) write(w http.ResponseWriter, method string, value any, err error) {
	var body []byte
	if fault, ok := errors.AsType[*xmlrpc.Fault](err); ok {
		body, err = xmlrpc.EncodeFault(fault)
	} else if err == nil {
		body, err = xmlrpc.EncodeResponse(value)
	}
	if err != nil {
		f.log.Error("koji cannot answer", "method", method, "error", err)
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

// carryOut does what a call asks for.
func (f *Fake) carryOut(r *http.Request, req *request, x Faults) (any, error) {
	f.mu.Lock()
	defer f.unlock()
	if x.Offline {
		return nil, fault(koji.OfflineFault, "the hub is being maintained")
	}
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	if req.method == "sslLogin" {
		f.remember(req.method)
		user, _ := req.args[len(req.args)-1].(string)
		return f.login(user, address)
	}
	if err := f.authenticate(r.Header, address, req); err != nil {
		return nil, err
	}
	if req.upload != nil && x.CutUploads {
		req.body = req.body[:len(req.body)/2]
	}
	changes, value, err := f.dispatch(req)
	if err == nil && changes && req.session != nil && req.number >= 0 {
		// Only what changed something is remembered, and only if it worked.
		req.session.last = req.number
	}
	return value, err
}

func (f *Fake) login(name, address string) (any, error) {
	u := f.user(name)
	if u.Blocked {
		return nil, fault(koji.AuthFault, "logins by "+name+" are not allowed")
	}
	id := f.nextID()
	key := fmt.Sprintf("%d-%s", u.ID, randomKey())
	f.sessions[id] = &session{key: key, user: name, address: address, last: -1}
	return map[string]any{"session-id": id, "session-key": key, "header-auth": true}, nil
}

// authenticate finds the session of a call, and whether the call is in order.
func (f *Fake) authenticate(h http.Header, address string, req *request) error {
	req.number = -1
	if h.Get("Koji-Session-Id") == "" {
		return nil
	}
	id, err := strconv.ParseInt(h.Get("Koji-Session-Id"), 10, 64)
	s := f.sessions[id]
	if err != nil || s == nil || s.key != h.Get("Koji-Session-Key") || s.address != address {
		return fault(koji.AuthFault, "Invalid session or bad credentials")
	}
	if s.expired {
		return fault(koji.ExpiredFault, fmt.Sprintf("session %q has expired", strconv.FormatInt(id, 10)))
	}
	req.session = s
	text := h.Get("Koji-Session-Callnum")
	if text == "" {
		return nil
	}
	req.number, err = strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return fault(koji.AuthFault, "Invalid callnum: "+strconv.Quote(text))
	case req.number < s.last:
		return fault(koji.SequenceFault, fmt.Sprintf("%d > %d (session %d)", s.last, req.number, id))
	case req.number == s.last:
		return fault(koji.RetryFault, fmt.Sprintf("unable to retry call %d (method %s) for session %d", req.number, req.method, id))
	}
	return nil
}

// dispatch finds the method and calls it.
func (f *Fake) dispatch(req *request) (changes bool, value any, err error) {
	if req.method == "multiCall" || req.method == "system.multicall" {
		value, err = f.multiCall(req)
		return false, value, err
	}
	f.remember(req.method)
	if req.upload != nil {
		value, err = f.upload(req.session, req.upload, req.body)
		return true, value, err
	}
	m, ok := f.methods[req.method]
	if !ok {
		return false, nil, fault(koji.GenericFault, "Invalid method: "+req.method)
	}
	if m.login && req.session == nil {
		return false, nil, fault(koji.DeniedFault, "you must be logged in for this operation")
	}
	c, err := bind(req.method, m.params, req.args)
	if err != nil {
		return false, nil, err
	}
	if req.session != nil {
		c.user = req.session.user
	}
	value, err = m.run(f, c)
	return m.login, value, err
}

func (f *Fake) multiCall(req *request) (any, error) {
	if len(req.args) != 1 {
		return nil, fault(koji.ParameterFault, "multiCall() takes 1 argument")
	}
	calls, ok := req.args[0].([]any)
	if !ok {
		return nil, fault(koji.ParameterFault, "multiCall() takes a list")
	}
	results := make([]any, 0, len(calls))
	for _, entry := range calls {
		call, _ := entry.(map[string]any)
		method, _ := call["methodName"].(string)
		args, _ := call["params"].([]any)
		_, value, err := f.dispatch(&request{method: method, args: args, session: req.session, number: -1})
		if refused, ok := errors.AsType[*xmlrpc.Fault](err); ok {
			results = append(results, map[string]any{"faultCode": refused.Code, "faultString": refused.Text, "traceback": []any{"Traceback (most recent call last):\n"}})
			continue
		}
		if err != nil {
			return nil, err
		}
		results = append(results, []any{value})
	}
	return results, nil
}

func fault(code int64, text string) error { return &xmlrpc.Fault{Code: code, Text: text} }
