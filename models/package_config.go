package models

import "strconv"

// PackageConfig is what a project asks of us: the users' `.packit.yaml`, or the
// same made in the browser, with inheritance resolved and defaults applied.
// Views of one config share slices and maps: treat all of it as read-only.
type PackageConfig struct {
	Packages []ConfigPackage `json:"packages"` // in the order of the file
	Jobs     []JobView       `json:"jobs"`     // by job, then by package
	Warnings []ConfigProblem `json:"warnings,omitempty"`
}

// ConfigPackage is one package of a config under the name the config gives it.
type ConfigPackage struct {
	Name     string          `json:"name"`
	Settings PackageSettings `json:"settings"`
}

// Package returns the package of that name.
func (c *PackageConfig) Package(name string) (ConfigPackage, bool) {
	for _, p := range c.Packages {
		if p.Name == name {
			return p, true
		}
	}
	return ConfigPackage{}, false
}

// Monorepo reports whether the config has several packages. Only then does a
// view have an identifier that the user did not write.
func (c *PackageConfig) Monorepo() bool { return len(c.Packages) > 1 }

// ConfigProblem is a mistake or an oddity at one place of a config file.
type ConfigProblem struct {
	Key     string `json:"key"`    // path as the user wrote it, such as "jobs[0].targets"; "" is the whole file
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // from 1, in characters
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // what to do about it, if we can tell
}

func (p ConfigProblem) Error() string {
	s := strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column) + ": "
	if p.Key != "" {
		s += p.Key + ": "
	}
	s += p.Message
	if p.Hint != "" {
		s += " " + p.Hint
	}
	return s
}
