package web

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzip"
)

// GzipOptions say what is compressed. All have defaults.
type GzipOptions struct {
	// MinSize is how many bytes an answer must have, from 1 to 1 MiB, default 1024. Less is not worth the time of either side. So much
	// of an answer is held back until its size is known.
	MinSize int
	// Level is from 1, fast, to 9, small; default 5.
	Level int
	// SkipPaths are paths whose answers are sent as they are, character by character. /metrics is always one: its handler compresses
	// by itself.
	SkipPaths []string
}

// Gzip compresses answers for clients that take it. It leaves alone what is small, streamed, encoded already, a part of something
// (Content-Range), of a type that does not shrink, without a body, or marked no-transform. All others carry Vary: Accept-Encoding,
// compressed or not, so that caches keep the two apart.
//
// It does not build on gin-contrib/gzip, because of what v1.2.5 does: it decides before it knows the answer, so that small answers grow
// and event streams are held up; an answer that is compressed already, and written in two pieces, is compressed in part and loses its
// Content-Encoding; a Flush in an error answer puts the start of a gzip stream into the text; Vary of others, such as Origin, is lost
// from errors; "gzip;q=0" is taken for a wish; and after a panic its writer is in use and back in the pool.
func Gzip(options GzipOptions) (gin.HandlerFunc, error) {
	if options.MinSize == 0 {
		options.MinSize = 1024
	}
	if options.Level == 0 {
		options.Level = 5
	}
	if options.MinSize < 1 || options.MinSize > 1<<20 {
		return nil, fmt.Errorf("web: MinSize is %d: give a number of bytes from 1 to %d, or nothing for 1024", options.MinSize, 1<<20)
	}
	if options.Level < gzip.BestSpeed || options.Level > gzip.BestCompression {
		return nil, fmt.Errorf("web: Level is %d: give a number from %d to %d, or nothing for 5", options.Level, gzip.BestSpeed, gzip.BestCompression)
	}
	skip := append([]string{"/metrics"}, options.SkipPaths...)
	pool := &sync.Pool{New: func() any {
		// The level was checked, and nothing else can be wrong.
		writer, err := gzip.NewWriterLevel(io.Discard, options.Level)
		if err != nil {
			panic(err)
		}
		return writer
	}}
	return func(c *gin.Context) {
		if slices.Contains(skip, c.Request.URL.Path) || c.Request.Header.Get("Upgrade") != "" {
			return
		}
		w := &gzipWriter{ResponseWriter: c.Writer, pool: pool, minSize: options.MinSize}
		if c.Request.Method == http.MethodHead || !takesGzip(c.Request.Header.Values("Accept-Encoding")) {
			w.mode = plain
		}
		c.Writer = w
		returned := false
		defer func() {
			// After a panic what was held back is dropped, and whoever recovers can still answer.
			w.finish(returned)
			c.Writer = w.ResponseWriter
		}()
		c.Next()
		returned = true
	}, nil
}

// takesGzip reports whether a client takes gzip (RFC 9110, section 12.5.3). One that names it does, unless with q=0; "*" stands for
// what is not named.
func takesGzip(accept []string) bool {
	star := false
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			name, parameters, _ := strings.Cut(part, ";")
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, "gzip") || strings.EqualFold(name, "x-gzip"):
				return !zeroWeight(parameters)
			case name == "*":
				star = !zeroWeight(parameters)
			}
		}
	}
	return star
}

func zeroWeight(parameters string) bool {
	name, value, _ := strings.Cut(strings.TrimSpace(parameters), "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return false
	}
	weight, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err != nil || weight <= 0
}

// worthwhile reports whether an answer with this status and these headers may be compressed, and gets smaller by it.
func worthwhile(status int, header http.Header) bool {
	if status < 200 || status == http.StatusNoContent || status == http.StatusResetContent || status == http.StatusPartialContent || status == http.StatusNotModified {
		return false
	}
	if header.Get("Content-Encoding") != "" || header.Get("Content-Range") != "" {
		return false
	}
	if strings.Contains(strings.ToLower(strings.Join(header.Values("Cache-Control"), ",")), "no-transform") {
		return false
	}
	return shrinks(header.Get("Content-Type"))
}

// shrinks reports whether a media type is text of some kind. What is not known is left alone.
func shrinks(contentType string) bool {
	name, _, _ := strings.Cut(contentType, ";")
	name = strings.ToLower(strings.TrimSpace(name))
	switch name {
	case "text/event-stream":
		return false
	case "application/json", "application/javascript", "application/xml", "application/x-ndjson", "application/jsonl", "application/yaml",
		"application/x-www-form-urlencoded", "application/wasm", "font/ttf", "font/otf", "image/bmp", "image/x-icon":
		return true
	}
	return strings.HasPrefix(name, "text/") || strings.HasSuffix(name, "+json") || strings.HasSuffix(name, "+xml") || strings.HasSuffix(name, "+yaml")
}
