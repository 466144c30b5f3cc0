package podmetrics

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A hundred pods that take nearly all of the time that they have would hold all places, and nobody's numbers be fresh.
func TestPodsThatAreSlowDoNotKeepOthersWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{Workers: 8})
		defer s.Close()
		const pods, rounds = 100, 20
		for n := range pods {
			a := counter(1)
			if n%2 == 1 {
				a.takes = 1800 * time.Millisecond
			}
			network.say(podNumber(n), a)
			set(t, s, podNumber(n, jobs))
		}
		pass(rounds * interval)
		for n := 0; n < pods; n += 2 {
			// Late in the beginning, while it isn't known yet which pods are slow.
			if times := network.times(podNumber(n)); len(times) < rounds-4 || time.Since(times[len(times)-1]) > interval {
				t.Errorf("pod %d was scraped %d times in %d intervals, and last %s ago", n, len(times), rounds, time.Since(times[len(times)-1]))
			}
		}
		if times := network.times(podNumber(1)); len(times) < 3 {
			t.Errorf("a pod that is slow was scraped %d times", len(times))
		}
	})
}

func TestATargetKeepsNoMoreThanItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{Keep: 10 * time.Minute})
		defer s.Close()
		target := podNumber(1, jobs)
		var answers []answer
		for n := range 100 {
			answers = append(answers, counter(n*n)) // so that each window has a count of its own
		}
		network.say(target, answers...)
		scrapes := 0
		for _, step := range []struct {
			keep             time.Duration
			scrapes, samples int
			window           time.Duration
		}{
			{keep: 4 * interval, scrapes: 13, samples: 6, window: 4 * interval},
			{keep: 8 * interval, scrapes: 2, samples: 8, window: 7 * interval}, // which has yet to fill
			{keep: 8 * interval, scrapes: 8, samples: 10, window: 8 * interval},
			{keep: 2 * interval, scrapes: 1, samples: 4, window: 2 * interval},
			{keep: time.Hour, scrapes: 30, samples: 34, window: 20 * interval},
		} {
			target.Keep = step.keep
			set(t, s, target)
			pass(time.Duration(step.scrapes) * interval)
			scrapes += step.scrapes
			for _, track := range s.targets[target.Pod.UID].tracks {
				if got := track.ring.len(); got != step.samples {
					t.Errorf("%d samples after %d scrapes, where %s are kept; want %d", got, scrapes, step.keep, step.samples)
				}
			}
			newest := scrapes - 1
			base := newest - int(step.window/interval)
			value, err := s.Read(target.Pod.UID, jobs, step.window)
			if err != nil || value.Window != step.window || int(value.Count) != newest*newest-base*base {
				t.Errorf("%+v, %v after %d scrapes; want %d in %s", value, err, scrapes, newest*newest-base*base, step.window)
			}
		}
		target.Keep = -time.Second
		if err := s.Set(target); err == nil || !strings.Contains(err.Error(), "Keep can't be negative") {
			t.Errorf("error %v", err)
		}
	})
}

// The search takes longer than the scrape, and a pod may make it take place each time.
func TestNamesThatComeAndGoAreSearchedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{})
		defer s.Close()
		target := podNumber(1, jobs)
		var answers []answer
		for n := range 40 {
			answers = append(answers, text(fmt.Sprintf("jobs_%s 1\n", strings.Repeat("x", n)))...)
		}
		network.say(target, answers...)
		set(t, s, target)
		said := map[string]bool{}
		const minutes = 3
		for range minutes * int(time.Minute/interval) {
			pass(interval)
			_, err := s.Read(target.Pod.UID, jobs, time.Minute)
			wantReason(t, err, ReasonNoMetric)
			said[err.Error()] = true
		}
		if len(said) != minutes {
			t.Errorf("%d answers in %d minutes to what may have been meant", len(said), minutes)
		}
	})
}

// A status with the message would be written again with each scrape.
func TestABrokenConnectionIsToldInTheSameWordsEachTime(t *testing.T) {
	s := start(t, newScript(), Options{})
	defer s.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://10.0.0.1:8080/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"reset": {
			&net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: 43210}, Addr: &net.TCPAddr{Port: 8080}, Err: os.NewSyscallError("read", syscall.ECONNRESET)},
			"it can't be asked for /metrics on 10.0.0.1:8080: read: connection reset by peer",
		},
		"no route":  {&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, "it can't be asked for /metrics on 10.0.0.1:8080: connect: no route to host"},
		"any other": {errors.New("the connection broke"), "it can't be asked for /metrics on 10.0.0.1:8080: the connection broke"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.brokenOff(request, tc.err); got.Reason != ReasonUnreachable || got.Message != tc.want {
				t.Errorf("%s: %s, want %s", got.Reason, got.Message, tc.want)
			}
		})
	}
}

func TestAQuantileBeyondTheHighestBucket(t *testing.T) {
	for name, tc := range map[string]struct {
		buckets map[float64]float64
		want    float64
		beyond  bool
	}{
		"within":                 {map[float64]float64{0.1: 50, 1: 100, math.Inf(1): 100}, 0.982, false},
		"in the last one":        {map[float64]float64{0.1: 50, 1: 90, math.Inf(1): 100}, 1, true},
		"where that has no line": {map[float64]float64{0.1: 50, 1: 100}, 0.982, false},
	} {
		t.Run(name, func(t *testing.T) {
			value, count, beyond := quantile(0.99, tc.buckets)
			if value-tc.want > 1e-9 || tc.want-value > 1e-9 || count != 100 || beyond != tc.beyond {
				t.Errorf("%v of %v, beyond %v; want %v, beyond %v", value, count, beyond, tc.want, tc.beyond)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{})
		defer s.Close()
		query := Query{Name: RequestDurationP99}
		target := podNumber(1, query)
		network.say(target, text(idle, idle+durations("200", 0, 10, 100))...)
		set(t, s, target)
		pass(2 * interval)
		if value, err := s.Read(target.Pod.UID, query, time.Minute); err != nil || value.Value != 1 || !value.Beyond {
			t.Errorf("%+v, %v, want beyond 1", value, err)
		}
	})
}
