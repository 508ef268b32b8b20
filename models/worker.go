package models

import (
	"time"

	"github.com/uptrace/bun"
)

// Worker is a process that works on runs, as it tells about itself from time to
// time.
type Worker struct {
	bun.BaseModel `bun:"table:workers,alias:worker"`

	Name      string `bun:",pk"` // as in RunGroup.Worker
	Host      string
	StartedAt time.Time
	SeenAt    time.Time // when it last said that it lives
	Draining  bool      // it ends what it has and takes nothing new
	Working   int       `bun:",scanonly"` // groups that it holds
}
