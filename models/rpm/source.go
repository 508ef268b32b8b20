package rpm

import (
	"regexp"
	"strings"
)

// SourceFileName is the name under which rpmbuild looks for a source in its
// directory: what follows the last slash, also one in a fragment
// (…/download#/name.zip), and there what follows the last equals sign.
func SourceFileName(location string) string {
	slash := strings.LastIndexByte(location, '/')
	if slash < 0 {
		return location
	}
	name := location[slash+1:]
	return name[strings.LastIndexByte(name, '=')+1:]
}

var remoteLocation = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]`)

// IsRemote reports whether a source has to be fetched from a host.
func IsRemote(location string) bool { return remoteLocation.MatchString(location) }
