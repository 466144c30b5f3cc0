package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// attacked is the service while others use it in peace.
type attacked struct {
	*program

	at       string
	token    string // one that is good
	keySet   string
	visitors *visitors
}

// startAttacked starts the service, with tokens, and visitors who read and write.
func startAttacked(t *testing.T, env ...string) *attacked {
	t.Helper()
	issuer := newIssuer(t)
	for name, value := range issuer.env() {
		env = append(env, name+"="+value)
	}
	a := &attacked{program: start(t, env...), keySet: issuer.keySet, token: issuer.token(t, "users:write", time.Hour)}
	a.at = a.address(t, "PORT")
	a.visitors = visit(t, a.at, 6, func(visitor, turn int) string {
		switch {
		case turn%10 == 0:
			return message(http.MethodPost, "/api/v1/users", newUser(fmt.Sprintf("visitor-%d-%d", visitor, turn)), "Authorization", "Bearer "+a.token)
		case turn%2 == 0:
			return message(http.MethodGet, "/api/v1/users?limit=5", "")
		}
		return message(http.MethodGet, "/api/v1/ping", "")
	}, func(request string, got answer) string {
		if want := map[bool]int{true: http.StatusCreated, false: http.StatusOK}[strings.HasPrefix(request, "POST")]; got.status != want {
			return fmt.Sprintf("want status %d", want)
		}
		return ""
	})
	a.visitors.more(t, http.StatusCreated, 1)
	return a
}

// hang sends something on each of some connections, and leaves them open.
func (a *attacked) hang(t *testing.T, count int, text string) []*connection {
	t.Helper()
	var hanging []*connection
	for range count {
		conn, err := dial(a.at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		hanging = append(hanging, conn)
	}
	return hanging
}

// halves are requests that stop in the middle.
func (a *attacked) halves() map[string]string {
	authorization := "Authorization: Bearer " + a.token + "\r\n"
	return map[string]string{ //nolint:gosec // half a request, no secret
		"nothing":                          "",
		"half a request line":              "GET /api/v1/pi",
		"half of the headers":              "GET /api/v1/ping HTTP/1.1\r\nHost: test\r\nX-Slow: ye",
		"half of a second request":         message(http.MethodGet, "/api/v1/ping", "") + "GET /api/v1/ping HTTP/1.1\r\nHo",
		"half a body":                      "POST /api/v1/users HTTP/1.1\r\nHost: test\r\n" + authorization + "Content-Length: 50\r\n\r\n{\"name\":",
		"half a body in chunks":            "POST /api/v1/users HTTP/1.1\r\nHost: test\r\n" + authorization + "Transfer-Encoding: chunked\r\n\r\n8\r\n{\"name\":\r\n",
		"half a body without a token":      "POST /api/v1/users HTTP/1.1\r\nHost: test\r\nContent-Length: 50\r\n\r\n{\"name\":",
		"half a body for nobody":           "POST /nowhere HTTP/1.1\r\nHost: test\r\nContent-Length: 50\r\n\r\n{\"name\":",
		"half a body that nobody asks for": "POST /api/v1/users HTTP/1.1\r\nHost: test\r\n" + authorization + "Expect: 100-continue\r\nContent-Length: 50\r\n\r\n",
	}
}

// trickle sends a byte now and then until the server has had enough. It returns how long that took.
func trickle(conn *connection, text string) time.Duration {
	began := time.Now()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for err := error(nil); err == nil && time.Since(began) < patience; <-ticker.C {
		_, err = io.WriteString(conn, text)
	}
	return time.Since(began)
}

// flood sends as much of the text as the server takes, up to a gigabyte, and reads the answer meanwhile. It returns how many bytes the
// kernel took.
func flood(conn *connection, text string) (sent int64, got answer, err error) {
	const gigabyte = 1 << 30
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, answer{}, err
	}
	var reading sync.WaitGroup
	reading.Go(func() { got, err = conn.read() })
	for sent < gigabyte {
		n, err := io.WriteString(conn, text)
		sent += int64(n)
		if err != nil {
			break
		}
	}
	reading.Wait()
	return sent, got, err
}

// The limits that an attacker meets have their tests elsewhere. This one has all attackers come at once, to a process, beside clients that
// mean well and must see nothing of it.
func TestClientsThatMeanHarm(t *testing.T) {
	a := startAttacked(t, "DRAIN_SECONDS=1")
	goroutines := metric(t, a.at, "go_goroutines")
	hanging := map[string][]*connection{}
	for name, text := range a.halves() {
		hanging[name] = a.hang(t, 20, text)
	}
	trickled := make(chan time.Duration, 2)
	header := a.hang(t, 1, "GET /api/v1/ping HTTP/1.1\r\nHost: test\r\nX-Slow: ")[0]
	go func() { trickled <- trickle(header, "x") }()
	body := a.hang(t, 1, message(http.MethodPost, "/api/v1/users", "", "Authorization", "Bearer "+a.token, "Content-Length", "60000"))[0]
	go func() { trickled <- trickle(body, " ") }()

	t.Run("a body of a gigabyte", a.bodiesWithoutEnd)
	t.Run("headers without end", a.headersWithoutEnd)
	t.Run("a hundred thousand names", a.manyNames)
	t.Run("bad tokens", a.badTokens)
	t.Run("garbage", a.garbage)
	t.Run("answers that nobody reads", a.unreadAnswers)

	deadline := time.Now().Add(patience)
	for name, conns := range hanging {
		for _, conn := range conns {
			if err := ended(conn, deadline); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for range cap(trickled) {
		if took := <-trickled; took > patience {
			t.Errorf("a client that trickles was cut off after %s", took)
		}
	}
	a.visitors.more(t, http.StatusCreated, 10)
	a.visitors.check(t)
	eventually(t, "as few goroutines run as before", func() bool { return metric(t, a.at, "go_goroutines") <= goroutines+2 })
	if got := askFor(t, a.at, "/readyz"); got.status != http.StatusOK {
		t.Errorf("readiness: %s", got)
	}
	a.checkLog(t)
	a.leaveWhileTheyHang(t)
}

// ended waits until the server has closed the connection, and fails where one of its answers is a success other than to a ping.
func ended(conn *connection, deadline time.Time) error {
	if err := conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	got, err := conn.read()
	for ; err == nil; got, err = conn.read() {
		if got.status >= 200 && got.status < 300 && !strings.Contains(got.body, "pong") {
			return errors.New(got.String())
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the connection is still open")
	}
	return nil
}

// checkLog fails the test where an attacker found a fault, or fills the log.
func (a *attacked) checkLog(t *testing.T) {
	t.Helper()
	log := a.log()
	for _, word := range []string{"panic", `"level":"ERROR"`} {
		if strings.Contains(log, word) {
			t.Errorf("the log has %s", word)
		}
	}
	if lines := strings.Count(log, "\n"); lines > 2000 {
		t.Errorf("the log has %d lines", lines)
	}
}

// leaveWhileTheyHang stops the service while there are clients that do nothing for it.
func (a *attacked) leaveWhileTheyHang(t *testing.T) {
	t.Helper()
	for _, text := range a.halves() {
		a.hang(t, 5, text)
	}
	a.hang(t, 5, message(http.MethodGet, "/api/v1/ping", ""))
	// Three of the halves are read by their handler.
	eventually(t, "the requests are in flight", func() bool { return metric(t, a.at, `http_server_active_requests{http_request_method="POST"}`) == 15 })
	a.signal(t)
	if status := a.waitEnd(t); status != 0 || !strings.Contains(a.log(), "nothing was cut off") {
		t.Errorf("exit status %d, want 0, and a log that says that nothing was cut off", status)
	}
}

func (a *attacked) bodiesWithoutEnd(t *testing.T) {
	// What fits into the buffers of both kernels has been sent when the server says no.
	const most = 64 << 20
	authorized := []string{"Authorization", "Bearer " + a.token}
	announced := message(http.MethodPost, "/api/v1/users", "", append(authorized, "Content-Length", "1073741824")...)
	chunked := message(http.MethodPost, "/api/v1/users", "", append(authorized, "Transfer-Encoding", "chunked")...)
	text := strings.Repeat(" ", 64<<10)
	if got := ask(t, a.at, announced); got.status != http.StatusRequestEntityTooLarge || !got.last {
		t.Errorf("announced and not sent: %s, last on its connection %v", got, got.last)
	}
	tests := map[string]struct {
		header, body string
		wantStatus   int
	}{
		"announced":                {announced, text, http.StatusRequestEntityTooLarge},
		"in chunks":                {chunked, fmt.Sprintf("%x\r\n%s\r\n", len(text), text), http.StatusRequestEntityTooLarge},
		"in chunks of a byte":      {chunked, strings.Repeat("1\r\n \r\n", 8<<10), http.StatusRequestEntityTooLarge},
		"in one chunk":             {chunked + "40000000\r\n", text, http.StatusRequestEntityTooLarge},
		"to who takes no requests": {message(http.MethodPost, "/nowhere", "", "Content-Length", "1073741824"), text, http.StatusNotFound},
		"with a GET":               {message(http.MethodGet, "/api/v1/ping", "", "Transfer-Encoding", "chunked"), fmt.Sprintf("%x\r\n%s\r\n", len(text), text), http.StatusOK},
	}
	for name, tc := range tests {
		conn := a.hang(t, 1, tc.header)[0]
		sent, got, err := flood(conn, tc.body)
		if err != nil || got.status != tc.wantStatus || !got.last || sent > most {
			t.Errorf("%s: after %d bytes %s, last on its connection %v, error %v; want status %d", name, sent, got, got.last, err, tc.wantStatus)
		}
		t.Logf("%s: the kernel took %d KiB", name, sent>>10)
	}
}

func (a *attacked) headersWithoutEnd(t *testing.T) {
	const most = 16 << 20
	begin := "GET /api/v1/ping HTTP/1.1\r\nHost: test\r\n"
	tests := map[string]struct {
		begin, more string
		wantStatus  int
	}{
		"one long header":        {begin + "X-Long: ", strings.Repeat("x", 4<<10), http.StatusRequestHeaderFieldsTooLarge},
		"many headers":           {begin, strings.Repeat("X-Many: x\r\n", 1<<10), http.StatusRequestHeaderFieldsTooLarge},
		"many names":             {begin, manyHeaders(), http.StatusRequestHeaderFieldsTooLarge},
		"a long path":            {"GET /", strings.Repeat("x", 4<<10), http.StatusRequestHeaderFieldsTooLarge},
		"a long method":          {strings.Repeat("X", 4<<10), strings.Repeat("X", 4<<10), http.StatusRequestHeaderFieldsTooLarge},
		"a long token":           {begin + "Authorization: Bearer ", strings.Repeat("x", 4<<10), http.StatusRequestHeaderFieldsTooLarge},
		"trailers without end":   {message(http.MethodPost, "/nowhere", "", "Transfer-Encoding", "chunked", "Trailer", "X-Many") + "0\r\n", strings.Repeat("X-Many: x\r\n", 1<<10), http.StatusNotFound},
		"a chunk of a long name": {message(http.MethodPost, "/nowhere", "", "Transfer-Encoding", "chunked") + "1;", strings.Repeat("x", 4<<10), http.StatusNotFound},
	}
	for name, tc := range tests {
		conn := a.hang(t, 1, tc.begin)[0]
		sent, got, err := flood(conn, tc.more)
		if err != nil || got.status != tc.wantStatus || !got.last || sent > most {
			t.Errorf("%s: after %d bytes %s, last on its connection %v, error %v; want status %d", name, sent, got, got.last, err, tc.wantStatus)
		}
	}
}

func manyHeaders() string {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "X-%d: x\r\n", i)
	}
	return text.String()
}

// Whatever clients make up, what is counted by it must not grow with it.
func (a *attacked) manyNames(t *testing.T) {
	const clients, batches, each = 4, 500, 100 // half of them have a path of their own
	metrics := func() int { return strings.Count(askFor(t, a.at, "/metrics").body, "\n") }
	memory, series := metric(t, a.at, "process_resident_memory_bytes"), metrics()
	var all sync.WaitGroup
	statuses := make([]map[int]int, clients)
	for client := range clients {
		all.Go(func() {
			statuses[client] = map[int]int{}
			conn, err := dial(a.at)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for batch := range batches {
				if err := namesIn(conn, (client*batches+batch)*each, each, statuses[client]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	for _, seen := range statuses {
		for status := range seen {
			if status >= 500 || status == http.StatusOK && len(seen) == 1 {
				t.Errorf("answers by status: %v", seen)
			}
		}
	}
	grown, added := metric(t, a.at, "process_resident_memory_bytes")-memory, metrics()-series
	t.Logf("%d names: %.0f MiB more memory, %d more lines of metrics, answers of a client by status %v", clients*batches*each, grown/(1<<20), added, statuses[0])
	// A series for each would be gigabytes. The race detector makes everything ten times as large.
	if grown > 256<<20 || added > 2000 {
		t.Errorf("%.0f MiB more memory, %d more lines of metrics", grown/(1<<20), added)
	}
}

// namesIn sends requests that no two of are alike, all at once, and counts the answers by status.
func namesIn(conn *connection, first, count int, statuses map[int]int) error {
	var text strings.Builder
	for i := first; i < first+count; i++ {
		fmt.Fprintf(&text, [...]string{
			"GET /api/v1/%[1]d HTTP/1.1\r\nHost: test\r\n\r\n",
			"GET /api/v1/ping?%[1]d=%[1]d HTTP/1.1\r\nHost: h%[1]d.example\r\nX-Request-Id: r%[1]d\r\nUser-Agent: a%[1]d\r\n\r\n",
			"M%[1]d /api/v1/ping HTTP/1.1\r\nHost: test\r\n\r\n",
			"GET /api/v1/users/%[1]d HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 10.%[1]d\r\ntraceparent: 00-%032[1]d-%016[1]d-01\r\n\r\n",
		}[i%4], i+1)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, text.String()); err != nil {
		return err
	}
	for range count {
		status, err := skip(conn.answers)
		if err != nil {
			return err
		}
		statuses[status]++
	}
	return nil
}

// skip reads an answer and returns its status. It does no more, for a hundred thousand of them have to be read.
func skip(answers *bufio.Reader) (status int, err error) {
	length := -1
	for first := true; ; first = false {
		line, err := answers.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte{' '})
		switch {
		case first:
			status, err = strconv.Atoi(string(value[:min(3, len(value))]))
		case string(name) == "Content-Length:":
			length, err = strconv.Atoi(string(value))
		case len(name) == 0:
			if length < 0 {
				return 0, fmt.Errorf("an answer with status %d has no length", status)
			}
			_, err = answers.Discard(length)
			return status, err
		}
		if err != nil {
			return 0, err
		}
	}
}

func (a *attacked) garbage(t *testing.T) {
	ping := message(http.MethodGet, "/api/v1/ping", "")
	tests := map[string]string{
		"zeros":                       strings.Repeat("\x00", 10_000),
		"noise":                       strings.Repeat("\xff\xfe\x80\r\n\r\n\x00:", 1000),
		"empty lines":                 strings.Repeat("\r\n", 10_000),
		"a hello of TLS":              "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x7a", 509) + "\r\n\r\n",
		"HTTP/2":                      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"HTTP/9.9":                    "GET /api/v1/users HTTP/9.9\r\nHost: test\r\n\r\n",
		"no version":                  "GET /api/v1/users\r\n\r\n",
		"no host":                     "GET /api/v1/users HTTP/1.1\r\n\r\n",
		"two hosts":                   "GET /api/v1/users HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"a host with spaces":          "GET /api/v1/users HTTP/1.1\r\nHost: a b\r\n\r\n",
		"a header with a space":       "GET /api/v1/users HTTP/1.1\r\nHost: test\r\nX Y: z\r\n\r\n",
		"a header with a zero":        "GET /api/v1/users HTTP/1.1\r\nHost: test\r\nX-Y: \x00\r\n\r\n",
		"a negative length":           "POST /api/v1/users HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\n",
		"two lengths":                 "POST /api/v1/users HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"a length beyond all numbers": "POST /api/v1/users HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"a length and chunks":         "POST /api/v1/users HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks of another kind":      "POST /api/v1/users HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"a chunk of a negative size":  "POST /api/v1/users HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
		"a chunk of an immense size":  "POST /api/v1/users HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n",
		"a path with a bad escape":    "GET /%zz HTTP/1.1\r\nHost: test\r\n\r\n",
		"a path with a zero":          "GET /api/v1/users/%00 HTTP/1.1\r\nHost: test\r\n\r\n",
		"a path that climbs":          "GET /../../../../etc/passwd HTTP/1.1\r\nHost: test\r\n\r\n",
		"a tunnel":                    "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		"an asterisk":                 "GET * HTTP/1.1\r\nHost: test\r\n\r\n",
		"JSON a thousand deep":        message(http.MethodPost, "/api/v1/users", strings.Repeat("[", 30_000), "Authorization", "Bearer "+a.token),
		"an object that is deep":      message(http.MethodPost, "/api/v1/users", strings.Repeat(`{"name":`, 8_000), "Authorization", "Bearer "+a.token),
		"an immense number":           message(http.MethodPost, "/api/v1/users", `{"name":1e999999999}`, "Authorization", "Bearer "+a.token),
		"bytes that are no text":      message(http.MethodPost, "/api/v1/users", "{\"name\":\"\xff\xfe\",\"email\":\"\xff@example.org\"}", "Authorization", "Bearer "+a.token),
		"a zero in a name":            message(http.MethodPost, "/api/v1/users", `{"name":"a\u0000b","email":"zero@example"}`, "Authorization", "Bearer "+a.token),
	}
	for name, text := range tests {
		// Behind a request that is well, as they get through a proxy.
		conn := a.hang(t, 1, ping+text)[0]
		// The service may have cut the connection by now.
		if err := conn.Conn.(*net.TCPConn).CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
			t.Fatal(err)
		}
		if got, err := conn.read(); err != nil || got.status != http.StatusOK {
			t.Errorf("%s: the request before it: %s, error %v", name, got, err)
		}
		if err := ended(conn, time.Now().Add(patience)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// unreadAnswers has clients that ask for more than fits between the kernels, and read it byte by byte, or not at all.
func (a *attacked) unreadAnswers(t *testing.T) {
	var greedy []*connection
	defer func() {
		for _, conn := range greedy {
			conn.Close()
		}
	}()
	for range 20 {
		conn, err := dialNarrow(a.at)
		if err != nil {
			t.Fatal(err)
		}
		greedy = append(greedy, conn)
		if _, err := io.WriteString(conn, strings.Repeat(message(http.MethodGet, "/openapi.json", ""), 1000)); err != nil {
			t.Fatal(err)
		}
	}
	blocked := func() bool {
		return metric(t, a.at, `http_server_active_requests{http_request_method="GET"}`) >= float64(len(greedy))
	}
	eventually(t, "nobody reads the answers", blocked)
	for _, conn := range greedy[:10] {
		if _, err := io.ReadFull(conn, make([]byte, 512)); err != nil {
			t.Error(err)
		}
	}
	a.visitors.more(t, http.StatusOK, 100)
	a.stuck(t, len(greedy))
}

// stuck waits until some answers are neither read nor thrown away.
func (a *attacked) stuck(t *testing.T, answers int) {
	t.Helper()
	done, since := -1.0, time.Now()
	eventually(t, "nobody reads the answers", func() bool {
		now, found := findMetric(t, a.at, `http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/openapi.json"}`)
		if !found || now != done {
			done, since = now, time.Now()
			return false
		}
		// Between two answers it looks the same for a moment.
		return time.Since(since) > 100*time.Millisecond && activeRequests(t, a.at) >= answers
	})
}

// dialNarrow connects with a buffer that takes next to nothing.
func dialNarrow(address string) (*connection, error) {
	conn, err := dial(address)
	if err != nil {
		return nil, err
	}
	if err := conn.Conn.(*net.TCPConn).SetReadBuffer(1 << 10); err != nil {
		return nil, err
	}
	conn.answers = bufio.NewReaderSize(conn, 16)
	return conn, conn.SetDeadline(time.Now().Add(patience))
}

// A client that does not read its answer is not known from one that is slow, so it gets all the time there is, and no more.
func TestAnAnswerThatNobodyReadsDoesNotHoldUpTheEndBeyondItsLimit(t *testing.T) {
	a := startAttacked(t, "GIN_SERVICE_SHUTDOWN_SECONDS=2", "DRAIN_SECONDS=0")
	a.visitors.check(t)
	conn, err := dialNarrow(a.at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, strings.Repeat(message(http.MethodGet, "/openapi.json", ""), 1000)); err != nil {
		t.Fatal(err)
	}
	a.stuck(t, 1)
	a.signal(t)
	if status := a.waitEnd(t); status != 1 || !strings.Contains(a.log(), "requests took longer than the") {
		t.Errorf("exit status %d, want 1, and a log that says why", status)
	}
}
