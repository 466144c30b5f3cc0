package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-operator/gin-operator/sampleapp/users"
	"github.com/gin-operator/gin-operator/sampleapp/users/postgres"
	"github.com/gin-operator/gin-operator/test/servers"
)

// tooLong is what no call takes whose timeout is the default, on any machine.
const tooLong = 20 * time.Second

// workers is how many call a store at once: as many connections as it has, and some that wait for one.
const workers = 12

// load reads and writes users through a store, and keeps what became of it.
type load struct {
	store             *postgres.Store
	user              users.User
	stop              context.CancelFunc
	running           sync.WaitGroup
	well, unavailable atomic.Int64

	mu      sync.Mutex
	created []users.User
}

func startLoad(t *testing.T, store *postgres.Store) *load {
	t.Helper()
	user, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{store: store, user: user, stop: cancel}
	for worker := range workers {
		l.running.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				began := time.Now()
				err := l.one(t.Context(), worker, i)
				if took := time.Since(began); took > tooLong {
					t.Errorf("a call took %s", took)
				}
				switch {
				case err == nil:
					l.well.Add(1)
				case errors.Is(err, users.ErrUnavailable):
					l.unavailable.Add(1)
				default:
					t.Errorf("got %v, want ErrUnavailable", err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) one(ctx context.Context, worker, i int) error {
	switch i % 3 {
	case 0:
		user, err := l.store.Create(ctx, users.NewUser{Name: "Eve", Email: fmt.Sprintf("%d-%d@example.org", worker, i)})
		if err == nil {
			l.mu.Lock()
			l.created = append(l.created, user)
			l.mu.Unlock()
		}
		return err
	case 1:
		_, err := l.store.List(ctx, "", 5)
		return err
	default:
		_, err := l.store.Get(ctx, l.user.ID)
		return err
	}
}

// end stops the load, which no call may hold up.
func (l *load) end() {
	l.stop()
	l.running.Wait()
}

// more waits for calls of a kind to be counted from now on.
func more(t *testing.T, what string, counter *atomic.Int64) {
	t.Helper()
	from := counter.Load()
	eventually(t, "there are no calls "+what, func() bool { return counter.Load() >= from+workers })
}

func testOutages(t *testing.T, server *servers.PostgreSQL) {
	outages := map[string]struct{ begin, end func(testing.TB) }{
		"stopped":                      {begin: server.Stop, end: server.Start},
		"killed":                       {begin: server.Kill, end: server.Start},
		"frozen":                       {begin: server.Freeze, end: server.Thaw},
		"frozen, killed and restarted": {begin: server.Freeze, end: func(t testing.TB) { server.Kill(t); server.Start(t) }},
	}
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			store := open(t, server.NewDatabase(t), postgres.WithTimeout(postgres.DefaultTimeout))
			l := startLoad(t, store)
			more(t, "that succeed before the outage", &l.well)
			for range 2 {
				outage.begin(t)
				more(t, "that fail in the outage", &l.unavailable)
				if err := store.Check(t.Context()); !errors.Is(err, users.ErrUnavailable) {
					t.Errorf("in the outage Check returns %v", err)
				}
				outage.end(t)
				eventually(t, "Check fails after the outage", func() bool { return store.Check(t.Context()) == nil })
				more(t, "that succeed after the outage", &l.well)
			}
			// Recovered is recovered. A slow machine may still make a call take the two seconds, so that there is another try.
			eventually(t, "calls go on failing after the outage", func() bool {
				failed := l.unavailable.Load()
				more(t, "that succeed in the end", &l.well)
				return l.unavailable.Load() == failed
			})
			l.end()
			for _, user := range l.created {
				if _, err := store.Get(t.Context(), user.ID); err != nil {
					t.Errorf("%s, which Create returned: %v", user.Email, err)
				}
			}
		})
	}
}

func testDatabaseThatComesLaterIsFound(t *testing.T, server *servers.PostgreSQL) {
	url := server.NewDatabase(t)
	server.Stop(t)
	store := open(t, url, postgres.WithTimeout(postgres.DefaultTimeout))
	began := time.Now()
	if _, err := store.List(t.Context(), "", 1); !errors.Is(err, users.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if took := time.Since(began); took > tooLong {
		t.Errorf("it took %s to find nobody there", took)
	}
	server.Start(t)
	eventually(t, "the store does not find the database", func() bool { return store.Check(t.Context()) == nil })
	if _, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: "ada@example.org"}); err != nil {
		t.Error(err)
	}
}

func testRestartBetweenTwoCallsIsNotNoticed(t *testing.T, server *servers.PostgreSQL) {
	store := open(t, server.NewDatabase(t))
	user, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		// Several connections, all of which are broken afterwards.
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := store.Get(t.Context(), user.ID); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		server.Kill(t)
		server.Start(t)
		if _, err := store.Create(t.Context(), users.NewUser{Name: "Eve", Email: fmt.Sprintf("%d@example.org", i)}); err != nil {
			t.Errorf("creating: %v", err)
		}
		server.Stop(t)
		server.Start(t)
		if _, err := store.Get(t.Context(), user.ID); err != nil {
			t.Errorf("reading: %v", err)
		}
	}
}
