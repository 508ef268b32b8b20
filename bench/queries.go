package bench

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// recorder keeps the text of the queries that a store sends.
type recorder struct {
	mu      sync.Mutex // above what follows
	on      bool
	queries []string
}

// hear takes a query, unless live updates made it: they read at any time.
func (r *recorder) hear(query string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on && !strings.Contains(query, "outbox") {
		r.queries = append(r.queries, query)
	}
}

// record returns the queries that f makes.
func (r *recorder) record(f func() error) ([]string, error) {
	r.mu.Lock()
	r.on, r.queries = true, nil
	r.mu.Unlock()
	err := f()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = false
	return r.queries, err
}

// queriesOf returns the queries behind pages of a database.
func queriesOf(ctx context.Context, address string, pages []string) (map[string][]string, error) {
	r := new(recorder)
	site, err := openSite(ctx, address, r.hear)
	if err != nil {
		return nil, err
	}
	defer site.close()
	return r.visit(site, pages)
}

// visit fetches pages of a site, whose queries go by r, and returns those of
// each.
func (r *recorder) visit(site *site, pages []string) (map[string][]string, error) {
	v, err := visit(site.address)
	if err != nil {
		return nil, err
	}
	defer v.conn.Close()
	found := make(map[string][]string, len(pages))
	for _, page := range pages {
		found[page], err = r.record(func() error { return v.ask(page) })
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// replay sends queries as they are, and reads what comes, with nothing around.
func replay(ctx context.Context, conn *pgx.Conn, queries []string) error {
	for _, q := range queries {
		rows, err := conn.Query(ctx, q, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		for rows.Next() {
			if _, err := rows.Values(); err != nil {
				rows.Close()
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("replaying %.100s: %w", q, err)
		}
	}
	return nil
}
