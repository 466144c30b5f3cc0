package cache_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/gin-operator/gin-operator/sampleapp/users"
	"github.com/gin-operator/gin-operator/sampleapp/users/cache"
	"github.com/gin-operator/gin-operator/sampleapp/users/memory"
	"github.com/gin-operator/gin-operator/sampleapp/users/postgres"
	"github.com/gin-operator/gin-operator/sampleapp/users/storetest"
	"github.com/gin-operator/gin-operator/test/servers"
)

// patient is a timeout that no machine is too slow for, in tests of something else.
var patient = cache.WithTimeout(30 * time.Second)

func open(t *testing.T, url string, store users.Store, options ...cache.Option) *cache.Store {
	t.Helper()
	cached, err := cache.Open(url, store, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cached.Close(); err != nil {
			t.Error(err)
		}
	})
	return cached
}

func TestStoreOverMemory(t *testing.T) {
	server := servers.StartRedis(t)
	storetest.Run(t, func(t *testing.T) users.Store { return open(t, server.URL(), memory.New(0), patient) })
}

func TestStoreOverPostgreSQL(t *testing.T) {
	server, database := servers.StartRedis(t), servers.StartPostgreSQL(t)
	storetest.Run(t, func(t *testing.T) users.Store {
		store, err := postgres.Open(t.Context(), database.NewDatabase(t), postgres.WithTimeout(30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
		return open(t, server.URL(), store, patient)
	})
}

func TestStoreWithoutRedis(t *testing.T) {
	server := servers.StartRedis(t)
	server.Stop(t)
	storetest.Run(t, func(t *testing.T) users.Store { return open(t, server.URL(), memory.New(0)) })
}

func TestWrongURLIsRefusedWithoutItsPassword(t *testing.T) {
	tests := map[string]string{ //nolint:gosec // what no message may hold
		"nothing":                             "",
		"no scheme":                           ":hunter2@redis:6379",
		"the scheme of a database":            "postgres://:hunter2@redis:6379",
		"a password in the scheme":            "hunter2://redis",
		"a port that is no number":            "redis://:hunter2@redis:port",
		"a password with # in it":             "redis://:x#hunter2@redis:6379",
		"a password with / in it":             "redis://:hunter2/x@redis:6379",
		"a password with % in it":             "redis://:hunter2%@redis:6379",
		"a password with a space":             "redis://:hunter2 x@redis:6379",
		"no host":                             "redis://:hunter2@/0",
		"a database that is no number":        "redis://:hunter2@redis/hunter2",
		"a size of the pool in words":         "redis://:hunter2@redis/0?pool_size=hunter2",
		"a parameter that there is not":       "redis://:hunter2@redis/0?hunter2=1",
		"a password for the path, by mistake": "redis://redis/0/hunter2",
	}
	for name, url := range tests {
		t.Run(name, func(t *testing.T) {
			store, err := cache.Open(url, memory.New(0))
			if err == nil {
				_ = store.Close()
				t.Fatal("taken")
			}
			if !strings.HasPrefix(err.Error(), "REDIS_URL: ") {
				t.Errorf("the error does not begin with the setting: %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

// counting is a store that counts what it is asked, and can be made to wait, to fail and to panic.
type counting struct {
	users.Store

	gets  atomic.Int64
	get   chan struct{} // nil, or what Get waits for
	fail  atomic.Pointer[error]
	panic atomic.Bool
}

func (c *counting) Get(ctx context.Context, id string) (users.User, error) {
	c.gets.Add(1)
	if c.panic.Load() {
		panic("as the test asks")
	}
	if fail := c.fail.Load(); fail != nil {
		return users.User{}, *fail
	}
	if c.get != nil {
		select {
		case <-c.get:
		case <-ctx.Done():
			return users.User{}, ctx.Err()
		}
	}
	return c.Store.Get(ctx, id)
}

func newUser(t *testing.T, store users.Store) users.User {
	t.Helper()
	user, err := store.Create(t.Context(), users.NewUser{Name: "Ada", Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	return user
}

func get(t *testing.T, store users.Store, want users.User) {
	t.Helper()
	got, err := store.Get(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// keep reads a user until Redis has it.
func keep(t *testing.T, server *servers.Server, store users.Store, user users.User) {
	t.Helper()
	get(t, store, user)
	eventually(t, "the user is not kept", func() bool { return servers.AskRedis(t, server, "EXISTS "+key(user)) == ":1" })
}

func key(user users.User) string { return "sampleapp:user:v1:" + user.ID }

func TestUserIsKeptForAMinute(t *testing.T) {
	server := servers.StartRedis(t)
	behind := &counting{Store: memory.New(0)}
	store := open(t, server.URL(), behind, patient)
	user := newUser(t, store)
	keep(t, server, store, user)
	ttl, err := strconv.Atoi(strings.TrimPrefix(servers.AskRedis(t, server, "PTTL "+key(user)), ":"))
	if err != nil || ttl <= 0 || ttl > 66_000 {
		t.Errorf("it is kept for %d ms, error %v, want a minute and no more than a tenth longer", ttl, err)
	}
	for range 5 {
		get(t, store, user)
	}
	if asked := behind.gets.Load(); asked != 1 {
		t.Errorf("the store was asked %d times", asked)
	}
	if diff := cmp.Diff(cache.Stats{Hits: 5, Misses: 1}, store.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	servers.AskRedis(t, server, "DEL "+key(user))
	keep(t, server, store, user)
	if asked := behind.gets.Load(); asked != 2 {
		t.Errorf("after the user was gone from Redis the store was asked %d times", asked)
	}
}

func TestUserIsForgottenAfterItsTime(t *testing.T) {
	server := servers.StartRedis(t)
	behind := &counting{Store: memory.New(0)}
	store := open(t, server.URL(), behind, patient, cache.WithTTL(10*time.Millisecond))
	user := newUser(t, store)
	eventually(t, "the user is kept for good", func() bool {
		get(t, store, user)
		return behind.gets.Load() > 2
	})
}

func TestTimesDiffer(t *testing.T) {
	server := servers.StartRedis(t)
	store := open(t, server.URL(), memory.New(0), patient)
	user := newUser(t, store)
	times := map[string]bool{}
	for range 10 {
		keep(t, server, store, user)
		// The time of its end, and not the time left, which would differ anyway; in seconds.
		times[servers.AskRedis(t, server, "TTL "+key(user))] = true
		servers.AskRedis(t, server, "DEL "+key(user))
	}
	if len(times) < 2 {
		t.Errorf("ten times a user was kept for %v seconds", times)
	}
}

func TestNobodyIsNotKept(t *testing.T) {
	server := servers.StartRedis(t)
	behind := &counting{Store: memory.New(0)}
	store := open(t, server.URL(), behind, patient)
	for range 3 {
		if _, err := store.Get(t.Context(), "0193f3a0-0000-7000-8000-000000000000"); !errors.Is(err, users.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	}
	if asked := behind.gets.Load(); asked != 3 {
		t.Errorf("the store was asked %d times, want 3", asked)
	}
	if size := servers.AskRedis(t, server, "DBSIZE"); size != ":0" {
		t.Errorf("Redis has %s keys", size)
	}
}

func TestWhatIsNoUserIsOverwritten(t *testing.T) {
	server := servers.StartRedis(t)
	store := open(t, server.URL(), memory.New(0), patient)
	user := newUser(t, store)
	for _, text := range []string{"{", "7", "null", "{}", `{"id":"0193f3a0-0000-7000-8000-000000000000","name":"Eve"}`} {
		client := redis.NewClient(options(t, server))
		if err := client.Set(t.Context(), key(user), text, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		get(t, store, user)
		eventually(t, "it is not overwritten", func() bool {
			now, err := client.Get(t.Context(), key(user)).Result()
			return err == nil && now != text
		})
		_ = client.Close()
	}
}

func options(t *testing.T, server *servers.Server) *redis.Options {
	t.Helper()
	options, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	return options
}

func TestManyAskTheStoreOnce(t *testing.T) {
	server := servers.StartRedis(t)
	behind := &counting{Store: memory.New(0), get: make(chan struct{})}
	store := open(t, server.URL(), behind, patient, cache.WithLoadTimeout(time.Minute))
	user := newUser(t, store)

	// The first asks, and goes away before there is an answer.
	first, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := store.Get(first, user.ID)
		gone <- err
	}()
	eventually(t, "the store is not asked", func() bool { return behind.gets.Load() == 1 })
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got, err := store.Get(t.Context(), user.ID); err != nil || got != user {
				t.Errorf("got %+v and %v", got, err)
			}
		})
	}
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who went away got %v", err)
	}
	close(behind.get)
	all.Wait()
	// One who came when all was over found the user in Redis, or at worst asked again before it was there.
	if asked := behind.gets.Load(); asked > 5 {
		t.Errorf("the store was asked %d times for 51", asked)
	}
}

func TestErrorsOfTheStoreAreItsOwn(t *testing.T) {
	server := servers.StartRedis(t)
	behind := &counting{Store: memory.New(0)}
	store := open(t, server.URL(), behind, patient, cache.WithLoadTimeout(50*time.Millisecond))
	user := newUser(t, store)
	for _, want := range []error{users.ErrUnavailable, errors.New("a fault")} {
		behind.fail.Store(&want)
		if _, err := store.Get(t.Context(), user.ID); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	behind.fail.Store(nil)
	behind.panic.Store(true)
	if _, err := store.Get(t.Context(), user.ID); err == nil || !strings.Contains(err.Error(), "as the test asks") {
		t.Errorf("a panic became %v", err)
	}
	behind.panic.Store(false)
	behind.get = make(chan struct{})
	if _, err := store.Get(t.Context(), user.ID); !errors.Is(err, users.ErrUnavailable) {
		t.Errorf("a store that hangs gave %v, want ErrUnavailable", err)
	}
}

// eventually polls for what a machine may take its time for.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatal(what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
