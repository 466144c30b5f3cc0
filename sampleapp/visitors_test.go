package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// answer is what came back to a request.
type answer struct {
	status int
	header http.Header
	body   string
	last   bool // the connection ends with it
	took   time.Duration
}

func (a answer) String() string {
	return fmt.Sprintf("status %d after %s: %.300s", a.status, a.took.Round(time.Millisecond), a.body)
}

// code is the code of the error that an answer is.
func (a answer) code() string {
	_, after, _ := strings.Cut(a.body, `"code":"`)
	code, _, _ := strings.Cut(after, `"`)
	return code
}

// message returns a request as it is sent, with headers as name, value, name, value.
func message(method, target, body string, headers ...string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: test\r\n", method, target)
	if body != "" {
		fmt.Fprintf(&text, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	for pair := range slices.Chunk(headers, 2) {
		text.WriteString(strings.Join(pair, ": ") + "\r\n")
	}
	text.WriteString("\r\n" + body)
	return text.String()
}

// newUser is the body that creates a user.
func newUser(name string) string {
	return fmt.Sprintf(`{"name":%q,"email":"%s@example.org"}`, name, name)
}

// ask sends a request as it is written, and reads the answer.
func (c *connection) ask(request string) (answer, error) {
	began := time.Now()
	if err := c.SetDeadline(began.Add(patience)); err != nil {
		return answer{}, err
	}
	if _, err := io.WriteString(c, request); err != nil {
		return answer{}, fmt.Errorf("sending: %w", err)
	}
	got, err := c.read()
	got.took = time.Since(began)
	return got, err
}

// read reads the next answer.
func (c *connection) read() (answer, error) {
	response, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, fmt.Errorf("reading the body: %w", err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(body), last: response.Close}, nil
}

// ask sends one request on a connection of its own.
func ask(t *testing.T, address, request string) answer {
	t.Helper()
	conn, err := dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := conn.ask(request)
	if err != nil {
		t.Fatalf("%.100q: %v", request, err)
	}
	return got
}

// askFor sends a GET on a connection of its own.
func askFor(t *testing.T, address, target string) answer {
	t.Helper()
	return ask(t, address, message(http.MethodGet, target, ""))
}

// visitors are clients that mean well. Each sends one request after another, with a pause, half of them on a new connection each.
type visitors struct {
	address string
	// next returns the request that a visitor sends, and wrong what is wrong with its answer, or "".
	next  func(visitor, turn int) string
	wrong func(request string, got answer) string

	ending  chan struct{}
	running sync.WaitGroup

	mu       sync.Mutex
	answered map[int]int // by status
	failures []string
	slowest  time.Duration
}

// visit starts visitors, which go with the test or before.
func visit(t *testing.T, address string, count int, next func(visitor, turn int) string, wrong func(string, answer) string) *visitors {
	t.Helper()
	v := &visitors{address: address, next: next, wrong: wrong, ending: make(chan struct{}), answered: map[int]int{}}
	for visitor := range count {
		v.running.Go(func() { v.run(visitor) })
	}
	t.Cleanup(v.leave)
	return v
}

func (v *visitors) run(visitor int) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	var conn *connection
	for turn := 0; ; turn++ {
		select {
		case <-v.ending:
			if conn != nil {
				conn.Close()
			}
			return
		case <-ticker.C:
		}
		if conn == nil {
			var err error
			if conn, err = dial(v.address); err != nil {
				v.count("connecting", answer{}, err)
				continue
			}
		}
		request := v.next(visitor, turn)
		got, err := conn.ask(request)
		v.count(request, got, err)
		if err != nil || got.last || visitor%2 == 0 {
			conn.Close()
			conn = nil
		}
	}
}

func (v *visitors) count(request string, got answer, err error) {
	if err == nil {
		if wrong := v.wrong(request, got); wrong != "" {
			err = fmt.Errorf("%s: %s", wrong, got)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		line, _, _ := strings.Cut(request, "\r\n")
		v.failures = append(v.failures, fmt.Sprintf("%s: %v", line, err))
		return
	}
	v.answered[got.status]++
	v.slowest = max(v.slowest, got.took)
}

// seen returns how many good answers of a status there were.
func (v *visitors) seen(status int) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.answered[status]
}

// more waits until there are more good answers of a status.
func (v *visitors) more(t *testing.T, status, count int) {
	t.Helper()
	want := v.seen(status) + count
	eventually(t, fmt.Sprintf("visitors have %d more answers with status %d", count, status), func() bool { return v.seen(status) >= want })
}

func (v *visitors) leave() {
	v.mu.Lock()
	select {
	case <-v.ending:
	default:
		close(v.ending)
	}
	v.mu.Unlock()
	v.running.Wait()
}

// check lets the visitors go, and fails the test where one of them saw something wrong.
func (v *visitors) check(t *testing.T) {
	t.Helper()
	v.leave()
	if len(v.failures) > 0 {
		t.Errorf("%d requests of visitors failed, among them %s", len(v.failures), v.failures[0])
	}
	t.Logf("visitors: answers by status %v, the slowest after %s", v.answered, v.slowest.Round(time.Millisecond))
}

// metric reads a metric without labels, or one of them with labels as the text format has them.
func metric(t *testing.T, address, name string) float64 {
	t.Helper()
	value, found := findMetric(t, address, name)
	if !found {
		t.Fatalf("there is no metric %s", name)
	}
	return value
}

// findMetric also reports whether the metric is there: that of a route is not before its first answer has ended.
func findMetric(t *testing.T, address, name string) (value float64, found bool) {
	t.Helper()
	for line := range strings.Lines(askFor(t, address, "/metrics").body) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), name+" "); found {
			number, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return number, true
		}
	}
	return 0, false
}
