package models

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
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

// Command is what a line of a comment asks for, with its arguments. Which
// arguments a command takes says commandOptions.
type Command struct {
	Name       CommandName
	Package    string            // of the package config; empty: all
	Identifier string            // of jobs of tests
	Labels     []string          // of jobs of tests; any of them
	Env        map[string]string // for tests; an empty value takes a variable away
	Pulls      []PullName        // other pull requests whose builds tests shall install
	Commit     string            // branch to take, in comments on commits
	Release    string            // tag to take, in comments on commits
	Account    string            // of the account system, for verify-fas

	AllBranches bool // of the package config, not the pull request's alone

	Version      string   // to pull from upstream; empty: the newest
	Bugs         []string // that it resolves: "rhbz#1"
	WithPRConfig bool     // the package config of the pull request counts
}

// PullName names a pull request of any project.
type PullName struct {
	Forge     string // host; empty: the one where the comment is
	Namespace string
	Name      string
	Number    int
}

// String is namespace/name#number.
func (n PullName) String() string { return fmt.Sprintf("%s/%s#%d", n.Namespace, n.Name, n.Number) }

// CommandError is a mistake in a command, in words for who wrote it.
type CommandError struct{ Message string }

func (e *CommandError) Error() string { return e.Message }

// commandOptions are the options of the commands that are carried out here. The
// others' are not looked at.
var commandOptions = map[CommandName][]string{
	HelpCommand: {}, BuildCommand: {"commit", "release"}, RebuildFailed: {"commit", "release"}, RetestFailed: {"commit", "release"},
	CancelCommand: {"commit", "release"}, VerifyCommand: {},
	ProposeCommand: {}, PullCommand: {"version", "resolve-bug", withPRConfig},
	KojiBuildCommand: {}, UpdateCommand: {}, KojiTagCommand: {allBranches},
	TestCommandName: {"identifier", "id", "labels", "env", "commit", "release"},
}

// notHere are the commands that are understood, and not carried out.
var notHere = []CommandName{
	UpstreamKojiCommand, VMImageCommand,
}

// Options that have no value.
const (
	allBranches  = "all-branches"
	withPRConfig = "with-pr-config"
)

// Served reports whether commands of this name are carried out.
func (n CommandName) Served() bool { return commandOptions[n] != nil }

// InDistGit reports whether commands of this name are for pull requests of
// packages.
func (n CommandName) InDistGit() bool {
	return n == KojiBuildCommand || n == KojiTagCommand || n == UpdateCommand || n == PullCommand
}

// Repeats reports whether commands of this name, in the issue about a failure,
// repeat what failed.
func (n CommandName) Repeats() bool {
	return n == ProposeCommand || n == PullCommand || n == KojiBuildCommand || n == UpdateCommand
}

// StartsRuns reports whether commands of this name have something run.
func (n CommandName) StartsRuns() bool {
	switch n {
	case BuildCommand, RebuildFailed, TestCommandName, RetestFailed:
		return true
	}
	return false
}

// CommandNames are those that are carried out, in the order in which they are
// listed to people.
var CommandNames = []CommandName{BuildCommand, TestCommandName, RebuildFailed, RetestFailed, CancelCommand, ProposeCommand, PullCommand, KojiBuildCommand, UpdateCommand, KojiTagCommand, HelpCommand}

// What a comment may ask for at most. Nobody types more.
const (
	maxCommandLine  = 4000 // bytes
	maxCommandWords = 100
	maxCommands     = 10 // in one comment
	maxOtherPulls   = 10 // of one command
	maxBugs         = 20 // of one command
)

// Said is a line of a comment that begins like a command.
type Said struct {
	Line    string
	Command *Command // nil if there is a mistake
	Mistake string   // a sentence or more for who wrote it
}

// ParseCommands reads the commands in a comment: the lines whose first word is
// prefix. Those behind the tenth are not read; then the last one says so.
//
// Words are separated by blanks; quotes hold blanks together. An option may be
// shortened as long as it stays unambiguous; its value follows it, as the next
// word or after a "=".
func ParseCommands(prefix, comment string) []Said {
	if prefix == "" {
		return nil
	}
	var all []Said
	for line := range strings.Lines(comment) {
		line = strings.TrimSpace(line)
		rest, ok := strings.CutPrefix(line, prefix)
		if !ok || (rest != "" && rest[0] != ' ' && rest[0] != '\t') {
			continue
		}
		if len(all) == maxCommands {
			return append(all, Said{Mistake: fmt.Sprintf("A comment may have %d commands; those after them were not read.", maxCommands)})
		}
		said := Said{Line: line}
		command, err := parseCommand(rest)
		if wrong, ok := errors.AsType[*CommandError](err); ok {
			said.Mistake = wrong.Message
		} else {
			said.Command = command
		}
		all = append(all, said)
	}
	return all
}

// parseCommand reads what follows the prefix. Its errors are *CommandError.
func parseCommand(line string) (*Command, error) {
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
		return nil, unknownCommand(words[0])
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
	switch {
	case c.Commit != "" && c.Release != "":
		return nil, &CommandError{"It is about a branch or about a release, not both."}
	case c.Name == VerifyCommand && c.Account == "":
		return nil, &CommandError{"verify-fas needs the name of your account."}
	}
	return c, nil
}

// unknownCommand says that there is none of that name, and which was probably
// meant.
func unknownCommand(word string) error {
	names := []string{"copr-build"}
	for _, n := range slices.Concat(slices.Sorted(maps.Keys(commandOptions)), notHere) {
		names = append(names, string(n))
	}
	message := fmt.Sprintf("There is no command %q.", shown(word))
	if near := Nearest(word, names); near != "" {
		message += " Did you mean " + near + "?"
	}
	return &CommandError{message}
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
	if fit[0] == allBranches || fit[0] == withPRConfig {
		if has {
			return "", "", nil, &CommandError{"--" + fit[0] + " has no value."}
		}
		return fit[0], "", rest, nil
	}
	if !has {
		if len(rest) == 0 || strings.HasPrefix(rest[0], "--") {
			return "", "", nil, &CommandError{fmt.Sprintf("--%s needs a value.", fit[0])}
		}
		value, rest = rest[0], rest[1:]
	}
	return fit[0], value, rest, nil
}

var (
	versionWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~^-]{0,99}$`)
	bugWord     = regexp.MustCompile(`^[A-Za-z]{1,20}#[1-9][0-9]{0,8}$`)
)

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
	case withPRConfig:
		c.WithPRConfig = true
	case "version":
		if !versionWord.MatchString(value) {
			return &CommandError{fmt.Sprintf("%q is no version.", shown(value))}
		}
		c.Version = value
	case "resolve-bug":
		for bug := range strings.SplitSeq(value, ",") {
			if bug = strings.TrimSpace(bug); !bugWord.MatchString(bug) || len(c.Bugs) == maxBugs {
				return &CommandError{fmt.Sprintf("--resolve-bug needs up to %d bugs, as rhbz#1,rhbz#2; this is %q.", maxBugs, shown(value))}
			}
			c.Bugs = append(c.Bugs, bug)
		}
	case allBranches:
		c.AllBranches = true
	case "commit":
		c.Commit = value
	case "release":
		c.Release = value
	}
	return nil
}

var (
	pullName    = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)/([A-Za-z0-9._-]+)#([1-9][0-9]{0,8})$`)
	pullURL     = regexp.MustCompile(`^https?://([A-Za-z0-9.:-]+)/([A-Za-z0-9][A-Za-z0-9._-]*)/([A-Za-z0-9._-]+)/pull/([1-9][0-9]{0,8})/?$`)
	accountName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
)

// argument reads a word that is no option.
func (c *Command) argument(word string) error {
	switch c.Name {
	case TestCommandName:
		if pull, ok := parsePull(word); ok {
			if c.Pulls = append(c.Pulls, pull); len(c.Pulls) > maxOtherPulls {
				return &CommandError{fmt.Sprintf("It names more than %d pull requests.", maxOtherPulls)}
			}
			return nil
		}
	case VerifyCommand:
		if c.Account == "" && accountName.MatchString(word) {
			c.Account = strings.ToLower(word)
			return nil
		}
	}
	return &CommandError{fmt.Sprintf("It is not clear what %q is to mean.", shown(word))}
}

func parsePull(word string) (PullName, bool) {
	var p PullName
	if m := pullName.FindStringSubmatch(word); m != nil {
		p.Namespace, p.Name, word = m[1], m[2], m[3]
	} else if m := pullURL.FindStringSubmatch(word); m != nil {
		p.Forge, p.Namespace, p.Name, word = strings.ToLower(m[1]), m[2], m[3], m[4]
	} else {
		return p, false
	}
	n, err := strconv.Atoi(word)
	p.Number = n
	return p, err == nil
}

// shown is a word as an answer repeats it: short, and without what would be
// markup there.
func shown(word string) string {
	return strings.NewReplacer("`", "'", "<", "‹", ">", "›", "@", "", "[", "(", "]", ")").Replace(oneLine(word, 60))
}

// About reports whether a command concerns a package.
func (c *Command) About(pkg string) bool { return c.Package == "" || c.Package == pkg }

// Adds reports whether the command changes what tests do, beyond choosing them.
func (c *Command) Adds() bool { return len(c.Env) > 0 || len(c.Pulls) > 0 }

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
