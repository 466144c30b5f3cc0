package problem

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/trace"

	"github.com/gin-operator/gin-operator/ginkit/requestid"
)

// ContentType is the media type of RFC 9457, which a client may ask for.
const ContentType = "application/problem+json"

// document is what most clients get.
type document struct {
	Code      string    `json:"code"`
	Message   string    `json:"message"`
	Timestamp time.Time `json:"timestamp"`
	RequestID string    `json:"requestId,omitempty"`
	TraceID   string    `json:"traceId,omitempty"`
	Details   []Detail  `json:"details,omitempty"`
}

// problemDetails is the same by RFC 9457, section 3. The type is left out, which stands for about:blank: the title says what the status
// says. What the RFC does not name are its extensions.
type problemDetails struct {
	Title     string    `json:"title"`
	Status    int       `json:"status"`
	Detail    string    `json:"detail"`
	Code      string    `json:"code"`
	Timestamp time.Time `json:"timestamp"`
	RequestID string    `json:"requestId,omitempty"`
	TraceID   string    `json:"traceId,omitempty"`
	Errors    []Detail  `json:"errors,omitempty"`
}

// Write answers a request with an error and ends its handling. The error is also added to c.Errors, where the request's log finds it.
// An answer that has begun stays as it is.
func Write(c *gin.Context, err error) {
	e := fromRequest(c, err)
	_ = c.Error(e)
	c.Abort()
	if !c.Writer.Written() {
		answer(c, e)
	}
}

// fromRequest is From for one who knows the request: work that was cancelled while the client still waits failed for another reason.
func fromRequest(c *gin.Context, err error) *Error {
	e := From(err)
	if known := (*Error)(nil); e.Status == StatusClientGone && c.Request.Context().Err() == nil && !errors.As(err, &known) {
		return internal(err)
	}
	return e
}

func answer(c *gin.Context, e *Error) {
	status := e.Status
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	code := e.Code
	if code == "" {
		code = codeOf(status)
	}
	header := c.Writer.Header()
	if e.RetryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(e.RetryAfter.Seconds())), 10))
	}
	now, request, traceID := time.Now().UTC(), requestid.Get(c), ""
	if span := trace.SpanContextFromContext(c.Request.Context()); span.HasTraceID() {
		traceID = span.TraceID().String()
	}
	// The answer to one client is none for another that asks for the other form.
	header.Add("Vary", "Accept")
	if asksForProblem(c.Request.Header.Values("Accept")) {
		write(c, status, ContentType, problemDetails{
			Title: title(status), Status: status, Detail: e.Message, Code: code, Timestamp: now, RequestID: request, TraceID: traceID, Errors: e.Details,
		})
		return
	}
	write(c, status, "application/json; charset=utf-8", document{
		Code: code, Message: e.Message, Timestamp: now, RequestID: request, TraceID: traceID, Details: e.Details,
	})
}

func title(status int) string {
	if text := http.StatusText(status); text != "" {
		return text
	}
	return "Error"
}

// ofAnotherAnswer are the headers that speak of the answer that there is not. Gin would leave even the type as the handler set it.
var ofAnotherAnswer = []string{
	"Content-Type", "Content-Encoding", "Content-Length", "Content-Disposition", "Content-Language", "Content-Range", "Accept-Ranges", "ETag",
	"Last-Modified", "Cache-Control", "Expires",
}

func write(c *gin.Context, status int, contentType string, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		// Strings, numbers and a time of this century can always be encoded.
		panic(err)
	}
	header := c.Writer.Header()
	for _, name := range ofAnotherAnswer {
		header.Del(name)
	}
	c.Data(status, contentType, text)
}

// asksForProblem reports whether a client names the media type of RFC 9457, and does not refuse it with q=0.
func asksForProblem(accept []string) bool {
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			name, parameters, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), ContentType) && !refused(parameters) {
				return true
			}
		}
	}
	return false
}

// refused reports whether the parameters of a media range give it the weight 0, which RFC 9110, section 12.4.2, has for "not acceptable".
func refused(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		weight, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		return err == nil && weight == 0
	}
	return false
}
