package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
	"syscall"

	"millrace/bench"
	"millrace/models/store/seed"
)

// benchCommand measures the service, or makes the history to measure it with.
func benchCommand(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 && args[0] == "seed" {
		return benchSeed(ctx, args[1:], stdout, stderr)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "Usage: millrace bench [--only NAME,...] [--database ADDRESS] [--quick] [--strict]\n"+
			"       millrace bench seed [--database ADDRESS] [--projects N] [--pipelines N] [--runs N]\n\n"+
			"Starts a PostgreSQL of its own, measures, and prints each figure beside a yardstick\nof the same run. What can be measured:\n\n  %s\n\n", strings.Join(bench.Names(), "\n  "))
		flags.PrintDefaults()
	}
	only := flags.String("only", "", "names of what is measured, with commas between; empty: all")
	database := flags.String("database", "", "postgres:// address of a seeded database, for what only reads; empty: one is made and seeded")
	quick := flags.Bool("quick", false, "a tenth of the data and fewer rounds: under a minute, less exact")
	strict := flags.Bool("strict", false, "exit with 1 if a budget does not hold")
	profile := flags.String("cpuprofile", "", "file to write a profile of this process to, for go tool pprof")
	if code, done := parseOnly(flags, args, stderr); done {
		return code
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			return complain(stderr, "bench", err)
		}
		defer f.Close()
		defer pprof.StopCPUProfile()
	}
	program, err := os.Executable()
	if err != nil {
		return complain(stderr, "bench", err)
	}
	rows, err := bench.Run(ctx, bench.Options{Only: list(*only), Database: *database, Quick: *quick, Program: program, Progress: stderr})
	if err := errors.Join(err, bench.Write(stdout, rows)); err != nil {
		return complain(stderr, "bench", err)
	}
	for _, r := range rows {
		if *strict && r.Verdict == bench.Fails {
			return 1
		}
	}
	return 0
}

// benchSeed fills an empty database.
func benchSeed(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bench seed", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, "Usage: millrace bench seed [--database ADDRESS] [--projects N] [--pipelines N] [--runs N]\n\n"+
			"Fills an empty database with a year of history. The same numbers make the same rows.\n")
		flags.PrintDefaults()
	}
	database := flags.String("database", defaults().Database, "postgres:// address, or path of an SQLite file")
	projects := flags.Int("projects", seed.Full.Projects, "number of projects")
	pipelines := flags.Int("pipelines", seed.Full.Pipelines, "number of pipelines")
	runs := flags.Int("runs", seed.Full.Runs, "number of runs, about")
	if code, done := parseOnly(flags, args, stderr); done {
		return code
	}
	size := seed.Size{Projects: *projects, Pipelines: *pipelines, Runs: *runs, Open: min(seed.Full.Open, *pipelines)}
	err := bench.Seed(ctx, *database, size, func(done, total int) { fmt.Fprintf(stderr, "\r%d of %d pipelines", done, total) })
	fmt.Fprintln(stderr)
	if err != nil {
		return complain(stderr, "bench seed", err)
	}
	fmt.Fprintf(stdout, "%d projects and %d pipelines are in %s\n", *projects, *pipelines, *database)
	return 0
}
