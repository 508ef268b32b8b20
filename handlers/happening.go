package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"millrace/clients/webhook"
	"millrace/models"
)

// Happening is what a hook is sent: what happened, and the thing that it happened
// to as the API shows it.
type Happening struct {
	ID      string       `json:"id" doc:"of what happened; another hook is sent the same"`
	Topic   models.Topic `json:"topic"`
	Time    *time.Time   `json:"time" doc:"when it happened"`
	State   string       `json:"state" doc:"that it came to then; what is below is as it was at the first try"`
	Title   string       `json:"title" doc:"one line for people"`
	HTMLURL string       `json:"html_url" doc:"page about it"`
	Todo    string       `json:"todo" doc:"what somebody can do now; may be empty"`
	TodoURL string       `json:"todo_url" doc:"where"`
	Actor   string       `json:"actor"`
	Project *Project     `json:"project"`

	Pipeline *Pipeline        `json:"pipeline,omitempty" doc:"of the topics pipeline and rerun"`
	PartOf   *PipelineSummary `json:"part_of,omitempty" doc:"of the topic step: the pipeline"`
	Step     *Step            `json:"step,omitempty" doc:"of the topic step"`
	Run      *RunDetail       `json:"run,omitempty" doc:"of the topic run"`
	Product  *Product         `json:"product,omitempty" doc:"of the topics pull_request, build and update"`
}

// Product is something that a release leaves outside on its way.
type Product struct {
	ID         int64               `json:"id"`
	Kind       models.ProductKind  `json:"kind" doc:"pull_request, build, update"`
	Package    string              `json:"package"`
	Branch     string              `json:"branch" doc:"of dist-git"`
	Name       string              `json:"name" doc:"PR 47, an NVR, an alias"`
	Version    string              `json:"version" doc:"upstream's, as far as it is known"`
	State      models.ProductState `json:"state"`
	URL        string              `json:"url" doc:"its page at its service"`
	RunID      *int64              `json:"run_id" doc:"that made it; null: somebody else did"`
	CreatedAt  *time.Time          `json:"created_at"`
	UpdatedAt  *time.Time          `json:"updated_at"`
	FinishedAt *time.Time          `json:"finished_at"`
}

func apiProduct(p *models.Product) *Product {
	out := &Product{
		ID: p.ID, Kind: p.Kind, Package: p.Package, Branch: p.Branch, Name: p.Name, Version: p.Version, State: p.State, URL: p.URL,
		CreatedAt: when(p.CreatedAt), UpdatedAt: when(p.UpdatedAt), FinishedAt: when(p.FinishedAt),
	}
	if p.RunID != 0 {
		out.RunID = &p.RunID
	}
	return out
}

// HappeningBody is what hooks are sent about something. What is too large for a
// message comes without its parts, which the API has.
func (s *Server) HappeningBody(ctx context.Context, h *models.Happening) ([]byte, error) {
	out, err := s.apiHappening(ctx, h)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(out)
	if err == nil && len(body) > webhook.MaxBody {
		if out.Pipeline != nil {
			out.Pipeline.Steps, out.Pipeline.Edges = []Step{}, []Edge{}
		}
		if out.Step != nil {
			out.Step.Targets = []Target{}
		}
		if out.Run != nil {
			out.Run.Results = nil
		}
		body, err = json.Marshal(out)
	}
	if err != nil {
		return nil, fmt.Errorf("writing what happened (%s): %w", h.Key, err)
	}
	return body, nil
}

func (s *Server) apiHappening(ctx context.Context, h *models.Happening) (*Happening, error) {
	project := h.Project
	if project == nil {
		var err error
		if project, err = s.Store.Project(ctx, h.ProjectID); err != nil {
			return nil, err
		}
	}
	out := &Happening{
		ID: h.Key, Topic: h.Topic, Time: when(h.CreatedAt), State: h.State, Title: h.Title, HTMLURL: h.URL, Todo: h.Todo, TodoURL: h.TodoURL,
		Actor: h.Data.Actor, Project: s.apiProject(project),
	}
	switch h.Topic {
	case models.PipelineCreated, models.PipelineFinished, models.RerunRequested, models.StepFinished:
		return out, s.addPipeline(ctx, out, h)
	case models.RunFinished:
		place, err := s.Store.RunPlace(ctx, h.RunID)
		if err != nil {
			return nil, err
		}
		run := s.apiRunDetail(place)
		out.Run = &run
	case models.PullChanged, models.BuildChanged, models.UpdateChanged:
		p, err := s.Store.ProductByID(ctx, h.ProductID)
		if err != nil {
			return nil, err
		}
		out.Product = apiProduct(p)
	}
	return out, nil
}

func (s *Server) addPipeline(ctx context.Context, out *Happening, h *models.Happening) error {
	p, attempts, err := s.pipelineNow(ctx, h.PipelineID)
	if err != nil {
		return err
	}
	whole := s.apiPipeline(p, attempts)
	if h.Topic != models.StepFinished {
		out.Pipeline = &whole
		return nil
	}
	out.PartOf = &whole.PipelineSummary
	for i := range whole.Steps {
		if whole.Steps[i].Name == h.Step {
			out.Step = &whole.Steps[i]
		}
	}
	return nil
}
