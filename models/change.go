package models

import (
	"time"

	"github.com/uptrace/bun"
)

// Change tells browsers that something is different now. It carries what, not
// how: they fetch the page's part again under the viewer's own rights.
type Change struct {
	bun.BaseModel `bun:"table:outbox,alias:change"`

	ID        int64  `bun:",pk,autoincrement"`
	Topic     string // pipeline, reports, event, log, queue, product
	Object    int64  // id of the pipeline, event, run or product
	ProjectID int64  // 0 if it concerns none
	Version   int64  // of the pipeline
	CreatedAt time.Time
}

// Topics of changes.
const (
	PipelineTopic = "pipeline"
	ReportsTopic  = "reports" // of a pipeline: the forge was told
	EventTopic    = "event"
	LogTopic      = "log"
	QueueTopic    = "queue"
	ProductTopic  = "product" // of a project
)
