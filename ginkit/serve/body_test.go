package serve

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
)

// newBodyServer has routes that read bodies and one that does not, and little time for those that don't come.
func newBodyServer(t *testing.T, grace time.Duration) *running {
	t.Helper()
	r := newServer()
	r.Adjust = func(s *http.Server) { s.ReadHeaderTimeout = grace }
	r.engine.POST("/read", func(c *gin.Context) {
		switch all, err := io.ReadAll(c.Request.Body); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.String(http.StatusRequestTimeout, "too slow")
		case err != nil:
			c.String(http.StatusBadRequest, err.Error())
		default:
			c.String(http.StatusOK, string(all))
		}
	})
	r.engine.POST("/unread", func(c *gin.Context) { c.String(http.StatusForbidden, "no") })
	return r.start(t)
}

func TestABodyThatDoesNotComeIsCutOff(t *testing.T) {
	tests := map[string]struct {
		request, trickle string
		wantStatus       int
	}{
		"that is read": {request: "POST /read HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12345", wantStatus: 408},
		"that is read in chunks": {
			request: "POST /read HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", wantStatus: 408,
		},
		"that is read, and trickles": {
			request: "POST /read HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n", trickle: "x", wantStatus: 408,
		},
		"that nobody reads":            {request: "POST /unread HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12345", wantStatus: 403},
		"of a path that nobody serves": {request: "POST /nowhere HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12345", wantStatus: 404},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := newBodyServer(t, 100*time.Millisecond)
			conn := mustDial(t, r.address(t, "PORT"))
			if _, err := io.WriteString(conn, tc.request); err != nil {
				t.Fatal(err)
			}
			if tc.trickle != "" {
				go func() {
					for range time.Tick(10 * time.Millisecond) {
						if _, err := io.WriteString(conn, tc.trickle); err != nil {
							return
						}
					}
				}()
			}
			response, err := http.ReadResponse(conn.answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != tc.wantStatus || !response.Close {
				t.Errorf("status %d, last on its connection %v; want %d, true", response.StatusCode, response.Close, tc.wantStatus)
			}
			if _, err := io.Copy(io.Discard, conn.answers); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection is still open: %v", err)
			}
		})
	}
}

// What is fast enough may take longer than the grace, and so may a handler.
func TestABodyThatComesIsNotCutOff(t *testing.T) {
	r := newServer()
	const grace = 300 * time.Millisecond
	r.Adjust = func(s *http.Server) { s.ReadHeaderTimeout = grace }
	part := strings.Repeat("x", 4<<10)
	r.engine.POST("/read", func(c *gin.Context) {
		all, err := io.ReadAll(c.Request.Body)
		select {
		case <-c.Request.Context().Done():
			c.String(http.StatusInternalServerError, "the request is cancelled")
			return
		case <-time.After(2 * grace):
		}
		if err != nil {
			c.String(http.StatusBadRequest, err.Error())
			return
		}
		c.String(http.StatusOK, string(all))
	})
	r.start(t)
	conn := mustDial(t, r.address(t, "PORT"))
	for range 2 { // on the same connection
		if _, err := io.WriteString(conn, "POST /read HTTP/1.1\r\nHost: test\r\nContent-Length: 36864\r\n\r\n"+part); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			<-time.After(grace / 4)
			if _, err := io.WriteString(conn, part); err != nil {
				t.Fatal(err)
			}
		}
		response, err := http.ReadResponse(conn.answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK || len(all) != 9*len(part) || response.Close {
			t.Errorf("status %d, %d bytes, last on its connection %v, error %v", response.StatusCode, len(all), response.Close, err)
		}
		response.Body.Close()
	}
}

// A client that waits to be asked for its body gets the refusal instead, at once.
func TestAClientThatWaitsToBeAskedForItsBody(t *testing.T) {
	r := newBodyServer(t, time.Hour)
	conn := mustDial(t, r.address(t, "PORT"))
	if _, err := io.WriteString(conn, "POST /unread HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(conn.answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusForbidden || !response.Close {
		t.Errorf("status %d, last on its connection %v; want 403, true", response.StatusCode, response.Close)
	}
}

func TestFilesOfAFormAreRemoved(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	r := newServer()
	inside := make(chan int, 1)
	files := func() int {
		found, _ := filepath.Glob(filepath.Join(folder, "*"))
		return len(found)
	}
	r.engine.MaxMultipartMemory = 1
	r.engine.POST("/form", func(c *gin.Context) {
		_, err := c.FormFile("file")
		inside <- files()
		c.String(http.StatusOK, "%v", err)
	})
	r.start(t)
	reader, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	go func() {
		part, err := form.CreateFormFile("file", "large")
		if err == nil {
			// More than the memory that forms have beside their files.
			_, err = io.WriteString(part, strings.Repeat("x", 11<<20))
		}
		writer.CloseWithError(errors.Join(err, form.Close()))
	}()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.address(t, "PORT")+"/form", reader)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := <-inside; got != 1 {
		t.Fatalf("the form has %d files, want 1", got)
	}
	eventually(t, "the file of the form is removed", func() bool { return files() == 0 })
}

// deadlines is a connection that notes when it may be read until.
type deadlines struct {
	http.ResponseWriter

	set int
}

func (d *deadlines) SetReadDeadline(time.Time) error {
	d.set++
	return nil
}

func TestABodyThatIsReadAfterItsHandlerLeavesTheConnectionAlone(t *testing.T) {
	var kept io.Reader
	handler := boundBodies(&http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		kept = io.LimitReader(r.Body, 2)
		if _, err := io.ReadFull(r.Body, make([]byte, 1)); err != nil {
			t.Error(err)
		}
	})})
	connection := &deadlines{ResponseWriter: httptest.NewRecorder()}
	handler.ServeHTTP(connection, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("some text")))
	before := connection.set
	if rest, err := io.ReadAll(kept); string(rest) != "om" || err != nil {
		t.Errorf("%q %v", rest, err)
	}
	if before == 0 || connection.set != before {
		t.Errorf("the deadline was set %d times within the handler and %d times after it", before, connection.set-before)
	}
}
