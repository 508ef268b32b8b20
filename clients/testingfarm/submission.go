package testingfarm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// KeyVariable is the environment variable in which a request carries the key
// of its submission. Testing Farm has no idempotency key, but its lists of
// requests show their variables, so that FindRequest can look for one.
const KeyVariable = "MILLRACE_SUBMISSION"

// A Submission asks Testing Farm for one run of tests.
type Submission struct {
	// Key is different for each submission and the same if one is repeated.
	// The tests see it as a variable, so it must not be a secret.
	Key string

	Test         Test
	Environments []Environment
	Webhook      Webhook

	// Extra is what the user wants in the request beside or instead of ours;
	// MergeExtra says how. It cannot reach the webhook or the key.
	Extra map[string]any
}

// Test says where the tests are.
type Test struct {
	URL      string `json:"url"`
	Ref      string `json:"ref,omitempty"`
	Path     string `json:"path,omitempty"` // of the metadata tree, see TestPath
	MergeSHA string `json:"merge_sha,omitempty"`
	Name     string `json:"name,omitempty"` // which plans: a regular expression
}

// Environment is a machine and what is on it.
type Environment struct {
	Arch      string
	Compose   string            // "" asks for a container
	Context   map[string]string // tmt's: distro, arch, trigger...
	Variables map[string]any    // strings, numbers, booleans
	Artifacts []Artifact
	// PostInstallScript runs on the machine before the tests.
	PostInstallScript string
}

// Artifact is something to be installed.
type Artifact struct {
	ID       string   `json:"id"` // of a Copr build: "<build>:<chroot>"
	Type     string   `json:"type"`
	Packages []string `json:"packages,omitempty"` // name-[epoch:]version-release.arch
}

// CoprBuild is the type of an artifact that Copr built.
const CoprBuild = "fedora-copr-build"

// Webhook is told of each change of the request's state.
type Webhook struct {
	URL   string `json:"url"`
	Token string `json:"token,omitempty"` // comes back in the notification
}

// Payload returns what is sent: values as encoding/json decodes them, with
// numbers as json.Number.
func (s Submission) Payload() (map[string]any, error) {
	if len(s.Environments) == 0 {
		return nil, errors.New("a submission needs an environment")
	}
	environments := make([]any, len(s.Environments))
	for i, e := range s.Environments {
		environments[i] = e.payload()
	}
	plain := map[string]any{
		"test":         map[string]any{"tmt": s.Test},
		"environments": environments,
	}
	payload, err := viaJSON(plain)
	if err != nil {
		return nil, fmt.Errorf("encoding the submission: %w", err)
	}
	extra, err := viaJSON(s.Extra)
	if err != nil {
		return nil, fmt.Errorf("encoding the extra parameters: %w", err)
	}
	payload = MergeExtra(payload, extra)
	if s.Webhook.URL != "" {
		payload["notification"] = map[string]any{"webhook": s.Webhook}
	}
	if s.Key != "" {
		setKey(payload, s.Key)
	}
	return viaJSON(payload)
}

func (e Environment) payload() map[string]any {
	p := map[string]any{"arch": e.Arch}
	if e.Compose != "" {
		p["os"] = map[string]any{"compose": e.Compose}
	}
	if len(e.Context) > 0 {
		p["tmt"] = map[string]any{"context": e.Context}
	}
	if len(e.Variables) > 0 {
		p["variables"] = e.Variables
	}
	if len(e.Artifacts) > 0 {
		p["artifacts"] = e.Artifacts
	}
	if e.PostInstallScript != "" {
		p["settings"] = map[string]any{
			"provisioning": map[string]any{"post_install_script": e.PostInstallScript},
		}
	}
	return p
}

// setKey marks the first environment, whatever the user made of it.
func setKey(payload map[string]any, key string) {
	environments, _ := payload["environments"].([]any)
	if len(environments) == 0 {
		environments = []any{map[string]any{}}
		payload["environments"] = environments
	}
	first, ok := environments[0].(map[string]any)
	if !ok {
		first = map[string]any{}
		environments[0] = first
	}
	variables, ok := first["variables"].(map[string]any)
	if !ok {
		variables = map[string]any{}
		first["variables"] = variables
	}
	variables[KeyVariable] = key
}

// mergedSubtrees are the parts of a request that users may change. The webhook
// and the old place of the token are not among them.
var mergedSubtrees = []string{"environments", "test", "settings"}

// MergeExtra returns payload changed by a job's tf_extra_params, as Packit
// does it; neither argument changes. Both hold values as encoding/json decodes
// them. Of extra only environments, test and settings count. What payload
// lacks is added; a scalar replaces anything; objects merge key by key; lists
// merge element by element up to the shorter one's end, but artifacts are
// appended. Where the types do not fit, payload's value stays.
func MergeExtra(payload, extra map[string]any) map[string]any {
	merged := clone(payload).(map[string]any)
	for _, key := range mergedSubtrees {
		value, ok := extra[key]
		if !ok {
			continue
		}
		if own, ok := merged[key]; ok {
			mergeInto(own, value)
		} else {
			merged[key] = clone(value)
		}
	}
	return merged
}

func mergeInto(own, extra any) {
	switch extra := extra.(type) {
	case map[string]any:
		if own, ok := own.(map[string]any); ok {
			mergeObject(own, extra)
		}
	case []any:
		own, ok := own.([]any)
		if !ok {
			return
		}
		for i := range min(len(own), len(extra)) {
			mergeInto(own[i], extra[i])
		}
	}
}

func mergeObject(own, extra map[string]any) {
	for key, value := range extra {
		present, ok := own[key]
		list, isList := value.([]any)
		_, isObject := value.(map[string]any)
		switch {
		case !ok, !isList && !isObject:
			own[key] = clone(value)
		case key == "artifacts":
			if present, ok := present.([]any); ok && isList {
				own[key] = append(present, clone(list).([]any)...)
			}
		default:
			mergeInto(present, value)
		}
	}
}

func clone(value any) any {
	switch value := value.(type) {
	case map[string]any:
		c := make(map[string]any, len(value))
		for k, v := range value {
			c[k] = clone(v)
		}
		return c
	case []any:
		c := make([]any, len(value))
		for i, v := range value {
			c[i] = clone(v)
		}
		return c
	}
	return value
}

// viaJSON turns structs and typed maps into what encoding/json decodes.
func viaJSON(value map[string]any) (map[string]any, error) {
	b, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	var decoded map[string]any
	if err := decoder.Decode(&decoded); err != nil {
		return nil, err
	}
	return decoded, nil
}

// TestPath returns a user's path to the metadata tree in the form Testing Farm
// wants: relative, without slashes at its ends, "." for the root.
func TestPath(path string) string {
	path = strings.TrimPrefix(path, "./")
	path = strings.Trim(path, "/")
	if path == "" {
		return "."
	}
	return path
}

// flatten lists the leaves of a tree of error messages, as "key.key: message".
func flatten(value any, path string, lines []string) []string {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			lines = flatten(value[key], join(path, key), lines)
		}
	case []any:
		for _, v := range value {
			lines = flatten(v, path, lines)
		}
	case nil:
	default:
		line := fmt.Sprint(value)
		if path != "" {
			line = path + ": " + line
		}
		lines = append(lines, line)
	}
	return lines
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
