package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"millrace/models/rpm"
	"millrace/models/specfile"
)

const specUsage = `Usage: millrace spec set-version FILE VERSION [--prerelease-suffix-macro MACRO]
                                [--prerelease-suffix-pattern PATTERN]
       millrace spec changelog FILE --author 'NAME <MAIL>' --entry TEXT...
                                [--date YYYY-MM-DD]

Prints the spec file with the change; FILE itself stays as it is.

set-version changes the macros that the version is made of rather than the
Version tag, where that is possible. A version that PATTERN recognises as a
pre-release is written with a tilde, and the definition of MACRO is then
switched on, and otherwise commented out.

changelog puts an entry on top of each %changelog that is written by hand.
Every --entry is a line of it. The date is today's in UTC if it is not given.

Exit status: 0; 1 if the file cannot be changed so; 2 for wrong usage.
`

// specCommand edits spec files.
func specCommand(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		io.WriteString(stderr, specUsage)
		return 2
	}
	switch args[0] {
	case "set-version":
		return specSetVersion(args[1:], stdout, stderr)
	case "changelog":
		return specChangelog(args[1:], stdout, stderr)
	case "help", "-h", "--help":
		io.WriteString(stdout, specUsage)
		return 0
	}
	io.WriteString(stderr, specUsage)
	return 2
}

func specSetVersion(args []string, stdout, stderr io.Writer) int {
	var options specfile.VersionOptions
	flags := specFlags("set-version", args, stdout, stderr)
	flags.StringVar(&options.PrereleaseMacro, "prerelease-suffix-macro", "", "")
	flags.StringVar(&options.PrereleasePattern, "prerelease-suffix-pattern", rpm.DefaultPrereleasePattern, "")
	words, err := parseInterspersed(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	if len(words) != 2 {
		io.WriteString(stderr, specUsage)
		return 2
	}
	return editSpec(words[0], stdout, stderr, func(f *specfile.File) error {
		if err := f.SetVersion(words[1], options); err != nil {
			return fmt.Errorf("setting the version of %s: %w", words[0], err)
		}
		return nil
	})
}

func specChangelog(args []string, stdout, stderr io.Writer) int {
	entry := specfile.ChangelogEntry{Time: time.Now(), DateOnly: true}
	flags := specFlags("changelog", args, stdout, stderr)
	flags.StringVar(&entry.Author, "author", "", "")
	flags.Func("entry", "", func(text string) error {
		entry.Lines = append(entry.Lines, text)
		return nil
	})
	flags.Func("date", "", func(text string) (err error) {
		entry.Time, err = time.Parse(time.DateOnly, text)
		return err
	})
	words, err := parseInterspersed(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	if len(words) != 1 || entry.Author == "" || len(entry.Lines) == 0 {
		io.WriteString(stderr, specUsage)
		return 2
	}
	return editSpec(words[0], stdout, stderr, func(f *specfile.File) error {
		if err := f.AddChangelogEntry(entry); err != nil {
			return fmt.Errorf("adding to the changelog of %s: %w", words[0], err)
		}
		return nil
	})
}

func specFlags(name string, args []string, stdout, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("spec "+name, flag.ContinueOnError)
	explainAs(flags, args, stdout, stderr, specUsage)
	return flags
}

func editSpec(path string, stdout, stderr io.Writer, edit func(*specfile.File) error) int {
	changed, err := editedSpec(path, edit)
	if err != nil {
		fmt.Fprintf(stderr, "millrace: %v\n", err)
		return 1
	}
	if _, err := stdout.Write(changed); err != nil {
		fmt.Fprintf(stderr, "millrace: writing the spec file: %v\n", err)
		return 1
	}
	return 0
}

func editedSpec(path string, edit func(*specfile.File) error) ([]byte, error) {
	data, err := readAtMost(path, specfile.MaxSize)
	if err != nil {
		return nil, err
	}
	f, err := specfile.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if err := edit(f); err != nil {
		return nil, err
	}
	return f.Bytes(), nil
}
