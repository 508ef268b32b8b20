package models

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Targets are the entries under `targets`, in the order of the file and without
// repetitions. Their names may be aliases and may lack an architecture.
type Targets []TargetSettings

// TargetSettings are a target and what was set for it alone. A nil slice or
// pointer was not set, an empty one was set to nothing.
type TargetSettings struct {
	Name string `json:"-"`

	Distros            []string `json:"distros,omitzero"` // tests: what to test on instead
	AdditionalPackages []string `json:"additional_packages,omitzero"`
	AdditionalRepos    []string `json:"additional_repos,omitzero"`
	AdditionalModules  *string  `json:"additional_modules,omitempty"`
	WithOpts           []string `json:"with_opts,omitzero"`
	WithoutOpts        []string `json:"without_opts,omitzero"`

	// Unused are keys that are unknown or of a wrong type, and were accepted
	// because the rules look at the first key only.
	Unused map[string]any `json:"-"`
}

// Names are the targets as they were written.
func (ts Targets) Names() []string {
	names := make([]string, len(ts))
	for i, t := range ts {
		names[i] = t.Name
	}
	return names
}

// CoprSettings reports whether t changes the chroot in Copr.
func (t TargetSettings) CoprSettings() bool {
	return t.AdditionalPackages != nil || t.AdditionalRepos != nil || t.AdditionalModules != nil ||
		t.WithOpts != nil || t.WithoutOpts != nil
}

func (t TargetSettings) MarshalJSON() ([]byte, error) {
	type plain TargetSettings
	known, err := json.Marshal(plain(t))
	if err != nil || len(t.Unused) == 0 {
		return known, err
	}
	all := map[string]any{}
	for k, v := range t.Unused {
		all[k] = v
	}
	var set map[string]json.RawMessage
	if err := json.Unmarshal(known, &set); err != nil {
		return nil, err
	}
	for k, v := range set {
		all[k] = v
	}
	return json.Marshal(all)
}

func (t *TargetSettings) UnmarshalJSON(data []byte) error {
	fields, err := decodeObject(data)
	if err != nil {
		return err
	}
	*t = TargetSettings{Name: t.Name}
	for key, raw := range fields {
		if !t.set(key, raw) {
			v, err := decodeAny(raw)
			if err != nil {
				return err
			}
			if t.Unused == nil {
				t.Unused = map[string]any{}
			}
			t.Unused[key] = v
		}
	}
	return nil
}

// set stores a key's JSON value and reports whether key and value are fit.
func (t *TargetSettings) set(key string, raw json.RawMessage) bool {
	if key == "additional_modules" {
		var s *string
		if json.Unmarshal(raw, &s) != nil || s == nil {
			return false
		}
		t.AdditionalModules = s
		return true
	}
	list := t.List(key)
	if list == nil {
		return false
	}
	var l []string
	if json.Unmarshal(raw, &l) != nil || l == nil {
		return false
	}
	*list = l
	return true
}

// List returns the field of a key that holds a list, nil for other keys.
func (t *TargetSettings) List(key string) *[]string {
	switch key {
	case "distros":
		return &t.Distros
	case "additional_packages":
		return &t.AdditionalPackages
	case "additional_repos":
		return &t.AdditionalRepos
	case "with_opts":
		return &t.WithOpts
	case "without_opts":
		return &t.WithoutOpts
	}
	return nil
}

// DistGitBranches are the entries under `dist_git_branches`, in the order of
// the file and without repetitions. Their names may be aliases.
type DistGitBranches struct {
	List []DistGitBranch
	// Mapping tells that they were written with settings, even empty ones.
	Mapping bool
}

// DistGitBranch is a branch or an alias, and what follows a change of it.
type DistGitBranch struct {
	Name string `json:"-"`
	// FastForwardMergeInto are branches or aliases that shall follow this one;
	// nil if not set.
	FastForwardMergeInto []string `json:"fast_forward_merge_into,omitzero"`
}

// Names are the branches and aliases as they were written.
func (b DistGitBranches) Names() []string {
	names := make([]string, len(b.List))
	for i, e := range b.List {
		names[i] = e.Name
	}
	return names
}

func decodeObject(data []byte) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	return fields, nil
}

// decodeAny reads JSON as the parser of configs makes it: whole numbers are
// int64, not float64.
func decodeAny(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("reading a value: %w", err)
	}
	return plainNumbers(v), nil
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case map[string]any:
		for k, e := range v {
			v[k] = plainNumbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plainNumbers(e)
		}
	}
	return v
}
