// Package bench measures whether the service is as fast as it is meant to be.
// Each figure stands beside a yardstick of the same run, taken in turns with it,
// so that a slow machine or a busy moment meets both.
package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millrace/jobs"
	"millrace/models/store"
	"millrace/models/store/pgserver"
	"millrace/models/store/seed"
)

// Options say what is measured, and on what.
type Options struct {
	Only     []string  // names of rows; empty: all
	Database string    // PostgreSQL that was seeded, for what only reads; empty: one is made
	Quick    bool      // less data and fewer rounds
	Program  string    // path of the millrace binary that is started and weighed
	Progress io.Writer // what is being done now; not nil
}

// Row is one line of the result.
type Row struct {
	Name      string // of the measurement that made it
	What      string
	Figure    string
	Yardstick string
	Ratio     string
	Budget    string
	Verdict   Verdict
}

// Verdict says whether a budget holds.
type Verdict string

const (
	Holds Verdict = "holds"
	Fails Verdict = "FAILS"
	Guide Verdict = "" // no budget: for people to read
)

func verdict(holds bool) Verdict {
	if holds {
		return Holds
	}
	return Fails
}

// measurement makes some rows.
type measurement struct {
	name string
	doc  string
	run  func(ctx context.Context, b *bench) error
}

var measurements = []measurement{
	{"lists", "list pages and endpoints beside their SQL alone", lists},
	{"deep", "the last page of a list beside its first", deep},
	{"scale", "lists of much beside lists of little", scale},
	{"targets", "a pipeline of 200 targets beside one of 5", targets},
	{"releases", "the way of a release of 30 branches beside a pipeline", releases},
	{"intake", "webhooks stored each second beside inserts of a row", intake},
	{"bus", "messages of the bus stored each second beside inserts of a row", bus},
	{"engine", "steps settled each second beside pgbench's transactions", engine},
	{"live", "open pages: memory, and time until a change is everywhere", live},
	{"start", "time to the first answer, size, idle memory", start},
	{"plans", "query plans of the pages that read a whole big table", plans},
}

// Names lists what can be measured, with a word about each.
func Names() []string {
	var names []string
	for _, m := range measurements {
		names = append(names, fmt.Sprintf("%-8s %s", m.name, m.doc))
	}
	return names
}

// bench is a run: what it made, and what it found.
type bench struct {
	Options
	dir    string
	server *pgserver.Server
	made   map[string]string // addresses of databases by name
	rows   []Row
}

// Run measures and returns the rows, also those from before an error.
func Run(ctx context.Context, o Options) ([]Row, error) {
	chosen := measurements
	if len(o.Only) > 0 {
		chosen = nil
		for _, name := range o.Only {
			i := slices.IndexFunc(measurements, func(m measurement) bool { return m.name == name })
			if i < 0 {
				return nil, fmt.Errorf("there is nothing called %q to measure; there are: %s", name, strings.Join(bare(), ", "))
			}
			chosen = append(chosen, measurements[i])
		}
	}
	b := &bench{Options: o, made: map[string]string{}}
	var err error
	if b.dir, err = os.MkdirTemp("", "millrace-bench-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(b.dir)
	b.say("starting PostgreSQL")
	if b.server, err = pgserver.Start(true); err != nil {
		return nil, err
	}
	defer b.server.Stop()
	for _, m := range chosen {
		b.say("%s: %s", m.name, m.doc)
		before := len(b.rows)
		if err := m.run(ctx, b); err != nil {
			return b.rows, fmt.Errorf("measuring %s: %w", m.name, err)
		}
		for i := range b.rows[before:] {
			b.rows[before+i].Name = m.name
		}
	}
	return b.rows, nil
}

func bare() []string {
	var names []string
	for _, m := range measurements {
		names = append(names, m.name)
	}
	return names
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.Progress, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}

func (b *bench) add(r Row) { b.rows = append(b.rows, r) }

// pick is the number of rounds, or the size, of this run.
func (b *bench) pick(full, quick int) int {
	if b.Quick {
		return quick
	}
	return full
}

// seedTime is when the seeded history ends. It is always the same, so that the
// history is.
var seedTime = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// Seed fills the database at address, which must be empty, with a history.
func Seed(ctx context.Context, address string, size seed.Size, progress func(done, total int)) error {
	s, err := open(ctx, address)
	if err != nil {
		return err
	}
	defer s.Close()
	return seed.Seed(ctx, s, seed.Options{
		Size: size, Seed: 1, Now: seedTime, Forge: "github.com", ForgeURL: "https://github.com",
		CoprURL: "https://copr.fedorainfracloud.org", Progress: progress,
	})
}

// open opens a database and brings it up to date.
func open(ctx context.Context, address string) (*store.Store, error) {
	s, err := store.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	if _, err = s.Migrate(ctx); err == nil {
		err = jobs.Migrate(ctx, s)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// empty makes a new, migrated database.
func (b *bench) empty(ctx context.Context, name string, postgres bool) (address string, err error) {
	address = filepath.Join(b.dir, name+".db")
	if postgres {
		if address, err = b.server.Create(name); err != nil {
			return "", err
		}
	}
	s, err := open(ctx, address)
	if err != nil {
		return "", err
	}
	s.Close()
	return address, nil
}

// full is a database with the history that the budgets are about; small is one
// with a hundredth of it.
func (b *bench) full(ctx context.Context, postgres bool) (string, error) {
	if postgres && b.Database != "" {
		return b.Database, nil
	}
	size := seed.Full
	if b.Quick {
		size = seed.Size{Projects: size.Projects / 10, Pipelines: size.Pipelines / 10, Runs: size.Runs / 10, Open: 20}
	}
	return b.seeded(ctx, "full", size, postgres)
}

func (b *bench) small(ctx context.Context) (string, error) {
	return b.seeded(ctx, "small", seed.Size{Projects: 20, Pipelines: 1000, Runs: 4000, Open: 20}, true)
}

func (b *bench) seeded(ctx context.Context, name string, size seed.Size, postgres bool) (string, error) {
	key := fmt.Sprint(name, postgres)
	if address, ok := b.made[key]; ok {
		return address, nil
	}
	address, err := b.empty(ctx, name, postgres)
	if err != nil {
		return "", err
	}
	b.say("seeding %d pipelines and %d runs into %s", size.Pipelines, size.Runs, kindOf(address))
	if err := Seed(ctx, address, size, nil); err != nil {
		return "", err
	}
	if postgres { // as its autovacuum would have it after some minutes
		if err := b.server.Exec(name, "VACUUM ANALYZE"); err != nil {
			return "", err
		}
	}
	b.made[key] = address
	return address, nil
}

func kindOf(address string) string {
	if store.IsPostgres(address) {
		return "PostgreSQL"
	}
	return "SQLite"
}
