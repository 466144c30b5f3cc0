package analysis

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/podmetrics"
)

// Pod is a pod of a GinService, and where it listens.
type Pod struct {
	// Pod identifies it.
	podmetrics.Pod

	// HTTP is its address for requests, and Metrics that for its metrics.
	HTTP, Metrics netip.AddrPort
}

// Subject is a version, by the colour that it runs in.
type Subject struct {
	// Namespace and Service are those of the GinService.
	Namespace, Service string
	// Color is the colour.
	Color v1alpha1.Color
	// Pods are its ready pods.
	Pods []Pod
}

// Source measures what the pods of a colour do.
type Source interface {
	// Watch has it measure pods of a GinService from now on, for an analysis, and no others. It can be called again and again.
	Watch(service types.NamespacedName, pods []Pod, run *v1alpha1.AnalysisRun) error
	// Measure returns what the pods of a colour say to a metric, all together, over a window that ends now. It returns when ctx ends.
	Measure(ctx context.Context, subject Subject, metric *v1alpha1.AnalysisMetric, window time.Duration) Sample
	// Forget ends what Watch began for a GinService.
	Forget(service types.NamespacedName)
}

// Pods is a Source that asks the pods themselves. Make it with NewPods.
type Pods struct {
	scraper *podmetrics.Scraper

	mu      sync.Mutex
	watched map[types.NamespacedName]map[types.UID]string // what each pod is asked, and where
}

var _ Source = (*Pods)(nil)

// NewPods returns a source that asks pods by means of a scraper, which has no other user.
func NewPods(scraper *podmetrics.Scraper) *Pods {
	return &Pods{scraper: scraper, watched: map[types.NamespacedName]map[types.UID]string{}}
}

// Watch implements Source. It fails for pods that can't be scraped, and watches the others.
func (p *Pods) Watch(service types.NamespacedName, pods []Pod, run *v1alpha1.AnalysisRun) error {
	queries := make([]podmetrics.Query, len(run.Metrics))
	for i := range run.Metrics {
		queries[i] = queryOf(&run.Metrics[i])
	}
	keep := seconds(run.WindowSeconds, defaultWindow)
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.watched[service], map[types.UID]string{}
	var failures []error
	for _, pod := range pods {
		wanted := fmt.Sprint(pod.Metrics, queries, keep)
		if before[pod.UID] != wanted {
			if err := p.scraper.Set(podmetrics.Target{Pod: pod.Pod, Address: pod.Metrics, Queries: queries, Keep: keep}); err != nil {
				failures = append(failures, err)
				continue
			}
		}
		after[pod.UID] = wanted
	}
	for uid := range before {
		if _, stays := after[uid]; !stays {
			p.scraper.Remove(uid)
		}
	}
	p.watched[service] = after
	return errors.Join(failures...)
}

// Forget implements Source.
func (p *Pods) Forget(service types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for uid := range p.watched[service] {
		p.scraper.Remove(uid)
	}
	delete(p.watched, service)
}

// Measure implements Source. Pods that have just become ready are left out until they have been scraped twice; of the others, more than half have to
// answer: what a few say is not what the version does. What adds up takes all pods: the sum of some would look like less than there is.
func (p *Pods) Measure(_ context.Context, subject Subject, metric *v1alpha1.AnalysisMetric, window time.Duration) Sample {
	uids := make([]types.UID, len(subject.Pods))
	for i := range subject.Pods {
		uids[i] = subject.Pods[i].UID
	}
	if len(uids) == 0 {
		return Sample{Problem: "no pod is ready"}
	}
	query := queryOf(metric)
	value, problems := p.scraper.Sum(uids, query, window)
	var whole *podmetrics.Error
	var silent []*podmetrics.Error
	for _, problem := range problems {
		switch {
		case problem.Pod == (podmetrics.Pod{}):
			whole = problem
		case problem.Reason != podmetrics.ReasonTooFewSamples && problem.Reason != podmetrics.ReasonNotScraped:
			silent = append(silent, problem)
		}
	}
	switch {
	case len(silent) > 0 && (query.Adds() || len(silent) >= value.Pods):
		return Sample{Problem: explain(silent[0])}
	case whole != nil:
		return Sample{Problem: explain(whole)}
	case value.Pods == 0, query.Adds() && value.Pods < len(uids):
		return Sample{Pending: true}
	}
	return Sample{Value: value.Value, Count: value.Count, Beyond: value.Beyond}
}

// explain puts what the scraper says into words that stay the same while its cause does.
func explain(problem *podmetrics.Error) string {
	switch problem.Reason {
	case podmetrics.ReasonNoRequests:
		return "nothing was counted that it could be taken of"
	case podmetrics.ReasonStale:
		return fmt.Sprintf("pod %s: its metrics are out of date", problem.Pod)
	default:
		return problem.Error()
	}
}

// requestDuration is the histogram of requests, as OpenTelemetry and ginkit name it.
const requestDuration = "http_server_request_duration_seconds"

// queryOf puts a metric into the terms of the scraper.
func queryOf(metric *v1alpha1.AnalysisMetric) podmetrics.Query {
	switch metric.Type {
	case v1alpha1.AnalysisSuccessRate:
		return podmetrics.Query{Name: podmetrics.RequestSuccessRatio}
	case v1alpha1.AnalysisRequestRate:
		return podmetrics.Query{Name: podmetrics.RequestsPerSecond}
	case v1alpha1.AnalysisLatency:
		return podmetrics.Query{Name: requestDuration, Quantile: quantile(metric)}
	case v1alpha1.AnalysisMetricNamed:
	}
	return podmetrics.Query{Name: metric.Metric, Quantile: quantile(metric)}
}
