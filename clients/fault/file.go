package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Load reads what Keep wrote. Without the file v stays as it is.
func Load(file string, v any) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	return nil
}

// Keep replaces a file as a whole, so that a process that dies leaves the old or
// the new one. Without a name nothing is kept. Callers take turns.
func Keep(file string, v any) error {
	if file == "" {
		return nil
	}
	text, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(file+".new", text, 0o644)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
