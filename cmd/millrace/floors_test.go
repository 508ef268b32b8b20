package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// floors is the picture of who may import whom: a package imports from lower
// floors only, never from its own or a higher one. The longest prefix counts.
var floors = map[string]int{
	"models/rpm": 0, "static": 0, "migrations": 0,
	"models": 1, "clients/httpx": 1, "clients/wire": 1, "clients/fault": 1, "clients/xmlrpc": 1,
	"clients/forge": 1, "clients/filelock": 0, "clients/ports": 0,
	"models/specfile": 2, "models/packageconfig": 2, "models/store": 2, "clients": 2, "views": 2,
	"models/store/pgserver": 2, "models/store/storetest": 3, "models/store/seed": 3, "jobs/sandbox": 3,
	"jobs/sources": 4, "jobs/intake": 4, "jobs/access": 4,
	"jobs":     5,
	"handlers": 6, "views/browsertest": 6,
	// Fakes: nothing that is shipped to an operator imports them but the box.
	"clients/copr/coprfake": 6, "clients/github/githubfake": 6, "clients/testingfarm/testingfarmfake": 6,
	"clients/git/gitserver": 3, "clients/git/fakeforge": 4, "clients/pagure/pagurefake": 6,
	"clients/bodhi/bodhifake": 6, "clients/koji/kojifake": 6, "clients/fas/fasfake": 6, "clients/fedmsg/rabbittest": 6,
	"clients/fasjson/fasjsonfake": 6, "clients/anitya/anityafake": 6, "clients/bugzilla/bugzillafake": 6, "clients/lookaside/lookasidefake": 6,
	"clients/forgejo/forgejofake": 6, "clients/forge/forgetest": 7, "clients/git/sshtest": 6, "clients/mail/mailfake": 6,
	"box": 7, "bench": 7,
	"cmd/millrace": 8,
}

func floorOf(path string) (floor int, known bool) {
	for p := path; p != ""; {
		if floor, ok := floors[p]; ok {
			return floor, true
		}
		i := strings.LastIndex(p, "/")
		if i < 0 {
			break
		}
		p = p[:i]
	}
	return 0, false
}

func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "millrace/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		from := strings.TrimPrefix(pkg.ImportPath, "millrace/")
		above, ok := floorOf(from)
		if !ok {
			t.Errorf("%s has no floor: give it one, or put it elsewhere", from)
			continue
		}
		seen++
		for _, imported := range pkg.Imports {
			to, ours := strings.CutPrefix(imported, "millrace/")
			if !ours {
				continue
			}
			if below, ok := floorOf(to); ok && below >= above {
				t.Errorf("%s (floor %d) imports %s (floor %d)", from, above, to, below)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d packages were looked at", seen)
	}
}
