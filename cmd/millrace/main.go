// Command millrace carries software from upstream to Fedora: it receives what
// happens on forges, plans pipelines, carries them out and shows them live.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// A command is one word on millrace's command line. run gets the arguments
// after that word and returns the exit status: 0 for success, 1 for a negative
// answer or an error, 2 for wrong usage.
type command struct {
	name    string
	summary string
	run     func(args []string, stdout, stderr io.Writer) int
}

func commands() []command {
	return []command{
		{"allow", "let projects use the service, or deny it", allowCommand},
		{"bench", "measure the service, or make the history to measure it with", benchCommand},
		{"cancel", "stop what is running of a pipeline", cancelCommand},
		{"config", "check a package config, expand aliases", configCommand},
		{"demo", "start everything on this machine, Fedora in a box beside it", demoCommand},
		{"doctor", "look at everything the service needs, say what is wrong", doctorCommand},
		{"event", "show what a message from outside is understood to say", eventCommand},
		{"login", "store a token for the commands that ask a service", loginCommand},
		{"migrate", "bring the database up to date", migrateCommand},
		{"prepare-sources", "make spec file and sources out of an upstream repository", prepareSourcesCommand},
		{"rerun", "make the next attempt of a pipeline", rerunCommand},
		{"rpm", "compare versions as rpm does", rpmCommand},
		{"serve", "run the service", serveCommand},
		{"settings", "list and check all settings", settingsCommand},
		{"spec", "change the version or the changelog of a spec file", specCommand},
		{"version", "print the version", versionCommand},
	}
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(stdout)
		return 0
	}
	if args[0] == "--version" {
		args = []string{"version"}
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(args[1:], stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "millrace: there is no command %q; `millrace help` lists them\n", args[0])
	return 2
}

func versionCommand(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("version", flag.ContinueOnError)
	explain(flags, args, stdout, stderr, "Usage: millrace version\n\nPrints the version of this program.\n")
	if code, done := parseOnly(flags, args, stderr); done {
		return code
	}
	fmt.Fprintf(stdout, "millrace %s\n", version)
	return 0
}

func usage(w io.Writer) {
	var b strings.Builder
	b.WriteString("Usage: millrace COMMAND [ARGUMENTS]\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-16s %s\n", c.name, c.summary)
	}
	b.WriteString("\n`millrace COMMAND --help` explains one of them.\n")
	io.WriteString(w, b.String())
}
