package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"
)

// app is a service with what it writes to. Each answer is held against the OpenAPI document.
type app struct {
	*service
	t       *testing.T
	handler http.Handler
	logs    *lockedBuffer
	routes  routers.Router
}

// lockedBuffer is what several goroutines log to.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// environ writes an environment as os.Environ has it.
func environ(env map[string]string) []string {
	var all []string
	for name, value := range env {
		all = append(all, name+"="+value)
	}
	return all
}

// newTestApp makes a service from an environment.
func newTestApp(t *testing.T, env map[string]string) *app {
	t.Helper()
	all := map[string]string{"APP_VERSION": "v1", "GIN_SERVICE_COLOR": "blue", "GIN_SERVICE_REVISION": "r1", "POD_NAME": "p1"}
	maps.Copy(all, env)
	a := &app{t: t, logs: &lockedBuffer{}, routes: documentedRoutes(t)}
	var err error
	if a.service, err = newService(environ(all), nil, a.logs); err != nil {
		t.Fatal(err)
	}
	a.handler = a.kit.Health().CloseWhenDraining(a.kit.Engine)
	return a
}

// documentedRoutes reads the OpenAPI document, which must be a valid one.
func documentedRoutes(t *testing.T) routers.Router {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	routes, err := gorillamux.NewRouter(document)
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

// do sends one request without a body, with headers given as name and value in turns.
func (a *app) do(method, target string, headers ...string) *httptest.ResponseRecorder {
	return a.send(method, target, "", headers...)
}

// send sends one request, and holds the answer against the OpenAPI document where that has the route.
func (a *app) send(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	a.t.Helper()
	request := httptest.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	for header := range slices.Chunk(headers, 2) {
		request.Header.Set(header[0], header[1])
	}
	recorder := httptest.NewRecorder()
	a.handler.ServeHTTP(recorder, request)

	route, parameters, err := a.routes.FindRoute(request)
	if err != nil {
		return recorder
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: parameters, Route: route},
		Status:                 recorder.Code, Header: recorder.Header(), Body: io.NopCloser(bytes.NewReader(recorder.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		a.t.Errorf("%s %s: the answer is not what openapi.json says: %v", method, target, err)
	}
	return recorder
}

// failure is the document of an error.
type failure struct {
	Code      string    `json:"code"`
	Message   string    `json:"message"`
	Timestamp time.Time `json:"timestamp"`
	RequestID string    `json:"requestId"`
	Details   []struct{ Field, Message string }
}

func failureIn(t *testing.T, response *httptest.ResponseRecorder) failure {
	t.Helper()
	var got failure
	if err := json.Unmarshal(response.Body.Bytes(), &got); err != nil {
		t.Fatalf("body %s: %v", response.Body, err)
	}
	return got
}

func TestTheDocumentHasEveryRouteOfClients(t *testing.T) {
	document, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	var documented, served []string
	for path, item := range document.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+strings.NewReplacer("{", ":", "}", "").Replace(path))
		}
	}
	ofTheKit := []string{"GET /livez", "GET /readyz", "HEAD /livez", "HEAD /readyz", "GET /health", "GET /metrics"}
	for _, route := range newTestApp(t, nil).kit.Engine.Routes() {
		if name := route.Method + " " + route.Path; !slices.Contains(ofTheKit, name) {
			served = append(served, name)
		}
	}
	slices.Sort(documented)
	slices.Sort(served)
	if diff := cmp.Diff(documented, served); diff != "" {
		t.Errorf("routes (-in openapi.json +served):\n%s", diff)
	}
}

func TestEveryAnswerSaysWhereItComesFrom(t *testing.T) {
	a := newTestApp(t, nil)
	for _, target := range []string{"/", "/api/v1/ping", "/api/v1/version", "/livez", "/readyz", "/metrics", "/nowhere", "/api/v1/load/sleep?ms=x"} {
		response := a.do(http.MethodGet, target)
		got := map[string]string{}
		for _, name := range []string{"X-App-Color", "X-App-Revision"} {
			got[name] = response.Header().Get(name)
		}
		want := map[string]string{"X-App-Color": "blue", "X-App-Revision": "r1"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: headers (-want +got):\n%s", target, diff)
		}
	}
	for _, target := range []string{"/", "/api/v1/ping", "/api/v1/version"} {
		var got identity
		if err := json.Unmarshal(a.do(http.MethodGet, target).Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if want := (identity{Version: "v1", Color: "blue", Revision: "r1", Pod: "p1"}); got != want {
			t.Errorf("%s: body says %+v, want %+v", target, got, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		env         map[string]string
		method      string
		target      string
		wantStatus  int
		wantMessage string
	}{
		"load with defaults":            {target: "/api/v1/load/cpu?ms=1", wantStatus: 200},
		"sleep":                         {target: "/api/v1/load/sleep?ms=1", wantStatus: 200},
		"an error on demand":            {target: "/api/v1/load/error", wantStatus: 500, wantMessage: "this answer fails, as the request asks"},
		"an error of another kind":      {target: "/api/v1/load/error?code=503", wantStatus: 503, wantMessage: "this answer fails, as the request asks"},
		"an error that never happens":   {target: "/api/v1/load/error?rate=0", wantStatus: 200},
		"CPU load without end":          {target: "/api/v1/load/cpu?ms=1001", wantStatus: 400, wantMessage: `parameter ms: "1001" is not a whole number from 1 to 1000`},
		"CPU load that is no number":    {target: "/api/v1/load/cpu?ms=", wantStatus: 400, wantMessage: `parameter ms: "" is not a whole number from 1 to 1000`},
		"sleep into the past":           {target: "/api/v1/load/sleep?ms=-1", wantStatus: 400, wantMessage: `parameter ms: "-1" is not a whole number from 0 to 30000`},
		"an error rate in percent":      {target: "/api/v1/load/error?rate=50", wantStatus: 400, wantMessage: `parameter rate: "50" is not a number from 0 to 1`},
		"an error that is a success":    {target: "/api/v1/load/error?code=200", wantStatus: 400, wantMessage: `parameter code: "200" is not a whole number from 400 to 599`},
		"a parameter without end":       {target: "/api/v1/load/cpu?ms=" + strings.Repeat("9", 70), wantStatus: 400, wantMessage: `parameter ms: "` + strings.Repeat("9", 64) + `…" is not a whole number from 1 to 1000`},
		"an unknown path":               {target: "/nowhere", wantStatus: 404, wantMessage: "no route serves this path"},
		"an unknown method":             {method: "BREW", target: "/api/v1/ping", wantStatus: 405, wantMessage: "this path does not take this method; the header Allow names those it takes"},
		"a bad version fails":           {env: map[string]string{"ERROR_RATE": "1"}, target: "/api/v1/ping", wantStatus: 500, wantMessage: "this answer fails, as ERROR_RATE asks"},
		"a bad version stays alive":     {env: map[string]string{"ERROR_RATE": "1"}, target: "/livez", wantStatus: 200},
		"a bad version stays ready":     {env: map[string]string{"ERROR_RATE": "1"}, target: "/readyz", wantStatus: 200},
		"a version never ready":         {env: map[string]string{"FAIL_READY": "true"}, target: "/readyz", wantStatus: 503, wantMessage: "not ready: FAIL_READY"},
		"a version never ready, alive":  {env: map[string]string{"FAIL_READY": "true"}, target: "/livez", wantStatus: 200},
		"metrics on the service's port": {target: "/metrics", wantStatus: 200},
		"metrics elsewhere":             {env: map[string]string{"METRICS_PORT": "9090"}, target: "/metrics", wantStatus: 404, wantMessage: "no route serves this path"},
		"no dependency":                 {target: "/api/v1/dependency", wantStatus: 404, wantMessage: "there is no DEPENDENCY_URL"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.method == "" {
				tc.method = http.MethodGet
			}
			response := newTestApp(t, tc.env).do(tc.method, tc.target)
			if response.Code != tc.wantStatus {
				t.Errorf("status %d, want %d; body %s", response.Code, tc.wantStatus, response.Body)
			}
			if tc.wantMessage == "" {
				return
			}
			if got := failureIn(t, response); got.Message != tc.wantMessage || got.Code == "" || got.RequestID == "" || got.Timestamp.IsZero() {
				t.Errorf("answer %+v, want message %q and all other fields", got, tc.wantMessage)
			}
		})
	}
}

func TestLatencyIsAdded(t *testing.T) {
	a := newTestApp(t, map[string]string{"LATENCY": "30ms"})
	start := time.Now()
	a.do(http.MethodGet, "/api/v1/ping")
	if took := time.Since(start); took < 30*time.Millisecond {
		t.Errorf("the answer took %s, want at least 30ms", took)
	}
}

func TestDrainingIsToldToProbesAndClients(t *testing.T) {
	a := newTestApp(t, nil)
	if got := a.do(http.MethodGet, "/").Header().Get("Connection"); got != "" {
		t.Errorf("Connection is %q before the drain", got)
	}
	a.kit.Health().Drain()
	for target, want := range map[string]int{"/": 200, "/livez": 200, "/readyz": 503, "/nowhere": 404} {
		response := a.do(http.MethodGet, target)
		if response.Code != want || response.Header().Get("Connection") != "close" {
			t.Errorf("%s while draining: status %d, Connection %q; want %d and close", target, response.Code, response.Header().Get("Connection"), want)
		}
	}
}

func TestSettingsThatAreWrongAreAllNamed(t *testing.T) {
	_, err := newService(environ(map[string]string{
		"PORT": "99999", "ERROR_RATE": "5%", "LATENCY": "2h", "LOG_LEVEL": "loud", "FAIL_READY": "maybe", "AUTH": "perhaps",
		"DEPENDENCY_URL": "somewhere", "DRAIN_SECONDS": "-1", "OTEL_TRACES_SAMPLER": "dice",
	}), nil, io.Discard)
	if err == nil {
		t.Fatal("the service starts")
	}
	for _, name := range []string{"PORT", "ERROR_RATE", "LATENCY", "LOG_LEVEL", "FAIL_READY", "AUTH", "DEPENDENCY_URL", "DRAIN_SECONDS"} {
		if !strings.Contains(err.Error(), name+":") {
			t.Errorf("the error does not name %s:\n%v", name, err)
		}
	}
}

func TestHalfAConfigurationDoesNotStart(t *testing.T) {
	missing := t.TempDir() + "/keys.json"
	tests := map[string]struct {
		env  map[string]string
		want []string
	}{
		"an issuer without keys": {map[string]string{"AUTH_ISSUER": "https://issuer.example"}, []string{"AUTH_KEY_SET, AUTH_ISSUER and AUTH_AUDIENCE: set all three"}},
		"a key set that is not there": {
			map[string]string{"AUTH_ISSUER": "https://issuer.example", "AUTH_AUDIENCE": "users", "AUTH_KEY_SET": missing},
			[]string{"AUTH_KEY_SET", missing, "no such file"},
		},
		"keys that nobody needs":       {map[string]string{"AUTH": "none", "AUTH_KEY_SET": missing}, []string{"AUTH: none lets everybody write"}},
		"a database of another kind":   {map[string]string{"DATABASE_URL": "mysql://user:secret@db/users"}, []string{"DATABASE_URL"}}, //nolint:gosec // a password that must not be told
		"a cache of another kind":      {map[string]string{"REDIS_URL": "memcached://:secret@cache"}, []string{"REDIS_URL"}},
		"a broker without a port":      {map[string]string{"KAFKA_BROKERS": "kafka:port"}, []string{"KAFKA_BROKERS"}},
		"a dependency that is no HTTP": {map[string]string{"DEPENDENCY_URL": "ftp://files.example/"}, []string{"DEPENDENCY_URL", "http or https"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := newService(environ(tc.env), nil, io.Discard)
			if err == nil {
				t.Fatal("the service starts")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error gives a password away: %v", err)
			}
		})
	}
}
