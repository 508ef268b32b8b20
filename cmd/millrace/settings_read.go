package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"millrace/models"
)

// readSettings reads the file, if there is one, and the environment over it.
// The error joins all that is wrong.
func readSettings(file string, getenv func(string) (string, bool)) (*settings, error) {
	s := defaults()
	var problems []error
	all := s.all()
	if file != "" {
		problems = append(problems, readFile(file, all)...)
	}
	for _, item := range all {
		if text, ok := getenv(envName(item.key)); ok {
			if err := item.set(text); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", envName(item.key), err))
			}
		}
	}
	problems = append(problems, s.check()...)
	return s, errors.Join(problems...)
}

// envName is the environment variable of a key: github.app_id is
// MILLRACE_GITHUB_APP_ID.
func envName(key string) string {
	return "MILLRACE_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

func readFile(file string, all []setting) []error {
	var tree map[string]any
	if _, err := toml.DecodeFile(file, &tree); err != nil {
		if parse, ok := errors.AsType[toml.ParseError](err); ok {
			return []error{fmt.Errorf("%s: %s", file, parse.ErrorWithPosition())}
		}
		return []error{fmt.Errorf("reading the settings: %w", err)}
	}
	flat := map[string]any{}
	flatten("", tree, flat)
	var problems []error
	for key, value := range flat {
		i := slices.IndexFunc(all, func(s setting) bool { return s.key == key })
		if i < 0 {
			problems = append(problems, fmt.Errorf("%s: there is no setting %q; `millrace settings` lists them", file, key))
			continue
		}
		if err := all[i].set(textOf(value)); err != nil {
			problems = append(problems, fmt.Errorf("%s: %s: %w", file, key, err))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}

// flatten makes github.app_id of a table in a table. The table of limits is a
// value.
func flatten(prefix string, tree, flat map[string]any) {
	for key, value := range tree {
		table, ok := value.(map[string]any)
		if ok && prefix+key != "workers.limits" {
			flatten(prefix+key+".", table, flat)
			continue
		}
		flat[prefix+key] = value
	}
}

// textOf is a TOML value as the environment would have it.
func textOf(value any) string {
	switch v := value.(type) {
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = fmt.Sprint(item)
		}
		return strings.Join(parts, ",")
	case map[string]any:
		var parts []string
		for key, item := range v {
			parts = append(parts, fmt.Sprintf("%s=%v", key, item))
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(value)
}

func (s setting) set(text string) (err error) {
	text = strings.TrimSpace(text)
	switch v := s.value.(type) {
	case *string:
		*v = text
	case *bool:
		err = assign(v)(strconv.ParseBool(text))
	case *int:
		err = assign(v)(strconv.Atoi(text))
	case *int64:
		err = assign(v)(strconv.ParseInt(text, 10, 64))
	case *time.Duration:
		err = assign(v)(parseDuration(text))
	case *[]string:
		*v = list(text)
	case *map[models.StepKind]int:
		err = assign(v)(parseLimits(text))
	default:
		err = fmt.Errorf("a setting of type %T cannot be read", v)
	}
	if number, ok := errors.AsType[*strconv.NumError](err); ok {
		wanted := "a whole number"
		if number.Func == "ParseBool" {
			wanted = "true or false"
		}
		return fmt.Errorf("%q is not %s", number.Num, wanted)
	}
	return err
}

// assign sets to, unless there is an error: what cannot be read leaves the
// default, with which nothing else is wrong.
func assign[T any](to *T) func(value T, err error) error {
	return func(value T, err error) error {
		if err == nil {
			*to = value
		}
		return err
	}
}

// parseDuration knows days too, as "90d".
func parseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil {
			return 0, fmt.Errorf("%q is no time; write it like 30s, 10m or 90d", text)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time; write it like 30s, 10m or 90d", text)
	}
	return d, nil
}

func list(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func parseLimits(text string) (map[models.StepKind]int, error) {
	limits := map[models.StepKind]int{}
	for _, item := range list(text) {
		kind, number, ok := strings.Cut(item, "=")
		n, err := strconv.Atoi(strings.TrimSpace(number))
		if !ok || err != nil || n < 0 {
			return nil, fmt.Errorf("%q is not a kind of step and a number, as srpm=4", item)
		}
		step := models.StepKind(strings.TrimSpace(kind))
		if !slices.Contains(models.StepKinds, step) {
			return nil, fmt.Errorf("there is no kind of step %q", step)
		}
		limits[step] = n
	}
	return limits, nil
}
