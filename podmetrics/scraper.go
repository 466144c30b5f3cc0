package podmetrics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// staleAfter is how many intervals a sample is fresh for.
const staleAfter = 3

// slowShare divides the timeout into what a scrape may take to count as quick, and the rest. A hundred pods that take nearly all of it would hold all places.
const slowShare = 4

// clockSkew is by how much the clocks of two machines may differ.
const clockSkew = time.Minute

// Options set up a Scraper. What is left out has its default.
type Options struct {
	// Interval is the time from one scrape of a pod to the next. Default: 5 s.
	Interval time.Duration
	// Timeout is what a scrape may take from its first packet to the last; it can't be longer than Interval. Default: 2 s, or Interval where
	// that is less.
	Timeout time.Duration
	// Keep is how far back a window may reach; a longer one is cut. A sample of a histogram takes up to 1 KiB. Default: 2 min.
	Keep time.Duration
	// MaxBytes is the largest answer that is read, in bytes. Default: 4 MiB.
	MaxBytes int64
	// MaxSeries is how many series, and of histograms how many buckets in all, a query may take from one pod. Each takes some 40 bytes.
	// Default: 5,000.
	MaxSeries int
	// MaxTotal is how many series all queries may take from all pods. Beyond, metrics with series that are new have no value. Default:
	// 1,000,000, which is some 40 MB.
	MaxTotal int
	// Workers is how many pods are scraped at once. A quarter as many more scrape those whose last scrape took more than a quarter of Timeout, so
	// that pods which are slow or hang don't keep the others waiting. Default: 32.
	Workers int
	// AllowLoopback lets targets be on this machine, for programs that play pods. Default: false. No pod is there, and what listens there may
	// trust whoever asks.
	AllowLoopback bool
	// Dial connects to a pod, whose address is that of its target. Default: nil, over the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Registerer gets the scraper's own metrics. Default: nil, they go nowhere.
	Registerer prometheus.Registerer

	// transport takes the place of the network in tests.
	transport http.RoundTripper
}

func (o Options) withDefaults() (Options, error) {
	o.Interval = cmp.Or(o.Interval, 5*time.Second)
	o.Timeout = cmp.Or(o.Timeout, min(2*time.Second, o.Interval))
	o.Keep = cmp.Or(o.Keep, 2*time.Minute)
	o.MaxBytes = cmp.Or(o.MaxBytes, 4<<20)
	o.MaxSeries = cmp.Or(o.MaxSeries, 5000)
	o.MaxTotal = cmp.Or(o.MaxTotal, 1_000_000)
	o.Workers = cmp.Or(o.Workers, 32)
	switch {
	case o.Interval < 0 || o.Timeout < 0 || o.Keep < 0 || o.MaxBytes < 0 || o.MaxSeries < 0 || o.MaxTotal < 0 || o.Workers < 0:
		return o, errors.New("options of the scraper: none can be negative")
	case o.Timeout > o.Interval:
		return o, fmt.Errorf("options of the scraper: Timeout (%s) must not be longer than Interval (%s)", o.Timeout, o.Interval)
	case o.Keep < o.Interval:
		return o, fmt.Errorf("options of the scraper: Keep (%s) must not be shorter than Interval (%s)", o.Keep, o.Interval)
	}
	return o, nil
}

// samples is how many a ring has to hold to reach back so far.
func (o Options) samples(keep time.Duration) int {
	return int(min(cmp.Or(keep, o.Keep), o.Keep)/o.Interval) + 2
}

// gap is how old a sample may be that counts as fresh.
func (o Options) gap() time.Duration { return staleAfter * o.Interval }

// Pod identifies a pod and what it belongs to.
type Pod struct {
	// Namespace and Name are those of the pod.
	Namespace, Name string
	// UID is the pod's. A scraper tells pods apart by it alone.
	UID types.UID
	// Service is the name of the GinService, in the same namespace.
	Service string
	// Color is the colour of its Deployment.
	Color v1alpha1.Color
}

// String returns namespace and name, or the UID of a pod of which nothing else is known.
func (p Pod) String() string {
	if p.Name == "" {
		return string(p.UID)
	}
	return p.Namespace + "/" + p.Name
}

// Target is a pod to scrape.
type Target struct {
	// Pod is the pod.
	Pod Pod
	// Address is the pod's IP and the port that serves its metrics.
	Address netip.AddrPort
	// Path is where on it. Default: /metrics.
	Path string
	// Queries are what Read and Sum may be asked of the pod.
	Queries []Query
	// Keep is how far back a window of theirs may reach; a longer one is cut. Default, and at most: that of the Options.
	Keep time.Duration
}

// target is a pod that is being scraped.
type target struct {
	mu  sync.Mutex
	pod Pod
	// request is what is sent, and watch what is looked for in the answer. A scrape that is under way goes on with those it began with.
	request *http.Request
	watch   map[string]*watched
	tracks  map[string]*track
	// dropped are tracks that nobody asks for any more, and that a scrape may yet be at.
	dropped []*track
	// samples is how many samples of each track are kept.
	samples int
	// problem is why the newest scrape failed, and scraped when the newest ended.
	problem *Error
	scraped time.Time

	cancel context.CancelFunc
	// started is when the process did, by its own word, and heard when it said so last. For the scraping goroutine alone.
	started float64
	heard   time.Time
}

// Scraper scrapes targets until it is closed. Make it with New. It may be used by many goroutines at once.
type Scraper struct {
	options   Options
	transport http.RoundTripper
	metrics   *ownMetrics
	room      *room
	// quick and slow hold what a scrape works with. Who waits for one waits for his turn.
	quick, slow chan *document

	mu      sync.RWMutex
	targets map[types.UID]*target
	closed  bool
	running sync.WaitGroup
}

// New returns a scraper without targets. It fails where the options contradict each other, or the registerer has such metrics already.
func New(options Options) (*Scraper, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Scraper{
		options: options, transport: options.transport, metrics: newOwnMetrics(), room: newRoom(options.MaxSeries, options.MaxTotal),
		quick: documents(options.Workers), slow: documents(max(1, options.Workers/4)),
		targets: map[types.UID]*target{},
	}
	if s.transport == nil {
		s.transport = newTransport(options)
	}
	if options.Registerer != nil {
		if err := s.metrics.register(options.Registerer); err != nil {
			return nil, fmt.Errorf("registering the scraper's own metrics: %w", err)
		}
	}
	return s, nil
}

func documents(n int) chan *document {
	all := make(chan *document, n)
	for range n {
		all <- newDocument()
	}
	return all
}

// Set adds a target, or changes the one with the same UID. What was measured before stays for the queries that stay. A new target is
// scraped within an interval, at a time that spreads all targets evenly. It fails where a query can't be answered of any pod, or the
// address is none.
func (s *Scraper) Set(wanted Target) error {
	pod := wanted.Pod
	path := cmp.Or(wanted.Path, "/metrics")
	switch {
	case pod.UID == "":
		return fmt.Errorf("pod %s/%s: it has no UID", pod.Namespace, pod.Name)
	case !s.mayDial(wanted.Address):
		return fmt.Errorf("pod %s: %s is no address of a pod", pod, wanted.Address)
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("pod %s: the path %q has to begin with a slash", pod, path)
	case wanted.Keep < 0:
		return fmt.Errorf("pod %s: Keep can't be negative", pod)
	}
	sources := map[string]source{}
	for _, query := range wanted.Queries {
		p, err := query.plan()
		if err != nil {
			return fmt.Errorf("pod %s: %w", pod, err)
		}
		sources[p.key()] = p.source
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the scraper is closed")
	}
	request, samples := newRequest(wanted.Address, path), s.options.samples(wanted.Keep)
	if t := s.targets[pod.UID]; t != nil {
		t.set(pod, request, sources, samples, s.room)
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &target{cancel: cancel}
	t.set(pod, request, sources, samples, s.room)
	s.targets[pod.UID] = t
	s.metrics.targets.Set(float64(len(s.targets)))
	s.running.Go(func() { s.run(ctx, t, pod.UID) })
	return nil
}

// mayDial reports whether an address can be that of a target.
func (s *Scraper) mayDial(address netip.AddrPort) bool {
	ip := address.Addr().Unmap()
	return address.Port() != 0 && (IsPodIP(ip) || s.options.AllowLoopback && ip.IsLoopback())
}

// IsPodIP reports whether an IP address can be that of a pod which has a network of its own. Those of the machine itself and of its link, such as a
// cloud's metadata service, are none, whatever the status of a pod says.
func IsPodIP(ip netip.Addr) bool { return ip.Unmap().IsGlobalUnicast() }

// set takes over what is wanted of the target.
func (t *target) set(pod Pod, request *http.Request, sources map[string]source, samples int, r *room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tracks := map[string]*track{}
	watch := map[string]*watched{startName: {keep: true}}
	entry := func(name string) *watched {
		if watch[name] == nil {
			watch[name] = &watched{}
		}
		return watch[name]
	}
	for key, source := range sources {
		if tracks[key] = t.tracks[key]; tracks[key] == nil {
			tracks[key] = newTrack(source, r)
		}
		lines := entry(source.sample)
		lines.tracks = append(lines.tracks, tracks[key])
		if source.witness != "" {
			entry(source.witness)
		}
	}
	for key, track := range t.tracks {
		if tracks[key] == nil {
			t.dropped = append(t.dropped, track)
		}
	}
	t.pod, t.request, t.watch, t.tracks, t.samples = pod, request, watch, tracks, samples
}

// Remove forgets a target and all that was measured of it. A scrape of it that is under way is cut off. It is no mistake to remove what
// isn't there.
func (s *Scraper) Remove(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.targets[uid]; t != nil {
		t.cancel()
		delete(s.targets, uid)
		s.metrics.targets.Set(float64(len(s.targets)))
	}
}

// Close removes all targets and waits until nothing runs any more.
func (s *Scraper) Close() {
	s.mu.Lock()
	s.closed = true
	for _, t := range s.targets {
		t.cancel()
	}
	clear(s.targets)
	s.metrics.targets.Set(0)
	s.mu.Unlock()
	s.running.Wait()
	if transport, ok := s.transport.(*http.Transport); ok {
		transport.CloseIdleConnections()
	}
}

// run scrapes a target until it is removed.
func (s *Scraper) run(ctx context.Context, t *target, uid types.UID) {
	phase := time.Duration(maphash.String(nameSeed, string(uid)) % uint64(s.options.Interval)) //nolint:gosec // neither is negative, and the rest fits
	timer := time.NewTimer(untilNext(time.Now(), phase, s.options.Interval))
	defer timer.Stop()
	defer t.end()
	for turns := s.quick; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		select {
		case <-ctx.Done():
			return
		case d := <-turns:
			began := time.Now()
			s.scrape(ctx, t, d)
			turns <- d
			// Who fails at once would wait for long among those that hang.
			turns = s.quick
			if time.Since(began) > s.options.Timeout/slowShare {
				turns = s.slow
			}
		}
		timer.Reset(untilNext(time.Now(), phase, s.options.Interval))
	}
}

// endDropped gives back what dropped tracks hold. Only the goroutine that scrapes may call it, with the lock held.
func (t *target) endDropped() {
	for _, track := range t.dropped {
		track.end()
	}
	t.dropped = nil
}

// end gives back what all tracks hold, once nothing is scraped any more.
func (t *target) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endDropped()
	for _, track := range t.tracks {
		track.end()
	}
}

// untilNext returns how long it is until the next moment that is a phase after a multiple of the interval. Targets with evenly spread phases
// are scraped evenly spread.
func untilNext(now time.Time, phase, interval time.Duration) time.Duration {
	return interval - (time.Duration(now.UnixNano())-phase)%interval
}

// scrape scrapes a target once.
func (s *Scraper) scrape(ctx context.Context, t *target, d *document) {
	t.mu.Lock()
	request, watch, pod, samples := t.request, t.watch, t.pod, t.samples
	t.endDropped()
	t.mu.Unlock()
	for _, lines := range watch {
		lines.present = false
		for _, track := range lines.tracks {
			track.begin()
		}
	}
	at := time.Now()
	problem := s.fetch(ctx, request, watch, d)
	if ctx.Err() != nil {
		return // the target is gone, and nobody wants to know
	}
	s.metrics.observe(time.Since(at), problem)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.scraped, t.problem = at, nil
	if problem != nil {
		t.problem = problem.of(pod)
		return
	}
	restarted := false
	if start := watch[startName]; start.present {
		restarted = t.started != 0 && startedAgain(t.started, start.value, t.heard)
		t.started, t.heard = start.value, at
	}
	for _, lines := range watch {
		for _, track := range lines.tracks {
			witness := watch[track.witness]
			track.commit(at, samples, restarted, witness != nil && witness.present && !d.otherwise, d.names)
		}
	}
}

// startedAgain reports whether a process, by when it says that it started, is another one than the one before, which was last heard of at a time.
// Where a machine's clock is set, the kernel's start times move with it: by fractions of a second now and then, and by all the time that a virtual
// machine was stopped for. But a process that is new has also started after the other was last heard of, by clocks that may differ a little.
func startedAgain(before, now float64, heard time.Time) bool {
	return now > before+1 && now > float64(heard.Add(-clockSkew).Unix())
}
