package serve

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheMemoryLimitFollowsTheCgroups(t *testing.T) {
	const gib = 1 << 30
	tests := map[string]struct {
		given   string
		cgroups []uint64 // 0 is one that can't be read
		want    []int64
	}{
		"a limit":                        {cgroups: []uint64{gib}, want: []int64{966367641}},
		"the operator's GOMEMLIMIT":      {given: "966367642", cgroups: []uint64{gib, 2 * gib}, want: []int64{966367641, 1932735283}},
		"nearly the operator's":          {given: "966000000", cgroups: []uint64{gib}, want: []int64{966367641}},
		"the operator's, then smaller":   {given: "1932735283", cgroups: []uint64{gib}, want: []int64{966367641}},
		"the operator's, then larger":    {given: "966367642", cgroups: []uint64{4 * gib}},
		"a GOMEMLIMIT of somebody's":     {given: "500000000", cgroups: []uint64{gib, 2 * gib}},
		"a GOMEMLIMIT with a unit":       {given: "921MiB", cgroups: []uint64{gib}},
		"no limit, by GOMEMLIMIT":        {given: "off", cgroups: []uint64{gib}},
		"no limit":                       {cgroups: []uint64{math.MaxUint64}, want: []int64{math.MaxInt64}},
		"no limit, then one":             {cgroups: []uint64{math.MaxUint64, gib}, want: []int64{math.MaxInt64, 966367641}},
		"a limit, then none":             {cgroups: []uint64{gib, math.MaxUint64}, want: []int64{966367641, math.MaxInt64}},
		"a resize and back":              {cgroups: []uint64{gib, 2 * gib, 2 * gib, gib}, want: []int64{966367641, 1932735283, 966367641}},
		"nothing to read":                {cgroups: []uint64{0, gib}},
		"nothing to read for a while":    {cgroups: []uint64{gib, 0, 2 * gib}, want: []int64{966367641, 1932735283}},
		"somebody's, where there's none": {given: "500000000", cgroups: []uint64{math.MaxUint64}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			var got []int64
			at := 0
			m := memory{
				log: slog.New(slog.NewJSONHandler(&log, nil)),
				set: func(limit int64) { got = append(got, limit) },
				cgroup: func() (uint64, error) {
					limit := tc.cgroups[at]
					if limit == 0 {
						return 0, errors.New("no cgroup")
					}
					return limit, nil
				},
			}
			if follows := m.begin(tc.given); follows {
				for at = 1; at < len(tc.cgroups); at++ {
					m.update()
				}
			} else if len(tc.want) > 0 {
				t.Error("the limit is not followed")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("limits (-want +got):\n%s", diff)
			}
			// The log hears of changes, not of what was there from the start.
			if lines := strings.Count(log.String(), "\n"); lines != max(0, len(tc.want)-1) {
				t.Errorf("log %s", log.String())
			}
		})
	}
}

func TestAGOMEMLIMITThatSomebodySetIsLeftAlone(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "115000MiB")
	before := debug.SetMemoryLimit(-1)
	FollowMemoryLimit(t.Context(), nil)
	if after := debug.SetMemoryLimit(-1); after != before {
		t.Errorf("the limit was %d and is %d", before, after)
	}
}
