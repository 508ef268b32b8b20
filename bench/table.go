package bench

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Write prints rows as a table in Markdown, which people can read as it is.
func Write(w io.Writer, rows []Row) error {
	table := [][]string{{"row", "what", "figure", "yardstick", "ratio", "budget", "verdict"}}
	for _, r := range rows {
		table = append(table, []string{r.Name, r.What, r.Figure, r.Yardstick, r.Ratio, r.Budget, string(r.Verdict)})
	}
	widths := make([]int, len(table[0]))
	for _, line := range table {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, line := range table {
		for i, cell := range line {
			fmt.Fprintf(&b, "| %s%s ", cell, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				b.WriteString("|" + strings.Repeat("-", width+2))
			}
			b.WriteString("|\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
