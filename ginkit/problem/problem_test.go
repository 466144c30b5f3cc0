package problem_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/gin-operator/gin-operator/ginkit/problem"
	"github.com/gin-operator/gin-operator/ginkit/requestid"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	problem.UseClientNames()
	os.Exit(m.Run())
}

// newEngine has everything of the package in place.
func newEngine(log *slog.Logger) *gin.Engine {
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.Use(requestid.Middleware(), problem.Recover(log), problem.Errors())
	engine.NoRoute(problem.NoRoute)
	engine.NoMethod(problem.NoMethod)
	return engine
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// do sends one request, with headers given as name and value in turns; one that occurs twice is sent twice.
func do(engine http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	for header := range slices.Chunk(headers, 2) {
		request.Header.Add(header[0], header[1])
	}
	recorder := httptest.NewRecorder()
	engine.ServeHTTP(recorder, request)
	return recorder
}

// document is the body as clients read it.
type document struct {
	Code      string           `json:"code"`
	Message   string           `json:"message"`
	Timestamp time.Time        `json:"timestamp"`
	RequestID string           `json:"requestId"`
	TraceID   string           `json:"traceId"`
	Details   []problem.Detail `json:"details"`
}

func read(t *testing.T, response *httptest.ResponseRecorder) document {
	t.Helper()
	var got document
	decoder := json.NewDecoder(bytes.NewReader(response.Body.Bytes()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatalf("status %d, body %q: %v", response.Code, response.Body, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("body %q goes on after the document", response.Body)
	}
	return got
}

func TestFrom(t *testing.T) {
	own := problem.New(http.StatusConflict, "email_taken", "somebody has this address")
	var none *problem.Error
	tests := map[string]struct {
		err        error
		wantStatus int
		wantCode   string
	}{
		"one of ours":                              {own, 409, "email_taken"},
		"one of ours, wrapped":                     {fmt.Errorf("saving: %w", own), 409, "email_taken"},
		"one of ours among others":                 {errors.Join(io.EOF, own), 409, "email_taken"},
		"one of ours, as Gin keeps it":             {&gin.Error{Err: own}, 409, "email_taken"},
		"ours around a deadline":                   {own.WithCause(context.DeadlineExceeded), 409, "email_taken"},
		"a nil pointer that became an error":       {none, 500, "internal_error"},
		"a body that is too large":                 {&http.MaxBytesError{Limit: 7}, 413, "body_too_large"},
		"a body that is too large, found by bind":  {&gin.Error{Err: &http.MaxBytesError{Limit: 7}, Type: gin.ErrorTypeBind}, 413, "body_too_large"},
		"a body that Gin marked as wrong":          {&gin.Error{Err: io.EOF, Type: gin.ErrorTypeBind}, 400, "invalid_request"},
		"a document of another service that ends":  {io.EOF, 500, "internal_error"},
		"a deadline":                               {fmt.Errorf("asking: %w", context.DeadlineExceeded), 504, "timeout"},
		"a client that has gone":                   {fmt.Errorf("asking: %w", context.Canceled), 499, "client_gone"},
		"everything else":                          {errors.New("dial tcp 10.0.0.7: refused"), 500, "internal_error"},
		"no error, by mistake":                     {nil, 500, "internal_error"},
		"a marked error that is one of ours, too":  {&gin.Error{Err: own, Type: gin.ErrorTypeBind}, 409, "email_taken"},
		"a private error of Gin is nobody's fault": {&gin.Error{Err: io.EOF, Type: gin.ErrorTypePrivate}, 500, "internal_error"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := problem.From(tc.err)
			if got.Status != tc.wantStatus || got.Code != tc.wantCode {
				t.Errorf("%d %s, want %d %s", got.Status, got.Code, tc.wantStatus, tc.wantCode)
			}
			if tc.err != nil && !errors.Is(got, tc.err) && !errors.Is(tc.err, got) {
				// Either it is in there, or its cause is.
				var marked *gin.Error
				if !errors.As(tc.err, &marked) || !errors.Is(got, marked.Err) {
					t.Errorf("%v has lost its cause %v", got, tc.err)
				}
			}
		})
	}
}

func TestErrorsAreCopiedWhenTheyGrow(t *testing.T) {
	base := problem.New(http.StatusTooManyRequests, "", "slow down").WithDetails(problem.Detail{Message: "a"})
	one, two := base.WithDetails(problem.Detail{Message: "b"}), base.WithDetails(problem.Detail{Message: "c"})
	if grown := base.WithCause(io.EOF).WithRetryAfter(time.Second); grown.Cause == nil || grown.RetryAfter != time.Second {
		t.Errorf("the copy has not grown: %+v", grown)
	}
	if base.Cause != nil || base.RetryAfter != 0 || len(base.Details) != 1 {
		t.Errorf("the base has changed: %+v", base)
	}
	if one.Details[1].Message != "b" || two.Details[1].Message != "c" {
		t.Errorf("two copies share their details: %v, %v", one.Details, two.Details)
	}
	if got := base.WithCause(io.EOF).Error(); got != "slow down: EOF" {
		t.Errorf("text for the log %q", got)
	}
	if got := base.Error(); got != "slow down" {
		t.Errorf("text for the log %q", got)
	}
	var none *problem.Error
	if none.Error() == "" || none.Unwrap() != nil {
		t.Error("a nil *Error has no text, or a cause")
	}
}

func TestAnswers(t *testing.T) {
	failing := func(status int, code string) gin.HandlerFunc {
		return func(c *gin.Context) { problem.Write(c, problem.New(status, code, "no")) }
	}
	tests := map[string]struct {
		handler    gin.HandlerFunc
		wantStatus int
		wantCode   string
	}{
		"a code":                    {failing(409, "email_taken"), 409, "email_taken"},
		"a code of the status":      {failing(404, ""), 404, "not_found"},
		"a name with an apostrophe": {failing(418, ""), 418, "im_a_teapot"},
		"a name with a hyphen":      {failing(207, ""), 500, "internal_error"},
		"non-authoritative":         {failing(415, ""), 415, "unsupported_media_type"},
		"a status without a name":   {failing(599, ""), 599, "error"},
		"a status that is none":     {failing(0, ""), 500, "internal_error"},
		"a status that is too high": {failing(600, "x"), 500, "x"},
		"a client that has gone":    {failing(499, ""), 499, "client_gone"},
		"an error in passing":       {func(c *gin.Context) { _ = c.Error(problem.New(409, "taken", "no")) }, 409, "taken"},
		"the last of several": {func(c *gin.Context) {
			_ = c.Error(problem.New(409, "first", "no"))
			_ = c.Error(problem.New(410, "second", "no"))
		}, 410, "second"},
		"a bare status":                                {func(c *gin.Context) { c.AbortWithStatus(403) }, 403, "forbidden"},
		"a bare status with an error":                  {func(c *gin.Context) { _ = c.AbortWithError(403, io.EOF) }, 403, "forbidden"},
		"a bare status with one of us":                 {func(c *gin.Context) { _ = c.AbortWithError(403, problem.New(409, "taken", "no")) }, 409, "taken"},
		"a lazy status":                                {func(c *gin.Context) { c.Status(503) }, 503, "service_unavailable"},
		"a bare status, then a panic":                  {func(c *gin.Context) { c.AbortWithStatus(403); panic("no") }, 500, "internal_error"},
		"a bare status, then an answer":                {func(c *gin.Context) { c.AbortWithStatus(403); problem.Write(c, problem.New(409, "taken", "no")) }, 409, "taken"},
		"Gin's own authentication":                     {gin.BasicAuth(gin.Accounts{"a": "b"}), 401, "unauthorized"},
		"work cancelled for a client that still waits": {func(c *gin.Context) { problem.Write(c, fmt.Errorf("group: %w", context.Canceled)) }, 500, "internal_error"},
		"the same, left to the middleware":             {func(c *gin.Context) { _ = c.Error(context.Canceled) }, 500, "internal_error"},
		"a panic":                                      {func(*gin.Context) { panic("no") }, 500, "internal_error"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			engine := newEngine(quiet())
			engine.GET("/", tc.handler)
			response := do(engine, http.MethodGet, "/", "")
			if got := read(t, response); response.Code != tc.wantStatus || got.Code != tc.wantCode || got.Message == "" || got.RequestID == "" ||
				time.Since(got.Timestamp) > time.Hour || got.Timestamp.Location() != time.UTC {
				t.Errorf("%d %+v, want %d %s with a message, an id and the time in UTC", response.Code, got, tc.wantStatus, tc.wantCode)
			}
			if got := response.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
				t.Errorf("type %q", got)
			}
		})
	}
}

func TestAnswersThatAreGivenStay(t *testing.T) {
	tests := map[string]struct {
		handler    gin.HandlerFunc
		wantStatus int
		wantBody   string
	}{
		"an answer and then an error": {func(c *gin.Context) { c.String(200, "fine"); _ = c.Error(io.EOF) }, 200, "fine"},
		"an answer and then Write":    {func(c *gin.Context) { c.String(200, "fine"); problem.Write(c, io.EOF) }, 200, "fine"},
		"an error of one's own":       {func(c *gin.Context) { c.String(422, "mine"); _ = c.Error(io.EOF) }, 422, "mine"},
		"no body, and no error":       {func(c *gin.Context) { c.Status(204) }, 204, ""},
		"a redirect without a body":   {func(c *gin.Context) { c.AbortWithStatus(304) }, 304, ""},
		"a bare status that is flushed": {func(c *gin.Context) {
			c.AbortWithStatus(503)
			c.Writer.Flush()
		}, 503, ""},
		"a bare status, flushed by the controller": {func(c *gin.Context) {
			c.AbortWithStatus(503)
			if err := http.NewResponseController(c.Writer).Flush(); err != nil {
				panic(err)
			}
		}, 503, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			engine := newEngine(quiet())
			engine.GET("/", tc.handler)
			if response := do(engine, http.MethodGet, "/", ""); response.Code != tc.wantStatus || response.Body.String() != tc.wantBody {
				t.Errorf("%d %q, want %d %q", response.Code, response.Body, tc.wantStatus, tc.wantBody)
			}
		})
	}
}

func TestWriteEndsTheHandlingAndTellsTheLog(t *testing.T) {
	engine := newEngine(quiet())
	var left []string
	engine.Use(func(c *gin.Context) { c.Next(); left = c.Errors.Errors() })
	engine.GET("/", func(c *gin.Context) { problem.Write(c, problem.New(409, "taken", "no").WithCause(io.EOF)) },
		func(*gin.Context) { t.Error("the next handler is called") })
	do(engine, http.MethodGet, "/", "")
	if diff := cmp.Diff([]string{"no: EOF"}, left); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestPathsAndMethodsThatAreNotServed(t *testing.T) {
	engine := newEngine(quiet())
	engine.GET("/x", func(*gin.Context) {})
	if response := do(engine, http.MethodGet, "/nowhere", ""); response.Code != 404 || read(t, response).Code != "not_found" {
		t.Errorf("a path: %d %s", response.Code, response.Body)
	}
	response := do(engine, http.MethodDelete, "/x", "")
	if got := read(t, response); response.Code != 405 || got.Code != "method_not_allowed" || response.Header().Get("Allow") != "GET" {
		t.Errorf("a method: %d %+v, Allow %q", response.Code, got, response.Header().Get("Allow"))
	}
}

func TestHeadersOfTheAnswerThatIsNotSentAreGone(t *testing.T) {
	engine := newEngine(quiet())
	engine.GET("/", func(c *gin.Context) {
		for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Length", "Content-Disposition", "ETag", "Last-Modified", "Cache-Control", "Expires", "X-Kept"} {
			c.Header(name, "1")
		}
		problem.Write(c, io.EOF)
	})
	got := do(engine, http.MethodGet, "/", "").Header()
	got.Del(requestid.Header)
	if got.Get("Content-Length") == "1" {
		t.Error("the length is that of the other answer")
	}
	got.Del("Content-Length")
	want := http.Header{"Content-Type": {"application/json; charset=utf-8"}, "X-Kept": {"1"}, "Vary": {"Accept"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestProblemJSONOnRequest(t *testing.T) {
	tests := map[string]struct {
		accept []string
		want   bool
	}{
		"no wish":                      {nil, false},
		"an empty wish":                {[]string{""}, false},
		"anything":                     {[]string{"*/*"}, false},
		"JSON":                         {[]string{"application/json"}, false},
		"the type":                     {[]string{"application/problem+json"}, true},
		"in capitals":                  {[]string{"Application/Problem+JSON"}, true},
		"among others":                 {[]string{"text/html, application/problem+json;q=0.5 , */*"}, true},
		"in a second header":           {[]string{"application/json", "application/problem+json"}, true},
		"with a parameter":             {[]string{"application/problem+json; charset=utf-8"}, true},
		"refused":                      {[]string{"application/problem+json;q=0, application/json"}, false},
		"refused with digits":          {[]string{"application/problem+json ; Q = 0.000"}, true},
		"refused with decimals":        {[]string{"application/problem+json ; Q=0.000"}, false},
		"refused after a parameter":    {[]string{"application/problem+json;charset=utf-8;q=0"}, false},
		"refused once, then asked for": {[]string{"application/problem+json;q=0", "application/problem+json"}, true},
		"a weight that is none":        {[]string{"application/problem+json;q=x"}, true},
		"the name in another":          {[]string{"application/problem+json2"}, false},
		"rubbish":                      {[]string{",;=,;q=0;,"}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			engine := newEngine(quiet())
			engine.GET("/", func(c *gin.Context) {
				problem.Write(c, problem.New(http.StatusConflict, "taken", "somebody has it").WithDetails(problem.Detail{Field: "email", Message: "is taken"}))
			})
			var headers []string
			for _, accept := range tc.accept {
				headers = append(headers, "Accept", accept)
			}
			response := do(engine, http.MethodGet, "/", "", append(headers, requestid.Header, "the-id")...)
			if response.Code != http.StatusConflict || response.Header().Get("Vary") != "Accept" {
				t.Errorf("status %d, Vary %q", response.Code, response.Header().Get("Vary"))
			}
			var got map[string]any
			if err := json.Unmarshal(response.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			delete(got, "timestamp")
			details := []any{map[string]any{"field": "email", "message": "is taken"}}
			want, wantType := map[string]any{"code": "taken", "message": "somebody has it", "requestId": "the-id", "details": details}, "application/json; charset=utf-8"
			if tc.want {
				want = map[string]any{"title": "Conflict", "status": 409.0, "detail": "somebody has it", "code": "taken", "requestId": "the-id", "errors": details}
				wantType = problem.ContentType
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if got := response.Header().Get("Content-Type"); got != wantType {
				t.Errorf("type %q, want %q", got, wantType)
			}
		})
	}
}

func TestRetryAfterIsRoundedUpToSeconds(t *testing.T) {
	for after, want := range map[time.Duration]string{
		0: "", -time.Second: "", time.Nanosecond: "1", time.Second: "1", time.Second + 1: "2", 90 * time.Second: "90", 1<<63 - 1: "9223372037",
	} {
		engine := newEngine(quiet())
		engine.GET("/", func(c *gin.Context) { problem.Write(c, problem.New(429, "", "slow down").WithRetryAfter(after)) })
		if got := do(engine, http.MethodGet, "/", "").Header().Get("Retry-After"); got != want {
			t.Errorf("%s: Retry-After %q, want %q", after, got, want)
		}
	}
}

func TestIDsOfRequestAndTrace(t *testing.T) {
	engine := newEngine(quiet())
	engine.GET("/", func(c *gin.Context) { problem.Write(c, io.EOF) })
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}})
	for name, tc := range map[string]struct {
		with      func(context.Context) context.Context
		wantTrace string
	}{
		"in a trace": {func(ctx context.Context) context.Context { return trace.ContextWithSpanContext(ctx, span) }, "01020000000000000000000000000000"},
		"in none":    {func(ctx context.Context) context.Context { return ctx }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequestWithContext(tc.with(t.Context()), http.MethodGet, "/", http.NoBody)
			request.Header.Set(requestid.Header, "the-id")
			recorder := httptest.NewRecorder()
			engine.ServeHTTP(recorder, request)
			got := read(t, recorder)
			if got.RequestID != "the-id" || got.TraceID != tc.wantTrace || recorder.Header().Get(requestid.Header) != "the-id" {
				t.Errorf("ids %q and %q, header %q", got.RequestID, got.TraceID, recorder.Header().Get(requestid.Header))
			}
		})
	}
}

func TestCausesNeverReachTheClient(t *testing.T) {
	const private = "dial tcp 10.0.0.7: hunter2"
	tests := map[string]gin.HandlerFunc{
		"an unknown error":         func(c *gin.Context) { problem.Write(c, errors.New(private)) },
		"the cause of one of ours": func(c *gin.Context) { problem.Write(c, problem.New(409, "taken", "no").WithCause(errors.New(private))) },
		"what wraps one of ours":   func(c *gin.Context) { problem.Write(c, fmt.Errorf("%s: %w", private, problem.New(409, "taken", "no"))) },
		"a deadline":               func(c *gin.Context) { problem.Write(c, fmt.Errorf("%s: %w", private, context.DeadlineExceeded)) },
		"a cancelled context":      func(c *gin.Context) { problem.Write(c, fmt.Errorf("%s: %w", private, context.Canceled)) },
		"an error in passing":      func(c *gin.Context) { _ = c.Error(errors.New(private)) },
		"an error with a status":   func(c *gin.Context) { _ = c.AbortWithError(403, errors.New(private)) },
		"a bind error":             func(c *gin.Context) { problem.Write(c, problem.Invalid(errors.New(private))) },
		"a panic":                  func(*gin.Context) { panic(private) },
		"a panic with an error":    func(*gin.Context) { panic(errors.New(private)) },
	}
	for name, handler := range tests {
		for _, accept := range []string{"", problem.ContentType} {
			t.Run(name+" "+accept, func(t *testing.T) {
				engine := newEngine(quiet())
				engine.GET("/", handler)
				response := do(engine, http.MethodGet, "/", "", "Accept", accept)
				var sent bytes.Buffer
				if err := response.Result().Write(&sent); err != nil {
					t.Fatal(err)
				}
				if response.Code < 400 || strings.Contains(sent.String(), "hunter2") {
					t.Errorf("the client gets %s", sent.String())
				}
			})
		}
	}
}
