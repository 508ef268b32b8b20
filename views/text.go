// Package views turns models into HTML. It decides how things look and read,
// and nothing else: what a page needs, its argument brings.
package views

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"millrace/models"
)

// shortTarget is what fits on a chip: "fedora-43-x86_64" is "f43 x86_64".
func shortTarget(name string) string {
	for _, arch := range []string{"x86_64", "aarch64", "ppc64le", "s390x", "i386", "i686", "armhfp", "riscv64", "noarch"} {
		distro, ok := strings.CutSuffix(name, "-"+arch)
		if !ok {
			continue
		}
		for _, p := range [][2]string{{"fedora-rawhide", "rawhide"}, {"fedora-eln", "eln"}, {"fedora-", "f"}, {"epel-", "epel"}, {"centos-stream-", "stream"}} {
			if rest, ok := strings.CutPrefix(distro, p[0]); ok {
				return p[1] + rest + " " + arch
			}
		}
		return distro + " " + arch
	}
	return name
}

func shortSHA(sha string) string {
	return sha[:min(len(sha), 7)]
}

func number(n int) string { return strconv.Itoa(n) }

func id(n int64) string { return strconv.FormatInt(n, 10) }

// count is a number with its noun: "1 run", "5 runs".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

// thousands groups the digits of big numbers: 18 230.
func thousands(n int) string {
	s := strconv.Itoa(n)
	if len(s) <= 4 || n < 0 {
		return s
	}
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteRune('\u202f') // a narrow space that does not break
		}
		b.WriteRune(c)
	}
	return b.String()
}

// size is how people read a number of bytes: "9.1 kB".
func size(bytes int64) string {
	if bytes < 1000 {
		return strconv.FormatInt(bytes, 10) + " B"
	}
	v, unit := float64(bytes)/1000, "kB"
	for _, u := range []string{"MB", "GB", "TB"} {
		if v < 999.5 {
			break
		}
		v, unit = v/1000, u
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f %s", v, unit)
	}
	return fmt.Sprintf("%.0f %s", math.Round(v), unit)
}

// duration reads "4 min 10 s": the two greatest units, seconds below an hour.
// The script that ticks running times says the same.
func duration(d time.Duration) string { return inUnits(d, "min") }

// shortDuration is duration for chips: "4 m 10 s".
func shortDuration(d time.Duration) string { return inUnits(d, "m") }

func inUnits(d time.Duration, minute string) string {
	s := int64(max(d, 0) / time.Second)
	two := func(a int64, u string, b int64, v string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, u)
		}
		return fmt.Sprintf("%d %s %d %s", a, u, b, v)
	}
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return two(s/60, minute, s%60, "s")
	case s < 86400:
		return two(s/3600, "h", s%3600/60, minute)
	}
	return two(s/86400, "d", s%86400/3600, "h")
}

// isoDuration is for machines: PT4M10S.
func isoDuration(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	out := "PT"
	if s >= 3600 {
		out += strconv.FormatInt(s/3600, 10) + "H"
	}
	if m := s % 3600 / 60; m > 0 {
		out += strconv.FormatInt(m, 10) + "M"
	}
	if r := s % 60; r > 0 || out == "PT" {
		out += strconv.FormatInt(r, 10) + "S"
	}
	return out
}

// relative says how long ago t is, or how far ahead; ok is false where the
// date says more. Hours and days are rounded like minutes.
func relative(t, now time.Time) (text string, ok bool) {
	d := now.Sub(t)
	ahead := d <= -time.Second // what is nearer was written while the page was made
	d = d.Abs()
	var span string
	switch {
	case d >= 7*24*time.Hour:
		return "", false
	case d < 45*time.Second && ahead:
		return "in a moment", true
	case d < 45*time.Second:
		return "just now", true
	case d < 3570*time.Second:
		span = fmt.Sprintf("%d min", max(1, int(math.Round(d.Minutes()))))
	case d < 84600*time.Second:
		span = fmt.Sprintf("%d h", int(math.Round(d.Hours())))
	default:
		span = fmt.Sprintf("%d d", int(math.Round(d.Hours()/24)))
	}
	if ahead {
		return "in " + span, true
	}
	return span + " ago", true
}

// absolute is the time on the clock, with the date unless it is today's.
func absolute(t, now time.Time, zone *time.Location) string {
	t, now = t.In(zone), now.In(zone)
	switch {
	case t.Year() == now.Year() && t.YearDay() == now.YearDay():
		return t.Format("15:04:05")
	case t.Year() == now.Year():
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006 15:04")
}

// runSpan is how long a run took, or has taken until now; ok is false if it
// never started.
func runSpan(r *models.Run, now time.Time) (d time.Duration, running, ok bool) {
	if r == nil || r.StartedAt.IsZero() {
		return 0, false, false
	}
	if r.FinishedAt.IsZero() {
		return now.Sub(r.StartedAt), !r.State.Finished(), !r.State.Finished()
	}
	return r.FinishedAt.Sub(r.StartedAt), false, true
}
