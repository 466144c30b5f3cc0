package problem_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/binding"
	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

type address struct {
	Zip string `json:"zip" binding:"len=5"`
}

type order struct {
	Email   string            `json:"email" binding:"required,email"`
	Count   int               `json:"count" binding:"min=1,max=10"`
	Price   float64           `json:"price" binding:"gte=0,lt=100"`
	Kind    string            `json:"kind" binding:"omitempty,oneof=new used"`
	Site    string            `json:"site" binding:"omitempty,url"`
	ID      string            `json:"id" binding:"omitempty,uuid"`
	Note    string            `json:"note" binding:"max=3"`
	Tags    []string          `json:"tags" binding:"omitempty,min=2,dive,gt=1"`
	Labels  map[string]string `json:"labels" binding:"omitempty,dive,keys,alpha,endkeys"`
	Address *address          `json:"address"`
	Items   []address         `json:"items" binding:"omitempty,dive"`
	Gift    bool              `json:"gift"`
	At      *time.Time        `json:"at"`
	Code    string            `json:"code" binding:"omitempty,startswith=A"`
	Odd     uint8             `json:"odd"`
}

type query struct {
	Page  int           `form:"page" binding:"omitempty,gt=0,lte=99"`
	Since time.Time     `form:"since" time_format:"2006-01-02"`
	For   time.Duration `form:"for"`
	Name  string        `form:"name" binding:"required"`
}

// binder answers like a service does, by each of Gin's ways to read a request.
func binder() *gin.Engine {
	engine := newEngine(quiet())
	fine := func(c *gin.Context) { c.Status(http.StatusNoContent) }
	should := func(err error, c *gin.Context) {
		if err != nil {
			problem.Write(c, problem.Invalid(err))
			return
		}
		fine(c)
	}
	engine.POST("/json", func(c *gin.Context) { should(c.ShouldBindJSON(new(order)), c) })
	engine.POST("/list", func(c *gin.Context) { should(c.ShouldBindJSON(new([]address)), c) })
	engine.POST("/any", func(c *gin.Context) { should(c.ShouldBind(new(order)), c) })
	engine.POST("/small", func(c *gin.Context) {
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, 10)
		should(c.ShouldBindJSON(new(order)), c)
	})
	// Gin's own answer to a body that is wrong is a bare status.
	engine.POST("/must", func(c *gin.Context) {
		if c.BindJSON(new(order)) == nil {
			fine(c)
		}
	})
	engine.POST("/mustsmall", func(c *gin.Context) {
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, 10)
		if c.BindJSON(new(order)) == nil {
			fine(c)
		}
	})
	engine.GET("/query", func(c *gin.Context) { should(c.ShouldBindQuery(new(query)), c) })
	engine.GET("/uri/:n", func(c *gin.Context) {
		var uri struct {
			N int `uri:"n" binding:"max=5"`
		}
		should(c.ShouldBindUri(&uri), c)
	})
	engine.GET("/header", func(c *gin.Context) {
		var header struct {
			Rate int `header:"X-Rate" binding:"required"`
		}
		should(c.ShouldBindHeader(&header), c)
	})
	return engine
}

//nolint:funlen // a table
func TestWhatAClientIsToldOfARequestThatIsWrong(t *testing.T) {
	const valid = `"email":"a@b.example","count":1,"price":1`
	type details = []problem.Detail
	tests := map[string]struct {
		target, body string
		wantStatus   int // 400 by default
		wantMessage  string
		want         details
	}{
		"all is well":                {target: "/json", body: "{" + valid + "}", wantStatus: 204},
		"no JSON":                    {target: "/json", body: `{"email":]`, wantMessage: "the body is not JSON: it goes wrong at byte 10"},
		"text":                       {target: "/json", body: `hello`, wantMessage: "the body is not JSON: it goes wrong at byte 1"},
		"nothing":                    {target: "/json", body: "", wantMessage: "the body is empty"},
		"half of it":                 {target: "/json", body: `{"email":"a`, wantMessage: "the body is not complete"},
		"text for a number":          {target: "/json", body: `{"count":"1"}`, want: details{{Field: "count", Message: "must be a whole number that fits, not string"}}},
		"a fraction":                 {target: "/json", body: `{"count":1.5}`, want: details{{Field: "count", Message: "must be a whole number that fits, not number 1.5"}}},
		"a number that is too large": {target: "/json", body: `{"odd":256}`, want: details{{Field: "odd", Message: "must be a whole number that fits, not number 256"}}},
		"a number without end":       {target: "/json", body: `{"odd":` + strings.Repeat("9", 9999) + `}`, want: details{{Field: "odd", Message: "must be a whole number that fits, not number " + strings.Repeat("9", 57) + "…"}}},
		"a number for text":          {target: "/json", body: `{"email":1}`, want: details{{Field: "email", Message: "must be a string, not number"}}},
		"text for a fraction":        {target: "/json", body: `{"price":"1"}`, want: details{{Field: "price", Message: "must be a number, not string"}}},
		"text for a truth":           {target: "/json", body: `{"gift":"yes"}`, want: details{{Field: "gift", Message: "must be true or false, not string"}}},
		"text for a list":            {target: "/json", body: `{"tags":"a"}`, want: details{{Field: "tags", Message: "must be a list, not string"}}},
		"a list for an object":       {target: "/json", body: `{"address":[]}`, want: details{{Field: "address", Message: "must be an object, not array"}}},
		"text in an inner field":     {target: "/json", body: `{"address":{"zip":1}}`, want: details{{Field: "address.zip", Message: "must be a string, not number"}}},
		"a list for everything":      {target: "/json", body: `[]`, want: details{{Message: "must be an object, not array"}}},
		"a bad time":                 {target: "/json", body: `{"at":"yesterday"}`, wantMessage: `"yesterday" is not a time of the form 2006-01-02T15:04:05Z07:00`},
		"missing fields": {target: "/json", body: `{}`, want: details{
			{Field: "email", Message: "is missing"}, {Field: "count", Message: "must be at least 1"},
		}},
		"rules of numbers": {target: "/json", body: `{"email":"a@b.example","count":11,"price":100}`, want: details{
			{Field: "count", Message: "must be at most 10"}, {Field: "price", Message: "must be less than 100"},
		}},
		"rules of texts": {target: "/json", body: `{"email":"x","count":1,"kind":"odd","site":"x","id":"x","note":"four","code":"B"}`, want: details{
			{Field: "email", Message: "must be an email address"},
			{Field: "kind", Message: "must be one of new, used"},
			{Field: "site", Message: "must be a URL"},
			{Field: "id", Message: "must be a UUID"},
			{Field: "note", Message: "must have at most 3 characters"},
			{Field: "code", Message: "does not satisfy startswith=A"},
		}},
		"too few entries":           {target: "/json", body: `{` + valid + `,"tags":["aa"]}`, want: details{{Field: "tags", Message: "must have at least 2 entries"}}},
		"an entry of a list":        {target: "/json", body: `{` + valid + `,"tags":["aa","b"]}`, want: details{{Field: "tags[1]", Message: "must have more than 1 characters"}}},
		"a field of an object":      {target: "/json", body: `{` + valid + `,"address":{"zip":"1"}}`, want: details{{Field: "address.zip", Message: "must have exactly 5 characters"}}},
		"a field of a list":         {target: "/json", body: `{` + valid + `,"items":[{"zip":"12345"},{"zip":"1"}]}`, want: details{{Field: "items[1].zip", Message: "must have exactly 5 characters"}}},
		"a key of a map":            {target: "/json", body: `{` + valid + `,"labels":{"7":"x"}}`, want: details{{Field: "labels[7]", Message: "does not satisfy alpha"}}},
		"a key without end":         {target: "/json", body: `{` + valid + `,"labels":{"` + strings.Repeat("7", 9999) + `":"x"}}`, want: details{{Field: "labels[" + strings.Repeat("7", 57) + "…", Message: "does not satisfy alpha"}}},
		"an element":                {target: "/list", body: `[{"zip":"12345"},{"zip":"1"}]`, want: details{{Field: "[].zip", Message: "must have exactly 5 characters"}}},
		"too large":                 {target: "/small", body: `{` + valid + `}`, wantStatus: 413, wantMessage: "the body has more than the 10 bytes that are taken"},
		"too large, bound by Gin":   {target: "/mustsmall", body: `{` + valid + `}`, wantStatus: 413, wantMessage: "the body has more than the 10 bytes that are taken"},
		"all is well, bound by Gin": {target: "/must", body: "{" + valid + "}", wantStatus: 204},
		"nothing, bound by Gin":     {target: "/must", body: "", wantMessage: "the body is empty"},
		"a field, bound by Gin":     {target: "/must", body: `{` + valid + `,"note":"four"}`, want: details{{Field: "note", Message: "must have at most 3 characters"}}},
		"a form without its parts":  {target: "/any", body: "--x\r\n", want: details{{Field: "email", Message: "is missing"}, {Field: "count", Message: "must be at least 1"}}},
		"a good query":              {target: "/query?name=a&page=1&since=2026-01-02&for=1s", wantStatus: 204},
		"a number in a query":       {target: "/query?name=a&page=one", wantMessage: `"one" is not a number that fits`},
		"a day in a query":          {target: "/query?name=a&since=now", wantMessage: `"now" is not a time of the form 2006-01-02`},
		"a time in a query":         {target: "/query?name=a&for=long"},
		"a missing parameter":       {target: "/query?page=-1", want: details{{Field: "page", Message: "must be more than 0"}, {Field: "name", Message: "is missing"}}},
		"a large parameter":         {target: "/query?name=a&page=100", want: details{{Field: "page", Message: "must be at most 99"}}},
		"a parameter without end":   {target: "/query?name=a&page=" + strings.Repeat("9", 99), wantMessage: `"` + strings.Repeat("9", 64) + `…" is not a number that fits`},
		"a part of the path":        {target: "/uri/6", want: details{{Field: "n", Message: "must be at most 5"}}},
		"a bad part of the path":    {target: "/uri/x", wantMessage: `"x" is not a number that fits`},
		"a missing header":          {target: "/header", want: details{{Field: "X-Rate", Message: "is missing"}}},
	}
	engine := binder()
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			method := http.MethodGet
			if !strings.HasPrefix(tc.target, "/query") && !strings.HasPrefix(tc.target, "/uri") && tc.target != "/header" {
				method = http.MethodPost
			}
			var headers []string
			if tc.target == "/any" {
				headers = []string{"Content-Type", "multipart/form-data; boundary=x"}
			}
			response := do(engine, method, tc.target, tc.body, headers...)
			if tc.wantStatus == 204 {
				if response.Code != 204 {
					t.Errorf("status %d: %s", response.Code, response.Body)
				}
				return
			}
			wantCode := "invalid_request"
			switch tc.wantStatus {
			case 0:
				tc.wantStatus = 400
			case 413:
				wantCode = "body_too_large"
			}
			if tc.wantMessage == "" {
				tc.wantMessage = "the request is not valid"
			}
			got := read(t, response)
			if response.Code != tc.wantStatus || got.Code != wantCode || got.Message != tc.wantMessage {
				t.Errorf("%d %s %q\nwant %d %s %q", response.Code, got.Code, got.Message, tc.wantStatus, wantCode, tc.wantMessage)
			}
			if diff := cmp.Diff(tc.want, got.Details); diff != "" {
				t.Errorf("details (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFieldsThatNobodyKnows(t *testing.T) {
	decode := func(body string) error {
		decoder := json.NewDecoder(strings.NewReader(body))
		decoder.DisallowUnknownFields()
		return decoder.Decode(new(order))
	}
	long := strings.Repeat("x", 9999)
	for body, want := range map[string]string{`{"colour":1}`: "colour", `{"` + long + `":1}`: long[:64] + "…"} {
		got := problem.Invalid(decode(body))
		if diff := cmp.Diff([]problem.Detail{{Field: want, Message: "is not known"}}, got.Details); got.Status != 400 || diff != "" {
			t.Errorf("status %d, details (-want +got):\n%s", got.Status, diff)
		}
	}
	// The same, as Gin has it for the whole process.
	binding.EnableDecoderDisallowUnknownFields = true
	t.Cleanup(func() { binding.EnableDecoderDisallowUnknownFields = false })
	if got := read(t, do(binder(), http.MethodPost, "/json", `{"colour":1}`)); len(got.Details) != 1 || got.Details[0].Field != "colour" {
		t.Errorf("answer %+v", got)
	}
}

func TestAThousandWrongElementsMakeAShortAnswer(t *testing.T) {
	body := "[" + strings.Repeat(`{"zip":"1"},`, 999) + `{"zip":"1"}]`
	for target, body := range map[string]string{"/list": body, "/json": `{"email":"a@b.example","count":1,"items":` + body + "}"} {
		got := read(t, do(binder(), http.MethodPost, target, body))
		if len(got.Details) != 51 || got.Details[50] != (problem.Detail{Message: "950 more are wrong"}) {
			t.Errorf("%s: %d details, the last is %+v", target, len(got.Details), got.Details[len(got.Details)-1])
		}
	}
}

func TestABodyThatTakesTooLongIsToldSo(t *testing.T) {
	for name, err := range map[string]error{
		"Invalid": problem.Invalid(fmt.Errorf("reading: %w", os.ErrDeadlineExceeded)),
		"From":    problem.From(&gin.Error{Err: os.ErrDeadlineExceeded, Type: gin.ErrorTypeBind}),
	} {
		told, ok := errors.AsType[*problem.Error](err)
		if !ok || told.Status != http.StatusRequestTimeout || told.Code != "request_timeout" || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s makes of it %#v", name, err)
		}
	}
	// A deadline that passed elsewhere is no matter of the client's.
	if told := problem.From(os.ErrDeadlineExceeded); told.Status != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", told.Status)
	}
}

func TestInvalidKeepsTheCauseForTheLog(t *testing.T) {
	cause := errors.New("what the decoder said")
	if got := problem.Invalid(fmt.Errorf("reading: %w", cause)); !errors.Is(got, cause) || got.Status != 400 {
		t.Errorf("%+v", got)
	}
}

// Whatever a client sends, it gets JSON with a code, a message and the time, and a status from 400 to 599, or it was valid.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{"", "{}", "[]", `{"email":"a@b.example","count":1}`, `{"at":"x"}`, "\xff\xfe", `{"labels":{"":""}}`, "<a/>", "a=b", `{"tags":[null]}`} {
		f.Add("application/problem+json;q=0.1", "application/json", []byte(body), "page=1")
		f.Add("*/*;q=,;", "application/x-www-form-urlencoded", []byte(body), "page=%zz&since=1&for=\x00")
		f.Add("", "application/xml", []byte(body), ";")
		f.Add("application/problem+json", "application/msgpack", []byte(body), "")
		f.Add(",", "multipart/form-data; boundary=x", []byte("--x\r\n"+body), "name=&&")
		f.Add(",", "application/yaml", []byte(body), "name=&&")
	}
	engine := binder()
	f.Fuzz(func(t *testing.T, accept, contentType string, body []byte, rawQuery string) {
		for _, target := range []string{"/json", "/list", "/any", "/small", "/must", "/mustsmall", "/query", "/header", "/nowhere"} {
			method := http.MethodPost
			if target == "/query" || target == "/header" {
				method = http.MethodGet
			}
			request := httptest.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
			request.URL.RawQuery = rawQuery
			request.Header["Accept"] = []string{accept}
			request.Header["Content-Type"] = []string{contentType}
			request.Header["X-Rate"] = []string{accept}
			recorder := httptest.NewRecorder()
			engine.ServeHTTP(recorder, request)
			if recorder.Code == http.StatusNoContent {
				continue
			}
			// Recover turns a panic into a 500, which no body may cause.
			if recorder.Code < 400 || recorder.Code > 499 {
				t.Fatalf("%s: status %d: %s", target, recorder.Code, recorder.Body)
			}
			var got struct {
				Code, Message, Detail string
				Timestamp             time.Time
			}
			if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil {
				t.Fatalf("%s: body %q: %v", target, recorder.Body, err)
			}
			if got.Code == "" || got.Message+got.Detail == "" || got.Timestamp.IsZero() {
				t.Fatalf("%s: body %q lacks the code, the message or the time", target, recorder.Body)
			}
			if recorder.Body.Len() > 16<<10 {
				t.Fatalf("%s: the answer has %d bytes", target, recorder.Body.Len())
			}
		}
	})
}
