package jobs

import (
	"context"
	"fmt"

	"millrace/models"
)

// submit has a kind carry a group out. If a user asked for the attempt here, it
// is looked at once more whether they may: between the click and now they may
// have lost the right. Forges look themselves at what comes from them.
func (e *Engine) submit(ctx context.Context, carrier Kind, w *Work) (Outcome, error) {
	if e.Rights == nil || w.Pipeline.RequesterID == 0 {
		return carrier.Submit(ctx, w)
	}
	verdict := e.Rights.StillMay(ctx, w.Pipeline, w.Step)
	switch {
	case verdict.Allowed:
		return carrier.Submit(ctx, w)
	case verdict.Unknown:
		return Outcome{}, fmt.Errorf("%s asked for it, and whether they still may cannot be told now: %s", w.Pipeline.Actor, verdict.Silence)
	}
	// An earlier try may have arrived although we did not hear of it.
	if err := carrier.Cancel(ctx, w); err != nil {
		e.Log.WarnContext(ctx, "work that nobody may ask for may still run at its service", "group", w.Group.ID, "error", err)
	}
	return Outcome{}, &Refusal{
		State: models.Canceled, Reason: fmt.Sprintf("Not run: %s asked for it, and may not any more. %s", w.Pipeline.Actor, verdict.Reason),
	}
}
