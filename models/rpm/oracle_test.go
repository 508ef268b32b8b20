package rpm

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// askRPM has the rpm program compare pairs, all in one call. Its Lua function
// reads whole EVRs.
func askRPM(t *testing.T, pairs [][2]string) []int {
	t.Helper()
	program, err := exec.LookPath("rpm")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("rpm is not installed")
		}
		t.Skip("rpm is not installed")
	}
	var lua strings.Builder
	lua.WriteString("%{lua:")
	for _, p := range pairs {
		fmt.Fprintf(&lua, "print(rpm.vercmp(%s,%s))print(' ')", luaString(p[0]), luaString(p[1]))
	}
	lua.WriteString("}")
	out, err := exec.CommandContext(t.Context(), program, "--eval", lua.String()).Output()
	if err != nil {
		t.Fatalf("running rpm: %v", err)
	}
	var results []int
	for field := range strings.FieldsSeq(string(out)) {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatalf("rpm printed %q", field)
		}
		results = append(results, n)
	}
	if len(results) != len(pairs) {
		t.Fatalf("rpm gave %d answers to %d questions", len(results), len(pairs))
	}
	return results
}

// luaString writes a string without any byte that rpm's macro language or Lua
// would read.
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		fmt.Fprintf(&b, `\%03d`, s[i])
	}
	b.WriteByte('"')
	return b.String()
}

func randomText(r *rand.Rand, alphabet string, longest int) string {
	b := make([]byte, 1+r.IntN(longest))
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

func TestVercmpAgreesWithRPM(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	pairs := [][2]string{
		{"1.0", "1.0"}, {"1.0", "1.00"}, {"1.0~rc1", "1.0"}, {"1.0^git1", "1.0.1"}, {"1.0~", "1.0~~"}, {"1.0^", "1.0^^"},
		{"fc4", "FC5"}, {"2a", "2.0"}, {"1.0.a", "1.0.1"}, {"18446744073709551616", "2"}, {"1..2", "1.2"}, {"1_", "1"},
		{"~1", "1"}, {"^1", "1"}, {"1.~2", "1~2"}, {"1.^2", "1^2"}, {"a", "1"}, {"1a", "1"}, {"1\xe92", "1.2"},
	}
	const alphabet = "0019abZ..~^_+"
	for range 1500 {
		a, b := randomText(r, alphabet, 8), randomText(r, alphabet, 8)
		if r.IntN(3) == 0 {
			b = a + randomText(r, alphabet, 2)
		}
		pairs = append(pairs, [2]string{a, b})
	}
	for i, want := range askRPM(t, pairs) {
		if got := Vercmp(pairs[i][0], pairs[i][1]); got != want {
			t.Errorf("Vercmp(%q, %q) = %d, rpm says %d", pairs[i][0], pairs[i][1], got, want)
		}
	}
}

func TestEVRAgreesWithRPM(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	random := func() string {
		s := randomText(r, "019a.~^", 4)
		if r.IntN(2) == 0 {
			s = randomText(r, "012", 2) + ":" + s
		}
		if r.IntN(3) > 0 {
			s += "-" + randomText(r, "019a.~^", 3)
		}
		return s
	}
	pairs := [][2]string{{"1.0", "1.0-~5"}, {"1.0-^", "1.0"}, {"0:1.0-1", "1.0-1"}, {"01:1", "1:1"}, {"4294967295:1", "1:1"}}
	for range 1000 {
		pairs = append(pairs, [2]string{random(), random()})
	}
	for i, want := range askRPM(t, pairs) {
		a, errA := ParseEVR(pairs[i][0])
		b, errB := ParseEVR(pairs[i][1])
		if errA != nil || errB != nil {
			t.Fatalf("parsing %q: %v, %v", pairs[i], errA, errB)
		}
		if got := a.Compare(b); got != want {
			t.Errorf("%q.Compare(%q) = %d, rpm says %d", a, b, got, want)
		}
	}
}
