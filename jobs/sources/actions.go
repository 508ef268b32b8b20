package sources

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"millrace/jobs/sandbox"
)

// variables are what the commands of an action find in their environment.
type variables map[string]string

// baseEnv is known to all actions.
func (p *preparation) baseEnv() variables {
	s := &p.pkg.Settings
	upstream := ""
	if s.UpstreamPackageName != nil {
		upstream = *s.UpstreamPackageName
	}
	return variables{
		"PACKIT_CONFIG_PACKAGE_NAME":     p.pkg.Name,
		"PACKIT_UPSTREAM_PACKAGE_NAME":   upstream,
		"PACKIT_DOWNSTREAM_PACKAGE_NAME": s.Downstream(),
		"PACKIT_SPECFILE_PATH":           s.Specfile(),
	}
}

// commonEnv is what hooks get.
func (p *preparation) commonEnv() variables {
	env := p.baseEnv()
	env["PACKIT_UPSTREAM_REPO"] = p.tree.dir
	env["PACKIT_PWD"] = p.tree.abs(p.cwd)
	if len(p.also) > 0 {
		env["PACKIT_DOWNSTREAM_REPO"] = p.also[0].dir
	}
	if p.version != "" {
		env["PACKIT_PROJECT_VERSION"] = p.version
	}
	return env
}

func (v variables) with(more variables) variables {
	all := maps.Clone(v)
	maps.Copy(all, more)
	return all
}

func (v variables) pairs() []string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(v)) {
		pairs = append(pairs, name+"="+v[name])
	}
	return pairs
}

// overrides reports whether the package has an action of that name. One
// without commands overrides the default too.
func (p *preparation) overrides(action string) bool {
	_, ok := p.pkg.Settings.Actions[action]
	return ok
}

// runHook runs an action that replaces nothing.
func (p *preparation) runHook(ctx context.Context, action string) error {
	if !p.overrides(action) {
		return nil
	}
	_, err := p.runAction(ctx, action, p.commonEnv())
	return err
}

// runAction runs the commands of an action one after another and returns what
// each printed on its standard output. A variable of one action is not seen by
// the next.
func (p *preparation) runAction(ctx context.Context, action string, env variables) ([]string, error) {
	commands, err := p.pkg.Settings.Actions[action].Commands()
	if err != nil {
		return nil, &UserError{Message: fmt.Sprintf("The action %s cannot be run:", action), Err: err}
	}
	p.log.step("Running the action %s", action)
	if p.Identity.Name != "" {
		env = env.with(variables{
			"GIT_AUTHOR_NAME": p.Identity.Name, "GIT_AUTHOR_EMAIL": p.Identity.Email,
			"GIT_COMMITTER_NAME": p.Identity.Name, "GIT_COMMITTER_EMAIL": p.Identity.Email,
		})
	}
	var outputs []string
	for _, args := range commands {
		p.log.command(args)
		r, err := p.runCommand(ctx, sandbox.Command{
			Args: args, Dir: p.tree.abs(p.cwd), Env: env.pairs(), Network: p.ActionNetwork, Output: p.log.w,
		})
		if err != nil {
			return nil, err
		}
		p.log.endLine(r.Output)
		if !r.Passed() {
			ended := &commandError{action: action, command: shorten(quoteCommand(args), 200), result: r}
			return nil, &UserError{Message: fmt.Sprintf("Command '%s' failed.", ended.command), Err: ended}
		}
		outputs = append(outputs, string(r.Stdout))
	}
	return outputs, nil
}

// commandError is a command of an action that did not do its work.
type commandError struct {
	action, command string
	result          *sandbox.Result
}

func (e *commandError) Error() string {
	return fmt.Sprintf("it belongs to the action %s; %s", e.action, e.result.Explain())
}

// endLine begins a new line if a command did not.
func (l *logger) endLine(output []byte) {
	if n := len(output); n > 0 && output[n-1] != '\n' {
		l.printf("\n")
	}
}

// quoteCommand writes args so that a shell would read them.
func quoteCommand(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = quoteIfNeeded(a)
	}
	return strings.Join(words, " ")
}

func quoteIfNeeded(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-^~", r)
	}
	if word != "" && word[0] != '~' && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return quote(word)
}

// quote writes a word for a POSIX shell such that it is taken literally.
func quote(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
