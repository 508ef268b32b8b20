// Package bodhi speaks to Bodhi, which carries updates to users and knows which
// releases there are: https://bodhi.fedoraproject.org/docs/server_api/.
package bodhi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"millrace/clients/httpx"
)

// DefaultURL is Fedora's instance.
const DefaultURL = "https://bodhi.fedoraproject.org"

// Client calls one Bodhi instance. Reading needs no account. No method repeats
// a call, but for one that was refused because the session was over.
type Client struct {
	BaseURL string       // such as DefaultURL
	HTTP    *http.Client // for reading, and the transport for all; nil means one with httpx.DefaultTimeout
	Account *Account     // who writes; nil: nobody

	mu      sync.Mutex // above session, and held while one begins
	session *session
}

// Error is a call that did not work, and whether it may work later.
type Error = httpx.Error

// get asks for a path and decodes the answer into out.
func (c *Client) get(ctx context.Context, operation, path string, query url.Values, out any) error {
	address := c.base() + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	// Without Accept, which NewRequest sets, Bodhi answers with a web page.
	req, err := httpx.NewRequest(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return c.caller(c.HTTP).Do(ctx, operation, req, out)
}

func (c *Client) base() string { return strings.TrimSuffix(c.BaseURL, "/") }

func (c *Client) caller(client *http.Client) httpx.Caller {
	return httpx.Caller{Service: "bodhi", HTTP: client, Explain: explain}
}

// explain reads Bodhi's list of errors.
func explain(body []byte) string {
	var answer struct {
		Errors []struct {
			Name        string
			Description string
		}
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	text := ""
	for _, e := range answer.Errors {
		if text != "" {
			text += "; "
		}
		if e.Name != "" {
			text += e.Name + ": "
		}
		text += e.Description
	}
	return text
}
