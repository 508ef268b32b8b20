package models

import "strings"

// Nearest returns the allowed word that was probably meant by what was written,
// or nothing if none is near. Case, dashes and underscores do not matter.
func Nearest(written string, allowed []string) string {
	if len(written) == 0 || len(written) > 64 {
		return ""
	}
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }
	best, bestDistance := "", max(1, len(written)/3)+1
	for _, a := range allowed {
		if d := distance(plain(written), plain(a)); d < bestDistance {
			best, bestDistance = a, d
		}
	}
	return best
}

// distance is how many letters must be added, removed, replaced or swapped with
// their neighbour to make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
