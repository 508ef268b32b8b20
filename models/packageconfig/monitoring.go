package packageconfig

import (
	"fmt"

	"github.com/BurntSushi/toml"
)

// Monitoring is what monitoring.toml of a package in dist-git says of how it wants to
// be told of new versions.
type Monitoring struct {
	On          bool `toml:"monitoring"`   // it wants to be told at all
	AllVersions bool `toml:"all_versions"` // of all, and not of the newest alone
}

// ParseMonitoring reads monitoring.toml. What it does not say is as Fedora's release
// monitoring has it. The error names the line.
func ParseMonitoring(text []byte) (Monitoring, error) {
	var m Monitoring
	if len(text) > MaxSize {
		return m, fmt.Errorf("it has %d bytes, and may have %d", len(text), MaxSize)
	}
	if err := toml.Unmarshal(text, &m); err != nil {
		return Monitoring{}, err
	}
	return m, nil
}
