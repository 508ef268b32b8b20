package main

import (
	"fmt"
	"io"
	"slices"

	"millrace/models/rpm"
)

const rpmUsage = `Usage: millrace rpm vercmp A B
       millrace rpm evrcmp A B

Prints -1, 0 or 1: A is older than B, the same to rpm, or newer. vercmp
compares versions, evrcmp whole [epoch:]version[-release].

Exit status: 0; 1 if A or B cannot be read; 2 for wrong usage.
`

// rpmCommand compares versions as rpm does.
func rpmCommand(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		io.WriteString(stdout, rpmUsage)
		return 0
	}
	if len(args) > 1 && args[1] == "--" {
		args = slices.Delete(slices.Clone(args), 1, 2)
	}
	if len(args) != 3 || args[0] != "vercmp" && args[0] != "evrcmp" {
		io.WriteString(stderr, rpmUsage)
		return 2
	}
	if args[0] == "vercmp" {
		fmt.Fprintln(stdout, rpm.Vercmp(args[1], args[2]))
		return 0
	}
	a, err := rpm.ParseEVR(args[1])
	if err != nil {
		fmt.Fprintf(stderr, "millrace: %v\n", err)
		return 1
	}
	b, err := rpm.ParseEVR(args[2])
	if err != nil {
		fmt.Fprintf(stderr, "millrace: %v\n", err)
		return 1
	}
	fmt.Fprintln(stdout, a.Compare(b))
	return 0
}
