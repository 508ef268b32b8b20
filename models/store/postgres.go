package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// openPostgres makes two pools. bun writes every argument into the SQL text, so
// cached statements would only fill memory there; River sends a few large
// parametrised statements, where caching wins.
func openPostgres(ctx context.Context, address string) (*Store, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("reading the database address: %w", err)
	}
	if config.ConnConfig.RuntimeParams["timezone"] == "" {
		config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	}
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.MaxConns = max(config.MaxConns, 20)
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		// Only fixed statements are prepared, and none of them is better planned for
		// its arguments: plan each once, not five times before.
		_, err := conn.Exec(ctx, "SET plan_cache_mode = force_generic_plan")
		return err
	}
	app, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	if err := app.Ping(ctx); err != nil {
		app.Close()
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	forRiver := config.Copy()
	forRiver.AfterConnect = nil
	forRiver.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	forRiver.MaxConns = 10
	river, err := pgxpool.NewWithConfig(ctx, forRiver)
	if err != nil {
		app.Close()
		return nil, fmt.Errorf("connecting to PostgreSQL for the queue: %w", err)
	}
	db := stdlib.OpenDBFromPool(app)
	db.SetMaxIdleConns(0) // idle connections are the pool's to keep
	bunDB := bun.NewDB(db, pgdialect.New())
	bell := newBell(app)
	return &Store{
		queries: queries{bunDB},
		write:   bunDB,
		River:   river,
		bell:    bell,
		closer: func() {
			bell.close()
			db.Close()
			river.Close()
			app.Close()
		},
	}, nil
}
