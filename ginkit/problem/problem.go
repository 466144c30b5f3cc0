// Package problem is the one form that errors have: what a handler returns, what a validator refuses and what panics ends as the same
// document, with a code for programs, a message for people, the time, the ids of the request and the trace, and details.
//
//	{"code":"not_found","message":"there is no user 7","timestamp":"2026-01-02T15:04:05Z","requestId":"…","traceId":"…","details":[…]}
//
// A client that asks for application/problem+json gets the same as RFC 9457 has it.
//
// What a client is told is written for it: Message and Details. The cause of an error never goes to the client, and to the log
// with a status of 500 or above.
package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// StatusClientGone is the status, for logs and metrics only, of a request whose client went away before it was answered. It is what
// nginx has for it; HTTP has no code, for nobody is there to read it.
const StatusClientGone = 499

// Error is an error with what the client is told of it.
type Error struct {
	// Status is the HTTP status, from 400 to 599. Anything else becomes 500.
	Status int
	// Code is what programs tell errors apart by, in snake case: "email_taken".
	Code string
	// Message is a sentence for people. It is sent to the client.
	Message string
	// Details say more, such as which field is wrong. They are sent to the client.
	Details []Detail
	// RetryAfter is when the client may try again; the header Retry-After has it in whole seconds, rounded up. 0 leaves it out.
	RetryAfter time.Duration
	// Cause is for the log alone.
	Cause error
}

// Detail is one thing that is wrong with a request.
type Detail struct {
	// Field is the name of the field, parameter or header, as the client wrote it: "address.zip", "items[3].count".
	Field string `json:"field,omitempty"`
	// Message completes the name of the field to a sentence: "must be an email address".
	Message string `json:"message"`
}

// New returns an error for a client. An empty code becomes the name of the status, such as "not_found".
func New(status int, code, message string) *Error {
	return &Error{Status: status, Code: code, Message: message}
}

// WithCause returns a copy that also has a cause, for the log.
func (e *Error) WithCause(cause error) *Error {
	with := *e
	with.Cause = cause
	return &with
}

// WithDetails returns a copy that has more details.
func (e *Error) WithDetails(details ...Detail) *Error {
	with := *e
	with.Details = append(append([]Detail(nil), e.Details...), details...)
	return &with
}

// WithRetryAfter returns a copy that tells the client when to try again.
func (e *Error) WithRetryAfter(after time.Duration) *Error {
	with := *e
	with.RetryAfter = after
	return &with
}

// Error is the text for logs, with the cause.
func (e *Error) Error() string {
	if e == nil {
		// A function that returns a nil *Error as its error: a mistake that must not take down what writes the log.
		return "no error"
	}
	if e.Cause == nil {
		return e.Message
	}
	return fmt.Sprintf("%s: %v", e.Message, e.Cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Cause
}

// From returns what a client is told of an error: an Error that is somewhere in it; status 400, 408 or 413 for a body or a query that can't
// be read, as Invalid has it, where Gin has marked it so; 504 for a deadline that passed; 499 for a client that has gone; and for
// everything else 500, with a message that gives nothing away. Write and Errors take a context that was cancelled while its client still
// waits for everything else, too.
func From(err error) *Error {
	var known *Error
	var marked *gin.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known) && known != nil:
		return known
	case errors.As(err, &tooLarge):
		return bodyTooLarge(tooLarge)
	case errors.As(err, &marked) && marked.IsType(gin.ErrorTypeBind):
		return Invalid(marked.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return New(http.StatusGatewayTimeout, "timeout", "the answer took too long").WithCause(err)
	case errors.Is(err, context.Canceled):
		return New(StatusClientGone, "client_gone", "the client went away").WithCause(err)
	}
	return internal(err)
}

func internal(cause error) *Error {
	return New(http.StatusInternalServerError, "internal_error", "the request could not be answered; its id is in the log").WithCause(cause)
}

// codeOf is the name of a status in snake case.
func codeOf(status int) string {
	switch status {
	case StatusClientGone:
		return "client_gone"
	case http.StatusInternalServerError:
		return "internal_error"
	}
	name := http.StatusText(status)
	if name == "" {
		return "error"
	}
	return strings.NewReplacer(" ", "_", "-", "_", "'", "").Replace(strings.ToLower(name))
}
