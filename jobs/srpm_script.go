package jobs

import (
	"context"
	"fmt"

	"millrace/clients/git"
	"millrace/jobs/sources"
	"millrace/models"
)

// CoprScript writes what Copr runs to make a source RPM.
type CoprScript struct {
	Forge    func(p *models.Project) (Forge, error)
	Tool     string // address of this program
	SHA256   string // of this program
	Identity git.Identity
}

// Write returns the script for a step.
func (s *CoprScript) Write(ctx context.Context, w *Work) (string, error) {
	forge, err := s.Forge(w.Pipeline.Project)
	if err != nil {
		return "", err
	}
	repository, err := forge.Repository(ctx, w.Pipeline.Project)
	if err != nil {
		return "", fmt.Errorf("asking where to clone %s: %w", w.Pipeline.Project.Path(), err)
	}
	r, err := sourceRequest(w, repository.CloneURL)
	if err != nil {
		return "", err
	}
	return sources.CoprScript(sources.ScriptOptions{
		BinaryURL: s.Tool, SHA256: s.SHA256, URL: repository.CloneURL, Package: w.View.Package, Job: w.View.Index,
		Ref: r.Ref, PR: r.PR, NoMerge: r.NoMerge, TargetBranch: r.TargetBranch, MergedRef: r.MergedRef,
		NoUpdate: r.UpdateRelease != nil && !*r.UpdateRelease, Identity: s.Identity,
	})
}
