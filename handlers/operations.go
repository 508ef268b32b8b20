package handlers

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"millrace/models"
)

// groups order the operations in the document.
var groups = []*huma.Tag{
	{Name: "projects", Description: "Repositories, and what happened in them"},
	{Name: "releases", Description: "Releases on their way to Fedora"},
	{Name: "packages", Description: "Packages in dist-git, and what is switched on for them"},
	{Name: "pipelines", Description: "What was planned for an event, and how far it has come"},
	{Name: "steering", Description: "Running things again and canceling them"},
	{Name: "hooks", Description: "Programs that are told what happens in a project"},
	{Name: "events", Description: "What arrived, what was decided and why"},
	{Name: "service", Description: "What the service is doing"},
	{Name: "account", Description: "Who you are, and your tokens"},
	{Name: "operators", Description: "For those who operate the service"},
}

// pathParams are the parts of paths that vary.
var pathParams = map[string]*huma.Param{
	"id":         idParam("Number of the thing, without a zero before it"),
	"forge":      inPath("Host of the forge, such as github.com", ""),
	"namespace":  inPath("Namespace on the forge; slashes in it may be written as %2F, and the answer is then a redirect to the plain path", ""),
	"name":       inPath("Name of the project", ""),
	"collection": inPath("Kind of the reference", "", "pulls", "branches", "releases", "issues", "versions", "commits"),
	"ref":        inPath("Number, name or hash", ""),
	"step":       inPath("Name of the step", ""),
	"hook":       idParam("Number of the hook"),
	"dispatch":   idParam("Number of the dispatch"),
	"target":     inPath("Name of the target", ""),
}

func inPath(description, format string, oneOf ...any) *huma.Param {
	minLength := 1
	return &huma.Param{Name: "", In: "path", Required: true, Description: description, Schema: &huma.Schema{Type: huma.TypeString, Format: format, MinLength: &minLength, Enum: oneOf}}
}

func idParam(description string) *huma.Param {
	p := inPath(description, "int64")
	least := 1.0
	p.Schema = &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &least}
	return p
}

func init() {
	for name, p := range pathParams {
		p.Name = name
	}
}

func inQuery(name, description string, oneOf ...any) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: &huma.Schema{Type: huma.TypeString, Enum: oneOf}}
}

func numberInQuery(name, description string) *huma.Param {
	least := 1.0
	return &huma.Param{Name: name, In: "query", Description: description, Schema: &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &least}}
}

func yesInQuery(name, description string) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: &huma.Schema{Type: huma.TypeBoolean}}
}

// paged are the parameters of every list, before others.
func paged(others ...*huma.Param) []*huma.Param {
	return append([]*huma.Param{
		numberInQuery("limit", "How many, at most 200"),
		inQuery("before", "Cursor: what is older than it. It is next of another answer"),
		inQuery("after", "Cursor: what is newer than it. It is prev of another answer"),
	}, others...)
}

var (
	searchParam  = inQuery("q", "The search language, as on the page")
	projectParam = inQuery("project", "forge/namespace/name, or its end; * stands for anything")
	attemptParam = numberInQuery("attempt", "Another attempt: the answer is a redirect to it")
	refKindNames = []any{models.PullRequestRef, models.BranchRef, models.ReleaseRef, models.IssueRef, models.UpstreamRef}
	keyHeader    = &huma.Param{
		Name: "Idempotency-Key", In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: new(maxRequestKey)},
		Description: "Of your own choice. A repeat with the same key does nothing, and is answered as the first",
	}
	whichParams = []*huma.Param{
		inQuery("scope", "What of it; failed if nothing is said", scopeNames...),
		inQuery("step", "For the scopes step, target and from"),
		inQuery("target", "For the scope target"),
		{
			Name: "pick", In: "query", Description: "For the scope chosen, several times: STEP, or STEP/TARGET",
			Schema: &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}, MaxItems: new(mostPicks)},
		},
		inQuery("config", "The package config as it was at the event, or as it is now, which needs a login", "snapshot", currentConfig),
		yesInQuery("restart", "What still runs is stopped and begun anew, instead of waited for"),
	}
	scopeNames = []any{models.ScopeAll, models.ScopeFailed, models.ScopeStep, models.ScopeTarget, models.ScopeFrom, models.ScopeChosen}
	notFound   = []int{http.StatusNotFound}
	badSearch  = []int{http.StatusUnprocessableEntity}
	noWrite    = []int{
		http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusNotImplemented,
	}
	noAccess = []int{http.StatusForbidden}
	noRead   = []int{http.StatusForbidden, http.StatusNotFound}
	found    = []int{http.StatusSeeOther}
)

const hooksPath = "/projects/{forge}/{namespace}/{name}/-/hooks"

// operations are what programs can do, one entry each. Those without handle are
// answered by the page of the same address.
func (s *Server) operations() []*operation {
	const get, post, put, remove = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	summaries, projects := List[PipelineSummary]{}, List[ProjectSummary]{}
	return []*operation{
		{method: get, path: "/", name: "showHome", group: "service", summary: "What the service is doing", status: 200, answer: Home{}},
		{method: get, path: "/queue", name: "showQueue", group: "service", summary: "What waits and what is at work", status: 200, answer: Queue{}},

		{method: get, path: "/projects", name: "listProjects", group: "projects", summary: "Projects, the most active first", status: 200, answer: projects,
			params: paged(inQuery("q", "Part of the name, with * as wildcard"), inQuery("forge", "Host of the forge")), errors: badSearch},
		{method: get, path: "/projects/{forge}", name: "listProjectsOfForge", group: "projects", summary: "Projects of a forge", status: 200, answer: projects,
			params: paged(), errors: append(badSearch, notFound...)},
		{method: get, path: "/projects/{forge}/{namespace}", name: "listProjectsOfNamespace", group: "projects", summary: "Projects of a namespace", status: 200, answer: projects,
			params: paged(), errors: append(badSearch, notFound...)},
		{method: get, path: "/projects/{forge}/{namespace}/{name}", name: "showProject", group: "projects", summary: "A project and its pipelines", status: 200, answer: ProjectDetail{},
			params: paged(), errors: append(badSearch, notFound...)},
		{method: get, path: "/projects/{forge}/{namespace}/{name}/-/{collection}/{ref}", name: "listPipelinesOfReference", group: "projects", status: 200, answer: summaries,
			summary: "Pipelines of a pull request, branch, release, issue, version or commit", params: paged(), errors: append(badSearch, notFound...)},
		{method: get, path: "/projects/{forge}/{namespace}/{name}/-/latest", name: "findLatestPipeline", group: "projects", status: 302,
			summary: "Redirect to the newest pipeline of a project", params: []*huma.Param{inQuery("event", "Of a kind", refKindNames...)}, errors: notFound},

		{method: get, path: "/projects/{forge}/{namespace}/{name}/-/ways/{ref}", name: "showWay", group: "releases", status: 200, answer: Way{},
			summary: "How far a release has come to Fedora, branch by branch", errors: notFound},
		{method: get, path: "/packages", name: "listPackages", group: "releases", summary: "Packages in dist-git, the most active first", status: 200, answer: projects,
			params: paged(inQuery("q", "Part of the name, with * as wildcard")), errors: append(badSearch, notFound...)},
		{method: get, path: "/packages/{name}", name: "showPackage", group: "releases", summary: "A package in dist-git and its releases", status: 200, answer: Package{},
			params: []*huma.Param{numberInQuery("before", "Releases before that of this number")}, errors: notFound},

		{method: get, path: "/pipelines", name: "listPipelines", group: "pipelines", summary: "Pipelines, newest first", status: 200, answer: summaries,
			params: paged(searchParam, inQuery("state", "Exactly this"), inQuery("kind", "Exactly this", refKindNames...), projectParam), errors: badSearch},
		{method: get, path: "/pipelines/{id}", name: "showPipeline", group: "pipelines", summary: "A pipeline with its graph", status: 200, answer: Pipeline{},
			about: "It has an Etag: with If-None-Match an unchanged one is answered 304.", params: []*huma.Param{attemptParam}, errors: notFound, moves: []int{http.StatusSeeOther, http.StatusNotModified}},
		{method: get, path: "/pipelines/{id}/steps/{step}", name: "showStep", group: "pipelines", summary: "A step of a pipeline", status: 200, answer: Step{}, errors: notFound},
		{method: get, path: "/pipelines/{id}/steps/{step}/{target}", name: "showTarget", group: "pipelines", summary: "A run in its place", status: 200, answer: RunDetail{},
			params: []*huma.Param{attemptParam}, errors: notFound, moves: found},
		{method: get, path: "/runs/{id}", name: "showRun", group: "pipelines", summary: "A run by its permanent address", status: 200, answer: RunDetail{}, errors: notFound},
		{method: get, path: "/runs/{id}/log", name: "showLog", group: "pipelines", summary: "Part of a log; its end if no part is asked for", status: 200, answer: LogPart{},
			about: "The whole log as text is at the same path with .txt at its end, without /api/v3.", errors: notFound,
			params: []*huma.Param{numberInQuery("from", "Number of the first line, from 1"), numberInQuery("lines", "How many")}},

		{method: get, path: "/pipelines/{id}/rerun", name: "previewRerun", group: "steering", summary: "What a rerun would do", status: 200, answer: RerunPreview{},
			params: whichParams, errors: noWrite, handle: s.sendPreview},
		{method: post, path: "/pipelines/{id}/rerun", name: "rerun", group: "steering", summary: "Make the next attempt of a pipeline", status: 202, answer: Pipeline{}, right: models.RerunRight,
			about: "What is good already is shared with the attempt before. The answer is the new pipeline.", params: []*huma.Param{keyHeader}, body: RerunBody{}, errors: noWrite, handle: s.takeRerun},
		{method: post, path: "/pipelines/rerun", name: "rerunMany", group: "steering", summary: "Make the next attempts of several pipelines", status: 200, answer: RerunResults{}, right: models.RerunRight,
			about: "Each is answered for itself: one that cannot be rerun does not stop the others.", params: []*huma.Param{keyHeader}, body: RerunManyBody{}, errors: noWrite, handle: s.takeReruns},
		{method: post, path: "/pipelines/{id}/cancel", name: "cancelPipeline", group: "steering", summary: "Stop what is running or waiting, also at the services", status: 202, answer: Canceled{},
			about: "All of the pipeline, a step of it, or a target.", right: models.CancelRight, body: CancelBody{}, errors: noWrite, handle: s.takeCancel},
		{method: post, path: "/runs/{id}/cancel", name: "cancelRun", group: "steering", summary: "Stop a run", status: 202, answer: Canceled{}, right: models.CancelRight, errors: noWrite, handle: s.takeRunCancel},

		{method: get, path: "/packages/{name}/automation", name: "showAutomation", group: "packages", summary: "What is done for a package without a config file", status: 200, answer: AutomationDetail{}, errors: notFound},
		{method: put, path: "/packages/{name}/automation", name: "saveAutomation", group: "packages", summary: "Switch jobs on and off for a package", status: 200, answer: AutomationDetail{}, right: models.AutomateRight,
			about: "Settings are checked like a package config. All of it is saved, or nothing.", body: AutomationBody{}, errors: noWrite, handle: s.putAutomation},

		{method: get, path: hooksPath, name: "listHooks", group: "hooks", summary: "Hooks of a project, the oldest first", status: 200, answer: List[Hook]{}, right: models.RedeliverRight, errors: noRead},
		{method: post, path: hooksPath, name: "makeHook", group: "hooks", summary: "Make a hook", status: 201, answer: HookSecret{}, right: models.HooksRight,
			about: "This answer is the only place where its secret is.", body: HookBody{}, errors: noWrite},
		{method: get, path: hooksPath + "/{hook}", name: "showHook", group: "hooks", summary: "A hook", status: 200, answer: Hook{}, right: models.RedeliverRight, errors: noRead},
		{method: put, path: hooksPath + "/{hook}", name: "changeHook", group: "hooks", summary: "Change a hook, or switch it on or off", status: 200, answer: Hook{}, right: models.HooksRight,
			about: "What is not named stays as it is.", body: HookChange{}, errors: noWrite},
		{method: remove, path: hooksPath + "/{hook}", name: "deleteHook", group: "hooks", summary: "Delete a hook with its dispatches", status: 204, right: models.HooksRight, errors: noWrite},
		{method: post, path: hooksPath + "/{hook}/secret", name: "changeSecret", group: "hooks", summary: "Change the secret of a hook, or finish that", status: 200, answer: HookSecret{}, right: models.HooksRight,
			about: "The secret before signs too, until the change is finished.", body: SecretBody{}, errors: noWrite},
		{method: post, path: hooksPath + "/{hook}/test", name: "testHook", group: "hooks", summary: "Send a hook a ping", status: 202, answer: Dispatch{}, right: models.HooksRight, errors: noWrite},
		{method: get, path: hooksPath + "/{hook}/dispatches", name: "listDispatches", group: "hooks", summary: "What a hook was sent, newest first", status: 200, answer: List[Dispatch]{}, right: models.RedeliverRight,
			params: paged(), errors: append(badSearch, noRead...)},
		{method: get, path: hooksPath + "/{hook}/dispatches/{dispatch}", name: "showDispatch", group: "hooks", summary: "A dispatch with what was sent and what came back", status: 200, answer: DispatchDetail{}, right: models.RedeliverRight, errors: noRead},
		{method: post, path: hooksPath + "/{hook}/dispatches/{dispatch}/redeliver", name: "redeliver", group: "hooks", summary: "Send a dispatch again, with the same id", status: 202, answer: Dispatch{}, right: models.RedeliverRight, errors: noWrite},

		{method: get, path: "/events", name: "listEvents", group: "events", summary: "Events, newest first", status: 200, answer: List[EventSummary]{},
			params: paged(searchParam, inQuery("state", "Exactly this"), inQuery("kind", "Exactly this"), projectParam), errors: badSearch},
		{method: get, path: "/events/{id}", name: "showEvent", group: "events", summary: "What arrived, what was decided and why", status: 200, answer: Event{}, errors: notFound},

		{method: get, path: "/me", name: "showMe", group: "account", summary: "Who you are to the service", status: 200, answer: Me{}, login: true, handle: s.sendMe},
		{method: get, path: "/settings/accounts", name: "listAccounts", group: "account", summary: "Your accounts at forges, and which are proved to be yours", status: 200, answer: List[Account]{}, right: models.PersonalRight, errors: noAccess},
		{method: get, path: "/settings/notifications", name: "listNotifications", group: "account", summary: "What you hear of by mail", status: 200, answer: List[Notification]{}, right: models.PersonalRight, errors: noAccess},
		{method: get, path: "/settings/tokens", name: "listTokens", group: "account", summary: "Your tokens, newest first", status: 200, answer: List[Token]{}, right: models.PersonalRight, errors: noAccess},
		{method: post, path: "/settings/tokens", name: "makeToken", group: "account", summary: "Make a token", status: 201, answer: NewToken{}, right: models.PersonalRight,
			about: "This answer is the only place where its secret is.", body: TokenBody{}, errors: noWrite, handle: s.takeToken},
		{method: remove, path: "/settings/tokens/{id}", name: "revokeToken", group: "account", summary: "Revoke a token", status: 204, right: models.PersonalRight, errors: noWrite, handle: s.takeTokenEnd},

		{method: get, path: "/admin/allowlist", name: "listAllowances", group: "operators", summary: "Who may use the service, newest first", status: 200, answer: List[Allowance]{},
			right: models.AllowlistRight, errors: append(badSearch, noAccess...),
			params: paged(inQuery("q", "Part of the path"), inQuery("state", "Exactly this", models.AllowedState, models.DeniedState, models.PendingState))},
		{method: post, path: "/admin/allowlist", name: "decideAllowance", group: "operators", summary: "Allow or deny a namespace or a project", status: 200, answer: Allowance{},
			right: models.AllowlistRight, body: AllowanceBody{}, errors: noWrite, handle: s.takeAllowance},
		{method: remove, path: "/admin/allowlist", name: "removeAllowance", group: "operators", summary: "Take an entry off the allowlist", status: 204, right: models.AllowlistRight,
			params: []*huma.Param{required(inQuery("path", "forge/namespace, or forge/namespace/name of a project")), yesInQuery("project", "The last word of the path is the name of a project")},
			errors: noWrite, handle: s.takeAllowanceEnd},
		{method: get, path: "/admin/audit", name: "listAudit", group: "operators", summary: "Who changed what, newest first", status: 200, answer: List[AuditEntry]{},
			right: models.AuditRight, params: paged(), errors: append(badSearch, noAccess...)},

		{method: get, path: "/openapi.json", name: "showDocument", group: "service", summary: "This document", status: 200, answer: map[string]any{}, handle: s.showDocument},
	}
}

func required(p *huma.Param) *huma.Param {
	p.Required = true
	return p
}
