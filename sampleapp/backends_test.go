package main

import (
	"net"
	"strings"
	"testing"
)

func TestWhatACacheAndAQueueDidIsInTheMetrics(t *testing.T) {
	away, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := away.Addr().String()
	if err := away.Close(); err != nil {
		t.Fatal(err)
	}
	a := newTestApp(t, map[string]string{"REDIS_URL": "redis://" + address, "KAFKA_BROKERS": address})

	if got := failureIn(t, a.do("GET", "/api/v1/users/0190d5c0-0000-7000-8000-000000000000")); got.Code != "user_not_found" {
		t.Errorf("code %q, want user_not_found: the cache is not needed", got.Code)
	}
	metrics := a.do("GET", "/metrics").Body.String()
	for _, want := range []string{
		`sampleapp_cache_requests_total{result="failure"} 1`, `sampleapp_cache_requests_total{result="hit"} 0`,
		`sampleapp_events_total{result="dropped"} 0`, `sampleapp_events_total{result="failed"} 0`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
}
