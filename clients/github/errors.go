package github

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	gh "github.com/google/go-github/v92/github"

	"millrace/clients/httpx"
)

// secondaryWait is how long to wait after hitting a secondary limit when
// GitHub does not say.
// https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
const secondaryWait = time.Minute

// explain turns an error of the library into an *httpx.Error.
func explain(err error) error {
	if _, ok := errors.AsType[*httpx.Error](err); ok {
		return err
	}
	if limit, ok := errors.AsType[*gh.RateLimitError](err); ok {
		e := answered(limit.Response, limit.Message)
		e.RetryAfter = limit.Rate.Reset.Time
		return e
	}
	if limit, ok := errors.AsType[*gh.AbuseRateLimitError](err); ok {
		e := answered(limit.Response, limit.Message)
		wait := secondaryWait
		if limit.RetryAfter != nil {
			wait = *limit.RetryAfter
		}
		e.RetryAfter = time.Now().Add(wait)
		return e
	}
	if refusal, ok := errors.AsType[*gh.ErrorResponse](err); ok {
		return answered(refusal.Response, words(refusal))
	}
	if token, ok := errors.AsType[*ghinstallation.HTTPError](err); ok && token.Response != nil {
		if err := gh.CheckResponse(token.Response); err != nil {
			return explain(err)
		}
	}
	e := &httpx.Error{Service: "github", Err: err}
	if sent, ok := errors.AsType[*url.Error](err); ok {
		e.Method, e.Err = strings.ToUpper(sent.Op), sent.Err
		if u, parseErr := url.Parse(sent.URL); parseErr == nil {
			e.URL = u.Path
		}
	}
	if errors.Is(err, httpx.ErrTooLarge) {
		e.Status = http.StatusOK // an answer came, and would come again
	}
	return e
}

// answered describes a refusal that came over the wire, or would have.
func answered(r *http.Response, message string) *httpx.Error {
	e := &httpx.Error{Service: "github", Message: httpx.Clean(message, 4<<10)}
	if r == nil {
		return e
	}
	e.Status = r.StatusCode
	if r.Request != nil {
		e.Method, e.URL = r.Request.Method, r.Request.URL.Path
	}
	if wait, err := time.ParseDuration(strings.TrimSpace(r.Header.Get("Retry-After")) + "s"); err == nil && wait > 0 {
		e.RetryAfter = time.Now().Add(min(wait, 24*time.Hour))
	}
	return e
}

// words joins a refusal's message and its details, which name the field that
// is wrong.
func words(r *gh.ErrorResponse) string {
	text := []string{r.Message}
	for _, detail := range r.Errors {
		switch {
		case detail.Message != "":
			text = append(text, detail.Message)
		case detail.Field != "":
			text = append(text, detail.Resource+"."+detail.Field+" "+detail.Code)
		}
	}
	return strings.Join(text, "; ")
}

// IsNotFound reports whether GitHub says that there is no such thing, or that
// we may not see it, which GitHub does not tell apart.
func IsNotFound(err error) bool {
	status := httpx.Status(err)
	return status == http.StatusNotFound || status == http.StatusGone
}

// IsForbidden reports whether we lack a right for good: an App without the
// permission to write checks, or a user that may not. A rate limit is not it.
func IsForbidden(err error) bool {
	e, ok := errors.AsType[*httpx.Error](err)
	return ok && e.Status == http.StatusForbidden && e.RetryAfter.IsZero()
}

// IsInvalid reports whether GitHub understood the call and refused what it
// says, such as a check run for a commit it does not have.
func IsInvalid(err error) bool { return httpx.Status(err) == http.StatusUnprocessableEntity }

func basic(token string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("x-access-token:"+token))
}

// IsBadName reports whether nothing was asked because a name cannot be one of
// GitHub's.
func IsBadName(err error) bool { return errors.Is(err, ErrBadName) }
