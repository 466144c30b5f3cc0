package web

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzip"
)

// mode is what a gzipWriter does with what is written.
type mode int

const (
	// undecided holds it back, at most up to minSize.
	undecided mode = iota
	// plain passes it on.
	plain
	// compressed passes it through gzip.
	compressed
)

// gzipWriter decides, as late as it can, whether an answer is compressed. Nothing of it is on its way before that.
type gzipWriter struct {
	gin.ResponseWriter
	pool    *sync.Pool
	minSize int

	mode   mode
	varied bool
	held   []byte
	gz     *gzip.Writer
}

// Write sends, compresses or holds back.
func (w *gzipWriter) Write(data []byte) (int, error) {
	if w.mode == undecided {
		w.consider(data)
	}
	switch w.mode {
	case compressed:
		return w.gz.Write(data)
	case plain:
		w.vary()
		return w.ResponseWriter.Write(data)
	default:
		w.held = append(w.held, data...)
		return len(data), nil
	}
}

// WriteString does as Write.
func (w *gzipWriter) WriteString(text string) (int, error) {
	if w.mode == plain {
		w.vary()
		return w.ResponseWriter.WriteString(text)
	}
	return w.Write([]byte(text)) //nolint:gocritic // this is what it would call
}

// consider decides where the headers, or the size with what comes next, allow it.
func (w *gzipWriter) consider(next []byte) {
	header := w.Header()
	if _, typed := header["Content-Type"]; !typed && header.Get("Content-Encoding") == "" && len(next) > 0 {
		// The server guesses the type only of what is not compressed.
		header.Set("Content-Type", http.DetectContentType(next))
	}
	if !worthwhile(w.Status(), header) {
		w.pass()
		return
	}
	size := len(w.held) + len(next)
	if total, err := strconv.Atoi(header.Get("Content-Length")); err == nil {
		if total < w.minSize {
			w.pass()
			return
		}
		size = max(size, total)
	}
	if size >= w.minSize {
		w.compress()
	}
}

// pass sends what was held back, and what follows, as it is.
func (w *gzipWriter) pass() {
	w.mode = plain
	if len(w.held) == 0 {
		return
	}
	w.vary()
	// The connection is broken if this fails, and then the next write fails too, or there is none.
	_, _ = w.ResponseWriter.Write(w.held)
	w.held = nil
}

func (w *gzipWriter) compress() {
	header := w.Header()
	header.Set("Content-Encoding", "gzip")
	header.Del("Content-Length")
	header.Del("Accept-Ranges")
	if tag := header.Get("ETag"); strings.HasPrefix(tag, `"`) {
		// It is the same text, but no longer the same bytes.
		header.Set("ETag", "W/"+tag)
	}
	w.vary()
	w.mode = compressed
	w.gz, _ = w.pool.Get().(*gzip.Writer)
	w.gz.Reset(w.ResponseWriter)
	_, _ = w.gz.Write(w.held) // as in pass
	w.held = nil
}

// finish ends the answer, or drops what there is of it.
func (w *gzipWriter) finish(whole bool) {
	if whole {
		if w.mode == undecided {
			w.pass()
		}
		// For an answer without a body, whose headers are still to be sent.
		w.vary()
	}
	if w.gz == nil {
		return
	}
	if whole {
		_ = w.gz.Close() // fails only with the connection
	}
	w.gz.Reset(io.Discard)
	w.pool.Put(w.gz)
	w.gz = nil
	// Nobody should write any more. Who does must not get a writer that belongs to another request.
	w.mode = plain
}

// vary names Accept-Encoding in Vary as late as possible, because other handlers set Vary anew. It changes no list of values in place:
// gin-contrib/cors puts one list into all answers.
func (w *gzipWriter) vary() {
	if w.varied || w.ResponseWriter.Written() {
		return
	}
	w.varied = true
	addVary(w.Header(), "Accept-Encoding")
}

func addVary(header http.Header, name string) {
	values := header["Vary"]
	for _, line := range values {
		for part := range strings.SplitSeq(line, ",") {
			if part = strings.TrimSpace(part); part == "*" || strings.EqualFold(part, name) {
				return
			}
		}
	}
	header["Vary"] = append(slices.Clip(values), name)
}

// WriteHeaderNow sends the headers, so that it is the last moment to decide.
func (w *gzipWriter) WriteHeaderNow() {
	if w.mode == undecided {
		w.pass()
	}
	w.vary()
	w.ResponseWriter.WriteHeaderNow()
}

// Flush sends all there is. An answer that is flushed before it has minSize bytes is a stream of small pieces, and stays as it is.
func (w *gzipWriter) Flush() {
	switch w.mode {
	case compressed:
		_ = w.gz.Flush() // as in pass
	case undecided:
		w.pass()
	case plain:
	}
	w.vary()
	w.ResponseWriter.Flush()
}

// Written also counts what is held back: it is an answer.
func (w *gzipWriter) Written() bool {
	return len(w.held) > 0 || w.ResponseWriter.Written()
}

// Size counts what is held back and, of a compressed answer, what was sent of it.
func (w *gzipWriter) Size() int {
	if len(w.held) > 0 {
		return len(w.held)
	}
	return w.ResponseWriter.Size()
}

// Hijack hands over the connection, if nothing was written before.
func (w *gzipWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.mode == undecided {
		w.pass()
	}
	return w.ResponseWriter.Hijack()
}

// Unwrap is for http.ResponseController, which sets deadlines through it.
func (w *gzipWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
