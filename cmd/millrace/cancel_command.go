package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"

	"millrace/handlers"
)

// cancelCommand stops what of a pipeline is still on its way.
func cancelCommand(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("cancel", flag.ContinueOnError)
	explain(flags, args, stdout, stderr, "Usage: millrace cancel PIPELINE [--step STEP [--target TARGET]] [--dry-run]\n\n"+
		"Stops what is running or waiting of a pipeline, which is named by its number or the\n"+
		"address of its page, at the services too: all of it, a step, or one target. First it is\n"+
		"printed what that is. What depends on it is skipped. `millrace login` first.\n\n"+
		"The exit status is 0 if something was stopped, 1 if not, 2 if the command line is\n"+
		"wrong.\n")
	server, asJSON := remoteFlags(flags)
	step := flags.String("step", "", "only this step")
	target := flags.String("target", "", "only this target of the step")
	dryRun := flags.Bool("dry-run", false, "print what would be stopped, and stop nothing")
	others, err := parseInterspersed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case len(others) != 1 || *target != "" && *step == "":
		fmt.Fprintln(stderr, "millrace cancel: name one pipeline, and with --target also --step; --help explains")
		return 2
	}
	r, id, err := remotePipeline(others[0], *server)
	if err != nil {
		return complain(stderr, "cancel", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := cancelRemote(ctx, r, id, handlers.CancelBody{Step: *step, Target: *target}, *dryRun, *asJSON, stdout); err != nil {
		return refusedBy(stderr, "cancel", r, err)
	}
	return 0
}

func cancelRemote(ctx context.Context, r *remote, id int64, body handlers.CancelBody, dryRun, asJSON bool, out io.Writer) error {
	var p handlers.Pipeline
	if err := r.ask(ctx, http.MethodGet, fmt.Sprintf("/pipelines/%d", id), nil, &p); err != nil {
		return err
	}
	stopped := stillOnTheirWay(p, body)
	if len(stopped) == 0 {
		return errors.New("nothing of it is running or waiting")
	}
	if !asJSON {
		fmt.Fprintf(out, "Is stopped (%d): %s\n", len(stopped), targetsOf(stopped))
	}
	if dryRun {
		if asJSON {
			return printJSON(out, stopped)
		}
		return nil
	}
	var canceled handlers.Canceled
	if err := r.ask(ctx, http.MethodPost, fmt.Sprintf("/pipelines/%d/cancel", id), body, &canceled); err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, canceled)
	}
	fmt.Fprintf(out, "Stopped %d: %s\n", canceled.Runs, canceled.Pipeline.HTMLURL)
	return nil
}

// stillOnTheirWay are the targets that a wish to cancel is about.
func stillOnTheirWay(p handlers.Pipeline, body handlers.CancelBody) []handlers.RerunTarget {
	list := []handlers.RerunTarget{}
	for _, step := range p.Steps {
		for _, t := range step.Targets {
			asked := (body.Step == "" || step.Name == body.Step) && (body.Target == "" || t.Name == body.Target)
			if asked && !t.Run.State.Finished() {
				list = append(list, handlers.RerunTarget{Step: step.Name, Target: t.Name, State: t.Run.State, Attempt: p.Attempt})
			}
		}
	}
	return list
}
