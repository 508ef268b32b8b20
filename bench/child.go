package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is the service as a process of its own.
type child struct {
	process *exec.Cmd
	address string
	errors  strings.Builder
}

// serve starts the service on a database and waits until it can be asked.
func (b *bench) serve(ctx context.Context, database string, args ...string) (*child, error) {
	c := new(child)
	c.process = exec.CommandContext(ctx, b.Program, append([]string{"serve"}, args...)...)
	c.process.Env = append(os.Environ(), "MILLRACE_LISTEN=127.0.0.1:0", "MILLRACE_DATABASE="+database,
		"MILLRACE_DATA_DIR="+b.dir, "MILLRACE_LOG_LEVEL=warn", "MILLRACE_CONFIG=")
	c.process.Dir = b.dir
	c.process.Stderr = &c.errors
	c.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.process.Start(); err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "listening: http://"); ok {
			c.address = strings.TrimSuffix(rest, "/")
			return c, nil
		}
	}
	c.stop()
	return nil, fmt.Errorf("the service does not start: %s", c.errors.String())
}

// stop ends the service as an operator would.
func (c *child) stop() {
	c.process.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(20*time.Second, func() { c.process.Process.Kill() })
	defer kill.Stop()
	c.process.Wait()
}

// memory is how many bytes of the process are in memory.
func (c *child) memory() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, errors.New("the kernel does not say how much memory the service has")
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
