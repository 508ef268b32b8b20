package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// explainAs has flags print text where it belongs: to stdout if args ask for
// help, to stderr after a mistake.
func explainAs(flags *flag.FlagSet, args []string, stdout, stderr io.Writer, text string) {
	flags.SetOutput(stderr)
	if slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" }) {
		flags.SetOutput(stdout)
	}
	flags.Usage = func() { io.WriteString(flags.Output(), text) }
}

// explain is explainAs with a list of the flags at the end.
func explain(flags *flag.FlagSet, args []string, stdout, stderr io.Writer, text string) {
	explainAs(flags, args, stdout, stderr, text)
	about := flags.Usage
	flags.Usage = func() {
		about()
		flags.VisitAll(func(f *flag.Flag) {
			argument, about := flag.UnquoteUsage(f)
			switch argument {
			case "int", "float":
				argument = "n"
			case "string":
				argument = "text"
			}
			dashes := "--"
			if len(f.Name) == 1 {
				dashes = "-"
			}
			fmt.Fprintf(flags.Output(), "  %s\n        %s", strings.TrimSpace(dashes+f.Name+" "+strings.ToUpper(argument)), about)
			if f.DefValue != "" && f.DefValue != "0" && f.DefValue != "false" {
				fmt.Fprintf(flags.Output(), " (default %s)", f.DefValue)
			}
			io.WriteString(flags.Output(), "\n")
		})
	}
}

// parseInterspersed parses args, in which flags may come before, between and
// after other arguments, and returns those others. After "--" all are others.
func parseInterspersed(flags *flag.FlagSet, args []string) ([]string, error) {
	var others []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		rest := flags.Args()
		if consumed := len(args) - len(rest); consumed > 0 && args[consumed-1] == "--" {
			return append(others, rest...), nil
		}
		if len(rest) == 0 {
			return others, nil
		}
		others, args = append(others, rest[0]), rest[1:]
	}
}
