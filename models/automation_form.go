package models

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Limits of what is set in a form or a list. They are far from what anybody
// writes.
const (
	maxSettingText = 500 // bytes
	maxSettingList = 100 // texts
)

// Value makes of the texts that a form has for a field what settings hold; nil
// stands for nothing, which leaves the default. A list has its texts one by one,
// or several in one with blanks or commas between them. Mistakes are of type
// *InputError, without a field.
func (f AutomationField) Value(texts []string) (any, error) {
	text := ""
	if len(texts) > 0 {
		text = strings.TrimSpace(texts[len(texts)-1])
	}
	switch f.Kind {
	case SwitchField:
		return text != "" && text != "false", nil
	case ListField:
		return f.checked(words(texts))
	}
	if text == "" {
		return nil, nil
	}
	if f.Kind == NumberField {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, &InputError{Message: "It must be a whole number."}
		}
		return f.checked(n)
	}
	return f.checked(text)
}

func words(texts []string) []string {
	var all []string
	for _, text := range texts {
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == ',' }) {
			if !slices.Contains(all, word) {
				all = append(all, word)
			}
		}
	}
	return all
}

// checked returns a value as settings hold it if the field may have it.
func (f AutomationField) checked(value any) (any, error) {
	value, ok := settingOf(f.Kind, value)
	if !ok {
		return nil, &InputError{Message: "It must be " + fieldKinds[f.Kind] + "."}
	}
	switch v := value.(type) {
	case string:
		if len(f.Choices) > 0 && !slices.Contains(f.Choices, v) {
			return nil, &InputError{Message: fmt.Sprintf("It must be one of %s.", strings.Join(f.Choices[1:], ", "))}
		}
		if err := plainText(v); err != nil {
			return nil, err
		}
	case []string:
		if len(v) > maxSettingList {
			return nil, &InputError{Message: fmt.Sprintf("There are more than %d.", maxSettingList)}
		}
		for _, text := range v {
			if err := plainText(text); err != nil {
				return nil, err
			}
		}
	case int:
		if v < -1000 || v > 1000 { // no update waits for more karma or days
			return nil, &InputError{Message: "It is out of range."}
		}
	}
	if isNothing(value) {
		return nil, nil
	}
	return value, nil
}

var fieldKinds = map[FieldKind]string{
	TextField: "a text", ListField: "a list of texts", NumberField: "a whole number", SwitchField: "true or false", ChoiceField: "a text",
}

// plainText refuses what is no text of one line.
func plainText(text string) error {
	switch {
	case len(text) > maxSettingText:
		return &InputError{Message: fmt.Sprintf("It has more than %d bytes.", maxSettingText)}
	case strings.ContainsFunc(text, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }):
		return &InputError{Message: "It has characters that cannot be shown."}
	}
	return nil
}

// settingOf is a value as Go code, JSON or YAML have it, as settings hold it.
func settingOf(kind FieldKind, value any) (any, bool) {
	if value == nil {
		return nil, true
	}
	switch v := value.(type) {
	case bool:
		return v, kind == SwitchField
	case string:
		return v, kind == TextField || kind == ChoiceField
	case int:
		return v, kind == NumberField
	case int64:
		return int(v), kind == NumberField
	case float64:
		return int(v), kind == NumberField && v == float64(int(v))
	case []string:
		return v, kind == ListField
	case []any:
		list := make([]string, len(v))
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil, false
			}
			list[i] = text
		}
		return list, kind == ListField
	}
	return nil, false
}

func isNothing(value any) bool {
	list, isList := value.([]string)
	return value == nil || value == "" || isList && len(list) == 0
}

// Texts is a value of the field as a form has it.
func (f AutomationField) Texts(value any) []string {
	value, ok := settingOf(f.Kind, value)
	if !ok || isNothing(value) {
		return nil
	}
	switch v := value.(type) {
	case []string:
		return v
	case bool:
		if !v {
			return nil
		}
		return []string{"true"}
	}
	return []string{fmt.Sprint(value)}
}

// Check returns the settings of a job with every value as settings hold it and
// without those that say nothing. Mistakes are of type *InputError, with the key
// as field; the first by name is told.
func (s AutomationSettings) Check(job JobType) (AutomationSettings, error) {
	fields := AutomationFields(job)
	clean := AutomationSettings{}
	for _, key := range slices.Sorted(maps.Keys(s)) {
		i := slices.IndexFunc(fields, func(f AutomationField) bool { return f.Key == key })
		if i < 0 {
			keys := make([]string, len(fields))
			for i, f := range fields {
				keys[i] = f.Key
			}
			message := fmt.Sprintf("There is no such key here for %s.", job)
			if near := Nearest(key, keys); near != "" {
				message += " Did you mean " + near + "?"
			}
			return nil, &InputError{Field: key, Message: message}
		}
		value, err := fields[i].checked(s[key])
		if bad, ok := err.(*InputError); ok {
			return nil, &InputError{Field: key, Message: bad.Message}
		}
		if value != nil {
			clean[key] = value
		}
	}
	return clean, nil
}

// Same reports whether two versions of a job ask for the same.
func (a *Automation) Same(b *Automation) bool {
	if a.Enabled != b.Enabled {
		return false
	}
	return len(ChangedSettings(a, b)) == 0
}

// ChangedSettings are the keys, in the order of the form, that mean something else
// in one of two versions of a job than in the other; either may be nil.
func ChangedSettings(a, b *Automation) []string {
	var job JobType
	get := func(of *Automation, f AutomationField) any {
		var settings AutomationSettings
		if of != nil {
			settings = of.Settings
		}
		value, ok := settingOf(f.Kind, settings[f.Key])
		if !ok || isNothing(value) {
			value, _ = settingOf(f.Kind, f.Usual)
		}
		if isNothing(value) {
			return nil
		}
		return value
	}
	for _, of := range []*Automation{a, b} {
		if of != nil {
			job = of.Job
		}
	}
	var keys []string
	for _, f := range AutomationFields(job) {
		if !reflect.DeepEqual(get(a, f), get(b, f)) {
			keys = append(keys, f.Key)
		}
	}
	return keys
}

// NewAutomation is a job as a new form has it: switched off, with the defaults.
func NewAutomation(p *Project, job JobType) *Automation {
	a := &Automation{ProjectID: p.ID, Package: p.Name, Job: job, Source: FromBrowser, Settings: AutomationSettings{}}
	for _, f := range AutomationFields(job) {
		if f.Default != nil {
			a.Settings[f.Key] = f.Default
		}
	}
	return a
}
