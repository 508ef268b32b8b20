package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ActionNames are the steps of our work that users may replace or add to.
var ActionNames = []string{
	"run-condition", "post-upstream-clone", "pre-sync", "create-patches", "prepare-files", "create-archive",
	"get-current-version", "fix-spec-file", "post-modifications", "changelog-entry", "commit-message",
}

// ConfigAction is what a user wants to run at some point of our work: one command
// line, or a list of command lines and argument lists. What it holds is looked
// at when it runs, not when the config is read.
type ConfigAction struct {
	Raw any // as in the file: string, or []any of string and []any
}

func (a ConfigAction) MarshalJSON() ([]byte, error) { return json.Marshal(a.Raw) }

func (a *ConfigAction) UnmarshalJSON(data []byte) (err error) {
	a.Raw, err = decodeAny(data)
	return err
}

// Commands are the argument lists to run one after another. No shell is
// involved. An action without commands still replaces what it stands for.
func (a ConfigAction) Commands() ([][]string, error) {
	lines, ok := a.Raw.([]any)
	if !ok {
		lines = []any{a.Raw}
	}
	commands := make([][]string, 0, len(lines))
	for _, line := range lines {
		args, err := commandArguments(line)
		if err != nil {
			return nil, err
		}
		if len(args) == 0 {
			return nil, errors.New("a command is empty")
		}
		commands = append(commands, args)
	}
	return commands, nil
}

func commandArguments(line any) ([]string, error) {
	switch line := line.(type) {
	case string:
		return SplitCommand(line)
	case []any:
		args := make([]string, len(line))
		for i, arg := range line {
			s, ok := arg.(string)
			if !ok {
				return nil, fmt.Errorf("argument %d of a command is not a string; put quotes around it", i)
			}
			args[i] = s
		}
		return args, nil
	}
	return nil, errors.New("a command is neither a string nor a list of strings")
}

// SplitCommand splits a command line into words as a POSIX shell does, and does
// nothing else a shell does: no variables, pipes or patterns.
func SplitCommand(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t', '\r', '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case '\\':
			i++
			if i == len(line) {
				return nil, errors.New("a command ends in the middle of an escape")
			}
			word.WriteByte(line[i])
			inWord = true
		case '\'', '"':
			end, err := quoted(line, i, &word)
			if err != nil {
				return nil, err
			}
			i, inWord = end, true
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// quoted appends what stands between the quote at start and its partner, and
// returns the partner's index.
func quoted(line string, start int, word *strings.Builder) (end int, err error) {
	quote := line[start]
	for i := start + 1; i < len(line); i++ {
		c := line[i]
		if c == quote {
			return i, nil
		}
		if c == '\\' && quote == '"' && i+1 < len(line) && (line[i+1] == '"' || line[i+1] == '\\') {
			i++
			c = line[i]
		}
		word.WriteByte(c)
	}
	return 0, errors.New("a command has a quotation without an end")
}
