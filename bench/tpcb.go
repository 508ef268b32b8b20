package bench

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// tpcb is one transaction of the kind that pgbench runs unless told otherwise:
// https://www.postgresql.org/docs/current/pgbench.html#TRANSACTIONS-AND-SCRIPTS
func tpcb(ctx context.Context, pool *pgxpool.Pool) error {
	account, branch, teller := 1+rand.IntN(100_000*scaleOfDefault), 1+rand.IntN(scaleOfDefault), 1+rand.IntN(10*scaleOfDefault)
	delta := rand.IntN(10_001) - 5000
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	for _, statement := range []string{
		fmt.Sprintf("UPDATE pgbench_accounts SET abalance = abalance + %d WHERE aid = %d", delta, account),
		fmt.Sprintf("SELECT abalance FROM pgbench_accounts WHERE aid = %d", account),
		fmt.Sprintf("UPDATE pgbench_tellers SET tbalance = tbalance + %d WHERE tid = %d", delta, teller),
		fmt.Sprintf("UPDATE pgbench_branches SET bbalance = bbalance + %d WHERE bid = %d", delta, branch),
		fmt.Sprintf("INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (%d, %d, %d, %d, CURRENT_TIMESTAMP)", teller, branch, account, delta),
	} {
		if _, err := tx.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}
