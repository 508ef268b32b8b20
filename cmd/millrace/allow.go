package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/user"

	"millrace/models"
	"millrace/models/store"
)

// allowCommand reads and writes the allowlist.
func allowCommand(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("allow", flag.ContinueOnError)
	explain(flags, args, stdout, stderr, "Usage: millrace allow [--deny | --remove] [--reason TEXT] FORGE/NAMESPACE...\n"+
		"       millrace allow --project [--deny | --remove] [--reason TEXT] FORGE/NAMESPACE/NAME...\n"+
		"       millrace allow --list\n\n"+
		"Lets all projects of a namespace use the service, also those of the namespaces below\n"+
		"it; or, with --project, one project. Or denies it to them.\n")
	file := configFlag(flags)
	deny := flags.Bool("deny", false, "deny instead; a denial counts, whatever else is allowed")
	remove := flags.Bool("remove", false, "take the entry off the list")
	listThem := flags.Bool("list", false, "print the list")
	project := flags.Bool("project", false, "mean one project: the last word of each path is its name")
	reason := flags.String("reason", "", "why, for those who are concerned")
	paths, err := parseInterspersed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case (len(paths) == 0) != *listThem || (*deny && *remove):
		fmt.Fprintln(stderr, "millrace allow: give paths or --list, and at most one of --deny and --remove; --help explains")
		return 2
	}
	s, err := loadSettings(*file)
	if err != nil {
		return complain(stderr, "allow", err)
	}
	ctx := context.Background()
	db, err := store.OpenBeside(ctx, s.Database)
	if err != nil {
		return complain(stderr, "allow", err)
	}
	defer db.Close()
	if db.Embedded() {
		if err := migrateStore(ctx, db); err != nil {
			return complain(stderr, "allow", err)
		}
	}
	if *listThem {
		err = listAllowances(ctx, db, stdout)
	} else {
		change := allowChange{flat: s.GitHub.Host, project: *project, deny: *deny, remove: *remove, reason: *reason}
		err = changeAllowances(ctx, db, paths, change, stdout)
	}
	if err != nil {
		return complain(stderr, "allow", err)
	}
	return 0
}

func listAllowances(ctx context.Context, db *store.Store, w io.Writer) error {
	entries, err := db.AllAllowances(ctx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		fmt.Fprintf(w, "%-8s %s, by %s on %s", e.State, scopeOf(e), e.Actor, e.UpdatedAt.UTC().Format("2006-01-02"))
		if e.Reason != "" {
			fmt.Fprintf(w, ": %s", e.Reason)
		}
		fmt.Fprintln(w)
	}
	if len(entries) == 0 {
		fmt.Fprintln(w, "the allowlist is empty")
	}
	return nil
}

// allowChange is what is to be done to the allowlist.
type allowChange struct {
	flat         string // forge on which namespaces are not nested
	project      bool   // the last word of each path is the name of a project
	deny, remove bool
	reason       string
}

// changeAllowances does that for all paths, or for none.
func changeAllowances(ctx context.Context, db *store.Store, paths []string, change allowChange, w io.Writer) error {
	actor := "command line"
	if u, err := user.Current(); err == nil {
		actor = u.Username
	}
	return db.InTx(ctx, func(tx *store.Tx) error {
		for _, path := range paths {
			a, err := models.ParseAllowance(path, change.project, change.flat)
			if err != nil {
				return fmt.Errorf("%w; see --project", err)
			}
			a.State, a.Reason, a.Actor = models.AllowedState, change.reason, actor
			if change.deny {
				a.State = models.DeniedState
			}
			if change.remove {
				if err := tx.RemoveAllowance(ctx, a); err != nil {
					return err
				}
				if err := noteAllowance(ctx, tx, a, "allowlist.remove"); err != nil {
					return err
				}
				fmt.Fprintf(w, "removed %s\n", scopeOf(a))
				continue
			}
			if err := tx.SetAllowance(ctx, a); err != nil {
				return err
			}
			action := "allowlist.allow"
			if change.deny {
				action = "allowlist.deny"
			}
			if err := noteAllowance(ctx, tx, a, action); err != nil {
				return err
			}
			fmt.Fprintf(w, "%s %s\n", a.State, scopeOf(a))
		}
		return nil
	})
}

// scopeOf says what an entry is about, so that a name taken for a namespace is
// seen.
func scopeOf(a *models.Allowance) string {
	if a.Name != "" {
		return "the project " + a.Path()
	}
	return "all projects of " + a.Path()
}

// noteAllowance writes the change to the audit log.
func noteAllowance(ctx context.Context, tx *store.Tx, a *models.Allowance, action string) error {
	return tx.Audit(ctx, &models.AuditEntry{
		Actor: a.Actor, Via: models.ViaCommand, Action: action, Object: a.Path(), Detail: a.Facts(), Result: models.AuditDone,
	})
}
