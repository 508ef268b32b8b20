package models

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// settingFields are PackageSettings' fields that have a key of their own.
var settingFields = func() []settingField {
	var fields []settingField
	for f := range reflect.TypeFor[PackageSettings]().Fields() {
		if key := f.Tag.Get("json"); key != "-" {
			fields = append(fields, settingField{key, f.Index[0]})
		}
	}
	return fields
}()

type settingField struct {
	key   string
	index int
}

// nameKeys are shown whether or not they have their default.
var nameKeys = map[string]bool{"specfile_path": true, "downstream_package_name": true, "upstream_package_name": true}

// Changed are all keys that differ from their default, and always the three
// names, as JSON has them.
func (s *PackageSettings) Changed() map[string]any {
	changed := map[string]any{}
	defaults := DefaultSettings()
	have, want := reflect.ValueOf(s).Elem(), reflect.ValueOf(&defaults).Elem()
	for _, f := range settingFields {
		v := have.Field(f.index).Interface()
		if nameKeys[f.key] || !reflect.DeepEqual(v, want.Field(f.index).Interface()) {
			changed[f.key] = v
		}
	}
	if len(s.Targets) > 0 {
		changed["targets"] = s.Targets.Names()
		settings, any := map[string]TargetSettings{}, false
		for _, t := range s.Targets {
			settings[t.Name] = t
			any = any || !reflect.DeepEqual(t, TargetSettings{Name: t.Name})
		}
		if any {
			changed["targets_config"] = settings
		}
	}
	if len(s.DistGitBranches.List) > 0 {
		changed["dist_git_branches"] = s.DistGitBranches.Names()
		if s.DistGitBranches.Mapping {
			settings := map[string]DistGitBranch{}
			for _, b := range s.DistGitBranches.List {
				settings[b.Name] = b
			}
			changed["dist_git_branches_config"] = settings
		}
	}
	return changed
}

// MarshalJSON writes what Changed returns: a snapshot stays small, and reading
// it back gives the same settings.
func (s PackageSettings) MarshalJSON() ([]byte, error) { return json.Marshal(s.Changed()) }

func (s *PackageSettings) UnmarshalJSON(data []byte) error {
	fields, err := decodeObject(data)
	if err != nil {
		return err
	}
	*s = DefaultSettings()
	to := reflect.ValueOf(s).Elem()
	for _, f := range settingFields {
		raw, ok := fields[f.key]
		if !ok {
			continue
		}
		field := to.Field(f.index)
		if err := json.Unmarshal(raw, field.Addr().Interface()); err != nil {
			return fmt.Errorf("reading %s: %w", f.key, err)
		}
		if m, ok := field.Interface().(map[string]any); ok && m != nil {
			v, err := decodeAny(raw)
			if err != nil {
				return err
			}
			field.Set(reflect.ValueOf(v))
		}
	}
	if err := s.readTargets(fields); err != nil {
		return err
	}
	return s.readBranches(fields)
}

func (s *PackageSettings) readTargets(fields map[string]json.RawMessage) error {
	var names []string
	var settings map[string]json.RawMessage
	if err := readKeys(fields, map[string]any{"targets": &names, "targets_config": &settings}); err != nil {
		return err
	}
	for _, name := range names {
		t := TargetSettings{Name: name}
		if raw, ok := settings[name]; ok {
			if err := json.Unmarshal(raw, &t); err != nil {
				return fmt.Errorf("reading target %s: %w", name, err)
			}
		}
		s.Targets = append(s.Targets, t)
	}
	return nil
}

func (s *PackageSettings) readBranches(fields map[string]json.RawMessage) error {
	var names []string
	var settings map[string]DistGitBranch
	if err := readKeys(fields, map[string]any{"dist_git_branches": &names, "dist_git_branches_config": &settings}); err != nil {
		return err
	}
	s.DistGitBranches.Mapping = settings != nil
	for _, name := range names {
		b := settings[name]
		b.Name = name
		s.DistGitBranches.List = append(s.DistGitBranches.List, b)
	}
	return nil
}

// readKeys decodes those of the wanted keys that are there.
func readKeys(fields map[string]json.RawMessage, wanted map[string]any) error {
	for key, to := range wanted {
		if raw, ok := fields[key]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				return fmt.Errorf("reading %s: %w", key, err)
			}
		}
	}
	return nil
}
