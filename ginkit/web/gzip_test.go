package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

var long = strings.Repeat("all work and no play ", 500)

// client gets answers as they are on the wire.
func client(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// head is an answer without its body.
type head struct {
	StatusCode int
	Header     http.Header
}

func fetch(t testing.TB, method, url, accept string) (head, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		request.Header.Set("Accept-Encoding", accept)
	}
	answer, err := client(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return head{answer.StatusCode, answer.Header}, body
}

func zip(t testing.TB, text string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	if _, err := writer.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func unzip(t testing.TB, body []byte) string {
	t.Helper()
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%.40q is not gzip: %v", body, err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// gzipServer has a route for each kind of answer.
func gzipServer(t testing.TB) *httptest.Server {
	t.Helper()
	engine := gin.New()
	engine.Use(problem.Recover(slog.New(slog.DiscardHandler)), must(t)(Gzip(GzipOptions{SkipPaths: []string{"/skipped"}})))
	encoded := zip(t, long)
	for path, handler := range map[string]gin.HandlerFunc{
		"/long":  func(c *gin.Context) { c.String(http.StatusOK, long) },
		"/json":  func(c *gin.Context) { c.JSON(http.StatusOK, long) },
		"/bytes": func(c *gin.Context) { c.Data(http.StatusOK, "application/octet-stream", []byte(long)) },
		"/pieces": func(c *gin.Context) {
			for piece := range strings.SplitAfterSeq(long, " ") {
				fmt.Fprint(c.Writer, piece)
			}
		},
		"/reader": func(c *gin.Context) {
			c.DataFromReader(http.StatusOK, int64(len(long)), "text/plain", strings.NewReader(long), nil)
		},
		"/small":   func(c *gin.Context) { c.String(http.StatusOK, "small") },
		"/untyped": func(c *gin.Context) { _, _ = c.Writer.WriteString(long) },
		"/image":   func(c *gin.Context) { _, _ = c.Writer.WriteString("\x89PNG\r\n\x1a\n" + long) },
		"/metrics": func(c *gin.Context) { c.String(http.StatusOK, long) },
		"/skipped": func(c *gin.Context) { c.String(http.StatusOK, long) },
		"/nothing": func(c *gin.Context) { c.Status(http.StatusNoContent) },
		"/aborted": func(c *gin.Context) { c.AbortWithStatus(http.StatusNoContent) },
		"/same":    func(c *gin.Context) { c.Header("ETag", `"1"`); c.AbortWithStatus(http.StatusNotModified) },
		"/noway":   func(c *gin.Context) { c.Header("Cache-Control", "public, No-Transform"); c.String(http.StatusOK, long) },
		"/part": func(c *gin.Context) {
			c.Header("Content-Range", "bytes 0-1/3")
			c.String(http.StatusPartialContent, long)
		},
		"/tagged": func(c *gin.Context) {
			c.Header("ETag", `"1"`)
			c.Header("Accept-Ranges", "bytes")
			c.String(http.StatusOK, long)
		},
		"/varied":  func(c *gin.Context) { c.Header("Vary", "Origin"); c.String(http.StatusOK, long) },
		"/error":   func(c *gin.Context) { problem.Write(c, problem.New(http.StatusConflict, "taken", "it is taken")) },
		"/longerr": func(c *gin.Context) { problem.Write(c, problem.New(http.StatusConflict, "taken", long)) },
		"/panic":   func(*gin.Context) { panic("a fault") },
		"/held":    func(c *gin.Context) { c.String(http.StatusOK, "half"); panic("a fault") },
		"/errflush": func(c *gin.Context) {
			c.String(http.StatusTeapot, "bad")
			c.Writer.Flush()
			c.String(http.StatusTeapot, "der")
		},
		"/encoded": func(c *gin.Context) {
			c.Header("Content-Encoding", "gzip")
			c.Header("Content-Type", "text/plain")
			_, _ = c.Writer.Write(encoded[:10])
			_, _ = c.Writer.Write(encoded[10:])
		},
	} {
		engine.GET(path, handler)
		engine.HEAD(path, handler)
	}
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	return server
}

func TestGzip(t *testing.T) {
	server := gzipServer(t)
	for name, tc := range map[string]struct {
		path, accept string
		status       int
		compressed   bool
		text         string
	}{
		"a long text":              {"/long", "gzip", 200, true, long},
		"a document":               {"/json", "br, gzip", 200, true, `"` + long + `"`},
		"many small pieces":        {"/pieces", "gzip", 200, true, long},
		"a known length":           {"/reader", "gzip", 200, true, long},
		"a type that is guessed":   {"/untyped", "gzip", 200, true, long},
		"a long error":             {"/longerr", "gzip", 409, true, ""},
		"everything is taken":      {"/long", "*", 200, true, long},
		"with a weight":            {"/long", "br;q=1.0, GZIP;q=0.5", 200, true, long},
		"nothing is asked for":     {"/long", "", 200, false, long},
		"gzip is refused":          {"/long", "gzip;q=0", 200, false, long},
		"gzip is refused, not all": {"/long", "gzip;q=0.000, *", 200, false, long},
		"another name":             {"/long", "gzipped", 200, false, long},
		"a wrong weight":           {"/long", "gzip;q=x", 200, false, long},
		"a small text":             {"/small", "gzip", 200, false, "small"},
		"a type that is unknown":   {"/bytes", "gzip", 200, false, long},
		"an image":                 {"/image", "gzip", 200, false, "\x89PNG\r\n\x1a\n" + long},
		"no-transform":             {"/noway", "gzip", 200, false, long},
		"a part":                   {"/part", "gzip", 206, false, long},
		"no content":               {"/nothing", "gzip", 204, false, ""},
		"aborted without content":  {"/aborted", "gzip", 204, false, ""},
		"not modified":             {"/same", "gzip", 304, false, ""},
		"an error":                 {"/error", "gzip", 409, false, ""},
		"a panic":                  {"/panic", "gzip", 500, false, ""},
		"a panic after a start":    {"/held", "gzip", 500, false, ""},
		"a flush in an error":      {"/errflush", "gzip", 418, false, "badder"},
	} {
		t.Run(name, func(t *testing.T) {
			answer, body := fetch(t, http.MethodGet, server.URL+tc.path, tc.accept)
			if answer.StatusCode != tc.status {
				t.Errorf("status %d, want %d", answer.StatusCode, tc.status)
			}
			if got := strings.Join(answer.Header.Values("Vary"), ","); !strings.Contains(got, "Accept-Encoding") && tc.path != "/panic" && tc.path != "/held" {
				t.Errorf("Vary is %q, want Accept-Encoding in it", got)
			}
			text := string(body)
			switch encoding := answer.Header.Get("Content-Encoding"); {
			case tc.compressed && encoding != "gzip":
				t.Fatalf("Content-Encoding is %q, want gzip", encoding)
			case !tc.compressed && encoding != "":
				t.Fatalf("Content-Encoding is %q, want none", encoding)
			case tc.compressed:
				if len(body) > len(long)/2 {
					t.Errorf("%d bytes of %d are left", len(body), len(long))
				}
				text = unzip(t, body)
			}
			if tc.status >= 400 && tc.text == "" {
				if !strings.HasPrefix(text, `{"code":`) || !strings.HasSuffix(text, "}") {
					t.Errorf("the error %.60q is not whole", text)
				}
			} else if text != tc.text {
				t.Errorf("the text is %.60q, want %.60q", text, tc.text)
			}
		})
	}
}

func TestGzipLeavesHead(t *testing.T) {
	answer, _ := fetch(t, http.MethodHead, gzipServer(t).URL+"/long", "gzip")
	if got := answer.Header.Get("Content-Encoding"); got != "" || answer.StatusCode != http.StatusOK {
		t.Errorf("status %d, Content-Encoding %q; want 200 and none", answer.StatusCode, got)
	}
	if got := answer.Header.Get("Vary"); got != "Accept-Encoding" {
		t.Errorf("Vary is %q, want Accept-Encoding, as for GET", got)
	}
}

func TestGzipLeavesPathsThatAreSkipped(t *testing.T) {
	server := gzipServer(t)
	for _, path := range []string{"/metrics", "/skipped"} {
		answer, body := fetch(t, http.MethodGet, server.URL+path, "gzip")
		if got := answer.Header.Get("Content-Encoding"); got != "" || string(body) != long {
			t.Errorf("%s: Content-Encoding %q, %d bytes; want none and all", path, got, len(body))
		}
	}
}

func TestGzipLeavesWhatIsEncoded(t *testing.T) {
	answer, body := fetch(t, http.MethodGet, gzipServer(t).URL+"/encoded", "gzip")
	if got := answer.Header.Get("Content-Encoding"); got != "gzip" {
		t.Errorf("Content-Encoding is %q, want the handler's own gzip", got)
	}
	if text := unzip(t, body); text != long {
		t.Errorf("the text is %.40q, want it compressed once", text)
	}
}

func TestGzipKeepsHeadersTrue(t *testing.T) {
	server := gzipServer(t)
	answer, _ := fetch(t, http.MethodGet, server.URL+"/tagged", "gzip")
	if got := answer.Header.Get("ETag"); got != `W/"1"` {
		t.Errorf("ETag is %s, want a weak one", got)
	}
	if got := answer.Header.Get("Accept-Ranges"); got != "" {
		t.Errorf("Accept-Ranges is %q, want none: parts of it can't be had", got)
	}
	answer, _ = fetch(t, http.MethodGet, server.URL+"/tagged", "")
	if got := answer.Header.Get("ETag"); got != `"1"` {
		t.Errorf("uncompressed: ETag is %s, want the handler's", got)
	}
	for _, accept := range []string{"", "gzip"} {
		answer, _ = fetch(t, http.MethodGet, server.URL+"/varied", accept)
		if got := strings.Join(answer.Header.Values("Vary"), ","); got != "Origin,Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: Vary is %q, want Origin,Accept-Encoding", accept, got)
		}
	}
	answer, _ = fetch(t, http.MethodGet, server.URL+"/untyped", "gzip")
	if got := answer.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Errorf("the guessed type is %q, want text/plain", got)
	}
}

// TestGzipLetsStreamsThrough has handlers that go on only when the client has seen what they flushed.
func TestGzipLetsStreamsThrough(t *testing.T) {
	for name, tc := range map[string]struct {
		contentType, first string
		compressed         bool
	}{
		"events":            {"text/event-stream", "data: 1\n\n", false},
		"long events":       {"text/event-stream", "data: " + long + "\n\n", false},
		"lines":             {"application/x-ndjson", "{}\n", false},
		"a long first part": {"text/plain", long, true},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan struct{})
			engine := gin.New()
			engine.Use(must(t)(Gzip(GzipOptions{})))
			engine.GET("/", func(c *gin.Context) {
				c.Header("Content-Type", tc.contentType)
				_, _ = c.Writer.WriteString(tc.first)
				if err := http.NewResponseController(c.Writer).Flush(); err != nil {
					t.Errorf("flushing: %v", err)
				}
				select {
				case <-seen:
				case <-c.Request.Context().Done():
					return
				}
				_, _ = c.Writer.WriteString("the end")
			})
			server := httptest.NewServer(engine)
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Accept-Encoding", "gzip")
			answer, err := client(t).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			var body io.Reader = answer.Body
			if got := answer.Header.Get("Content-Encoding") == "gzip"; got != tc.compressed {
				t.Fatalf("compressed %t, want %t", got, tc.compressed)
			}
			if tc.compressed {
				if body, err = gzip.NewReader(answer.Body); err != nil {
					t.Fatal(err)
				}
			}
			first := make([]byte, len(tc.first))
			if _, err := io.ReadFull(body, first); err != nil || string(first) != tc.first {
				t.Fatalf("the first part does not come: %.40q, %v", first, err)
			}
			close(seen)
			if rest, err := io.ReadAll(body); err != nil || string(rest) != "the end" {
				t.Errorf("the rest is %q, %v", rest, err)
			}
		})
	}
}

func TestGzipLeavesTheConnectionToWhoTakesIt(t *testing.T) {
	engine := gin.New()
	engine.Use(must(t)(Gzip(GzipOptions{})))
	engine.GET("/", func(c *gin.Context) {
		if err := http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Errorf("setting a deadline: %v", err)
		}
		conn, _, err := c.Writer.Hijack()
		if err != nil {
			t.Errorf("hijacking: %v", err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nmy")
	})
	server := httptest.NewServer(engine)
	defer server.Close()
	if _, body := fetch(t, http.MethodGet, server.URL, "gzip"); string(body) != "my" {
		t.Errorf("the answer is %q, want the handler's own", body)
	}
}

func TestGzipOutsideOfOtherMiddlewares(t *testing.T) {
	var written bool
	var size int
	engine := gin.New()
	engine.Use(must(t)(Gzip(GzipOptions{})), func(c *gin.Context) {
		c.Next()
		written, size = c.Writer.Written(), c.Writer.Size()
	})
	engine.GET("/held", func(c *gin.Context) { c.String(http.StatusOK, "held") })
	engine.GET("/none", func(*gin.Context) {})
	for path, want := range map[string]int{"/held": 4, "/none": -1} {
		request := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		request.Header.Set("Accept-Encoding", "gzip")
		engine.ServeHTTP(httptest.NewRecorder(), request)
		if written != (want >= 0) || size != want {
			t.Errorf("%s: written %t, size %d; want size %d", path, written, size, want)
		}
	}
}

// TestGzipSharesNoWriter has answers and panics of many requests at once; a writer that two of them have mixes their texts.
func TestGzipSharesNoWriter(t *testing.T) {
	engine := gin.New()
	engine.Use(problem.Recover(slog.New(slog.DiscardHandler)), must(t)(Gzip(GzipOptions{})))
	engine.GET("/:id", func(c *gin.Context) {
		c.String(http.StatusOK, strings.Repeat(c.Param("id"), 2000))
		if c.Param("id") == "x" {
			panic("a fault")
		}
	})
	get := func(path string) (answer *httptest.ResponseRecorder, cut any) {
		request := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		request.Header.Set("Accept-Encoding", "gzip")
		answer = httptest.NewRecorder()
		defer func() { cut = recover() }()
		engine.ServeHTTP(answer, request)
		return answer, nil
	}
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			id := fmt.Sprint(worker)
			for range 50 {
				if answer, cut := get("/" + id); cut != nil || unzip(t, answer.Body.Bytes()) != strings.Repeat(id, 2000) {
					t.Errorf("the answer to %s is not its own", id)
				}
				if _, cut := get("/x"); cut != any(http.ErrAbortHandler) {
					t.Errorf("half an answer ends with %v, want a connection that is cut", cut)
				}
			}
		})
	}
	wait.Wait()
}

func BenchmarkGzip(b *testing.B) {
	for name, text := range map[string]string{"small": "small", "long": long} {
		b.Run(name, func(b *testing.B) {
			engine := gin.New()
			engine.Use(must(b)(Gzip(GzipOptions{})))
			engine.GET("/", func(c *gin.Context) { c.String(http.StatusOK, text) })
			request := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			request.Header.Set("Accept-Encoding", "gzip")
			b.ReportAllocs()
			for b.Loop() {
				engine.ServeHTTP(httptest.NewRecorder(), request)
			}
		})
	}
}
