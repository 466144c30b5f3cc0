package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
)

func TestASecondSignalEndsAtOnce(t *testing.T) {
	r := newServer()
	begun, gone := make(chan struct{}), make(chan struct{})
	r.engine.GET("/long", func(c *gin.Context) {
		close(begun)
		<-c.Request.Context().Done()
		close(gone)
	})
	r.Stops = []Stop{{Name: "store", Do: func(ctx context.Context) error {
		r.called(fmt.Sprintf("store, with %v", ctx.Err()))
		return nil
	}}}
	r.start(t)
	conn := mustDial(t, r.address(t, "PORT"))
	cut := make(chan error, 1)
	go func() {
		_, _, _, err := conn.get("/long")
		cut <- err
	}()
	<-begun
	r.stop(t)
	r.signals <- syscall.SIGTERM // in the drain, which nothing else ends
	if err := r.wait(t); err != nil {
		t.Errorf("error %v", err)
	}
	if err := <-cut; err == nil {
		t.Error("the request in flight was answered")
	}
	<-gone
	if diff := cmp.Diff([]string{"store, with context canceled"}, r.order()); diff != "" {
		t.Errorf("stops (-want +got):\n%s", diff)
	}
	if !strings.Contains(r.text(), "second signal") {
		t.Error("the log does not say why")
	}
}

func TestRequestsThatTakeTooLongAreCutOffBeforeWhatTheyWorkWithStops(t *testing.T) {
	r := newServer()
	begun := make(chan struct{})
	r.engine.GET("/long", func(c *gin.Context) {
		close(begun)
		<-c.Request.Context().Done()
	})
	r.Shutdown = time.Second // of which 900 ms are used, and a quarter is for the stop
	cut := make(chan error, 1)
	r.Stops = []Stop{{Name: "store", Do: func(context.Context) error {
		r.called(fmt.Sprintf("store, after the cut: %v", <-cut != nil))
		return nil
	}}}
	r.start(t)
	conn := mustDial(t, r.address(t, "PORT"))
	go func() {
		_, _, _, err := conn.get("/long")
		cut <- err
	}()
	<-begun
	r.stop(t)
	close(r.drained)
	if err := r.wait(t); err == nil || !strings.HasPrefix(err.Error(), "requests took longer than the 675ms that there were after the signal, and are cut off") {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff([]string{"store, after the cut: true"}, r.order()); diff != "" {
		t.Errorf("stops (-want +got):\n%s", diff)
	}
}

// Half a request holds up a stop for as long as the server waits for the other half, and no longer than the stop may take.
func TestAClientThatSendsHalfARequestAndHangs(t *testing.T) {
	tests := map[string]struct {
		half    string
		adjust  func(*http.Server)
		short   time.Duration
		wantErr string
	}{
		"half a header, for the time that a header has": {half: "GET /hello HTTP/1.1\r\nHost: te", adjust: func(s *http.Server) { s.ReadHeaderTimeout = 50 * time.Millisecond }, short: time.Hour},
		"half a header, until the limit":                {half: "GET /hello HTTP/1.1\r\nHost: te", short: time.Second, wantErr: "requests took longer than the 900ms"},
		"half a body, for the time that a request has": {
			half: "POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12345", short: time.Hour,
			adjust: func(s *http.Server) { s.ReadTimeout = 50 * time.Millisecond },
		},
		"half a body, until the limit": {
			half: "POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12345", short: time.Second, wantErr: "requests took longer than the 900ms",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := newServer()
			// A request whose header is read only after the drain is not begun any more, so half a body has to be seen by its handler.
			seen, whole := make(chan struct{}, 1), strings.Contains(tc.half, "\r\n\r\n")
			r.engine.POST("/body", func(c *gin.Context) {
				seen <- struct{}{}
				if _, err := io.Copy(io.Discard, c.Request.Body); err != nil {
					c.AbortWithStatus(http.StatusBadRequest)
				}
			})
			r.Shutdown = tc.short
			r.Adjust = func(s *http.Server) {
				s.ConnState = func(_ net.Conn, state http.ConnState) {
					if state == http.StateNew && !whole {
						seen <- struct{}{}
					}
				}
				if tc.adjust != nil {
					tc.adjust(s)
				}
			}
			r.start(t)
			conn := mustDial(t, r.address(t, "PORT"))
			if _, err := io.WriteString(conn, tc.half); err != nil {
				t.Fatal(err)
			}
			<-seen
			r.stop(t)
			close(r.drained)
			err := r.wait(t)
			if tc.wantErr == "" && err != nil || tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("error %v, want %q", err, tc.wantErr)
			}
		})
	}
}

func TestStopsThatFailPanicOrHangDoNotKeepTheOthers(t *testing.T) {
	r := newServer()
	r.Shutdown = time.Second
	forever := make(chan struct{})
	t.Cleanup(func() { close(forever) })
	note := func(name string, do func(context.Context) error) {
		r.Stops = append(r.Stops, Stop{Name: name, Do: func(ctx context.Context) error {
			r.called(name)
			return do(ctx)
		}})
	}
	lost := errors.New("lost")
	note("first", func(context.Context) error { return nil })
	note("hanging", func(context.Context) error { <-forever; return nil })
	note("patient", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	note("panicking", func(context.Context) error { panic("no such luck") })
	note("failing", func(context.Context) error { return lost })
	r.start(t).address(t, "METRICS_PORT")
	r.stop(t)
	close(r.drained)
	err := r.wait(t)
	want := "stopping failing: lost\nstopping panicking: panic: no such luck\nstopping patient: context deadline exceeded\nstopping hanging: it hangs, and is left behind"
	if err == nil || err.Error() != want || !errors.Is(err, lost) {
		t.Errorf("error %v\nwant %s", err, want)
	}
	if diff := cmp.Diff([]string{"failing", "panicking", "patient", "hanging", "first"}, r.order()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if strings.Contains(r.text(), "nothing was cut off") {
		t.Error("the log says that all is well")
	}
}

func TestTheTimesOfAStop(t *testing.T) {
	one := []Stop{{}}
	tests := map[string]struct {
		shutdown, drain    time.Duration
		stops              []Stop
		wantLimit, forStop time.Duration
	}{
		"the operator's defaults":        {shutdown: 25 * time.Second, drain: 5 * time.Second, stops: one, wantLimit: 24 * time.Second, forStop: 2 * time.Second},
		"nothing else to stop":           {shutdown: 25 * time.Second, drain: 5 * time.Second, wantLimit: 24 * time.Second},
		"a short one":                    {shutdown: time.Second, stops: one, wantLimit: 900 * time.Millisecond, forStop: 225 * time.Millisecond},
		"a drain that would take it all": {shutdown: 10 * time.Second, drain: time.Minute, stops: one, wantLimit: 9 * time.Second, forStop: 900 * time.Millisecond},
		"no time given":                  {stops: one, wantLimit: 29 * time.Second, forStop: 2 * time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := &Server{Shutdown: tc.shutdown, Drain: tc.drain, Stops: tc.stops}
			s.setDefaults()
			if s.limit() != tc.wantLimit || s.forStops() != tc.forStop {
				t.Errorf("limit %s, for stops %s; want %s, %s", s.limit(), s.forStops(), tc.wantLimit, tc.forStop)
			}
		})
	}
}

func TestTheTimeoutsOfAServer(t *testing.T) {
	r := newServer()
	var got []*http.Server
	r.Adjust = func(s *http.Server) { got = append(got, s) }
	r.start(t).address(t, "METRICS_PORT")
	r.stop(t)
	close(r.drained)
	if err := r.wait(t); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d servers are adjusted, want 2", len(got))
	}
	for _, s := range got {
		if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 90*time.Second || s.MaxHeaderBytes <= 0 {
			t.Errorf("a client can hold a server for ever, or finds its idle connection closed: %+v", s)
		}
	}
}

// What a service needs that has neither a log nor a health of its own.
func TestAServerWithDefaultsAlone(t *testing.T) {
	r := newServer()
	r.Health = nil
	r.after = nil // Drain is 0
	r.start(t)
	conn := mustDial(t, r.address(t, "PORT"))
	if status, body, _, err := conn.get("/hello"); status != 200 || body != "hello" || err != nil {
		t.Errorf("%d %s %v", status, body, err)
	}
	r.signals <- syscall.SIGTERM
	if err := r.wait(t); err != nil {
		t.Errorf("error %v", err)
	}
}
