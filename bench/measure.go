package bench

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// sample is how long something took each time.
type sample []time.Duration

func (s sample) quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (s sample) String() string {
	return fmt.Sprintf("%s / %s", millis(s.quantile(0.5)), millis(s.quantile(0.99)))
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }

// alternate calls the subjects in turn, rounds times each, and times every call.
// The first calls, which fill caches, do not count.
func alternate(ctx context.Context, rounds int, subjects ...func(ctx context.Context) error) ([]sample, error) {
	samples := make([]sample, len(subjects))
	warm := max(3, rounds/20)
	for i := range rounds + warm {
		for j, subject := range subjects {
			begin := time.Now()
			if err := subject(ctx); err != nil {
				return nil, err
			}
			if took := time.Since(begin); i >= warm {
				samples[j] = append(samples[j], took)
			}
		}
	}
	return samples, nil
}

// median of rates that were taken in several rounds.
func median(rates []float64) float64 {
	if len(rates) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(rates))
	return sorted[len(sorted)/2]
}

func ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}
