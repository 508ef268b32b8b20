package jobs

import (
	"context"
	"encoding/json"
	"fmt"

	"millrace/models"
	"millrace/models/store"
)

// deliver stores what we found out by asking, and a message should have told, as a
// message of our own, with the job that handles it: so one path handles both. The
// key says what happened; the second time nothing is stored, and false returned.
func (e *Engine) deliver(ctx context.Context, tx *store.Tx, key string, m *models.Message) (fresh bool, err error) {
	body, err := json.Marshal(m)
	if err != nil {
		return false, fmt.Errorf("writing down %s: %w", key, err)
	}
	d := &models.Delivery{Source: models.FromPoll, Key: key, Type: string(m.Kind), Body: body}
	if fresh, err = tx.CreateDelivery(ctx, d); err != nil || !fresh {
		return false, err
	}
	return true, e.Queue.Add(ctx, tx, handleDeliveryArgs{d.ID})
}
