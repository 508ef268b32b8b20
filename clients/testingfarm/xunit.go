package testingfarm

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"millrace/clients/httpx"
)

// Summary is what a page shows of a request's results.
type Summary struct {
	Overall string // the farm's word for the whole, "" if it gave none
	Suites  Counts // plans
	Tests   Counts
	// Failing names the first tests that failed or had an error, as
	// "/plan: /test"; at most MaxFailing.
	Failing []string
	Logs    []Log // of suites, then of failing tests; at most MaxLogs
}

// Counts says how many ended how.
type Counts struct{ Passed, Failed, Error, Skipped int }

// Total is how many there were.
func (c Counts) Total() int { return c.Passed + c.Failed + c.Error + c.Skipped }

// Log is a file or directory about a suite or a test.
type Log struct {
	Of   string // the suite, or "/plan: /test"
	Name string
	URL  string // http or https
}

// What a summary holds at most.
const (
	MaxFailing = 20
	MaxLogs    = 100
)

const (
	maxDepth   = 64
	maxName    = 300
	maxAddress = 2000
)

// Summarize reads results in the farm's XML: suites, cases with the result as
// an attribute or, as JUnit has it, as an element inside. The root may be the
// list of suites or the only suite. The caller limits the size of results.
func Summarize(results []byte) (*Summary, error) {
	d := xml.NewDecoder(bytes.NewReader(results))
	s := summarizer{}
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			switch token := token.(type) {
			case xml.StartElement:
				err = s.start(token)
			case xml.EndElement:
				err = s.end(token.Name.Local)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reading results: %w", err)
		}
	}
	if !s.rooted || len(s.path) > 0 {
		return nil, errors.New("reading results: the document ends too early")
	}
	s.summary.Logs = append(s.suiteLogs, s.testLogs...)
	if len(s.summary.Logs) > MaxLogs {
		s.summary.Logs = s.summary.Logs[:MaxLogs]
	}
	return &s.summary, nil
}

// summarizer walks through the elements, which lie in path.
type summarizer struct {
	summary Summary
	path    []string
	rooted  bool

	suite     member
	suiteSeen Counts // its tests, for a suite without a result
	test      member
	inTest    bool
	logs      []Log // of the test

	suiteLogs, testLogs []Log
}

type member struct{ name, result string }

func (s *summarizer) start(e xml.StartElement) error {
	name := e.Name.Local
	if len(s.path) == 0 {
		if s.rooted || name != "testsuites" && name != "testsuite" {
			return fmt.Errorf("unexpected element %.40q", name)
		}
		s.rooted = true
	}
	if len(s.path) == maxDepth {
		return errors.New("elements are nested too deep")
	}
	s.path = append(s.path, name)
	switch name {
	case "testsuites":
		s.summary.Overall = attribute(e, "overall-result", maxName)
	case "testsuite":
		s.suite = member{attribute(e, "name", maxName), attribute(e, "result", maxName)}
		s.suiteSeen = Counts{}
		if len(s.path) == 1 {
			s.summary.Overall = s.suite.result
		}
	case "testcase":
		s.test = member{attribute(e, "name", maxName), attribute(e, "result", maxName)}
		s.inTest, s.logs = true, nil
	case "failure", "error", "skipped":
		s.verdict(name)
	case "log":
		s.log(e)
	}
	return nil
}

// verdict applies an element in a test case that has no result of its own.
// Outside of one it has no effect: the next case begins anew.
func (s *summarizer) verdict(element string) {
	if s.test.result == "" {
		s.test.result = element
	}
}

func (s *summarizer) log(e xml.StartElement) {
	l := Log{Name: attribute(e, "name", maxName), URL: attribute(e, "href", maxAddress)}
	if !isWebURL(l.URL) {
		return // relative, or something a browser should not open
	}
	if s.inTest {
		if len(s.logs) < MaxLogs {
			s.logs = append(s.logs, l)
		}
		return
	}
	if len(s.suiteLogs) < MaxLogs {
		l.Of = s.suite.name
		s.suiteLogs = append(s.suiteLogs, l)
	}
}

func (s *summarizer) end(name string) error {
	if len(s.path) == 0 || s.path[len(s.path)-1] != name {
		return fmt.Errorf("element %.40q ends where it did not begin", name)
	}
	s.path = s.path[:len(s.path)-1]
	switch name {
	case "testcase":
		s.endTest()
	case "testsuite":
		if s.suite.result == "" {
			s.suite.result = s.suiteSeen.worst()
		}
		s.summary.Suites.count(s.suite.result)
	}
	return nil
}

func (s *summarizer) endTest() {
	s.inTest = false
	if s.test.result == "" {
		s.test.result = "passed" // JUnit's way: nothing was found wrong
	}
	s.summary.Tests.count(s.test.result)
	bad := Counts{}
	bad.count(s.test.result)
	s.suiteSeen.count(s.test.result)
	if bad.Failed+bad.Error == 0 {
		return
	}
	name := s.test.name
	if s.suite.name != "" {
		name = s.suite.name + ": " + name
	}
	if len(s.summary.Failing) < MaxFailing {
		s.summary.Failing = append(s.summary.Failing, name)
	}
	for _, l := range s.logs {
		if len(s.testLogs) < MaxLogs {
			l.Of = name
			s.testLogs = append(s.testLogs, l)
		}
	}
}

// count adds one by its result, in the words of the farm, of tmt and of JUnit.
// A word that is none of these is an error: nobody knows what was found out.
func (c *Counts) count(result string) {
	switch result {
	case "passed", "pass", "info":
		c.Passed++
	case "failed", "fail", "failure", "warn", "needs_inspection":
		c.Failed++
	case "skipped", "skip", "not_applicable":
		c.Skipped++
	default:
		c.Error++
	}
}

func (c Counts) worst() string {
	switch {
	case c.Error > 0:
		return "error"
	case c.Failed > 0:
		return "failed"
	case c.Passed == 0 && c.Skipped > 0:
		return "skipped"
	}
	return "passed"
}

func attribute(e xml.StartElement, name string, limit int) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return httpx.Clean(a.Value, limit)
		}
	}
	return ""
}
