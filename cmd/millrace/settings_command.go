package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"millrace/models"
)

// settingsCommand shows all settings, where they stand, and what they are for.
func settingsCommand(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("settings", flag.ContinueOnError)
	explain(flags, args, stdout, stderr, "Usage: millrace settings [--config FILE]\n\n"+
		"Lists all settings with their environment variables and values, and checks them.\nSecrets are not shown.\n")
	file := configFlag(flags)
	if code, done := parseOnly(flags, args, stderr); done {
		return code
	}
	s, err := readSettings(settingsFile(*file), os.LookupEnv)
	for _, item := range s.all() {
		fmt.Fprintf(stdout, "%s = %s\n    %s\n    %s\n", item.key, item.show(), item.doc, envName(item.key))
	}
	if err != nil {
		return complain(stderr, "settings", err)
	}
	return 0
}

// show is the value of a setting for people; of a secret only whether it is set.
func (s setting) show() string {
	value := reflect.ValueOf(s.value).Elem()
	if s.secret {
		if value.IsZero() {
			return "(not set)"
		}
		return "(set)"
	}
	switch v := value.Interface().(type) {
	case time.Duration:
		return durationText(v)
	case []string:
		return strings.Join(v, ", ")
	case map[models.StepKind]int:
		var parts []string
		for kind, n := range v {
			parts = append(parts, fmt.Sprintf("%s=%d", kind, n))
		}
		slices.Sort(parts)
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(value.Interface())
}

// durationText is the shortest text that parseDuration reads as d.
func durationText(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if rest, ok := strings.CutSuffix(text, "m0s"); ok {
		text = rest + "m"
	}
	if rest, ok := strings.CutSuffix(text, "h0m"); ok {
		text = rest + "h"
	}
	return text
}

// configFlag is the flag that names the file of settings.
func configFlag(flags *flag.FlagSet) *string {
	return flags.String("config", "", "`file` with settings (default: $MILLRACE_CONFIG, or millrace.toml if there is one)")
}

// defaultFile is read if no other is named and it is there.
const defaultFile = "millrace.toml"

func settingsFile(named string) string {
	if named != "" {
		return named
	}
	if file := os.Getenv("MILLRACE_CONFIG"); file != "" {
		return file
	}
	if _, err := os.Stat(defaultFile); err == nil {
		return defaultFile
	}
	return ""
}

func loadSettings(file string) (*settings, error) {
	return readSettings(settingsFile(file), os.LookupEnv)
}

// parseOnly parses flags of a command that takes no other arguments. done says
// that the command is over, with that exit status.
func parseOnly(flags *flag.FlagSet, args []string, stderr io.Writer) (code int, done bool) {
	words, err := parseInterspersed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0, true
	case err != nil:
		return 2, true
	case len(words) > 0:
		fmt.Fprintf(stderr, "millrace %s: %q is not wanted here; --help explains\n", flags.Name(), words[0])
		return 2, true
	}
	return 0, false
}

// complain says why a command failed, a line for each reason.
func complain(stderr io.Writer, command string, err error) int {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(stderr, "millrace %s: %s\n", command, line)
	}
	return 1
}
