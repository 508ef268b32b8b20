package git

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// SSH is how git logs in to a remote over SSH: with this key and to hosts whose keys
// are in this file, and nothing else. No agent, no configuration and no list of known
// hosts of the user or the machine is used, nothing is asked, and no host is trusted
// at first sight.
type SSH struct {
	Key        string        // file with the private key, without a passphrase
	KnownHosts string        // file with the keys of hosts, as ssh-keyscan writes it
	Timeout    time.Duration // until the host has answered, and is known; 20 seconds if zero
}

// ErrUntrusted is matched when a host showed another key than the one that we know,
// or we know none.
var ErrUntrusted = errors.New("the host's key is not in the file of known hosts")

// plainFile is the path of a file that ssh takes as it is: in others it looks for
// quotes, variables and percent signs.
var plainFile = regexp.MustCompile(`^/[A-Za-z0-9/._+@=,:~ -]*$`)

// maxKeyFile is how much of a file of keys is read.
const maxKeyFile = 1 << 20

// Check says what is wrong with the files, if ssh would refuse them.
func (s *SSH) Check() error {
	key, err := readKeyFile(s.Key)
	if err != nil {
		return fmt.Errorf("the key: %w", err)
	}
	if !bytes.Contains(key, []byte("PRIVATE KEY-----")) {
		return fmt.Errorf("the key: %s has no private key in it", s.Key)
	}
	if bytes.Contains(key, []byte("\nProc-Type: 4,ENCRYPTED")) || bytes.Contains(key, []byte("BEGIN ENCRYPTED PRIVATE KEY")) {
		return fmt.Errorf("the key: %s has a passphrase, and nobody is there to type it", s.Key)
	}
	info, err := os.Stat(s.Key)
	if err != nil {
		return fmt.Errorf("the key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("the key: others may read %s (mode %04o), and ssh refuses such a key: run chmod 600 %s", s.Key, mode, s.Key)
	}
	hosts, err := readKeyFile(s.KnownHosts)
	if err != nil {
		return fmt.Errorf("the known hosts: %w", err)
	}
	if !namesHosts(hosts) {
		return fmt.Errorf("the known hosts: %s names none; ssh-keyscan writes such lines, whose keys are to be compared with those that the host's operator publishes", s.KnownHosts)
	}
	return nil
}

func readKeyFile(name string) ([]byte, error) {
	if !plainFile.MatchString(name) || filepath.Clean(name) != name {
		return nil, fmt.Errorf("%q must be a whole path, of plain characters", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	return io.ReadAll(io.LimitReader(f, maxKeyFile))
}

var keyType = regexp.MustCompile(`^(ssh|ecdsa|sk)-[a-z0-9@.-]+$`)

// namesHosts reports whether a file of known hosts has a line with a key.
func namesHosts(text []byte) bool {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxKeyFile)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 0 && strings.HasPrefix(fields[0], "@") { // it says that the key is an authority's, or revoked
			fields = fields[1:]
		}
		if len(fields) >= 3 && !strings.HasPrefix(fields[0], "#") && keyType.MatchString(fields[1]) {
			return true
		}
	}
	return false
}

const sshTimeout = 20 * time.Second

// command is what git runs in place of ssh; a shell reads it.
func (s *SSH) command() string {
	options := []string{
		"IdentitiesOnly=yes", "IdentityAgent=none", "BatchMode=yes", "PreferredAuthentications=publickey",
		"StrictHostKeyChecking=yes", `UserKnownHostsFile="` + s.KnownHosts + `"`, "GlobalKnownHostsFile=/dev/null", "UpdateHostKeys=no", "VerifyHostKeyDNS=no",
		fmt.Sprintf("ConnectTimeout=%d", max(1, int(or(s.Timeout, sshTimeout)/time.Second))), "ServerAliveInterval=15", "ServerAliveCountMax=3",
		"ClearAllForwardings=yes", "ForwardAgent=no", "ControlPath=none", "PermitLocalCommand=no", "RequestTTY=no", "LogLevel=ERROR",
	}
	words := []string{"ssh", "-F", "none", "-i", quoted(s.Key)}
	for _, o := range options {
		words = append(words, "-o", quoted(o))
	}
	return strings.Join(words, " ")
}

// quoted is one word to a shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

var (
	sshUser  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)
	sshHost  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
	sshPath  = regexp.MustCompile(`^[A-Za-z0-9_~/.][A-Za-z0-9_~/.+=-]*$`)
	sshShort = regexp.MustCompile(`^([^@/:]+)@([^@/:]+):([^:]+)$`)
)

// CheckSSH accepts the address of a repository over SSH: ssh://git@host:port/path or
// git@host:path. It must name the user: of the machine's users nothing is known.
func CheckSSH(address string) error {
	if len(address) > maxURL {
		return bad("repository address", address)
	}
	var user, host, path string
	if short := sshShort.FindStringSubmatch(address); short != nil {
		user, host, path = short[1], short[2], short[3]
	} else {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "ssh" || u.Opaque != "" || u.User == nil || u.RawQuery != "" || u.Fragment != "" {
			return bad("repository address", address)
		}
		if _, set := u.User.Password(); set {
			return bad("repository address", address)
		}
		user, host, path = u.User.Username(), u.Hostname(), u.Path
	}
	isHost := sshHost.MatchString(host) || net.ParseIP(host) != nil
	if !sshUser.MatchString(user) || !isHost || !sshPath.MatchString(path) || strings.Contains(path, "..") {
		return bad("repository address", address)
	}
	return nil
}
