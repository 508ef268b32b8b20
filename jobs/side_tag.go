package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"millrace/clients/koji"
	"millrace/models"
	"millrace/models/store"
)

// sideTag returns the side tag of a group for a branch, and makes one if there is
// none, or Koji has lost it: it goes when its update is stable, or after a while
// without builds. One process at a time does so for holder, so that one that was
// made for an answer that got lost is taken rather than another made.
func (k *Koji) sideTag(ctx context.Context, holder, group, branch string) (*models.SideTag, error) {
	if tag, err := k.knownSideTag(ctx, group, branch); err != nil || tag != nil {
		return tag, err
	}
	target, err := k.Client.Target(ctx, kojiTarget(branch))
	if errors.Is(err, models.ErrNotFound) {
		return nil, fail("Koji has no target %s, so there are no side tags for %s.", kojiTarget(branch), branch)
	}
	if err != nil {
		return nil, err
	}
	var tag *models.SideTag
	err = k.Engine.alone(ctx, "koji-side-tags:"+target.BuildTag, holder, func(ctx context.Context) error {
		if tag, err = k.knownSideTag(ctx, group, branch); err != nil || tag != nil {
			return err
		}
		name, err := k.newSideTag(ctx, target.BuildTag)
		if err != nil {
			return err
		}
		tag = &models.SideTag{Group: group, Branch: branch, Name: name}
		return k.Engine.Store.InTx(ctx, func(tx *store.Tx) error { return tx.SaveSideTag(ctx, tag) })
	})
	return tag, err
}

// knownSideTag is the stored side tag if Koji still has it, or nil.
func (k *Koji) knownSideTag(ctx context.Context, group, branch string) (*models.SideTag, error) {
	tag, err := k.Engine.Store.SideTag(ctx, group, branch)
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = k.Client.Tag(ctx, tag.Name)
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking Koji about the side tag %s: %w", tag.Name, err)
	}
	return tag, nil
}

// newSideTag makes a side tag, or takes one of ours that is empty and that nobody
// wrote down.
func (k *Koji) newSideTag(ctx context.Context, buildTag string) (string, error) {
	user, err := k.Client.LoggedInUser(ctx)
	if err != nil {
		return "", k.refused(err, "logging in to Koji")
	}
	ours, err := k.Client.SideTags(ctx, buildTag, user.Name)
	if err != nil {
		return "", fmt.Errorf("listing our side tags: %w", err)
	}
	for _, tag := range ours {
		if _, err := k.Engine.Store.SideTagNamed(ctx, tag.Name); !errors.Is(err, models.ErrNotFound) {
			if err != nil {
				return "", err
			}
			continue
		}
		builds, err := k.Client.Tagged(ctx, tag.Name, koji.TaggedFilter{})
		if err != nil {
			return "", fmt.Errorf("looking into the side tag %s: %w", tag.Name, err)
		}
		if len(builds) == 0 {
			return tag.Name, nil
		}
	}
	made, err := k.Client.CreateSideTag(ctx, buildTag)
	if err != nil {
		return "", k.refused(err, "making a side tag of "+buildTag)
	}
	return made.Name, nil
}

// missing are the packages that have no build in a tag itself.
func (k *Koji) missing(ctx context.Context, tag string, packages []string) ([]string, error) {
	if len(packages) == 0 {
		return nil, nil
	}
	builds, err := k.Client.Tagged(ctx, tag, koji.TaggedFilter{})
	if err != nil {
		return nil, fmt.Errorf("looking into the side tag %s: %w", tag, err)
	}
	var missing []string
	for _, name := range packages {
		if !slices.ContainsFunc(builds, func(b koji.Build) bool { return b.Package == name }) && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	return missing, nil
}
