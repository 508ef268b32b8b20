package box

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/clients/github/githubfake"
	"millrace/models"
)

// notifications is where people prove who they are.
const notifications = notificationsOwner + "/" + notificationsName

// playNewcomer is about sol-andersen at the forge, who is nils in the account
// system, and has not said so there.
func playNewcomer(ctx context.Context, t *Teller) error {
	owner, _, _ := strings.Cut(windmill, "/")
	who := maintainers[owner]
	if err := t.Box.Forge.Uninstall(owner); err != nil && !errors.Is(err, githubfake.ErrNotFound) {
		return err
	}
	t.say("%s installs the App on %s", who, owner)
	if _, err := t.Box.Forge.InstallAs(who, owner); err != nil {
		return err
	}
	issue, err := t.issueAbout(ctx, owner)
	if err != nil {
		return err
	}
	number, err := t.open(ctx, windmill, Passes)
	if err != nil {
		return err
	}
	if err := t.Expect(ctx, windmill, number, Ending{Event: models.EventRefused, Reason: "verify-fas ACCOUNT"}); err != nil {
		return err
	}
	const verify = "/packit verify-fas nils"
	if err := t.comment(notifications, issue, who, verify); err != nil {
		return err
	}
	err = t.until(ctx, windmill, number, func(sight) ([]string, bool) {
		if !slices.ContainsFunc(t.Box.Forge.Comments(notifications, issue), func(c githubfake.Comment) bool { return strings.Contains(c.Body, "names no GitHub username") }) {
			return []string{fmt.Sprintf("issue %d of %s does not say that nils names nobody", issue, notifications)}, false
		}
		return nil, false
	})
	if err != nil {
		return err
	}
	t.say("nils enters %s in the account system", who)
	if err := t.Box.link("nils", who); err != nil {
		return err
	}
	if err := t.comment(notifications, issue, who, verify); err != nil {
		return err
	}
	err = t.until(ctx, windmill, number, func(s sight) (differences []string, hopeless bool) {
		if e := s.event(); e == nil || e.State != models.EventPlanned {
			differences = append(differences, "the pull request does not go on")
		}
		if slices.ContainsFunc(t.Box.Forge.Issues(notifications), func(i githubfake.Issue) bool { return i.Number == issue && i.State == "open" }) {
			differences = append(differences, fmt.Sprintf("issue %d of %s is open", issue, notifications))
		}
		return differences, false
	})
	if err != nil {
		return err
	}
	return t.Expect(ctx, windmill, number, Ending{
		Event:     models.EventPlanned,
		Pipelines: []PipelineEnding{{models.Passed, all(models.Passed, "srpm/source", "copr_build/fedora-44-x86_64")}},
		Checks:    map[string]string{"rpm-build:fedora-44-x86_64": "success"},
	})
}

// issueAbout waits for the open issue where who installed the App for an owner
// can prove who they are, and returns its number.
func (t *Teller) issueAbout(ctx context.Context, owner string) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.patience(), fmt.Errorf("patience is over; no issue of %s is about %s", notifications, owner))
	defer cancel()
	for {
		for _, i := range t.Box.Forge.Issues(notifications) {
			if i.State == "open" && strings.Contains(i.Title, " "+owner+" ") {
				return i.Number, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(t.every()):
		}
	}
}
