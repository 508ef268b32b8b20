package models

import (
	"time"

	"github.com/uptrace/bun"
)

// SideTag is a tag of ours in Koji, in which builds that need each other are
// made for a branch before anybody else gets them. There is one at a time for
// each group and branch: packages name the group in sidetag_group.
type SideTag struct {
	bun.BaseModel `bun:"table:side_tags,alias:side_tag"`

	ID        int64  `bun:",pk,autoincrement"`
	Group     string `bun:"sidetag_group"`
	Branch    string // of dist-git
	Name      string // in Koji
	CreatedAt time.Time
}
