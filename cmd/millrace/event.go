package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"millrace/clients/wire"
	"millrace/jobs/intake"
)

const eventUsage = `Usage: millrace event parse --source SOURCE --type TYPE FILE

Prints what the service makes of a message, as one JSON object: its kind and
what else it says, or the kind null and the reason why nothing is done for it.

  --source SOURCE  %s
  --type TYPE      value of a webhook's event header, or the full topic
  FILE             the body; a message of the bus may be in its envelope

Exit status: 0, also if nothing is done for the message; 1 if it is broken;
2 for wrong usage.
`

// eventCommand shows how messages are understood, without any state.
func eventCommand(args []string, stdout, stderr io.Writer) int {
	usage := fmt.Sprintf(eventUsage, strings.Join(intake.Sources(), ", "))
	if len(args) > 0 && slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		io.WriteString(stdout, usage)
		return 0
	}
	if len(args) == 0 || args[0] != "parse" {
		io.WriteString(stderr, usage)
		return 2
	}
	flags := flag.NewFlagSet("event parse", flag.ContinueOnError)
	explainAs(flags, args, stdout, stderr, usage)
	source := flags.String("source", "", "")
	typ := flags.String("type", "", "")
	files, err := parseInterspersed(flags, args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	if len(files) != 1 || *typ == "" || !slices.Contains(intake.Sources(), *source) {
		io.WriteString(stderr, usage)
		return 2
	}
	if err := parseEvent(stdout, *source, *typ, files[0]); err != nil {
		fmt.Fprintf(stderr, "millrace: %v\n", err)
		return 1
	}
	return 0
}

func parseEvent(stdout io.Writer, source, typ, path string) error {
	body, err := readAtMost(path, wire.MaxBody)
	if err != nil {
		return err
	}
	m, reason, err := intake.Parse(source, typ, body)
	if err != nil {
		return fmt.Errorf("understanding %s: %w", path, err)
	}
	out := json.NewEncoder(stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if m == nil {
		return out.Encode(struct {
			Kind   *string `json:"kind"`
			Reason string  `json:"reason"`
		}{nil, reason})
	}
	return out.Encode(m)
}

func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // names the path already
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("reading %s: it is larger than %d bytes", path, limit)
	}
	return body, nil
}
