package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestADependencyIsCalledUntilItFailsTooOften(t *testing.T) {
	status, calls := http.StatusOK, 0
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.WriteHeader(status)
	}))
	defer behind.Close()
	a := newTestApp(t, map[string]string{"DEPENDENCY_URL": behind.URL})

	if response := a.do("GET", "/api/v1/dependency"); response.Code != http.StatusOK || !strings.Contains(response.Body.String(), `"status":200`) {
		t.Errorf("%d %s, want what the service behind answered", response.Code, response.Body)
	}
	status = http.StatusInternalServerError
	for range 5 {
		if got := failureIn(t, a.do("GET", "/api/v1/dependency")); got.Code != "dependency_failed" {
			t.Errorf("code %q, want dependency_failed", got.Code)
		}
	}
	response := a.do("GET", "/api/v1/dependency")
	if got := failureIn(t, response); response.Code != http.StatusServiceUnavailable || got.Code != "dependency_unavailable" || response.Header().Get("Retry-After") == "" {
		t.Errorf("%d %q, Retry-After %q: want 503 dependency_unavailable and a time", response.Code, got.Code, response.Header().Get("Retry-After"))
	}
	if calls != 6 {
		t.Errorf("%d calls reached the service behind, want 6", calls)
	}
	if ready := a.do("GET", "/readyz"); ready.Code != http.StatusOK {
		t.Errorf("not ready without a dependency: %d", ready.Code)
	}
	if health := a.do("GET", "/health"); !strings.Contains(health.Body.String(), `"status":"degraded"`) {
		t.Errorf("health %s, want degraded", health.Body)
	}
}

func TestTheAddressOfADependencyIsNotLogged(t *testing.T) {
	behind := httptest.NewServer(http.NotFoundHandler())
	behind.Close()
	a := newTestApp(t, map[string]string{"DEPENDENCY_URL": behind.URL + "/path?key=hunter2"})
	for i := range 6 {
		if got := failureIn(t, a.do("GET", "/api/v1/dependency")); !strings.HasPrefix(got.Code, "dependency_") {
			t.Errorf("call %d: code %q", i, got.Code)
		}
	}
	logs := a.logs.String()
	if !strings.Contains(logs, "connection refused") || !strings.Contains(logs, "circuit open") {
		t.Errorf("the log does not say why: %s", logs)
	}
	if strings.Contains(logs, "hunter2") {
		t.Errorf("the log has the query of the URL: %s", logs)
	}
}
