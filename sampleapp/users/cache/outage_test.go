package cache_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-operator/gin-operator/sampleapp/users"
	"github.com/gin-operator/gin-operator/sampleapp/users/cache"
	"github.com/gin-operator/gin-operator/sampleapp/users/memory"
	"github.com/gin-operator/gin-operator/sampleapp/users/postgres"
	"github.com/gin-operator/gin-operator/test/servers"
)

func TestNoRequestFailsInAnOutageOfRedis(t *testing.T) {
	server := servers.StartRedis(t)
	outages := map[string]struct{ begin, end func(testing.TB) }{
		"stopped": {begin: server.Stop, end: server.Start},
		"killed":  {begin: server.Kill, end: server.Start},
		"frozen":  {begin: server.Freeze, end: server.Thaw},
	}
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			behind := memory.New(0)
			store := open(t, server.URL(), behind, cache.WithTimeout(500*time.Millisecond))
			user := newUser(t, behind)
			ctx, stop := context.WithCancel(t.Context())
			var workers sync.WaitGroup
			var calls atomic.Int64
			for range 6 {
				workers.Go(func() {
					for ctx.Err() == nil {
						began := time.Now()
						if got, err := store.Get(t.Context(), user.ID); err != nil || got != user {
							t.Errorf("got %+v and %v", got, err)
						}
						// The timeout is half a second. Machines are slow; a request that hangs takes longer than this.
						if took := time.Since(began); took > 15*time.Second {
							t.Errorf("a request took %s", took)
						}
						calls.Add(1)
						select {
						case <-ctx.Done():
						case <-time.After(2 * time.Millisecond):
						}
					}
				})
			}
			end := func() {
				stop()
				workers.Wait()
			}
			t.Cleanup(end)

			hits := func() int64 { return store.Stats().Hits }
			skipped := func() int64 { return store.Stats().Skipped }
			more := func(what string, count func() int64) {
				t.Helper()
				from := count()
				eventually(t, what, func() bool { return count() >= from+20 })
			}
			more("Redis is of no use", hits)
			for range 2 {
				outage.begin(t)
				more("Redis is asked all the time in the outage", skipped)
				if err := store.Check(t.Context()); err == nil {
					t.Error("in the outage Check is content")
				}
				// Several times the second after which somebody tries again: nobody fails then, either.
				more("requests get stuck", calls.Load)
				outage.end(t)
				more("Redis is of no use after the outage", hits)
				eventually(t, "Check fails after the outage", func() bool { return store.Check(t.Context()) == nil })
			}
			end()
		})
	}
}

// While Redis is frozen a request waits for its timeout until the breaker opens, and then not at all but for one each second.
func TestFrozenRedisIsLeftAlone(t *testing.T) {
	server := servers.StartRedis(t)
	behind := memory.New(0)
	store := open(t, server.URL(), behind)
	user := newUser(t, behind)
	server.Freeze(t)
	began := time.Now()
	const requests = 500
	for range requests {
		get(t, store, user)
	}
	took := time.Since(began)
	stats := store.Stats()
	// Three until the breaker opens, one for each second after that, and as many for what is written at the same time.
	if most := 8 + 2*int64(took/time.Second); stats.Failures > most {
		t.Errorf("%d of %d requests in %s waited for Redis, want %d at most", stats.Failures, requests, took, most)
	}
	if stats.Skipped+stats.Failures != requests {
		t.Errorf("got %+v for %d requests", stats, requests)
	}
}

func TestHitsAreServedWhilePostgreSQLIsDown(t *testing.T) {
	server, database := servers.StartRedis(t), servers.StartPostgreSQL(t)
	behind, err := postgres.Open(t.Context(), database.NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(behind.Close)
	store := open(t, server.URL(), behind, patient, cache.WithTTL(time.Hour), cache.WithLoadTimeout(time.Minute))
	known := newUser(t, store)
	other, err := store.Create(t.Context(), users.NewUser{Name: "Eve", Email: "eve@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	keep(t, server, store, known)

	database.Kill(t)
	for range 20 {
		get(t, store, known)
	}
	if _, err := store.Get(t.Context(), other.ID); !errors.Is(err, users.ErrUnavailable) {
		t.Errorf("a user that Redis does not have: got %v, want ErrUnavailable", err)
	}
	database.Start(t)
	eventually(t, "the store does not recover", func() bool {
		got, err := store.Get(t.Context(), other.ID)
		return err == nil && got == other
	})
}

func TestRedisThatComesLaterIsFound(t *testing.T) {
	server := servers.StartRedis(t)
	server.Stop(t)
	behind := memory.New(0)
	store := open(t, server.URL(), behind)
	user := newUser(t, behind)
	for range 10 {
		get(t, store, user)
	}
	server.Start(t)
	eventually(t, "Redis is not found", func() bool {
		get(t, store, user)
		return store.Stats().Hits > 0
	})
}
