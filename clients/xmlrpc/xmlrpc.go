// Package xmlrpc writes and reads the calls and answers of XML-RPC
// (http://xmlrpc.com/spec.md) with the extensions that Python's services use:
// <nil/> and integers of more than 32 bits.
//
// Values are nil, bool, int64, float64, string, []byte, time.Time, []any and
// map[string]any. Encoders also take int, []string and []int64. What is read
// is bounded in size, depth and number of values.
package xmlrpc

import (
	"encoding/json"
	"fmt"
)

const (
	// MaxSize is how many bytes of a document are read.
	MaxSize = 64 << 20
	// MaxDepth is how deep lists and structs may be nested, in both directions.
	MaxDepth = 64
	// MaxValues is how many values one document may have.
	MaxValues = 1 << 20
)

// Fault is the answer of a server that refused a call.
type Fault struct {
	Code int64
	Text string
}

func (f *Fault) Error() string { return fmt.Sprintf("fault %d: %s", f.Code, f.Text) }

// Into stores a value that was read in what out points to, by the rules of
// encoding/json: members of structs by the names in their json tags, those
// without a field are left out, and null changes nothing.
func Into(value, out any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}
