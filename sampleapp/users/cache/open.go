package cache

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/gin-operator/gin-operator/ginkit/breaker"
	"github.com/gin-operator/gin-operator/sampleapp/users"
)

// silence keeps go-redis from writing lines of its own, not JSON, to the log of the process. What fails is counted, and Check tells.
var silence = sync.OnceFunc(logging.Disable)

// Open puts the Redis of a URL such as redis://user:password@host:6379/0, or rediss:// for TLS, in front of a store. Redis need not be
// there yet. go-redis knows parameters that can be added, such as pool_size; those about timeouts and retries are overruled.
//
// An error is about REDIS_URL, and never holds the password.
func Open(redisURL string, store users.Store, options ...Option) (*Store, error) {
	s := &Store{Store: store, ttl: DefaultTTL, timeout: DefaultTimeout, loadTimeout: DefaultLoadTimeout, writing: make(chan struct{}, writers)}
	for _, option := range options {
		option(s)
	}
	config, err := parse(redisURL)
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	config.DialTimeout, config.ReadTimeout, config.WriteTimeout, config.PoolTimeout = s.timeout, s.timeout, s.timeout, s.timeout
	config.ContextTimeoutEnabled = true
	// The store is the second try.
	config.MaxRetries, config.DialerRetries = -1, 1
	// A new connection says no more than it has to, for its time is that of a request.
	config.DisableIdentity = true
	config.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	silence()
	s.client = redis.NewClient(config)
	s.breaker = breaker.New("redis", breaker.WithConsecutiveFailures(failuresInARow), breaker.WithFailureRatio(0, 1, time.Second),
		breaker.WithOpenFor(retryAfter), breaker.WithLogger(s.log),
		breaker.WithFailure(func(err error) bool { return err != nil && !errors.Is(err, redis.Nil) }))
	return s, nil
}

// parse reads the URL. An error that quotes what could not be read may quote a password that was not escaped, and is left out.
func parse(text string) (*redis.Options, error) {
	const example = "a URL such as redis://user:password@host:6379/0" //nolint:gosec // nobody's password
	scheme, _, _ := strings.Cut(text, "://")
	switch scheme {
	case "redis", "rediss":
	default:
		return nil, errors.New("it does not begin with redis:// or rediss://: it should be " + example)
	}
	parsed, err := url.Parse(text)
	if err != nil || strings.ContainsAny(parsed.Host, " @") {
		return nil, errors.New("it can't be read as " + example + ": characters such as / # ? @ : % in the password are written as %2F and so on")
	}
	if parsed.Hostname() == "" {
		return nil, errors.New("it names no host: it should be " + example)
	}
	config, err := redis.ParseURL(text)
	if err != nil {
		return nil, errors.New("the number of the database or a parameter is wrong: it should be " + example)
	}
	return config, nil
}
