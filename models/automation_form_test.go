package models

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFieldValues(t *testing.T) {
	t.Parallel()
	list, number := AutomationField{Key: "l", Kind: ListField}, AutomationField{Key: "n", Kind: NumberField}
	text, choice := AutomationField{Key: "t", Kind: TextField}, AutomationField{Key: "c", Kind: ChoiceField, Choices: []string{"", "bugfix", "security"}}
	onOff := AutomationField{Key: "s", Kind: SwitchField}
	for _, c := range []struct {
		field AutomationField
		texts []string
		want  any
		wrong string
	}{
		{list, []string{"f44", " f43, f44\n epel9 ", ""}, []string{"f44", "f43", "epel9"}, ""},
		{list, []string{" , "}, nil, ""},
		{list, nil, nil, ""},
		{list, []string{"a\x00b"}, nil, "cannot be shown"},
		{list, []string{"a\xffb"}, nil, "cannot be shown"},
		{list, []string{strings.Repeat("x", 501)}, nil, "more than 500 bytes"},
		{number, []string{" 7 "}, 7, ""},
		{number, []string{"-3"}, -3, ""},
		{number, []string{"0"}, 0, ""},
		{number, []string{""}, nil, ""},
		{number, []string{"seven"}, nil, "whole number"},
		{number, []string{"9223372036854775807"}, nil, "out of range"},
		{number, []string{"1e9"}, nil, "whole number"},
		{text, []string{"  v{version} "}, "v{version}", ""},
		{text, []string{"a\nb"}, nil, "cannot be shown"},
		{choice, []string{"bugfix"}, "bugfix", ""},
		{choice, []string{""}, nil, ""},
		{choice, []string{"feature"}, nil, "one of bugfix, security"},
		{onOff, []string{"on"}, true, ""},
		{onOff, nil, false, ""},
	} {
		got, err := c.field.Value(c.texts)
		if bad := new(InputError); c.wrong != "" && (!errors.As(err, &bad) || !strings.Contains(bad.Message, c.wrong)) {
			t.Errorf("%s %q: %v, %v", c.field.Kind, c.texts, got, err)
		} else if c.wrong == "" {
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%s %q: %v, %s", c.field.Kind, c.texts, err, diff)
			}
			again, err := c.field.Value(c.field.Texts(got))
			if diff := cmp.Diff(got, again); err != nil || diff != "" {
				t.Errorf("%s %q comes back otherwise: %v, %s", c.field.Kind, c.texts, err, diff)
			}
		}
	}
}

func TestCheckSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		sent  string
		want  AutomationSettings
		field string
		says  string
	}{
		{"nothing", `{}`, AutomationSettings{}, "", ""},
		{"of each kind", `{"dist_git_branches":["f44"],"scratch":true,"sidetag_group":"","dependencies":[],"issue_repository":null}`,
			AutomationSettings{"dist_git_branches": []string{"f44"}, "scratch": true}, "", ""},
		{"a key that is not there", `{"dist_git_branch":["f44"]}`, nil, "dist_git_branch", "Did you mean dist_git_branches?"},
		{"a key of another job", `{"upstream_tag_include":"v"}`, nil, "upstream_tag_include", "no such key"},
		{"a text for a list", `{"dist_git_branches":"f44"}`, nil, "dist_git_branches", "a list of texts"},
		{"a number in a list", `{"dist_git_branches":[44]}`, nil, "dist_git_branches", "a list of texts"},
		{"a mapping", `{"scratch":{"a":1}}`, nil, "scratch", "true or false"},
		{"a text for a switch", `{"scratch":"yes"}`, nil, "scratch", "true or false"},
	} {
		var sent AutomationSettings
		if err := json.Unmarshal([]byte(c.sent), &sent); err != nil {
			t.Fatal(err)
		}
		got, err := sent.Check(JobKojiBuild)
		if c.says != "" {
			bad, ok := errors.AsType[*InputError](err)
			if !ok || bad.Field != c.field || !strings.Contains(bad.Message, c.says) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", c.name, err, diff)
		}
	}
	if _, err := (AutomationSettings{"bodhi_extra_params.stable_days": 1.5}).Check(JobBodhiUpdate); err == nil {
		t.Error("half a day is a number of days")
	}
}

func TestChangedSettings(t *testing.T) {
	t.Parallel()
	stored := &Automation{Job: JobKojiBuild, Enabled: true, Settings: AutomationSettings{"dist_git_branches": []any{"f44", "f43"}, "scratch": false}}
	same := &Automation{Job: JobKojiBuild, Enabled: true, Settings: AutomationSettings{"dist_git_branches": []string{"f44", "f43"}, "sidetag_group": ""}}
	if !stored.Same(same) {
		t.Errorf("changed: %q", ChangedSettings(stored, same))
	}
	same.Enabled = false
	if stored.Same(same) {
		t.Error("off is the same as on")
	}
	other := &Automation{Job: JobKojiBuild, Settings: AutomationSettings{"dist_git_branches": []string{"f43"}, "scratch": true}}
	if diff := cmp.Diff([]string{"dist_git_branches", "scratch"}, ChangedSettings(stored, other)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"dist_git_branches", "scratch"}, ChangedSettings(nil, other)); diff != "" {
		t.Error(diff)
	}
}
