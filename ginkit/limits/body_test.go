package limits

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

func TestBodiesOfAnySize(t *testing.T) {
	const most = 10
	read := func(c *gin.Context) {
		if _, err := io.ReadAll(c.Request.Body); err != nil {
			_ = c.Error(err)
		}
	}
	bind := func(c *gin.Context) {
		var body []int
		if err := c.ShouldBindJSON(&body); err != nil {
			problem.Write(c, problem.Invalid(err))
		}
	}
	for name, tc := range map[string]struct {
		handler  gin.HandlerFunc
		body     string
		unsaid   bool
		tooLarge bool
	}{
		"none":                               {handler: read},
		"as large as may be":                 {handler: read, body: strings.Repeat("x", most)},
		"as large as may be, length unsaid":  {handler: read, body: strings.Repeat("x", most), unsaid: true},
		"too large":                          {handler: read, body: strings.Repeat("x", most+1), tooLarge: true},
		"too large, length unsaid":           {handler: read, body: strings.Repeat("x", most+1), unsaid: true, tooLarge: true},
		"JSON":                               {handler: bind, body: "[1, 2]"},
		"JSON too large":                     {handler: bind, body: "[1, 2, 3, 4]", tooLarge: true},
		"JSON too large, length unsaid":      {handler: bind, body: "[1, 2, 3, 4]", unsaid: true, tooLarge: true},
		"too large for a handler that shuns": {handler: ok, body: strings.Repeat("x", most+1), tooLarge: true},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(tc.body))
			if tc.unsaid {
				request.ContentLength = -1
			}
			answer := httptest.NewRecorder()
			serve(tc.handler, problem.Errors(), Must(Body(most))).ServeHTTP(answer, request)
			if !tc.tooLarge {
				wantOK(t, answer)
				return
			}
			wantProblem(t, answer, http.StatusRequestEntityTooLarge, "body_too_large", "")
		})
	}
}

// counted counts what is read of a body.
type counted struct {
	io.ReadCloser
	read *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// TestAHugeBodyIsNotRead talks to a real server, and sends 1 GiB or says so.
func TestAHugeBodyIsNotRead(t *testing.T) {
	const most, huge = 1 << 10, 1 << 30
	var read atomic.Int64
	server := httptest.NewServer(serve(func(c *gin.Context) {
		_, err := io.Copy(io.Discard, c.Request.Body)
		if tooLarge := new(http.MaxBytesError); !errors.As(err, &tooLarge) || tooLarge.Limit != most {
			t.Errorf("reading the body: %v, want an error with the limit %d", err, most)
		}
		problem.Write(c, err)
	}, func(c *gin.Context) { c.Request.Body = counted{c.Request.Body, &read} }, Must(Body(most))))
	defer server.Close()
	for name, tc := range map[string]struct {
		header string
		// begin is sent with the headers, and chunk again and again.
		begin, chunk string
		read         int64
	}{
		// The server could read the rest of it and keep the connection, and must not.
		"not announced, and only a little more": {
			header: "Transfer-Encoding: chunked", begin: fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", 2*most, strings.Repeat("x", 2*most)), read: most + 1,
		},
		// Such a client sends nothing until it is told to go on, and must be told the contrary.
		"announced, and waiting": {header: fmt.Sprintf("Content-Length: %d\r\nExpect: 100-continue", huge)},
		"announced":              {header: fmt.Sprintf("Content-Length: %d", huge), chunk: strings.Repeat("x", 1<<15)},
		"not announced": {
			header: "Transfer-Encoding: chunked", chunk: fmt.Sprintf("%x\r\n%s\r\n", 1<<15, strings.Repeat("x", 1<<15)), read: most + 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			read.Store(0)
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: example.com\r\n%s\r\n\r\n%s", tc.header, tc.begin)
			sent := make(chan int)
			go func() {
				total := 0
				// It fails when the server has closed the connection.
				for tc.chunk != "" && total < huge {
					n, err := io.WriteString(conn, tc.chunk)
					if total += n; err != nil {
						break
					}
				}
				sent <- total
			}()
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusRequestEntityTooLarge || !answer.Close {
				t.Errorf("got %s, closed: %v; want 413 and closed", answer.Status, answer.Close)
			}
			if _, err := io.Copy(io.Discard, answer.Body); err != nil {
				t.Errorf("reading the answer: %v", err)
			}
			if total := <-sent; total >= huge {
				t.Errorf("all of %d bytes were sent", total)
			}
			if got := read.Load(); got > tc.read {
				t.Errorf("%d bytes were read, want at most %d", got, tc.read)
			}
		})
	}
}
