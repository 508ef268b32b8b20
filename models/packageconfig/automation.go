package packageconfig

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"millrace/models"
)

// WriteAutomations writes jobs that were switched on without a config file as
// the file that would mean the same. Jobs that are switched off are left out.
func WriteAutomations(automations []*models.Automation) ([]byte, error) {
	top, jobs := mappingNode(), &yaml.Node{Kind: yaml.SequenceNode}
	for _, a := range automations {
		if !a.Enabled {
			continue
		}
		job := mappingNode()
		put(job, "job", string(a.Job))
		put(job, "trigger", string(models.TriggerOfAutomation(a.Job)))
		for _, field := range models.AutomationFields(a.Job) {
			value, set := a.Settings[field.Key]
			if !set || empty(value) || reflect.DeepEqual(plain(value), plain(field.Usual)) {
				continue
			}
			to := job
			if field.Shared {
				to = top
			}
			put(to, field.Key, value)
		}
		jobs.Content = append(jobs.Content, job)
	}
	top.Content = append(top.Content, scalarNode("jobs"), jobs)
	var b bytes.Buffer
	w := yaml.NewEncoder(&b)
	w.SetIndent(2)
	if err := w.Encode(top); err != nil {
		return nil, fmt.Errorf("writing a package config: %w", err)
	}
	return b.Bytes(), nil
}

// ParseAutomations reads jobs that were switched on without a config file: what
// they mean is what the file that WriteAutomations makes of them means. Any
// error that is about their settings is of type Errors, with the keys of the
// file.
func ParseAutomations(automations []*models.Automation, opts Options) (*models.PackageConfig, error) {
	text, err := WriteAutomations(automations)
	if err != nil {
		return nil, err
	}
	config, err := Parse(text, opts)
	if err != nil {
		return nil, err
	}
	for i := range config.Jobs {
		job := &config.Jobs[i]
		for _, a := range automations {
			if a.Enabled && a.Job == job.Type {
				job.Origin = a.Origin().String()
			}
		}
	}
	return config, nil
}

// Join adds to what a file in dist-git asks for the jobs that were switched on
// without one. For a job type that is in the file the file alone counts; what is
// not in force because of that is told. file may be nil.
func Join(file, automated *models.PackageConfig, fileName string) (*models.PackageConfig, []models.Decision) {
	if file == nil {
		return automated, nil
	}
	joined := *file
	joined.Jobs = slices.Clone(file.Jobs)
	next := 0
	for _, job := range file.Jobs {
		next = max(next, job.Index+1)
	}
	var overruled []models.Decision
	for _, job := range automated.Jobs {
		if slices.ContainsFunc(file.Jobs, func(other models.JobView) bool { return other.Type == job.Type }) {
			overruled = append(overruled, models.Decision{
				JobIndex: -1, Job: job.Type, Trigger: job.Trigger, Package: job.Package, Origin: job.Origin,
				Reason: fmt.Sprintf("It is switched on without a file, but %s has a job of this type, which counts instead.", fileName),
			})
			continue
		}
		job.Index += next
		joined.Jobs = append(joined.Jobs, job)
	}
	return &joined, overruled
}

func mappingNode() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

// put sets a key, which may be below others, unless it is set already.
func put(to *yaml.Node, key string, value any) {
	first, rest, below := strings.Cut(key, ".")
	i := slices.IndexFunc(to.Content, func(n *yaml.Node) bool { return n.Value == first })
	if below {
		if i < 0 {
			to.Content = append(to.Content, scalarNode(first), mappingNode())
			i = len(to.Content) - 2
		}
		put(to.Content[i+1], rest, value)
		return
	}
	if i >= 0 {
		return
	}
	to.Content = append(to.Content, scalarNode(first), nodeOf(value))
}

func nodeOf(value any) *yaml.Node {
	list, ok := plain(value).([]any)
	if !ok {
		return scalarNode(value)
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range list {
		n.Content = append(n.Content, scalarNode(v))
	}
	return n
}

func scalarNode(value any) *yaml.Node {
	n := new(yaml.Node)
	if err := n.Encode(value); err != nil { // what settings hold can be written
		n.SetString(fmt.Sprint(value))
	}
	return n
}

// plain is a value as it comes back from JSON.
func plain(value any) any {
	switch v := value.(type) {
	case []string:
		all := make([]any, len(v))
		for i, s := range v {
			all[i] = s
		}
		return all
	case int:
		return float64(v)
	case int64:
		return float64(v)
	}
	return value
}

func empty(value any) bool {
	if list, ok := plain(value).([]any); ok {
		return len(list) == 0
	}
	return value == nil || value == ""
}
