package record

import (
	"encoding/json"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

const (
	// checkpointInterval is between two checkpoints, at least.
	checkpointInterval = 5 * time.Second
	// maxCheckpoints bounds what all checkpoints of a recording take, in bytes: half
	// of what a log can safely hold.
	maxCheckpoints = wire.MaxTotal / 2
)

// checkpoints says when checkpoints are written: as often as checkpointInterval, or,
// where that would be more than there is room for, so that they are spread over the
// whole recording. Its zero value is that of a recording that begins.
type checkpoints struct {
	spent int // in bytes
	last  int // size of the last one
}

// spend reports whether there is room for one, and counts it.
func (c *checkpoints) spend(list []*wire.Recorded) bool {
	size := 0
	for _, m := range list {
		text, err := json.Marshal(m)
		if err != nil {
			return false
		}
		size += len(text) + len(text)/4 // it travels in frames, quoted where it is long
	}
	c.last = size
	if c.spent+size > maxCheckpoints {
		return false
	}
	c.spent += size
	return true
}

// next is how long it is until the next one.
func (c *checkpoints) next(until time.Time) time.Duration {
	room := max(1, (maxCheckpoints-c.spent)/max(1, c.last))
	return max(checkpointInterval, time.Until(until)/time.Duration(room))
}
