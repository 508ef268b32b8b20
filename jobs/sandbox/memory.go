package sandbox

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"time"
)

const memoryInterval = 250 * time.Millisecond

// watchMemory looks at process pid and its descendants until ctx ends, and
// returns true as soon as they hold more than limit bytes together. The
// kernel's own limit counts each process alone.
func watchMemory(ctx context.Context, pid int, limit int64) bool {
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		family := descendants(pid)
		// Pages that several processes share count once in the second figure,
		// which is expensive, and is asked for only if the first is too high.
		if sum(family, residentSize) > limit && sum(family, proportionalSize) > limit {
			return true
		}
	}
}

func sum(pids []int, size func(pid int) int64) int64 {
	var total int64
	for _, pid := range pids {
		total += size(pid)
	}
	return total
}

// descendants returns pid and all that stem from it.
func descendants(pid int) []int {
	children := map[int][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil // no /proc, no watch; each process still has its own limit
	}
	for _, e := range entries {
		if child, err := strconv.Atoi(e.Name()); err == nil {
			parent := parentOf(child)
			children[parent] = append(children[parent], child)
		}
	}
	family := []int{pid}
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	return family
}

// parentOf is 0 for a process that has just ended.
func parentOf(pid int) int {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name of the program, in parentheses, may hold anything.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(string(fields[1]))
	return parent
}

// residentSize is what process pid has in memory of its own and of shared
// memory without a file.
func residentSize(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	return kilobytes(b, "RssAnon:") + kilobytes(b, "RssShmem:")
}

// proportionalSize divides pages among those who share them. Where the kernel
// does not tell, it is the resident size.
func proportionalSize(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return residentSize(pid)
	}
	return kilobytes(b, "Pss:") - kilobytes(b, "Pss_File:")
}

// kilobytes finds a line as "Pss:   1234 kB" and returns its bytes.
func kilobytes(text []byte, name string) int64 {
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, []byte(name))
		if !ok {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) == 0 {
			return 0
		}
		n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
		return n << 10
	}
	return 0
}
