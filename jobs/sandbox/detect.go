package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// again is how long a negative answer holds: an operator who repairs the host
// need not restart us.
const again = time.Minute

const oldestBubblewrap = "0.8"

// Detect tries the sandbox out and says how commands will run here, and, if
// not in a sandbox, why not and what would change that.
func (s *Sandbox) Detect(ctx context.Context) (Kind, string) {
	if s.Trusted {
		return Trusted, "this machine is thrown away afterwards"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kind == Bubblewrap || s.kind != "" && time.Since(s.detected) < again {
		return s.kind, s.reason
	}
	reason := s.try(ctx)
	if ctx.Err() != nil {
		return None, ctx.Err().Error() // says nothing about the host
	}
	s.detected = time.Now()
	switch {
	case reason == "":
		s.kind, s.reason = Bubblewrap, ""
	case s.AllowUnsandboxed:
		s.kind, s.reason = Unconfined, reason
	default:
		s.kind, s.reason = None, reason
	}
	return s.kind, s.reason
}

// try runs a command that does nothing. It returns the empty string if that
// works.
func (s *Sandbox) try(ctx context.Context) string {
	t, err := s.tools()
	if err != nil {
		return unwrapReason(err)
	}
	if reason := tooOld(ctx, t.bwrap); reason != "" {
		return reason
	}
	r, err := s.runConfined(ctx, Command{
		Args:   []string{"true"},
		Dir:    "/tmp",
		Limits: Limits{Time: 10 * time.Second}.withDefaults(),
	})
	switch {
	case err != nil:
		return err.Error() + hint()
	case !r.Passed():
		return fmt.Sprintf("a command that does nothing failed in bubblewrap: %s: %s%s", r.Explain(), lastLine(r.Output), hint())
	}
	return ""
}

func tooOld(ctx context.Context, bwrap string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, bwrap, "--version").Output()
	version := strings.TrimPrefix(strings.TrimSpace(string(out)), "bubblewrap ")
	if err != nil {
		return fmt.Sprintf("asking %s for its version: %v", bwrap, err)
	}
	if older(version, oldestBubblewrap) {
		return fmt.Sprintf("bubblewrap %s is too old: %s or newer is needed", version, oldestBubblewrap)
	}
	return ""
}

// older compares versions that are numbers and dots.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range bs {
		if i >= len(as) {
			return true
		}
		x, _ := strconv.Atoi(as[i])
		y, _ := strconv.Atoi(bs[i])
		if x != y {
			return x < y
		}
	}
	return false
}

// hint names the setting of this machine that keeps a sandbox from working, as
// far as the machine tells.
func hint() string {
	for _, s := range []struct{ path, forbids, advice string }{
		{"/proc/sys/user/max_user_namespaces", "0", "set sysctl user.max_user_namespaces to 1000 or more"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "set sysctl kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "give bwrap an AppArmor profile with the permission userns, or set sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
	} {
		if b, err := os.ReadFile(s.path); err == nil && strings.TrimSpace(string(b)) == s.forbids {
			return "; " + s.advice
		}
	}
	for _, path := range []string{"/run/.containerenv", "/.dockerenv"} {
		if _, err := os.Stat(path); err == nil {
			return "; in a container, allow nested namespaces: a seccomp profile that permits unshare and mount, and an unmasked /proc"
		}
	}
	return "; user namespaces may be forbidden on this machine"
}
