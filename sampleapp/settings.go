package main

import (
	"errors"
	"net/url"
	"time"

	"github.com/gin-operator/gin-operator/ginkit/config"
)

// settings are what the service reads from the environment beside the kit's own. An empty variable counts as unset.
type settings struct {
	Faults faults
	// StartupDelay is the time before the port is opened.
	StartupDelay time.Duration `env:"STARTUP_DELAY" max:"1h" help:"time before the port is opened"`
	// CrashAfter is the time after which the process ends with status 1, without a drain.
	CrashAfter time.Duration `env:"CRASH_AFTER" max:"1h" help:"time after which the process ends with status 1, without a drain"`

	// DatabaseURL is where users are kept: PostgreSQL, or in memory where it is unset.
	DatabaseURL config.Secret `env:"DATABASE_URL" help:"PostgreSQL for the users; default: in memory"`
	// RedisURL is the cache in front of it, or none.
	RedisURL config.Secret `env:"REDIS_URL" help:"Redis as cache of the users; default: none"`
	// KafkaBrokers and KafkaTopic are where new users are announced, or nowhere.
	KafkaBrokers string `env:"KAFKA_BROKERS" help:"brokers, host:port, that take an event for each new user; default: none"`
	KafkaTopic   string `env:"KAFKA_TOPIC" help:"the topic of the events; default: users"`
	// DependencyURL is what GET /api/v1/dependency calls, or nothing.
	DependencyURL *url.URL `env:"DEPENDENCY_URL" help:"what GET /api/v1/dependency calls; default: nothing"`

	Auth   authSettings
	Limits limitSettings
}

// limitSettings bound what the service takes, and from whom.
type limitSettings struct {
	// Concurrency is how many requests are answered at once; more get 503.
	Concurrency int `env:"MAX_CONCURRENT_REQUESTS" default:"1000" min:"1" help:"requests that are answered at once; more get 503"`
	// Rate is how many requests are taken in a second; more get 429. 0 takes all.
	Rate float64 `env:"RATE_LIMIT" min:"0" max:"1000000" help:"requests a second; more get 429; 0 takes all"`
	// Timeout is how long a request for users or to the service behind may take.
	Timeout time.Duration `env:"REQUEST_TIMEOUT" default:"10s" min:"1ms" max:"1m" help:"time for a request for users or to the service behind"`
	// Origins are the pages that may call the service. None are named by default.
	Origins []string `env:"CORS_ORIGINS" help:"origins of pages that may call the service, after commas; default: none"`
}

// authSettings say who may write.
type authSettings struct {
	// Mode is token, where a write needs a token, or none, where everybody may write.
	Mode string `env:"AUTH" default:"token" oneof:"token none" help:"token: writes need a bearer token; none: everybody may write"`
	// KeySet, Issuer and Audience say which tokens are good. Without any of the three nobody may write.
	KeySet   string   `env:"AUTH_KEY_SET" help:"file or URL of the issuer's JSON Web Key Set"`
	Issuer   string   `env:"AUTH_ISSUER" help:"who must have issued a token"`
	Audience []string `env:"AUTH_AUDIENCE" help:"what this service is called in tokens"`
}

// Validate refuses half of a configuration: it would look as if writes were protected as somebody meant it.
func (s *settings) Validate() error {
	a := s.Auth
	given := a.KeySet != "" || a.Issuer != "" || len(a.Audience) > 0
	whole := a.KeySet != "" && a.Issuer != "" && len(a.Audience) > 0
	switch {
	case a.Mode == authNone && given:
		return errors.New("AUTH: none lets everybody write, but there is AUTH_KEY_SET, AUTH_ISSUER or AUTH_AUDIENCE: set one or the other")
	case given && !whole:
		return errors.New("AUTH_KEY_SET, AUTH_ISSUER and AUTH_AUDIENCE: set all three to check tokens, or none of them")
	}
	return nil
}

// configured reports whether tokens can be checked.
func (a authSettings) configured() bool { return a.KeySet != "" }

const authNone = "none"

// faults are what makes the service play a bad version. All are off by default.
type faults struct {
	// FailReady never gets ready.
	FailReady bool `env:"FAIL_READY" help:"true is never ready"`
	// ErrorRate is the share of requests that are answered with status 500.
	ErrorRate float64 `env:"ERROR_RATE" min:"0" max:"1" help:"share of requests, from 0 to 1, that fail with status 500"`
	// Latency is what is added to the time of every request.
	Latency time.Duration `env:"LATENCY" max:"1m" help:"time that is added to every request"`
}
