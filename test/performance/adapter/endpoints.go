package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/metrics"
)

const (
	// routes is how many routes the simulated service has.
	routes = 10
	// requestsPerTick is how many requests it gets in each tick, one to each route.
	requestsPerTick = routes
	tick            = 100 * time.Millisecond
	// One tick in failureEvery has one that is answered with 500.
	failureEvery = 2

	requestsPerSecond = requestsPerTick * float64(time.Second/tick)
	// clockName is a gauge with the time of the pod, in seconds.
	clockName = "clock_seconds"
)

// service is what all simulated pods are.
type service struct {
	engine  *gin.Engine
	handler http.Handler
	ticks   int
	// document is what the pods expose, but for the time.
	document atomic.Pointer[[]byte]
}

func newService() *service {
	gin.SetMode(gin.ReleaseMode)
	m := metrics.New()
	s := &service{engine: gin.New(), handler: m.Handler()}
	s.engine.Use(m.Middleware())
	for route := range routes {
		s.engine.GET("/api/v1/resource-"+strconv.Itoa(route)+"/:id", func(c *gin.Context) {
			if c.Param("id") == "failing" {
				c.Status(http.StatusInternalServerError)
				return
			}
			c.String(http.StatusOK, "fine")
		})
	}
	// Each route has answered in both ways, as after a while.
	s.catchUp(failureEvery * routes)
	return s
}

// catchUp sends the requests of the ticks that are missing to a number, and notes what the service exposes then.
func (s *service) catchUp(ticks int) {
	for ; s.ticks < ticks; s.ticks++ {
		for i := range requestsPerTick {
			id := strconv.Itoa(i)
			if s.ticks%failureEvery == 0 && i == s.ticks/failureEvery%routes {
				id = "failing"
			}
			path := fmt.Sprintf("/api/v1/resource-%d/%s", i%routes, id)
			s.engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(context.Background(), http.MethodGet, path, http.NoBody))
		}
	}
	scrape := httptest.NewRecorder()
	s.handler.ServeHTTP(scrape, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics", http.NoBody))
	document := scrape.Body.Bytes()
	s.document.Store(&document)
}

// ServeHTTP answers a scrape.
func (s *service) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(*s.document.Load()) // who went away doesn't want it
	fmt.Fprintf(w, "# TYPE %s gauge\n%[1]s %.3f\n", clockName, float64(time.Now().UnixMilli())/1000)
}

// endpoints are simulated pods that answer.
type endpoints struct {
	addresses []netip.AddrPort
	service   *service
	server    *http.Server
}

// startEndpoints starts some pods, each on an address of its own.
func startEndpoints(ctx context.Context, n int) (*endpoints, error) {
	e := &endpoints{service: newService()}
	e.server = &http.Server{Handler: e.service, ReadHeaderTimeout: 10 * time.Second}
	for i := range n {
		address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), 0)
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address.String())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listening as pod %d (all of 127.0.0.0/8 has to be loopback, as on Linux): %w", i, err), e.server.Close())
		}
		go func() { _ = e.server.Serve(listener) }() // until the server is closed
		e.addresses = append(e.addresses, netip.MustParseAddrPort(listener.Addr().String()))
	}
	go e.live(ctx)
	return e, nil
}

// live sends requests to the service until the context ends. Where it is late it catches up, so that the rate stays what it is said to be.
func (e *endpoints) live(ctx context.Context) {
	began, before := time.Now(), e.service.ticks
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			e.service.catchUp(before + int(time.Since(began)/tick))
		}
	}
}

// serveEndpoints is the process of the pods: it writes their addresses, one a line, and ends with its input, which the benchmark holds open.
func serveEndpoints(ctx context.Context, n int, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e, err := startEndpoints(ctx, n)
	if err != nil {
		return err
	}
	defer e.server.Close()
	var list bytes.Buffer
	for _, address := range e.addresses {
		fmt.Fprintln(&list, address)
	}
	if _, err := out.Write(list.Bytes()); err != nil {
		return fmt.Errorf("writing the addresses: %w", err)
	}
	_, err = io.Copy(io.Discard, in)
	return err
}
