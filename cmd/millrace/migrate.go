package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"millrace/jobs"
	"millrace/models/store"
)

// migrateCommand brings a database up to date.
func migrateCommand(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("migrate", flag.ContinueOnError)
	explain(flags, args, stdout, stderr, "Usage: millrace migrate [--config FILE]\n\n"+
		"Brings the database up to date. Several processes may run it at once; an embedded\ndatabase is also brought up to date whenever the service starts.\n")
	file := configFlag(flags)
	if code, done := parseOnly(flags, args, stderr); done {
		return code
	}
	s, err := loadSettings(*file)
	if err != nil {
		return complain(stderr, "migrate", err)
	}
	ctx := context.Background()
	db, err := store.Open(ctx, s.Database)
	if err != nil {
		return complain(stderr, "migrate", err)
	}
	defer db.Close()
	applied, err := db.Migrate(ctx)
	if err != nil {
		return complain(stderr, "migrate", err)
	}
	if err := jobs.Migrate(ctx, db); err != nil {
		return complain(stderr, "migrate", err)
	}
	for _, name := range applied {
		fmt.Fprintln(stdout, "applied", name)
	}
	fmt.Fprintln(stdout, "the database is up to date")
	return 0
}
