package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/term"

	"millrace/handlers"
	"millrace/models"
)

// loginCommand stores a token for the commands that ask a service.
func loginCommand(args []string, stdout, stderr io.Writer) int {
	return login(args, os.Stdin, stdout, stderr)
}

func login(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("login", flag.ContinueOnError)
	explain(flags, args, stdout, stderr, "Usage: millrace login [--server URL]\n"+
		"       millrace login --show | --forget [--server URL]\n\n"+
		"Asks for a token, or reads it from standard input, looks whether the service knows\n"+
		"it, and stores it for `millrace rerun` and `millrace cancel`, where only you can read\n"+
		"it. Make tokens in the browser, at URL/settings/tokens. Without a login the variables\n"+
		"MILLRACE_SERVER and MILLRACE_TOKEN will do.\n")
	server, asJSON := remoteFlags(flags)
	show := flags.Bool("show", false, "say who you are logged in as, and store nothing")
	forget := flags.Bool("forget", false, "remove the token that is stored; the service still takes it until it is revoked there")
	others, err := parseInterspersed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case len(others) > 0 || *show && *forget:
		fmt.Fprintln(stderr, "millrace login: give a service with --server, and at most one of --show and --forget; a token is read from standard input, not from the command line, where others see it")
		return 2
	}
	r, err := remoteOf(*server)
	if err != nil {
		return complain(stderr, "login", err)
	}
	if *forget {
		return forgetLogin(r, stdout, stderr)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if !*show {
		if r.token, err = readToken(r, stdin, stderr); err != nil {
			return complain(stderr, "login", err)
		}
	}
	var me handlers.Me
	if err := r.ask(ctx, http.MethodGet, "/me", nil, &me); err != nil {
		return refusedBy(stderr, "login", r, err)
	}
	if *asJSON {
		err = printJSON(stdout, me)
	} else {
		fmt.Fprintln(stdout, whoIs(r, me))
	}
	if err == nil && !*show {
		err = storeLogin(r, stdout, *asJSON)
	}
	if err != nil {
		return complain(stderr, "login", err)
	}
	return 0
}

// readToken asks for a token; on a terminal it is not shown.
func readToken(r *remote, stdin io.Reader, stderr io.Writer) (string, error) {
	var line string
	if file, ok := stdin.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		fmt.Fprintf(stderr, "A token from %s/settings/tokens: ", r.base)
		text, err := term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(stderr)
		if err != nil {
			return "", fmt.Errorf("reading the token: %w", err)
		}
		line = string(text)
	} else {
		text, err := bufio.NewReader(io.LimitReader(stdin, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the token: %w", err)
		}
		line = text
	}
	token := strings.TrimSpace(line)
	if !strings.HasPrefix(token, models.TokenPrefix) || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fmt.Errorf("this is no token; they begin with %s, and you make one at %s/settings/tokens", models.TokenPrefix, r.base)
	}
	return token, nil
}

func whoIs(r *remote, me handlers.Me) string {
	text := me.Login + " at " + r.base
	if me.Name != "" {
		text = me.Login + " (" + me.Name + ") at " + r.base
	}
	if t := me.Token; t != nil {
		var scopes []string
		for _, scope := range t.Scopes {
			scopes = append(scopes, string(scope))
		}
		text += fmt.Sprintf(", by the token %q: %s", t.Name, strings.Join(scopes, ", "))
		if t.ExpiresAt != nil {
			text += ", until " + t.ExpiresAt.Format("2006-01-02")
		}
	}
	return text
}

func storeLogin(r *remote, stdout io.Writer, quietly bool) error {
	all, err := readLogins()
	if err != nil {
		return err
	}
	all.Default, all.Tokens[r.base] = r.base, r.token
	file, err := all.write()
	if err == nil && !quietly {
		fmt.Fprintf(stdout, "The token is stored in %s.\n", file)
	}
	return err
}

func forgetLogin(r *remote, stdout, stderr io.Writer) int {
	all, err := readLogins()
	if err == nil && all.Tokens[r.base] == "" {
		err = fmt.Errorf("no token is stored for %s", r.base)
	}
	if err == nil {
		delete(all.Tokens, r.base)
		if all.Default == r.base {
			all.Default = ""
		}
		_, err = all.write()
	}
	if err != nil {
		return complain(stderr, "login", err)
	}
	fmt.Fprintf(stdout, "The token for %s is not stored any more. To revoke it: %s/settings/tokens\n", r.base, r.base)
	return 0
}
