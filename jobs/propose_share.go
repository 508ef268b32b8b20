package jobs

import (
	"context"
	"fmt"

	"millrace/clients/forge"
)

// share opens our fork to those who may commit to the package, and to nobody else, so
// that they can change what we propose. Nothing is sent if nothing differs. That it
// does not work is for operators to know, and keeps no release from its branch.
func (k *Propose) share(ctx context.Context, w *Work, repo string, fork forge.Repository) {
	// Another branch may be about to do the same, and finds it done.
	err := k.Engine.alone(ctx, "share:"+fork.CloneURL, w.Group.Key, func(ctx context.Context) error {
		return k.shareAlone(ctx, repo, fork)
	})
	if err != nil && ctx.Err() == nil {
		k.Engine.Log.WarnContext(ctx, "who may commit to our fork is not known", "fork", fork.Path, "error", err)
	}
}

func (k *Propose) shareAlone(ctx context.Context, repo string, fork forge.Repository) error {
	may, err := k.Packages.Access(ctx, repo)
	if err != nil {
		return fmt.Errorf("asking who may commit to %s: %w", repo, err)
	}
	have, err := k.Packages.Access(ctx, fork.Path)
	if err != nil {
		return fmt.Errorf("asking who may commit to our fork of %s: %w", repo, err)
	}
	for _, grant := range may.Grants(have) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := k.Packages.Grant(ctx, fork.Path, grant); err != nil { // others may be taken
			k.Engine.Log.WarnContext(ctx, "somebody's right in our fork was not changed", "fork", fork.Path, "name", grant.Name, "group", grant.Group, "commit", grant.Commit, "error", err)
		}
	}
	return nil
}
