package bench

import (
	"context"
	"fmt"
	"os"
	"time"
)

// start measures the first moments of the service, its size, and what it needs
// when it has nothing to do.
func start(ctx context.Context, b *bench) error {
	for _, postgres := range []bool{true, false} {
		address, err := b.full(ctx, postgres)
		if err != nil {
			return err
		}
		var took sample
		for range b.pick(9, 5) {
			one, err := b.firstAnswer(ctx, address)
			if err != nil {
				return err
			}
			took = append(took, one)
		}
		median := took.quantile(0.5)
		b.add(Row{
			What: "start to first page, " + kindOf(address), Figure: fmt.Sprintf("%s, worst %s", millis(median), millis(took.quantile(1))),
			Budget: "at most 500 ms", Verdict: verdict(median <= 500*time.Millisecond),
		})
	}
	info, err := os.Stat(b.Program)
	if err != nil {
		return err
	}
	b.add(Row{What: "size of the binary", Figure: megabytes(info.Size()), Budget: "at most 60 MB", Verdict: verdict(info.Size() <= 60e6)})
	return b.idle(ctx)
}

// firstAnswer starts the service, fetches a list, and returns how long that took.
func (b *bench) firstAnswer(ctx context.Context, address string) (time.Duration, error) {
	begin := time.Now()
	c, err := b.serve(ctx, address, "--web") // workers would take up what is seeded as unfinished
	if err != nil {
		return 0, err
	}
	defer c.stop()
	v, err := visit(c.address)
	if err != nil {
		return 0, err
	}
	defer v.conn.Close()
	_, err = v.get("/pipelines")
	return time.Since(begin), err
}

// idle measures the memory of the whole service, workers included, that has shown
// some pages and has nothing to do.
func (b *bench) idle(ctx context.Context) error {
	address, err := b.empty(ctx, "idle", true)
	if err != nil {
		return err
	}
	c, err := b.serve(ctx, address)
	if err != nil {
		return err
	}
	defer c.stop()
	v, err := visit(c.address)
	if err != nil {
		return err
	}
	defer v.conn.Close()
	for _, page := range []string{"/", "/pipelines", "/projects", "/events", "/queue"} {
		if _, err := v.get(page); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(b.pick(5, 2)) * time.Second):
	}
	memory, err := c.memory()
	if err != nil {
		return err
	}
	b.add(Row{What: "idle memory, web and workers", Figure: megabytes(memory), Budget: "at most 100 MB", Verdict: verdict(memory <= 100e6)})
	return nil
}
