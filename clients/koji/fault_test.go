package koji_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/clients/httpx"
	"millrace/clients/koji"
	"millrace/clients/xmlrpc"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code int
		text string

		temporary, login, permission, done, exists, unknown bool
	}{
		{code: 1, text: "<class 'TypeError'>: unsupported operand"},
		{code: 1, text: "<class 'psycopg2.OperationalError'>: server closed the connection", temporary: true},
		{code: 1000, text: "No such task: 5"},
		{code: 1000, text: "Invalid method: createSideTag", unknown: true},
		{code: 1000, text: "Build already exists (id=5, state=COMPLETE): {}", exists: true},
		{code: 1000, text: "Build already in progress (task 5)", exists: true},
		{code: 1001, text: "upload is locked", temporary: true},
		{code: 1002, text: "Invalid session or bad credentials", temporary: true},
		{code: 1002, text: "logins by x are not allowed", login: true},
		{code: 1003, text: "Package x not in list for y"},
		{code: 1004, text: "policy violation (tag)", permission: true},
		{code: 1004, text: "you must be logged in for this operation", login: true},
		{code: 1005, text: "error building package"},
		{code: 1006, text: "another session", temporary: true},
		{code: 1007, text: "session \"5\" has expired", temporary: true},
		{code: 1008, text: "5 > 4 (session 1)", temporary: true},
		{code: 1009, text: "unable to retry call 5", temporary: true, done: true},
		{code: 1014, text: "database outage", temporary: true},
		{code: 1019, text: "build() missing 1 required positional argument: 'src'"},
		{code: 1023, text: "could not authenticate", login: true},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.code, " ", test.text), func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				body, err := xmlrpc.EncodeFault(&xmlrpc.Fault{Code: int64(test.code), Text: test.text})
				if err != nil {
					t.Error(err)
				}
				w.Write(body)
			}))
			defer server.Close()
			_, err := (&koji.Client{HubURL: server.URL}).Task(t.Context(), 1)
			got := []bool{httpx.Temporary(err), koji.IsLogin(err), koji.IsPermission(err), koji.IsDone(err), koji.IsBuildExists(err), koji.IsUnknownMethod(err)}
			want := []bool{test.temporary, test.login, test.permission, test.done, test.exists, test.unknown}
			if fmt.Sprint(got) != fmt.Sprint(want) || koji.Text(err) != test.text {
				t.Errorf("%v: %v, want %v (temporary, login, permission, done, exists, unknown)", err, got, want)
			}
		})
	}
}

// What a hub should never say must not be taken for something else.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	value := func(v any) string {
		body, err := xmlrpc.EncodeResponse(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	login := map[string]any{"session-id": 5, "session-key": "5-x", "header-auth": true}
	tests := map[string]struct {
		login, answer string
		temporary     bool
	}{
		"no XML":                  {value(login), "hello", true},
		"half":                    {value(login), value(int64(5))[:60], true},
		"no task":                 {value(login), value(nil), true},
		"a text for a task":       {value(login), value("5"), true},
		"a task below zero":       {value(login), value(int64(-5)), true},
		"no session":              {value(map[string]any{}), value(int64(5)), true},
		"session without a key":   {value(map[string]any{"session-id": 5}), value(int64(5)), true},
		"a hub of the middle age": {value(map[string]any{"session-id": 5, "session-key": "x"}), value(int64(5)), false},
		"too large":               {value(login), value(strings.Repeat("x", 33<<20)), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/ssllogin" {
					fmt.Fprint(w, test.login)
					return
				}
				fmt.Fprint(w, test.answer)
			}))
			defer server.Close()
			c := &koji.Client{HubURL: server.URL, Certificate: true}
			id, err := c.SubmitBuild(t.Context(), helloBuild)
			if err == nil || httpx.Temporary(err) != test.temporary || strings.Contains(err.Error(), "5-x") {
				t.Errorf("task %d, error %v", id, err)
			}
		})
	}
}
