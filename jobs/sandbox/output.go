package sandbox

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// output keeps the head of what a command prints and counts the rest.
type output struct {
	mu      sync.Mutex // guards what follows, and calls of listener
	room    int64
	all     []byte
	stdout  []byte
	stderr  []byte
	dropped int64

	listener io.Writer
}

// stream is one of the two ways by which a command prints.
type stream struct {
	*output
	isStdout bool
}

// attach makes cmd print into o, once it starts. The returned function closes
// our side, after waiting for at most so long until the other side is closed.
func (o *output) attach(cmd *exec.Cmd) (wait func(time.Duration), err error) {
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		closeAll([]*os.File{outRead, outWrite})
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = outWrite, errWrite
	var readers sync.WaitGroup
	// A reader ends with its pipe, and the returned function waits for it.
	readers.Go(func() { io.Copy(stream{o, true}, outRead) })
	readers.Go(func() { io.Copy(stream{o, false}, errRead) })
	return func(most time.Duration) {
		closeAll([]*os.File{outWrite, errWrite})
		deadline := time.Now().Add(most)
		for _, r := range []*os.File{outRead, errRead} {
			// Without a deadline the reader ends with the last child.
			_ = r.SetReadDeadline(deadline)
		}
		readers.Wait()
		closeAll([]*os.File{outRead, errRead})
	}, nil
}

// Write never fails: a command must not end because nobody listens.
func (s stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := p[:min(int64(len(p)), s.room)]
	s.room -= int64(len(kept))
	s.dropped += int64(len(p) - len(kept))
	s.all = append(s.all, kept...)
	if s.isStdout {
		s.stdout = append(s.stdout, kept...)
	} else {
		s.stderr = append(s.stderr, kept...)
	}
	s.tell(kept)
	return len(p), nil
}

func (o *output) tell(p []byte) {
	if o.listener == nil || len(p) == 0 {
		return
	}
	if _, err := o.listener.Write(p); err != nil {
		o.listener = nil
	}
}

// finish fills in what was printed, and tells the listener of what it missed.
func (o *output) finish(r *Result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dropped > 0 {
		o.tell(fmt.Appendf(nil, "\n[output cut here: %d more bytes]\n", o.dropped))
	}
	o.listener = nil
	r.Stdout, r.Stderr, r.Output, r.Dropped = o.stdout, o.stderr, o.all, o.dropped
}
