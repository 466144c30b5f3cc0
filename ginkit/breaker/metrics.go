package breaker

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector returns the metrics of some breakers:
//
//	circuit_breaker_state{name,state}            1 for the state it is in, 0 for the others
//	circuit_breaker_requests_total{name,result}  calls by result: success, failure, or rejected, which were not made
//
// A call that its caller cancelled is in none of them. Names have to differ: registering two breakers of one name is an error.
func Collector(breakers ...*Breaker) prometheus.Collector {
	c := &collector{}
	for _, b := range breakers {
		labels := prometheus.Labels{"name": b.name}
		c.metrics = append(c.metrics, metrics{
			breaker:  b,
			state:    prometheus.NewDesc("circuit_breaker_state", "1 for the state that the circuit breaker is in, 0 for the others.", []string{"state"}, labels),
			requests: prometheus.NewDesc("circuit_breaker_requests_total", "Calls through the circuit breaker by result.", []string{"result"}, labels),
		})
	}
	return c
}

type collector struct{ metrics []metrics }

type metrics struct {
	breaker         *Breaker
	state, requests *prometheus.Desc
}

// Describe also looks for names that are there twice. A registry would take them, and then fail with every scrape.
func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	seen := map[string]bool{}
	for _, m := range c.metrics {
		if seen[m.breaker.name] {
			descs <- prometheus.NewInvalidDesc(fmt.Errorf("two circuit breakers are named %q", m.breaker.name))
			continue
		}
		seen[m.breaker.name] = true
		descs <- m.state
		descs <- m.requests
	}
}

// Collect reads the state and the counts.
func (c *collector) Collect(found chan<- prometheus.Metric) {
	for _, m := range c.metrics {
		now := m.breaker.State()
		for _, state := range []State{Closed, Open, HalfOpen} {
			value := 0.0
			if state == now {
				value = 1
			}
			found <- prometheus.MustNewConstMetric(m.state, prometheus.GaugeValue, value, string(state))
		}
		for result, count := range map[string]uint64{
			"success": m.breaker.succeeded.Load(), "failure": m.breaker.failed.Load(), "rejected": m.breaker.rejected.Load(),
		} {
			found <- prometheus.MustNewConstMetric(m.requests, prometheus.CounterValue, float64(count), result)
		}
	}
}
