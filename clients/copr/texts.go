package copr

import (
	"encoding/json"
	"errors"
	"strings"
)

// texts is a list of words that Copr sends as an array in some places and
// versions, and as one text with blanks in others.
type texts []string

func (t *texts) UnmarshalJSON(b []byte) error {
	var list []string
	if json.Unmarshal(b, &list) == nil {
		*t = list
		return nil
	}
	var text string
	if json.Unmarshal(b, &text) != nil {
		return errors.New("neither a list of texts nor a text")
	}
	*t = strings.Fields(text)
	return nil
}

func noPermissions(err error) bool { return strings.HasPrefix(message(err), "No permissions set") }
