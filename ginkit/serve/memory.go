package serve

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// memoryShare of the cgroup's limit is for the Go runtime. The rest is for what it doesn't count: the binary itself, C memory, the
	// kernel's buffers.
	memoryShare = 0.9
	// memoryEvery is how often the cgroup is asked: a pod can be resized while it runs (KEP-1287).
	memoryEvery = 15 * time.Second
)

// FollowMemoryLimit keeps the memory limit of the Go runtime at 90 % of the cgroup's, until the context ends. It sets it before it returns,
// and then follows resizes. Where the cgroup has no limit, the runtime has none.
//
// A nil log is slog.Default. A GOMEMLIMIT in the environment that is neither empty nor those 90 % was set by somebody who wants it so, and is left alone,
// unless it is a number of bytes that the cgroup doesn't have: that is what the operator made of a limit that was lowered since.
func FollowMemoryLimit(ctx context.Context, log *slog.Logger) {
	if log == nil {
		log = slog.Default()
	}
	follow := memory{log: log, cgroup: cgroupLimit, set: func(limit int64) { debug.SetMemoryLimit(limit) }}
	if !follow.begin(os.Getenv("GOMEMLIMIT")) {
		return
	}
	go func() {
		ticker := time.NewTicker(memoryEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				follow.update()
			}
		}
	}()
}

// cgroupLimit returns the limit of the process's cgroup, in bytes; math.MaxUint64 stands for none, for one may come.
func cgroupLimit() (uint64, error) {
	limit, err := memlimit.FromCgroup()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit):
		return math.MaxUint64, nil
	case err == nil && limit == 0:
		// A runtime without any memory would do nothing but collect garbage.
		return 0, errors.New("the cgroup's limit is 0")
	}
	return limit, err
}

// memory is the limit of the cgroup and what was made of it.
type memory struct {
	log    *slog.Logger
	cgroup func() (uint64, error)
	set    func(int64)
	now    int64
}

// begin sets the limit for the first time. It reports false where the limit is not to be followed.
func (m *memory) begin(given string) bool {
	limit, err := m.cgroup()
	if err != nil {
		// Nothing to follow: not Linux, no cgroup, or none that may be read.
		m.log.Debug("no memory limit to follow", "cause", err.Error())
		return false
	}
	if given != "" && !followable(given, limit) {
		m.log.Debug("GOMEMLIMIT is kept as it is set", "limit", given)
		return false
	}
	m.apply(limit)
	return true
}

// followable reports whether a GOMEMLIMIT is what the operator computes from a limit. It may have been computed from the number before a
// rounding by the kernel to whole pages; or, where a container starts again after its pod was resized, from a limit that is no longer.
func followable(given string, limit uint64) bool {
	bytes, err := strconv.ParseUint(given, 10, 63)
	return err == nil && (bytes >= limit || math.Abs(float64(bytes)-memoryShare*float64(limit)) < float64(limit)/100)
}

// update follows a change. A limit that can't be read at the moment stays as it was.
func (m *memory) update() {
	if limit, err := m.cgroup(); err == nil {
		m.apply(limit)
	}
}

func (m *memory) apply(cgroup uint64) {
	limit := int64(math.MaxInt64)
	if share := memoryShare * float64(cgroup); share < math.MaxInt64 {
		limit = int64(share)
	}
	if limit == m.now {
		return
	}
	if m.now != 0 {
		m.log.Info("the memory limit has followed the cgroup's", "bytes", limit)
	}
	m.set(limit)
	m.now = limit
}
