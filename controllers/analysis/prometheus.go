package analysis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

const (
	// prometheusTimeout is what one query may take.
	prometheusTimeout = 3 * time.Second
	// maxAnswer is the largest answer of Prometheus that is read, in bytes: each of the queries has one series.
	maxAnswer = 64 << 10
)

// Prometheus is a Source that asks a Prometheus, which the administrator of the operator has named: nothing of its address comes from a
// GinService. Its series need the labels namespace, service and color; see docs/guide/verification.md. Make it with NewPrometheus.
type Prometheus struct {
	endpoint *url.URL
	client   http.RoundTripper
}

var _ Source = (*Prometheus)(nil)

// NewPrometheus returns a source that asks the Prometheus at an address such as "http://prometheus.monitoring:9090". It fails where that is no
// address of a server for HTTP, and asks for nothing yet.
func NewPrometheus(address string) (*Prometheus, error) {
	parsed, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the address of Prometheus: %w", err)
	case parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "":
		return nil, fmt.Errorf("the address of Prometheus is %q: it has to be like http://prometheus.monitoring:9090", address)
	case parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		return nil, errors.New("the address of Prometheus must have no user, query or fragment")
	}
	return &Prometheus{
		endpoint: parsed.JoinPath("api", "v1", "query"),
		client: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: prometheusTimeout}).DialContext,
			TLSHandshakeTimeout:    prometheusTimeout,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		},
	}, nil
}

// Watch implements Source. Prometheus knows itself what it scrapes.
func (*Prometheus) Watch(types.NamespacedName, []Pod, *v1alpha1.AnalysisRun) error { return nil }

// Forget implements Source.
func (*Prometheus) Forget(types.NamespacedName) {}

// Measure implements Source.
func (p *Prometheus) Measure(ctx context.Context, subject Subject, metric *v1alpha1.AnalysisMetric, window time.Duration) Sample {
	value, samples := queriesFor(subject, metric, window)
	sample := p.scrapes(ctx, subject, samples == "")
	if sample.Problem != "" {
		return sample
	}
	if samples != "" {
		counted, err := p.ask(ctx, samples)
		switch {
		case err != nil:
			return Sample{Problem: err.Error()}
		case counted == 0:
			return Sample{Problem: "nothing was counted that it could be taken of"}
		}
		sample.Count = counted
	}
	answer, err := p.ask(ctx, value)
	if err != nil {
		return Sample{Problem: err.Error()}
	}
	sample.Value = answer
	return sample
}

// scrapes returns a sample with a problem where Prometheus reaches too few of the pods for what it says to be of the colour. It takes half of them, or
// all for what adds up. Where it reaches some, the others may just have become ready, and nobody is to blame. One that has what pods send it, and scrapes
// none, does not know.
func (p *Prometheus) scrapes(ctx context.Context, subject Subject, all bool) Sample {
	pods := len(subject.Pods)
	if pods == 0 {
		return Sample{Problem: "no pod is ready"}
	}
	// A target that is scraped by two of a pair counts once.
	reached, err := p.ask(ctx, "sum(max by (instance) (up{"+labelsOf(subject)+"}))")
	switch {
	case errors.Is(err, errNoSeries):
		return Sample{}
	case err != nil:
		return Sample{Problem: err.Error()}
	case reached == 0:
		return Sample{Problem: "Prometheus reads the metrics of none of these pods: its list of targets says why"}
	case reached >= float64(pods), !all && 2*reached >= float64(pods):
		return Sample{}
	default:
		return Sample{Pending: true, Problem: fmt.Sprintf("Prometheus reads the metrics of %.0f of %d pods: the others don't answer it, or it has yet to find them", reached, pods)}
	}
}

func labelsOf(subject Subject) string {
	return fmt.Sprintf("namespace=%q,service=%q,color=%q", subject.Namespace, subject.Service, subject.Color)
}

// queriesFor returns the query for the value of a metric, and the one for how much was counted, or "" where that does not matter. A name of a metric
// is one by the rules of the API, and the rest of a query is out of this file but for names that Kubernetes has checked: there is nothing to escape.
func queriesFor(subject Subject, metric *v1alpha1.AnalysisMetric, window time.Duration) (value, samples string) {
	labels := labelsOf(subject)
	during := fmt.Sprintf("[%ds]", max(1, int(math.Ceil(window.Seconds()))))
	increase := func(name, more string) string {
		return "sum(increase(" + name + "{" + labels + more + "}" + during + "))"
	}
	rate := func(name string) string { return "sum(rate(" + name + "{" + labels + "}" + during + "))" }
	histogram := func(name string) (value, samples string) {
		buckets := name + "_bucket{" + labels + "}" + during
		native := "sum(rate(" + name + "{" + labels + "}" + during + "))"
		share := strconv.FormatFloat(quantile(metric), 'f', -1, 64)
		return fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(%s))) or histogram_quantile(%s, %s)", share, buckets, share, native),
			increase(name+"_count", "") + " or histogram_count(sum(increase(" + name + "{" + labels + "}" + during + ")))"
	}
	requests := requestDuration + "_count"
	switch {
	case metric.Type == v1alpha1.AnalysisSuccessRate:
		all := increase(requests, "")
		return "1 - (" + increase(requests, `,http_response_status_code=~"5.."`) + " or vector(0)) / " + all, all
	case metric.Type == v1alpha1.AnalysisRequestRate:
		return rate(requests), ""
	case metric.Type == v1alpha1.AnalysisLatency:
		return histogram(requestDuration)
	case quantile(metric) != 0:
		return histogram(metric.Metric)
	case strings.HasSuffix(metric.Metric, "_total") || strings.HasSuffix(metric.Metric, "_count") || strings.HasSuffix(metric.Metric, "_sum"):
		return rate(metric.Metric), ""
	default:
		return "sum(" + metric.Metric + "{" + labels + "})", ""
	}
}

// errNoSeries says that Prometheus has nothing to a query.
var errNoSeries = errors.New("there is nothing of it in Prometheus: have there been any requests, and does it scrape these pods with the labels namespace, service and color?")

// answer is what Prometheus says to a query.
type answer struct {
	Status string `json:"status"`
	Data   struct {
		ResultType string `json:"resultType"`
		Result     []struct {
			Value [2]json.RawMessage `json:"value"`
		} `json:"result"`
	} `json:"data"`
}

// ask returns the one value that a query has. What it says of a failure stays the same while the cause does, and has nothing of what was answered: it goes
// into the status of whoever has chosen the metric.
func (p *Prometheus) ask(ctx context.Context, query string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, prometheusTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.endpoint.String(), strings.NewReader(url.Values{"query": {query}}.Encode()))
	if err != nil {
		return 0, fmt.Errorf("making a request for Prometheus: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", "gin-operator")
	response, err := p.client.RoundTrip(request) // unlike a client, it follows no redirect
	if err != nil {
		return 0, p.unreachable(ctx)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, p.unreachable(ctx)
	case len(body) > maxAnswer:
		return 0, errors.New("the answer of Prometheus is too large to be one value")
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return 0, fmt.Errorf("the answer of %s is none of Prometheus (status %d): is --prometheus-url its address?", p.endpoint.Host, response.StatusCode)
	}
	return a.value()
}

func (p *Prometheus) unreachable(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("the Prometheus at %s does not answer in time", p.endpoint.Host)
	}
	return fmt.Errorf("the Prometheus at %s can't be reached", p.endpoint.Host)
}

// value returns the value of an answer that has one.
func (a *answer) value() (float64, error) {
	switch {
	case a.Status != "success":
		return 0, errors.New("the query is refused by Prometheus: look at its log")
	case a.Data.ResultType != "vector" || len(a.Data.Result) > 1:
		return 0, errors.New("the answer of Prometheus is something else than one value")
	case len(a.Data.Result) == 0:
		return 0, errNoSeries
	}
	var text string
	if err := json.Unmarshal(a.Data.Result[0].Value[1], &text); err != nil {
		return 0, errors.New("the answer of Prometheus is no number")
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
		return 0, errors.New("the answer of Prometheus is no number to judge by")
	}
	return value, nil
}
