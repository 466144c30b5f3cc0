package limits

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

// TestNeverMoreThanNAreInside also counts the requests that ask at the gate, so that it knows there was a crowd.
func TestNeverMoreThanNAreInside(t *testing.T) {
	const n, queue, clients, each = 3, 4, 32, 200
	var inside, most, served, refused atomic.Int64
	turn := make(chan struct{}, 1)
	engine := serve(func(c *gin.Context) {
		now := inside.Add(1)
		defer inside.Add(-1)
		for {
			before := most.Load()
			if now <= before || most.CompareAndSwap(before, now) {
				break
			}
		}
		// Others get to run while this one is inside.
		turn <- struct{}{}
		<-turn
		c.Status(http.StatusOK)
	}, Must(Concurrency(n, WithQueue(queue, time.Minute))))
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				switch answer := get(t, engine); answer.Code {
				case http.StatusOK:
					served.Add(1)
				case http.StatusServiceUnavailable:
					refused.Add(1)
				default:
					t.Errorf("got %d %s", answer.Code, answer.Body)
				}
			}
		})
	}
	wg.Wait()
	if got := most.Load(); got < 1 || got > n {
		t.Errorf("%d requests were inside at once, want at most %d", got, n)
	}
	if served.Load()+refused.Load() != clients*each || served.Load() == 0 {
		t.Errorf("%d were served and %d refused of %d", served.Load(), refused.Load(), clients*each)
	}
}

// crowd sends requests into a gate, one after the other, inside a bubble of synctest.
type crowd struct {
	engine  *gin.Engine
	leave   chan struct{}
	mu      sync.Mutex
	entered []string
	// answered is how many requests have been.
	answered int
}

func newCrowd(n int, opts ...ConcurrencyOption) *crowd {
	c := &crowd{leave: make(chan struct{})}
	c.engine = serve(func(g *gin.Context) {
		c.mu.Lock()
		c.entered = append(c.entered, g.Query("name"))
		c.mu.Unlock()
		<-c.leave
		g.Status(http.StatusOK)
	}, Must(Concurrency(n, opts...)))
	return c
}

// send returns once the request waits or has been answered.
func (c *crowd) send(ctx context.Context, name string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	go func() {
		c.engine.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, "/?name="+name, http.NoBody))
		c.mu.Lock()
		c.answered++
		c.mu.Unlock()
	}()
	synctest.Wait()
	return answer
}

// let lets some of those inside go, one by one.
func (c *crowd) let(count int) {
	for range count {
		c.leave <- struct{}{}
		synctest.Wait()
	}
}

func TestOneTooManyIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, began := newCrowd(2), time.Now()
		first, second, third := c.send(t.Context(), "first"), c.send(t.Context(), "second"), c.send(t.Context(), "third")
		wantProblem(t, third, http.StatusServiceUnavailable, "overloaded", "1")
		c.let(1)
		fourth := c.send(t.Context(), "fourth")
		c.let(2)
		for _, answer := range []*httptest.ResponseRecorder{first, second, fourth} {
			wantOK(t, answer)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("somebody waited %s", waited)
		}
	})
}

func TestTheQueueIsServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(1, WithQueue(3, time.Second))
		for _, name := range []string{"a", "b", "c", "d"} {
			c.send(t.Context(), name)
		}
		wantProblem(t, c.send(t.Context(), "e"), http.StatusServiceUnavailable, "overloaded", "1")
		c.let(1)
		// One left, so one may wait.
		c.send(t.Context(), "f")
		c.let(4)
		if diff := cmp.Diff([]string{"a", "b", "c", "d", "f"}, c.entered); diff != "" {
			t.Errorf("who was let in, in order (-want +got):\n%s", diff)
		}
	})
}

func TestNobodyWaitsLongerThanTheQueueAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(1, WithQueue(1, time.Second))
		c.send(t.Context(), "inside")
		waiting := c.send(t.Context(), "waits")
		<-time.After(time.Second - 1)
		synctest.Wait()
		c.mu.Lock()
		if c.answered != 0 {
			t.Error("answered before its time")
		}
		c.mu.Unlock()
		<-time.After(1)
		synctest.Wait()
		wantProblem(t, waiting, http.StatusServiceUnavailable, "overloaded", "1")
		next := c.send(t.Context(), "next")
		c.let(2)
		wantOK(t, next)
	})
}

func TestAClientThatGoesAwayLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(1, WithQueue(1, time.Hour))
		c.send(t.Context(), "inside")
		gone, goAway := context.WithCancel(t.Context())
		waiting := c.send(gone, "leaver")
		goAway()
		synctest.Wait()
		wantProblem(t, waiting, problem.StatusClientGone, "client_gone", "")
		late, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		waiting = c.send(late, "late")
		<-time.After(time.Minute)
		synctest.Wait()
		wantProblem(t, waiting, http.StatusGatewayTimeout, "timeout", "")
		next := c.send(t.Context(), "next")
		c.let(2)
		wantOK(t, next)
		if diff := cmp.Diff([]string{"inside", "next"}, c.entered); diff != "" {
			t.Errorf("who was let in (-want +got):\n%s", diff)
		}
	})
}

func TestAPanicLeavesItsPlace(t *testing.T) {
	panics := true
	engine := serve(func(c *gin.Context) {
		if panics {
			panic("bad luck")
		}
		c.Status(http.StatusOK)
	}, gin.RecoveryWithWriter(nil), Must(Concurrency(1)))
	if answer := get(t, engine); answer.Code != http.StatusInternalServerError {
		t.Fatalf("got %d, want the panic's 500", answer.Code)
	}
	panics = false
	wantOK(t, get(t, engine))
}
