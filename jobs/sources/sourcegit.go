package sources

import "context"

func (p *preparation) makeSourceGit(ctx context.Context) error { return nil }
func (p *preparation) fixSourceGit(ctx context.Context) error  { return nil }
