package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"millrace/handlers"
	"millrace/models"
)

// rerunCommand makes the next attempt of a pipeline.
func rerunCommand(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("rerun", flag.ContinueOnError)
	explain(flags, args, stdout, stderr, "Usage: millrace rerun PIPELINE [--failed | --all | --step STEP | --target STEP/TARGET | --from STEP]\n"+
		"                       [--current-config] [--restart] [--dry-run] [--wait]\n\n"+
		"Makes the next attempt of a pipeline, which is named by its number or the address of\n"+
		"its page: of what failed, unless something else is asked for, with what follows from\n"+
		"it. First it is printed what will run and what is kept. `millrace login` first.\n\n"+
		"The exit status is 0 if it was done (with --wait: if the new attempt passed), 1 if\n"+
		"not, 2 if the command line is wrong.\n")
	server, asJSON := remoteFlags(flags)
	w := rerunWish{out: stdout}
	flags.BoolVar(&w.failed, "failed", false, "what failed, could not be found out or was canceled, and what was skipped because of it; this is what is done without a choice")
	flags.BoolVar(&w.all, "all", false, "everything")
	flags.StringVar(&w.step, "step", "", "all targets of a step")
	flags.StringVar(&w.target, "target", "", "one target: STEP/TARGET")
	flags.StringVar(&w.from, "from", "", "what has not passed of a step, and all steps that follow it")
	flags.BoolVar(&w.current, "current-config", false, "with the package config as it is now, instead of as it was at the event")
	flags.BoolVar(&w.restart, "restart", false, "stop what still runs and begin it anew, instead of waiting for it")
	flags.BoolVar(&w.dryRun, "dry-run", false, "print what would be done, and do nothing")
	flags.BoolVar(&w.wait, "wait", false, "wait for the end of the new attempt")
	others, err := parseInterspersed(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	which, err := w.which()
	if err == nil && len(others) != 1 {
		err = errors.New("name one pipeline")
	}
	if err != nil {
		fmt.Fprintf(stderr, "millrace rerun: %v; --help explains\n", err)
		return 2
	}
	r, id, err := remotePipeline(others[0], *server)
	if err != nil {
		return complain(stderr, "rerun", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	w.remote, w.asJSON = r, *asJSON
	code, err := w.do(ctx, id, which)
	if err != nil {
		return refusedBy(stderr, "rerun", r, err)
	}
	return code
}

// rerunWish is what the command line asks for.
type rerunWish struct {
	*remote
	out                           io.Writer
	failed, all                   bool
	step, target, from            string
	current                       bool
	restart, dryRun, wait, asJSON bool
}

// which is the choice in the words of the API.
func (w *rerunWish) which() (handlers.Which, error) {
	which := handlers.Which{Scope: models.ScopeFailed, Restart: w.restart}
	if w.current {
		which.Config = "current"
	}
	choices := 0
	choose := func(chosen bool, scope models.Scope, step, target string) {
		if chosen {
			choices++
			which.Scope, which.Step, which.Target = scope, step, target
		}
	}
	step, target, isPair := strings.Cut(w.target, "/")
	choose(w.failed, models.ScopeFailed, "", "")
	choose(w.all, models.ScopeAll, "", "")
	choose(w.step != "", models.ScopeStep, w.step, "")
	choose(w.target != "", models.ScopeTarget, step, target)
	choose(w.from != "", models.ScopeFrom, w.from, "")
	switch {
	case choices > 1:
		return which, errors.New("give one of --failed, --all, --step, --target and --from")
	case w.target != "" && (!isPair || step == "" || target == ""):
		return which, fmt.Errorf("--target %s: want STEP/TARGET", w.target)
	}
	return which, nil
}

// do previews the rerun, and makes it unless only that is asked for.
func (w *rerunWish) do(ctx context.Context, id int64, which handlers.Which) (int, error) {
	q := url.Values{"scope": {string(which.Scope)}, "restart": {strconv.FormatBool(which.Restart)}}
	if which.Config != "" {
		q.Set("config", which.Config)
	}
	if which.Step != "" {
		q.Set("step", which.Step)
	}
	if which.Target != "" {
		q.Set("target", which.Target)
	}
	path := fmt.Sprintf("/pipelines/%d/rerun", id)
	var preview handlers.RerunPreview
	if err := w.ask(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &preview); err != nil {
		return 1, err
	}
	if !w.asJSON {
		printPreview(w.out, w.remote, preview)
	}
	if w.dryRun {
		if w.asJSON {
			return 0, printJSON(w.out, preview)
		}
		return 0, nil
	}
	if !preview.Allowed {
		refused := &remoteError{status: http.StatusForbidden, problem: handlers.Problem{Detail: preview.Reason + " " + preview.HowTo}}
		if w.token == "" {
			refused.status = http.StatusUnauthorized
		}
		return 1, refused
	}
	// If the answer is lost, the same key makes no second attempt.
	which.Seen = preview.ConfigSHA
	body := handlers.RerunBody{Which: which, ExpectedAttempt: preview.Attempt}
	var made handlers.Pipeline
	if err := w.ask(ctx, http.MethodPost, path, body, &made, "Idempotency-Key", rand.Text()); err != nil {
		return 1, err
	}
	if !w.asJSON {
		fmt.Fprintf(w.out, "Attempt %d is pipeline %d: %s\n", made.Attempt, made.ID, made.HTMLURL)
	}
	if w.wait {
		if err := w.await(ctx, &made); err != nil {
			return 1, err
		}
	}
	if w.asJSON {
		if err := printJSON(w.out, made); err != nil {
			return 1, err
		}
	}
	if w.wait && made.State != models.Passed {
		return 1, nil
	}
	return 0, nil
}

func printPreview(out io.Writer, r *remote, p handlers.RerunPreview) {
	fmt.Fprintf(out, "Pipeline %d at %s, attempt %d of it so far.\n", p.PipelineID, r.base, p.Attempt)
	for _, part := range []struct {
		title string
		list  []handlers.RerunTarget
	}{
		{"Runs again", p.Run}, {"Is still on its way", p.Awaited}, {"Cannot be repeated", p.Fixed},
		{"Is stopped first", p.Stopped}, {"Is kept", p.Reused}, {"Is not there any more", p.Removed},
	} {
		if len(part.list) > 0 {
			fmt.Fprintf(out, "%s (%d): %s\n", part.title, len(part.list), targetsOf(part.list))
		}
	}
	if p.ConfigSHA != "" {
		fmt.Fprintf(out, "With %s as it is at %.12s:\n", p.ConfigFile, p.ConfigSHA)
		for _, c := range p.Changes {
			fmt.Fprintf(out, "  %s %s\n", c.Change, strings.TrimSuffix(c.Step+" "+c.Target, " "))
			for _, s := range c.Settings {
				fmt.Fprintf(out, "    %s: %s -> %s\n", s.Name, cmp.Or(s.From, "not set"), cmp.Or(s.To, "not set"))
			}
		}
		if len(p.Changes) == 0 {
			fmt.Fprintln(out, "  the plan is the same")
		}
	}
	if p.NewerID != nil {
		fmt.Fprintf(out, "A later push to the same reference has pipeline %d; checks show that one.\n", *p.NewerID)
	}
	if !p.Allowed {
		fmt.Fprintf(out, "You may not have it done: %s\n", p.Reason)
	}
}

// longestPause is how long a pipeline that is waited for is left alone.
const longestPause = 5 * time.Second

// await asks for a pipeline until it has ended, and says how far it has come. A
// service that is away for a moment is asked again.
func (w *rerunWish) await(ctx context.Context, p *handlers.Pipeline) error {
	done := -1
	pause := 100 * time.Millisecond
	for failures := 0; ; pause = min(2*pause, longestPause) {
		if p.RunsDone != done && !w.asJSON {
			done = p.RunsDone
			fmt.Fprintf(w.out, "%s: %d of %d runs are done, %d not well\n", p.State, p.RunsDone, p.Runs, p.RunsBad)
		}
		if p.FinishedAt != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("pipeline %d goes on; nobody waits for it any more", p.ID)
		case <-time.After(pause):
		}
		var now handlers.Pipeline
		err := w.ask(ctx, http.MethodGet, fmt.Sprintf("/pipelines/%d", p.ID), nil, &now)
		refused, told := errors.AsType[*remoteError](err)
		switch {
		case err == nil:
			*p, failures = now, 0
		case ctx.Err() != nil:
		case told && refused.status < 500 && refused.status != http.StatusTooManyRequests:
			return err
		default:
			if failures++; failures > 20 {
				return err
			}
		}
	}
}
