package git

import (
	"context"
	"strconv"
	"strings"
)

// Stat is how much of a file differs between two revisions.
type Stat struct {
	Change
	Added, Removed int // lines; zero for what is not text
}

// Stats lists the files that differ between two revisions, with how much.
func (o *objects) Stats(ctx context.Context, from, to string) ([]Stat, error) {
	changes, err := o.Changes(ctx, from, to)
	if err != nil {
		return nil, err
	}
	out, err := o.diff(ctx, []string{"--numstat", "-z", "--no-renames"}, from, to, nil)
	if err != nil {
		return nil, err
	}
	lines := make(map[string][2]int)
	for record := range strings.SplitSeq(string(out), "\x00") {
		fields := strings.SplitN(record, "\t", 3)
		if len(fields) != 3 {
			continue
		}
		added, _ := strconv.Atoi(fields[0]) // "-" of a binary file
		removed, _ := strconv.Atoi(fields[1])
		lines[fields[2]] = [2]int{added, removed}
	}
	stats := make([]Stat, 0, len(changes))
	for _, c := range changes {
		n := lines[c.Path]
		stats = append(stats, Stat{Change: c, Added: n[0], Removed: n[1]})
	}
	return stats, nil
}
