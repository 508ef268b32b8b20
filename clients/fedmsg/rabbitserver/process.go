package rabbitserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// group is the process group of a running broker.
type group struct {
	pid    int             // of its leader
	ended  <-chan struct{} // closed when the leader has ended
	hold   *os.File        // the group ends when this is closed, also by our death
	record string
}

// watched runs the broker $3 beside its own epmd $1 on port $2, and ends both when
// file 3 does: we hold the other end, and may be killed. Without a running epmd
// the broker would start one by itself, and leave it behind.
const watched = `(trap "" TERM; cat <&3; kill -TERM 0; sleep 10; kill -KILL 0) >/dev/null 2>&1 &
"$1" -port "$2" -address 127.0.0.1 3<&- &
until "$1" -port "$2" -names >/dev/null 2>&1; do
	kill -0 $! || exit 1
	sleep 0.1
done
exec "$3" 3<&-`

func startGroup(s *Server) (*group, error) {
	log, err := os.Create(s.log())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command("sh", "-c", watched, "sh", s.programs.epmd, strconv.Itoa(s.epmdPort), s.programs.server)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = s.env, log, log, s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, err
	}
	ended := make(chan struct{})
	go func() { // ends with the leader, for which end waits
		// How it ended does not matter; the log says why if it was too early.
		_ = cmd.Wait()
		close(ended)
	}()
	g := &group{pid: cmd.Process.Pid, ended: ended, hold: ours, record: recordIn(s.dir)}
	if err := keepRecord(g.record, g.pid); err != nil {
		g.end(0)
		return nil, err
	}
	return g, nil
}

// end lets the group end by itself for a while, and then ends what is left.
func (g *group) end(patience time.Duration) {
	if patience > 0 {
		_ = syscall.Kill(-g.pid, syscall.SIGTERM) // it may be gone
		select {
		case <-g.ended:
		case <-time.After(patience):
		}
	}
	// Helpers of the runtime may outlive it.
	_ = syscall.Kill(-g.pid, syscall.SIGKILL)
	<-g.ended
	g.hold.Close()
	os.Remove(g.record) // a leftover names nobody
}

// record is what is written down of a running broker's leader.
type record struct {
	PID     int
	Started uint64 // in the kernel's ticks since the boot
}

func recordIn(dir string) string { return filepath.Join(dir, "process.json") }

func keepRecord(file string, pid int) error {
	started, ok := startOf(pid)
	if !ok {
		return errors.New("it ended at once")
	}
	text, err := json.Marshal(record{pid, started})
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// endOrphan ends what is left of a broker in dir whose owner was killed. As a rule
// that ends by itself within ten seconds.
func endOrphan(ctx context.Context, dir string) error {
	text, err := os.ReadFile(recordIn(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil // half written: the leader was ending with its owner
	}
	gentle := time.Now().Add(5 * time.Second)
	for {
		left := r.leftovers(dir)
		if len(left) == 0 {
			return nil
		}
		signal := syscall.SIGTERM
		if time.Now().After(gentle) {
			signal = syscall.SIGKILL
		}
		for _, p := range left {
			_ = p.Signal(signal) // it may have ended meanwhile
			_ = p.Release()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the end of the broker that ran in %s: %w", dir, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// leftovers are processes that began as those of a broker in dir, not before the
// one that was written down: another that has got its number meanwhile is not
// among them.
func (r record) leftovers(dir string) []*os.Process {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is sound
	var found []*os.Process
	for _, stat := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		// Its handle first, so that what is looked at is what is ended.
		p, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		if started, ok := startOf(pid); ok && started >= r.Started && beganIn(pid, dir) {
			found = append(found, p)
			continue
		}
		_ = p.Release()
	}
	return found
}

// beganIn reports whether a process was started for the broker in dir. Of other
// people's processes it is not known, and those that have ended have none.
func beganIn(pid int, dir string) bool {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	for variable := range bytes.SplitSeq(environ, []byte{0}) {
		if string(variable) == inDirectory(dir) {
			return true
		}
	}
	return false
}

// startOf is when a process started, in the kernel's ticks since the boot.
func startOf(pid int) (uint64, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The name in the second field may hold anything; the start is the 22nd.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return 0, false
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	return started, err == nil
}
