package kojifake

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"millrace/clients/koji"
)

// method is one of the hub's.
type method struct {
	params []string // their names, in order; what has a "?" at its end may be left out
	login  bool     // it changes something, so only for those who are logged in
	run    func(f *Fake, c *call) (any, error)
}

// call is a call whose arguments have found their parameters.
type call struct {
	method string
	args   map[string]any
	user   string // "" if nobody is logged in
	err    error  // the first argument that was of the wrong type
}

// bind gives the arguments of a call their names, as Python does.
func bind(name string, params []string, args []any) (*call, error) {
	c := &call{method: name, args: map[string]any{}}
	var keywords map[string]any
	if len(args) > 0 {
		if last, ok := args[len(args)-1].(map[string]any); ok && last["__starstar"] == true {
			keywords, args = last, args[:len(args)-1]
		}
	}
	if len(args) > len(params) {
		return nil, fault(koji.ParameterFault, fmt.Sprintf("%s() takes %d positional arguments but %d were given", name, len(params), len(args)))
	}
	names := make([]string, len(params))
	for i, p := range params {
		names[i] = strings.TrimSuffix(p, "?")
		if i < len(args) {
			c.args[names[i]] = args[i]
		}
	}
	for _, key := range sorted(keywords) {
		if key == "__starstar" {
			continue
		}
		if !slices.Contains(names, key) {
			return nil, fault(koji.ParameterFault, fmt.Sprintf("%s() got an unexpected keyword argument '%s'", name, key))
		}
		if _, twice := c.args[key]; twice {
			return nil, fault(koji.ParameterFault, fmt.Sprintf("%s() got multiple values for argument '%s'", name, key))
		}
		c.args[key] = keywords[key]
	}
	for i, p := range params {
		if _, given := c.args[names[i]]; !given && names[i] == p {
			return nil, fault(koji.ParameterFault, fmt.Sprintf("%s() missing 1 required positional argument: '%s'", name, p))
		}
	}
	return c, nil
}

// argument returns an argument of a type; one that is missing or nil is zero.
func argument[T any](c *call, name string) T {
	v, ok := c.args[name].(T)
	if !ok && c.args[name] != nil && c.err == nil {
		c.err = fault(koji.ParameterFault, fmt.Sprintf("Invalid type for %s in %s: %T", name, c.method, c.args[name]))
	}
	return v
}

func (c *call) text(name string) string  { return argument[string](c, name) }
func (c *call) number(name string) int64 { return argument[int64](c, name) }
func (c *call) flag(name string) bool    { return argument[bool](c, name) }
func (c *call) members(name string) map[string]any {
	return argument[map[string]any](c, name)
}

// randomKey is what makes the key of a session hard to guess.
func randomKey() string { return rand.Text()[:19] }
