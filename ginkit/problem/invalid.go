package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin/binding"
	"github.com/go-playground/validator/v10"
)

// Invalid returns what a client is told of a request that could not be read: the error of c.ShouldBindJSON, c.ShouldBindQuery and their
// like. Each field that is wrong is a detail. Use it where the error is known to be the client's; From can't tell it from one that
// some other document caused.
func Invalid(err error) *Error {
	var tooLarge *http.MaxBytesError
	var fields validator.ValidationErrors
	var elements binding.SliceValidationError
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var number *strconv.NumError
	var date *time.ParseError
	invalid := New(http.StatusBadRequest, "invalid_request", "the request is not valid").WithCause(err)
	switch {
	case errors.As(err, &tooLarge):
		return bodyTooLarge(tooLarge)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return New(http.StatusRequestTimeout, "request_timeout", "the body took too long to come").WithCause(err)
	case errors.As(err, &fields):
		return invalid.WithDetails(few(fieldDetails(fields, ""))...)
	case errors.As(err, &elements):
		var details []Detail
		for _, element := range elements {
			if errors.As(element, &fields) {
				// Gin has left out the elements that are well, and with them the others' places in the list.
				details = append(details, fieldDetails(fields, "[].")...)
			}
		}
		return invalid.WithDetails(few(details)...)
	case errors.As(err, &kind):
		return invalid.WithDetails(Detail{Field: kind.Field, Message: fmt.Sprintf("must be %s, not %s", typeName(kind.Type), shorten(kind.Value))})
	case errors.As(err, &syntax):
		invalid.Message = fmt.Sprintf("the body is not JSON: it goes wrong at byte %d", syntax.Offset)
	case errors.Is(err, io.EOF):
		invalid.Message = "the body is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		invalid.Message = "the body is not complete"
	case errors.As(err, &number):
		invalid.Message = fmt.Sprintf("%q is not a number that fits", shorten(number.Num))
	case errors.As(err, &date):
		invalid.Message = fmt.Sprintf("%q is not a time of the form %s", shorten(date.Value), date.Layout)
	default:
		if field, found := strings.CutPrefix(err.Error(), `json: unknown field "`); found {
			return invalid.WithDetails(Detail{Field: shorten(strings.TrimSuffix(field, `"`)), Message: "is not known"})
		}
	}
	return invalid
}

func bodyTooLarge(err *http.MaxBytesError) *Error {
	return New(http.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("the body has more than the %d bytes that are taken", err.Limit)).WithCause(err)
}

// shorten keeps what came from the client from filling the answer.
func shorten(text string) string {
	const longest = 64
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return text
}

// few keeps a long list of wrong elements from becoming a longer answer.
func few(details []Detail) []Detail {
	const most = 50
	if more := len(details) - most; more > 0 {
		return append(details[:most:most], Detail{Message: fmt.Sprintf("%d more are wrong", more)})
	}
	return details
}

func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number that fits"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "something else"
	}
}

func fieldDetails(fields validator.ValidationErrors, prefix string) []Detail {
	details := make([]Detail, 0, len(fields))
	for _, field := range fields {
		// The namespace begins with the type's name, which is no business of a client.
		_, path, found := strings.Cut(field.Namespace(), ".")
		if !found {
			path = field.Field()
		}
		details = append(details, Detail{Field: shorten(prefix + path), Message: rule(field)})
	}
	return details
}

// rule says what a field must be. The rules that most services use have words; others are named.
func rule(field validator.FieldError) string {
	unit := ""
	switch field.Kind() {
	case reflect.String:
		unit = " characters"
	case reflect.Slice, reflect.Array, reflect.Map:
		unit = " entries"
	default:
		// Numbers and times have none.
	}
	has := "must be"
	if unit != "" {
		has = "must have"
	}
	switch field.Tag() {
	case "required":
		return "is missing"
	case "email":
		return "must be an email address"
	case "url", "http_url", "uri":
		return "must be a URL"
	case "uuid", "uuid4":
		return "must be a UUID"
	case "oneof":
		return "must be one of " + strings.Join(strings.Fields(field.Param()), ", ")
	case "min", "gte":
		return fmt.Sprintf("%s at least %s%s", has, field.Param(), unit)
	case "max", "lte":
		return fmt.Sprintf("%s at most %s%s", has, field.Param(), unit)
	case "gt":
		return fmt.Sprintf("%s more than %s%s", has, field.Param(), unit)
	case "lt":
		return fmt.Sprintf("%s less than %s%s", has, field.Param(), unit)
	case "len":
		return fmt.Sprintf("%s exactly %s%s", has, field.Param(), unit)
	}
	if field.Param() == "" {
		return "does not satisfy " + field.Tag()
	}
	return fmt.Sprintf("does not satisfy %s=%s", field.Tag(), field.Param())
}

// UseClientNames makes Gin's validator name fields as clients know them: by the tag json, form, uri or header, in that order. It changes
// the validator of the process, once; ginkit.New calls it.
func UseClientNames() { useClientNames() }

var useClientNames = sync.OnceFunc(func() {
	engine, ok := binding.Validator.Engine().(*validator.Validate)
	if !ok {
		// Somebody put another validator in its place, which names fields as it likes.
		return
	}
	engine.RegisterTagNameFunc(func(field reflect.StructField) string {
		for _, tag := range []string{"json", "form", "uri", "header"} {
			if name, _, _ := strings.Cut(field.Tag.Get(tag), ","); name != "" && name != "-" {
				return name
			}
		}
		return field.Name
	})
})
