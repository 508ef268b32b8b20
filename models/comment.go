package models

import (
	"fmt"
	"slices"
	"strings"
)

// CommentPrefix begins the names of reports that are comments on a pull request
// or issue, or below a commit.
const CommentPrefix = "comment:"

// IssuePrefix begins the names of reports that are issues. Their title follows.
const IssuePrefix = "issue:"

// Notices are the comments that a job wants on its pull request, and the issues
// about what fails. By default it wants no comments: the checks say it all.
type Notices struct {
	Failure string `json:"failure,omitempty"` // template of what to write when a target fails
	Success bool   `json:"success,omitempty"` // say when something is built, and how to install it
	Issues  string `json:"issues,omitempty"`  // repository in whose issues failures are told, or IssuesHere; empty: none
}

// maxNotice is how much of a template of a config is used, in bytes.
const maxNotice = 4000

func noticesOf(view *JobView) *Notices {
	n := Notices{
		Failure: strings.TrimSpace(textOr(view.Notifications.FailureComment.Message, "")),
		Success: view.Type == JobCoprBuild && view.Notifications.PullRequest.SuccessfulBuild,
		Issues:  issuesOf(view),
	}
	if n == (Notices{}) {
		return nil
	}
	if len(n.Failure) > maxNotice {
		n.Failure = strings.ToValidUTF8(n.Failure[:maxNotice], "")
	}
	return &n
}

// comments are the comments that are due: one for each job that wants failures
// told, one about all that was built, and one about chroots that do not exist.
// They are rewritten while the pipeline goes on, rather than repeated.
func (g *Graph) comments(base string) []*Report {
	if g.Kind != PullRequestRef {
		return nil
	}
	var comments []*Report
	add := func(topic string, state CheckState, title, body string) {
		if body == "" {
			return
		}
		r := g.report(CommentPrefix+topic, state, title, fmt.Sprintf("%s/pipelines/%d", base, g.ID))
		r.Body = body
		comments = append(comments, r)
	}
	for _, step := range g.Steps {
		if step.Notices != nil && step.Notices.Failure != "" {
			add("failure:"+step.Name, CheckFailure, step.Name+" failed.", g.failureComment(step, base))
		}
	}
	add("success", CheckSuccess, "Packages are built.", g.successComment())
	add("chroots", CheckFailure, "Copr does not have all chroots.", g.chrootsComment())
	return comments
}

// failureComment is the job's text for each target that failed, and for a source
// package that did; equal texts are written once.
func (g *Graph) failureComment(step *Step, base string) string {
	var texts []string
	size := 0
	for _, run := range g.failed(step) {
		text := failureText(step.Notices.Failure, g.SHA, base, run)
		if size += len(text); slices.Contains(texts, text) || size > 15*maxNotice {
			continue
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "\n\n")
}

// failed are the failures that a job is told of.
func (g *Graph) failed(step *Step) []*Run {
	var runs []*Run
	for _, need := range step.Needs {
		if needed := g.Step(need.NeedsID); needed != nil && needed.Kind == SRPMStep && needed.Targets[0].Run.State == Failed {
			runs = append(runs, needed.Targets[0].Run)
		}
	}
	for _, target := range step.Targets {
		if target.Run.State == Failed {
			runs = append(runs, target.Run)
		}
	}
	return runs
}

// failureText fills in a failure_comment.message. The placeholders, and what
// stands for one without a value, are Packit's; where Packit gives up, at a
// placeholder that it does not know, the text stays as it is.
func failureText(template, sha, base string, run *Run) string {
	none := func(word string) string { return "{no entry for " + word + "}" }
	words := map[string]string{
		"commit_sha": sha, "packit_dashboard_url": fmt.Sprintf("%s/runs/%d", base, run.ID),
		"external_dashboard_url": run.ExternalURL, "logs_url": run.LogURL,
	}
	for word, value := range words {
		if value == "" {
			words[word] = none(word)
		}
	}
	text, err := fillTemplate(template, words, func(word string) string { return "{" + word + "}" })
	if err != nil {
		return template
	}
	return text
}

// successComment says how to install what was built for jobs that want it said.
func (g *Graph) successComment() string {
	var projects []string
	for _, step := range g.Steps {
		if step.Kind != CoprBuildStep || step.Notices == nil || !step.Notices.Success {
			continue
		}
		for _, target := range step.Targets {
			data := &target.Run.Data
			name := data.CoprOwner + "/" + data.CoprProject
			if target.Run.State == Passed && data.CoprProject != "" && !slices.Contains(projects, name) {
				projects = append(projects, name)
			}
		}
	}
	if len(projects) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("Packages of this pull request are built. To try them on a machine that you can do without:\n\n```\n")
	b.WriteString("dnf install -y 'dnf-command(copr)'\n")
	for _, name := range projects {
		fmt.Fprintf(&b, "dnf copr enable -y %s\n", strings.ReplaceAll(name, "`", "'"))
	}
	b.WriteString("```\n\nThen install the packages as usual. They come from a change that nobody may have reviewed.")
	return b.String()
}

// chrootsComment lists the targets that Copr has no chroot for, and what it has.
func (g *Graph) chrootsComment() string {
	var missing, supported []string
	for _, step := range g.Steps {
		for _, target := range step.Targets {
			data := &target.Run.Data
			if data.Unsupported && !slices.Contains(missing, target.Name) {
				missing = append(missing, target.Name)
			}
			if len(supported) == 0 {
				supported = data.Supported
			}
		}
	}
	if len(missing) == 0 {
		return ""
	}
	slices.Sort(missing)
	body := "Copr does not have these targets, so nothing is built for them: " + codes(missing) + "."
	if len(supported) > 0 {
		body += "\n\n<details><summary>The targets that it has</summary>\n\n" + codes(supported) + "\n\n</details>"
	}
	return body
}

func codes(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = "`" + strings.ReplaceAll(name, "`", "'") + "`"
	}
	return strings.Join(quoted, ", ")
}
