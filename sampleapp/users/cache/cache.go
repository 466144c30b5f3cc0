// Package cache puts Redis in front of a users.Store, by go-redis. The setting is REDIS_URL.
//
// Get asks Redis first and keeps there, for about a minute, what it had to ask the store for; many requests for one user that is not
// there ask once. That nobody has an id is never kept. Create and List go to the store.
//
// Redis may come and go: a request never fails because of it. One that is slow costs a request 100 ms at most, and after three failures
// in a row nothing at all for a second, after which one request tries it again. While the store is down, users that Redis has are found.
package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"github.com/gin-operator/gin-operator/ginkit/breaker"
	"github.com/gin-operator/gin-operator/sampleapp/users"
)

const (
	// DefaultTTL is how long a user is kept, and up to a tenth longer, so that what was read together is not gone together.
	DefaultTTL = time.Minute
	// DefaultTimeout bounds each question to Redis.
	DefaultTimeout = 100 * time.Millisecond
	// DefaultLoadTimeout bounds what is done for all who wait for a user, whoever of them goes away.
	DefaultLoadTimeout = 5 * time.Second

	// retryAfter is how long Redis is left alone after failuresInARow.
	retryAfter     = time.Second
	failuresInARow = 3
	// writers is how many users are written to Redis at once. Those that would be more are not kept.
	writers = 8
	// prefix names the keys. The version changes with the form of the values.
	prefix = "sampleapp:user:v1:"
)

// Store is a users.Store that keeps what another one found.
type Store struct {
	users.Store

	client      *redis.Client
	ttl         time.Duration
	timeout     time.Duration
	loadTimeout time.Duration
	log         *slog.Logger
	breaker     *breaker.Breaker
	loads       singleflight.Group
	writing     chan struct{}
	writes      sync.WaitGroup
	closing     sync.Mutex // between a write that begins and Close
	closed      bool

	hits, misses, failures, skipped atomic.Int64
}

var _ users.Store = (*Store)(nil)

// Stats are counted since Open. A Get is a hit, a miss, a failure of Redis, or skipped Redis, or shares the answer to another Get.
type Stats struct {
	Hits, Misses, Failures, Skipped int64
}

// Option changes a Store.
type Option func(*Store)

// WithTTL sets how long a user is kept, default DefaultTTL.
func WithTTL(ttl time.Duration) Option { return func(s *Store) { s.ttl = ttl } }

// WithTimeout sets the bound of each question to Redis, default DefaultTimeout.
func WithTimeout(timeout time.Duration) Option { return func(s *Store) { s.timeout = timeout } }

// WithLoadTimeout sets the bound of a Get in the store, default DefaultLoadTimeout.
func WithLoadTimeout(timeout time.Duration) Option { return func(s *Store) { s.loadTimeout = timeout } }

// WithLog sets where it is logged that Redis is left alone, and that it is asked again, default slog.Default().
func WithLog(log *slog.Logger) Option { return func(s *Store) { s.log = log } }

// Get implements users.Store.
func (s *Store) Get(ctx context.Context, id string) (users.User, error) {
	if !users.IsID(id) {
		// What a client makes up is no key in Redis.
		return s.Store.Get(ctx, id)
	}
	if err := ctx.Err(); err != nil {
		return users.User{}, fmt.Errorf("reading a user: %w", err)
	}
	// Others wait for it who are still there when this caller is not. The values of the context, such as the trace, remain.
	shared := context.WithoutCancel(ctx)
	loaded := s.loads.DoChan(id, func() (any, error) {
		bounded, cancel := context.WithTimeout(shared, s.loadTimeout)
		defer cancel()
		return s.load(bounded, id)
	})
	select {
	case <-ctx.Done():
		return users.User{}, fmt.Errorf("reading a user: %w", ctx.Err())
	case result := <-loaded:
		if result.Err != nil {
			return users.User{}, result.Err
		}
		user, ok := result.Val.(users.User)
		if !ok {
			return users.User{}, fmt.Errorf("reading a user: got a %T", result.Val)
		}
		return user, nil
	}
}

// load turns a panic into an error, which would end the process in the goroutine that a load has.
func (s *Store) load(ctx context.Context, id string) (user users.User, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic while reading a user: %v", cause)
		}
	}()
	if user, found := s.read(ctx, id); found {
		return user, nil
	}
	user, err = s.Store.Get(ctx, id)
	switch {
	case err == nil:
		s.write(user)
	case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, users.ErrUnavailable):
		// The time was ours, not the caller's.
		err = fmt.Errorf("%w: %w", users.ErrUnavailable, err)
	}
	return user, err
}

// read asks Redis for a user, unless it is to be left alone.
func (s *Store) read(ctx context.Context, id string) (users.User, bool) {
	text, err := breaker.Do(s.breaker, ctx, func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		return s.client.Get(ctx, prefix+id).Bytes()
	})
	switch {
	case errors.Is(err, breaker.ErrOpen):
		s.skipped.Add(1)
		return users.User{}, false
	case errors.Is(err, redis.Nil):
		s.misses.Add(1)
		return users.User{}, false
	case err != nil:
		s.failures.Add(1)
		return users.User{}, false
	}
	var user users.User
	if json.Unmarshal(text, &user) != nil || user.ID != id {
		// Somebody else wrote it; it is overwritten.
		s.misses.Add(1)
		return users.User{}, false
	}
	s.hits.Add(1)
	return user, true
}

// write keeps a user while the request goes on. It does not where Redis is slow to take what it got.
func (s *Store) write(user users.User) {
	text, err := json.Marshal(user)
	if err != nil {
		return
	}
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.closed {
		return
	}
	select {
	case s.writing <- struct{}{}:
	default:
		return
	}
	s.writes.Go(func() {
		defer func() { <-s.writing }()
		ttl := s.ttl + rand.N(s.ttl/10+1) //nolint:gosec // nobody gains anything by guessing it
		// What fails is counted by the breaker, and there is nobody to tell.
		_, _ = breaker.Do(s.breaker, context.Background(), func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, s.timeout)
			defer cancel()
			return s.client.Set(ctx, prefix+user.ID, text, ttl).Result()
		})
	})
}

// Check returns an error where Redis does not answer in time. The service does without it: it is no reason not to be ready.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("asking Redis: %w", err)
	}
	return nil
}

// Breaker is what keeps Redis from being asked while it does not answer.
func (s *Store) Breaker() *breaker.Breaker { return s.breaker }

// Stats returns what was counted.
func (s *Store) Stats() Stats {
	return Stats{Hits: s.hits.Load(), Misses: s.misses.Load(), Failures: s.failures.Load(), Skipped: s.skipped.Load()}
}

// Close closes the connections to Redis. The store behind is for its owner to close.
func (s *Store) Close() error {
	s.closing.Lock()
	s.closed = true
	s.closing.Unlock()
	s.writes.Wait()
	return s.client.Close()
}
