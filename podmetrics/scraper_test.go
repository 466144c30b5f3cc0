package podmetrics

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// interval is that of the tests: the default.
const interval = 5 * time.Second

// answer is what a pod says to a scrape. Without a status it is 200, and without a type it is the text format.
type answer struct {
	status      int
	contentType string
	body        string
	// takes is how long it is until it comes, and hangs says that nothing comes at all.
	takes time.Duration
	hangs bool
}

// script plays the network: each pod, by its address, has answers that it gives one after the other, and the last one from then on.
type script struct {
	mu      sync.Mutex
	answers map[string][]answer
	asked   map[string][]time.Time
	// now and most are how many scrapes are under way, and were at once.
	now, most int
}

func newScript() *script {
	return &script{answers: map[string][]answer{}, asked: map[string][]time.Time{}}
}

func (s *script) RoundTrip(request *http.Request) (*http.Response, error) {
	s.mu.Lock()
	host := request.URL.Host
	list := s.answers[host]
	a := list[min(len(s.asked[host]), len(list)-1)]
	s.asked[host] = append(s.asked[host], time.Now())
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	if a.hangs {
		<-request.Context().Done()
		return nil, request.Context().Err()
	}
	if a.takes > 0 {
		select {
		case <-request.Context().Done():
			return nil, request.Context().Err()
		case <-time.After(a.takes):
		}
	}
	status, contentType := a.status, a.contentType
	if status == 0 {
		status = http.StatusOK
	}
	if contentType == "" {
		contentType = "text/plain; version=0.0.4; charset=utf-8"
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: -1,
	}, nil
}

// say sets what a pod answers from now on.
func (s *script) say(target Target, answers ...answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[target.Address.String()], s.asked[target.Address.String()] = answers, nil
}

func (s *script) times(target Target) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked[target.Address.String()])
}

// podNumber returns a target with an address of its own.
func podNumber(n int, queries ...Query) Target {
	return Target{
		Pod:     Pod{Namespace: "shop", Name: fmt.Sprintf("hello-blue-%d", n), UID: types.UID(fmt.Sprintf("uid-%d", n)), Service: "hello", Color: v1alpha1.Blue},
		Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 8080),
		Queries: queries,
	}
}

func start(t *testing.T, network http.RoundTripper, options Options) *Scraper {
	t.Helper()
	options.transport = network
	s, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func set(t *testing.T, s *Scraper, target Target) {
	t.Helper()
	if err := s.Set(target); err != nil {
		t.Fatal(err)
	}
}

// pass lets time pass, and what happens in it come to rest.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// wantReason fails the test unless the error is of a reason.
func wantReason(t *testing.T, err error, want Reason) {
	t.Helper()
	problem, _ := errors.AsType[*Error](err)
	if problem == nil || problem.Reason != want {
		t.Errorf("error %v, want one of reason %s", err, want)
	}
}

// own returns the value of one of the scraper's own metrics, of the series with a reason if it has reasons.
func own(t *testing.T, registry *prometheus.Registry, name, reason string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == name && (reason == "" || metric.GetLabel()[0].GetValue() == reason) {
				return metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no %s of reason %q", name, reason)
	return 0
}

func counter(n int) answer {
	return answer{body: fmt.Sprintf("# TYPE jobs_total counter\njobs_total %d\n", n)}
}

var jobs = Query{Name: "jobs_total"}

func TestScrapesAreSpreadOverTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{})
		defer s.Close()
		const pods = 1000
		began := time.Now()
		for n := range pods {
			network.say(podNumber(n), counter(1))
			set(t, s, podNumber(n, jobs))
		}
		pass(3 * interval)
		perTenth := [10]int{}
		for n := range pods {
			times := network.times(podNumber(n))
			if len(times) != 3 {
				t.Fatalf("pod %d was scraped %d times in three intervals", n, len(times))
			}
			if times[1].Sub(times[0]) != interval || times[2].Sub(times[1]) != interval {
				t.Errorf("pod %d was scraped at %v, which is not every %s", n, times, interval)
			}
			tenth := int(10 * (times[0].Sub(began) - 1) / interval)
			perTenth[tenth]++
		}
		for tenth, n := range perTenth {
			// One in ten, give or take five standard deviations.
			if n < 50 || n > 150 {
				t.Errorf("%d of %d pods are scraped in tenth %d of the interval: %v", n, pods, tenth, perTenth)
			}
		}
	})
}

func TestAPodWithoutFreshDataIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{})
		defer s.Close()
		target := podNumber(1, jobs)
		network.say(target, counter(100), counter(150), answer{status: http.StatusServiceUnavailable})
		set(t, s, target)
		_, err := s.Read(target.Pod.UID, jobs, time.Minute)
		wantReason(t, err, ReasonTooFewSamples)
		pass(interval)
		_, err = s.Read(target.Pod.UID, jobs, time.Minute)
		wantReason(t, err, ReasonTooFewSamples)
		pass(interval)
		newest := network.times(target)[1]
		// The two scrapes after that fail, and what was measured is still fresh.
		for range 3 {
			value, err := s.Read(target.Pod.UID, jobs, time.Minute)
			if want := (Value{Value: 10, Count: 50, Time: newest, Window: interval, Pods: 1}); err != nil || value != want {
				t.Errorf("%+v, %v, want %+v", value, err, want)
			}
			pass(interval)
		}
		wantReason(t, s.Problem(target.Pod.UID), ReasonStatus)
		value, err := s.Read(target.Pod.UID, jobs, time.Minute)
		wantReason(t, err, ReasonStatus)
		if value != (Value{}) {
			t.Errorf("a pod without fresh data has the value %+v", value)
		}
		if want := "pod shop/hello-blue-1: it answers /metrics on 10.0.0.1:8080 with 503"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

func TestCountingGoesOnAfterAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{})
		defer s.Close()
		target := podNumber(1, jobs)
		gone := answer{status: http.StatusNotFound}
		network.say(target, counter(0), counter(10), gone, gone, gone, gone, gone, gone, counter(1000), counter(1020))
		set(t, s, target)
		pass(9 * interval)
		// What was counted in the gap is not of the last ten seconds.
		_, err := s.Read(target.Pod.UID, jobs, 2*interval)
		wantReason(t, err, ReasonTooFewSamples)
		// It is of the last minute.
		if value, err := s.Read(target.Pod.UID, jobs, time.Minute); err != nil || value.Count != 1000 || value.Window != 8*interval {
			t.Errorf("%+v, %v, want 1000 in %s", value, err, 8*interval)
		}
		pass(interval)
		if value, err := s.Read(target.Pod.UID, jobs, 2*interval); err != nil || value.Value != 4 || value.Window != interval {
			t.Errorf("%+v, %v, want 4 a second in %s", value, err, interval)
		}
	})
}

func TestPodsThatHangDoNotKeepOthersWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{Workers: 8})
		defer s.Close()
		const pods = 100
		for n := range pods {
			network.say(podNumber(n), answer{hangs: true})
			if n%2 == 0 {
				network.say(podNumber(n), counter(1))
			}
			set(t, s, podNumber(n, Query{Name: "jobs_total"}))
		}
		const rounds = 20
		pass(rounds * interval)
		for n := 0; n < pods; n += 2 {
			times := network.times(podNumber(n))
			// Late in the beginning, while it isn't known yet which pods hang.
			if len(times) < rounds-4 {
				t.Errorf("pod %d was scraped %d times in %d intervals", n, len(times), rounds)
			}
			if age := time.Since(times[len(times)-1]); age > interval {
				t.Errorf("the newest sample of pod %d is %s old", n, age)
			}
		}
		_, err := s.Read(podNumber(1).Pod.UID, jobs, time.Minute)
		wantReason(t, err, ReasonTimeout)
		if network.most > 8+2 {
			t.Errorf("%d scrapes at once, with 8 workers and 2 for pods that fail", network.most)
		}
	})
}

// As where a NetworkPolicy drops what the scraper sends to the pods of another service.
func TestPodsThatFailAtOnceDoNotWaitForThoseThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{})
		defer s.Close()
		for n := range 300 {
			network.say(podNumber(n), answer{hangs: true})
			set(t, s, podNumber(n, jobs))
		}
		pass(10 * interval) // until it is known that they do
		target := podNumber(1000, jobs)
		network.say(target, counter(1), counter(2), answer{status: http.StatusServiceUnavailable}, counter(4))
		set(t, s, target)
		pass(10 * interval)
		if times := network.times(target); len(times) != 10 {
			t.Errorf("scraped %d times in ten intervals", len(times))
		}
	})
}

func TestTargetsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		registry := prometheus.NewRegistry()
		s := start(t, network, Options{Registerer: registry})
		defer s.Close()
		first, second := podNumber(1, jobs), podNumber(2, jobs)
		network.say(first, answer{body: "# TYPE jobs_total counter\njobs_total 5\n# TYPE queue gauge\nqueue 7\n"})
		network.say(second, answer{hangs: true})
		set(t, s, first)
		set(t, s, second)
		pass(2 * interval)
		// What is asked for changes, and what was measured stays.
		queue := Query{Name: "queue"}
		_, err := s.Read(first.Pod.UID, queue, time.Minute)
		wantReason(t, err, ReasonNotScraped)
		first.Queries = []Query{jobs, queue}
		set(t, s, first)
		if value, err := s.Read(first.Pod.UID, jobs, time.Minute); err != nil || value.Count != 0 || value.Window != interval {
			t.Errorf("%+v, %v, want none counted in %s", value, err, interval)
		}
		pass(interval)
		if value, err := s.Read(first.Pod.UID, queue, time.Minute); err != nil || value.Value != 7 {
			t.Errorf("%+v, %v, want 7", value, err)
		}
		// So does where it is.
		before := first
		first.Address = netip.MustParseAddrPort("10.9.9.9:9090")
		network.say(first, counter(9))
		set(t, s, first)
		pass(interval)
		if value, err := s.Read(first.Pod.UID, jobs, time.Minute); err != nil || value.Count != 4 {
			t.Errorf("%+v, %v, want 4 counted", value, err)
		}
		if n := len(network.times(before)); n != 3 {
			t.Errorf("the old address was scraped %d times, want 3", n)
		}
		s.Remove(first.Pod.UID)
		s.Remove(first.Pod.UID)
		_, err = s.Read(first.Pod.UID, jobs, time.Minute)
		wantReason(t, err, ReasonNotScraped)
		pass(2 * interval)
		if n := len(network.times(first)); n != 1 {
			t.Errorf("a pod that was removed was scraped %d times more", n-1)
		}
		if got := own(t, registry, "gin_operator_pod_scrape_targets", ""); got != 1 {
			t.Errorf("%v targets are counted, want 1", got)
		}
		if got := own(t, registry, "gin_operator_pod_scrape_failures_total", "Timeout"); got < 5 {
			t.Errorf("%v timeouts are counted of a pod that hangs", got)
		}
		if got := own(t, registry, "gin_operator_pod_scrape_failures_total", "Status"); got != 0 {
			t.Errorf("%v failures are counted of a kind that there was none of", got)
		}
		s.Close()
		if err := s.Set(second); err == nil {
			t.Error("a closed scraper takes targets")
		}
	})
}

func TestTargetsAndOptionsThatAreRefused(t *testing.T) {
	s := start(t, newScript(), Options{})
	defer s.Close()
	good := podNumber(1)
	for name, change := range map[string]func(*Target){
		"has no UID":                   func(target *Target) { target.Pod.UID = "" },
		"is no address of a pod":       func(target *Target) { target.Address = netip.AddrPort{} },
		"0.0.0.0:80 is no address":     func(target *Target) { target.Address = netip.MustParseAddrPort("0.0.0.0:80") },
		"224.0.0.1:80 is no address":   func(target *Target) { target.Address = netip.MustParseAddrPort("224.0.0.1:80") },
		"127.0.0.1:80 is no address":   func(target *Target) { target.Address = netip.MustParseAddrPort("127.0.0.1:80") },
		"169.254.169.254:80 is no":     func(target *Target) { target.Address = netip.MustParseAddrPort("169.254.169.254:80") },
		"[::ffff:127.0.0.1]:80 is no":  func(target *Target) { target.Address = netip.MustParseAddrPort("[::ffff:127.0.0.1]:80") },
		"[fe80::1]:80 is no address":   func(target *Target) { target.Address = netip.MustParseAddrPort("[fe80::1]:80") },
		"10.0.0.1:0 is no address":     func(target *Target) { target.Address = netip.MustParseAddrPort("10.0.0.1:0") },
		"has to begin with a slash":    func(target *Target) { target.Path = "metrics" },
		"is no name of a metric":       func(target *Target) { target.Queries = []Query{{Name: "no metric"}} },
		"has to be between 0 and 1":    func(target *Target) { target.Queries = []Query{{Name: "x", Quantile: 1.5}} },
		"ask for a quantile, or for x": func(target *Target) { target.Queries = []Query{{Name: "x_bucket"}} },
	} {
		target := good
		change(&target)
		if err := s.Set(target); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one that says %q", err, name)
		}
	}
	for name, options := range map[string]Options{
		"none can be negative":               {MaxBytes: -1},
		"must not be longer than Interval":   {Interval: time.Second, Timeout: 2 * time.Second},
		"must not be shorter than Interval ": {Keep: time.Second},
	} {
		if _, err := New(options); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one that says %q", err, name)
		}
	}
	registry := prometheus.NewRegistry()
	for _, wantError := range []bool{false, true} {
		if _, err := New(Options{Registerer: registry}); (err != nil) != wantError {
			t.Errorf("error %v", err)
		}
	}
}

// For the race detector: all of it at once.
func TestEverythingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{Workers: 4})
		for n := range 20 {
			network.say(podNumber(n), counter(1), counter(2), answer{hangs: true}, counter(1))
		}
		var users sync.WaitGroup
		for user := range 4 {
			users.Go(func() {
				for round := range 40 {
					target := podNumber((user*5+round)%20, jobs)
					if round%3 == 0 {
						target.Queries = append(target.Queries, Query{Name: "queue"})
					}
					if err := s.Set(target); err != nil {
						t.Error(err)
					}
					<-time.After(time.Second)
					_, _ = s.Sum([]types.UID{target.Pod.UID, podNumber(round % 20).Pod.UID}, jobs, time.Minute)
					_ = s.Problem(target.Pod.UID)
					if round%7 == 0 {
						s.Remove(target.Pod.UID)
					}
				}
			})
		}
		users.Wait()
		s.Close()
	})
}
