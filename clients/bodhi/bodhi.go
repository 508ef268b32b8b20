// Package bodhi speaks to Bodhi, which carries updates to users and knows which
// releases there are: https://bodhi.fedoraproject.org/docs/server_api/.
package bodhi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"millrace/clients/httpx"
)

// Client calls one Bodhi instance. No method repeats a call.
type Client struct {
	BaseURL string       // such as https://bodhi.fedoraproject.org
	HTTP    *http.Client // nil means one with httpx.DefaultTimeout
}

// Error is a call that did not work, and whether it may work later.
type Error = httpx.Error

// get asks for a path and decodes the answer into out.
func (c *Client) get(ctx context.Context, operation, path string, query url.Values, out any) error {
	address := c.BaseURL + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	// Without Accept, which NewRequest sets, Bodhi answers with a web page.
	req, err := httpx.NewRequest(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return httpx.Caller{Service: "bodhi", HTTP: c.HTTP, Explain: explain}.Do(ctx, operation, req, out)
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
