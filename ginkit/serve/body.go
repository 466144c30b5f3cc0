package serve

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// leastRate is how fast a body has to come on average, in bytes per second, once the time for the header has been waited for it, too.
const leastRate = 1 << 10

// bodies cuts off clients that announce a body and then send it too slowly, or not at all. Without it each has a connection for all of
// ReadTimeout, which has to be long for the sake of long answers, and a stop waits for it: one client that hangs would make every pod end by
// its limit.
type bodies struct {
	next  http.Handler
	grace time.Duration // waited for a body of no bytes
	whole time.Duration // ReadTimeout; 0 is none
}

// boundBodies returns the handler with the bounds that the timeouts of its server give.
func boundBodies(server *http.Server) http.Handler {
	grace := server.ReadHeaderTimeout
	if grace <= 0 {
		// As net/http has it for headers.
		grace = server.ReadTimeout
	}
	if grace <= 0 {
		return server.Handler
	}
	return &bodies{next: server.Handler, grace: grace, whole: server.ReadTimeout}
}

func (b *bodies) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		b.next.ServeHTTP(w, r)
		return
	}
	bounded := &body{ReadCloser: r.Body, connection: http.NewResponseController(w), left: b.grace}
	if b.whole > 0 {
		bounded.latest = time.Now().Add(b.whole)
	}
	// It also holds for a body that the handler leaves unread, and the server reads after it, to use the connection again.
	bounded.allow(time.Now())
	// A copy: by the body of its own request the server knows a client that waits to be asked for it (Expect: 100-continue), and it must
	// not wait for that one in turn.
	request := r.WithContext(r.Context())
	request.Body = bounded
	defer bounded.end()
	b.next.ServeHTTP(w, request)
	if r.MultipartForm == nil {
		// The server removes the files of its own request alone.
		r.MultipartForm = request.MultipartForm
	}
}

// body is a body that has to come in time. What counts is the time that its reader waits, not that between reads, which is the handler's.
type body struct {
	io.ReadCloser

	connection *http.ResponseController
	left       time.Duration
	latest     time.Time // by ReadTimeout

	mu    sync.Mutex
	ended bool // the handler has returned
}

// Read fails with os.ErrDeadlineExceeded where the body has taken too long.
func (b *body) Read(p []byte) (int, error) {
	began := time.Now()
	b.allow(began)
	n, err := b.ReadCloser.Read(p)
	b.left += time.Duration(n)*time.Second/leastRate - time.Since(began)
	if errors.Is(err, io.EOF) {
		// From here on the server reads, to see the client go away.
		b.setDeadline(b.latest)
	}
	return n, err
}

// allow lets the connection be read for as long as the body has left.
func (b *body) allow(now time.Time) {
	deadline := now.Add(b.left)
	if !b.latest.IsZero() && b.latest.Before(deadline) {
		deadline = b.latest
	}
	b.setDeadline(deadline)
}

func (b *body) setDeadline(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		// Who reads on, as a transport may that passes the body on, would set it for the next request.
		return
	}
	// Every connection of net/http has deadlines. One that does not is as it was.
	_ = b.connection.SetReadDeadline(at)
}

// end leaves the connection to the server.
func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
}
