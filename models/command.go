package models

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// CommandName is what a comment asks for.
type CommandName string

const (
	HelpCommand         CommandName = "help"
	BuildCommand        CommandName = "build" // copr-build is the same
	RebuildFailed       CommandName = "rebuild-failed"
	TestCommandName     CommandName = "test"
	RetestFailed        CommandName = "retest-failed"
	CancelCommand       CommandName = "cancel" // Packit has none
	UpstreamKojiCommand CommandName = "upstream-koji-build"
	VMImageCommand      CommandName = "vm-image-build"
	ProposeCommand      CommandName = "propose-downstream"
	PullCommand         CommandName = "pull-from-upstream"
	KojiBuildCommand    CommandName = "koji-build"
	KojiTagCommand      CommandName = "koji-tag"
	UpdateCommand       CommandName = "create-update"
	VerifyCommand       CommandName = "verify-fas"
)

// Command is what a comment asks for, with its arguments. Which arguments a
// command takes says commandOptions.
type Command struct {
	Name       CommandName
	Package    string            // of the package config; empty: all
	Identifier string            // of jobs of tests
	Labels     []string          // of jobs of tests; any of them
	Env        map[string]string // for tests; an empty value takes a variable away
	Pulls      []string          // namespace/name#number: other pull requests whose builds tests shall install
	Commit     string            // branch to take, in comments on commits
	Release    string            // tag to take, in comments on commits
}

// CommandError is a mistake in a command, in words for who wrote it.
type CommandError struct{ Message string }

func (e *CommandError) Error() string { return e.Message }

// commandOptions are the options of the commands that are carried out here. The
// others' are not looked at.
var commandOptions = map[CommandName][]string{
	HelpCommand: {}, BuildCommand: {"commit", "release"}, RebuildFailed: {}, RetestFailed: {}, CancelCommand: {},
	TestCommandName: {"identifier", "id", "labels", "env", "commit", "release"},
}

// notHere are the commands that are understood, and not carried out.
var notHere = []CommandName{
	UpstreamKojiCommand, VMImageCommand, ProposeCommand, PullCommand, KojiBuildCommand, KojiTagCommand, UpdateCommand, VerifyCommand,
}

// Served reports whether commands of this name are carried out.
func (n CommandName) Served() bool { return commandOptions[n] != nil }

// CommandNames are those that are carried out, in the order in which they are
// listed to people.
var CommandNames = []CommandName{BuildCommand, TestCommandName, RebuildFailed, RetestFailed, CancelCommand, HelpCommand}

// What a command may be at most. Nobody types more.
const (
	maxCommandLine  = 4000 // bytes
	maxCommandWords = 100
)

// ParseCommand reads the command in a comment: the first line whose first word
// is prefix. Without one the command is nil. A mistake in it is a *CommandError.
//
// Words are separated by blanks; quotes hold blanks together. An option may be
// shortened as long as it stays unambiguous; its value follows it, as the next
// word or after a "=".
func ParseCommand(prefix, comment string) (*Command, error) {
	line, ok := commandLine(prefix, comment)
	if !ok || prefix == "" {
		return nil, nil
	}
	if len(line) > maxCommandLine {
		return nil, &CommandError{fmt.Sprintf("It is longer than %d characters.", maxCommandLine)}
	}
	words, err := splitWords(line)
	if err != nil {
		return nil, err
	}
	if len(words) > maxCommandWords {
		return nil, &CommandError{fmt.Sprintf("It has more than %d words.", maxCommandWords)}
	}
	return parseWords(words)
}

// commandLine is what follows the prefix in the first line that begins with it.
func commandLine(prefix, comment string) (string, bool) {
	for line := range strings.Lines(comment) {
		line = strings.TrimSpace(line)
		rest, ok := strings.CutPrefix(line, prefix)
		if ok && (rest == "" || rest[0] == ' ' || rest[0] == '\t') {
			return rest, true
		}
	}
	return "", false
}

// splitWords splits at blanks outside of quotes.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inside, quote := false, rune(0)
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			quote, inside = c, true
		case c == ' ' || c == '\t':
			if inside {
				words, inside = append(words, word.String()), false
				word.Reset()
			}
		default:
			word.WriteRune(c)
			inside = true
		}
	}
	if quote != 0 {
		return nil, &CommandError{fmt.Sprintf("A quote (%c) is not closed.", quote)}
	}
	if inside {
		words = append(words, word.String())
	}
	return words, nil
}

func parseWords(words []string) (*Command, error) {
	c := new(Command)
	if len(words) > 0 && strings.HasPrefix(words[0], "--") {
		name, value, rest, err := takeOption(words, []string{"package"})
		if err != nil {
			return nil, err
		}
		if value == "" || name != "package" {
			return nil, &CommandError{"--package needs the name of a package."}
		}
		c.Package, words = value, rest
	}
	if len(words) == 0 {
		return nil, &CommandError{"It does not say what to do."}
	}
	c.Name = CommandName(words[0])
	if c.Name == "copr-build" {
		c.Name = BuildCommand
	}
	if slices.Contains(notHere, c.Name) {
		return c, nil
	}
	options, ok := commandOptions[c.Name]
	if !ok {
		return nil, &CommandError{fmt.Sprintf("There is no command %q.", shown(words[0]))}
	}
	for words = words[1:]; len(words) > 0; {
		if !strings.HasPrefix(words[0], "-") || words[0] == "-" {
			if err := c.argument(words[0]); err != nil {
				return nil, err
			}
			words = words[1:]
			continue
		}
		name, value, rest, err := takeOption(words, options)
		if err != nil {
			return nil, err
		}
		if err := c.set(name, value); err != nil {
			return nil, err
		}
		words = rest
	}
	return c, nil
}

// takeOption reads the option at the beginning of words and its value.
func takeOption(words []string, options []string) (name, value string, rest []string, err error) {
	word, rest := words[0], words[1:]
	given, value, has := strings.Cut(word, "=")
	switch {
	case strings.HasPrefix(given, "--"):
		name = strings.TrimPrefix(given, "--")
	case strings.HasPrefix(word, "-i"):
		name, value, has = "id", strings.TrimPrefix(word[2:], "="), len(word) > 2
	}
	var fit []string
	for _, o := range options {
		if o == name {
			fit = []string{o}
			break
		}
		if name != "" && strings.HasPrefix(o, name) {
			fit = append(fit, o)
		}
	}
	if len(fit) == 2 && fit[0] == "identifier" && fit[1] == "id" { // the same
		fit = fit[:1]
	}
	switch {
	case len(fit) == 0:
		return "", "", nil, &CommandError{fmt.Sprintf("There is no option %s here.", shown(given))}
	case len(fit) > 1:
		return "", "", nil, &CommandError{fmt.Sprintf("%s may be --%s.", shown(given), strings.Join(fit, " or --"))}
	}
	if !has {
		if len(rest) == 0 || strings.HasPrefix(rest[0], "--") {
			return "", "", nil, &CommandError{fmt.Sprintf("--%s needs a value.", fit[0])}
		}
		value, rest = rest[0], rest[1:]
	}
	return fit[0], value, rest, nil
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (c *Command) set(name, value string) error {
	switch name {
	case "identifier", "id":
		c.Identifier = value
	case "labels":
		for label := range strings.SplitSeq(value, ",") {
			if label = strings.TrimSpace(label); label != "" {
				c.Labels = append(c.Labels, label)
			}
		}
	case "env":
		key, v, ok := strings.Cut(value, "=")
		if !ok || !envName.MatchString(key) {
			return &CommandError{fmt.Sprintf("--env needs NAME=VALUE; this is %q.", shown(value))}
		}
		if c.Env == nil {
			c.Env = map[string]string{}
		}
		c.Env[key] = v
	case "commit":
		c.Commit = value
	case "release":
		c.Release = value
	}
	return nil
}

var (
	pullName = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+)#([1-9][0-9]{0,9})$`)
	pullURL  = regexp.MustCompile(`^https?://[A-Za-z0-9.:-]+/([A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+)/pull/([1-9][0-9]{0,9})/?$`)
)

// argument reads a word that is no option.
func (c *Command) argument(word string) error {
	for _, form := range []*regexp.Regexp{pullName, pullURL} {
		if m := form.FindStringSubmatch(word); m != nil && c.Name == TestCommandName {
			c.Pulls = append(c.Pulls, m[1]+"#"+m[2])
			return nil
		}
	}
	return &CommandError{fmt.Sprintf("It is not clear what %q is to mean.", shown(word))}
}

// shown is a word as an answer repeats it: short, and without what would be
// markup there.
func shown(word string) string {
	return strings.NewReplacer("`", "'", "<", "‹", ">", "›", "@", "", "[", "(", "]", ")").Replace(oneLine(word, 60))
}

// MatchesTest reports whether a job of tests is meant. Without an identifier or
// label the job's own test_command says what a bare command means.
func (c *Command) MatchesTest(view *JobView) bool {
	id, labels := c.Identifier, c.Labels
	if id == "" && len(labels) == 0 {
		id, labels = textOr(view.TestCommand.DefaultIdentifier, ""), view.TestCommand.DefaultLabels
	}
	if id != "" && view.ID() != id {
		return false
	}
	return len(labels) == 0 || slices.ContainsFunc(labels, func(l string) bool { return slices.Contains(view.Labels, l) })
}
