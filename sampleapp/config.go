package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"
)

// config is all that can be set from outside. Each field names its environment variable; an empty variable counts as unset.
type config struct {
	// port is PORT, default 8080. 0 is any free port, which the log names.
	port int
	// metricsPort is METRICS_PORT, default PORT.
	metricsPort int

	// version is APP_VERSION, default what the linker set.
	version string
	// color is GIN_SERVICE_COLOR, default "none".
	color string
	// revision is GIN_SERVICE_REVISION, default "none".
	revision string
	// pod is POD_NAME, default the host's name.
	pod string

	// shutdown is GIN_SERVICE_SHUTDOWN_SECONDS, default 30: the time from SIGTERM to SIGKILL.
	shutdown time.Duration
	// drain is DRAIN_SECONDS, default 5 or a third of shutdown, whichever is less: how long requests are still taken after SIGTERM.
	drain time.Duration

	// logLevel is LOG_LEVEL: debug, info (default), warn or error.
	logLevel slog.Level
	// logRequests is LOG_REQUESTS: problems (default), all or none.
	logRequests requestLogging
	// slowRequest is SLOW_REQUEST, default 1s: a request that takes longer is a problem.
	slowRequest time.Duration

	faults faults
}

// faults are what makes the service play a bad version. All are off by default.
type faults struct {
	// failReady is FAIL_READY: true never gets ready.
	failReady bool
	// startupDelay is STARTUP_DELAY: the time before the port is opened.
	startupDelay time.Duration
	// crashAfter is CRASH_AFTER: the time after which the process ends with status 1, without a drain.
	crashAfter time.Duration
	// errorRate is ERROR_RATE: the share, from 0 to 1, of requests that are answered with status 500.
	errorRate float64
	// latency is LATENCY, at most 1m: what is added to the time of every request.
	latency time.Duration
}

// requestLogging says which requests are logged.
type requestLogging string

const (
	logProblems requestLogging = "problems"
	logAll      requestLogging = "all"
	logNone     requestLogging = "none"
)

// readConfig reads the environment. The error names each variable that is wrong, and what it should be.
func readConfig(lookup func(string) (string, bool)) (config, error) {
	env := &environment{lookup: lookup}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	cfg := config{
		port:        env.integer("PORT", 8080, 0, 65535),
		version:     env.text("APP_VERSION", version),
		color:       env.text("GIN_SERVICE_COLOR", "none"),
		revision:    env.text("GIN_SERVICE_REVISION", "none"),
		pod:         env.text("POD_NAME", host),
		shutdown:    env.seconds("GIN_SERVICE_SHUTDOWN_SECONDS", 30*time.Second, 1),
		logLevel:    env.level("LOG_LEVEL"),
		logRequests: env.requestLogging("LOG_REQUESTS"),
		slowRequest: env.duration("SLOW_REQUEST", time.Second, time.Hour),
		faults: faults{
			failReady:    env.boolean("FAIL_READY"),
			startupDelay: env.duration("STARTUP_DELAY", 0, time.Hour),
			crashAfter:   env.duration("CRASH_AFTER", 0, time.Hour),
			errorRate:    env.fraction("ERROR_RATE"),
			latency:      env.duration("LATENCY", 0, time.Minute),
		},
	}
	cfg.metricsPort = env.integer("METRICS_PORT", cfg.port, 0, 65535)
	cfg.drain = env.seconds("DRAIN_SECONDS", min(5*time.Second, cfg.shutdown/3), 0)
	if cfg.drain >= cfg.shutdown {
		env.errs = append(env.errs, fmt.Errorf("DRAIN_SECONDS: %s leaves no time for requests in flight: it must be less than GIN_SERVICE_SHUTDOWN_SECONDS, %s",
			cfg.drain, cfg.shutdown))
	}
	return cfg, errors.Join(env.errs...)
}

// environment reads typed values and collects what is wrong with them.
type environment struct {
	lookup func(string) (string, bool)
	errs   []error
}

// parsed returns the value of a variable, or the fallback where it is unset or wrong. wants completes "is not …".
func parsed[T any](env *environment, name string, fallback T, wants string, parse func(string) (T, bool)) T {
	text, _ := env.lookup(name)
	if text == "" {
		return fallback
	}
	value, ok := parse(text)
	if !ok {
		env.errs = append(env.errs, fmt.Errorf("%s: %q is not %s", name, text, wants))
		return fallback
	}
	return value
}

// text also refuses line breaks, because these values end up in response headers.
func (env *environment) text(name, fallback string) string {
	return parsed(env, name, fallback, "a text on one line", func(s string) (string, bool) {
		return s, !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
	})
}

func (env *environment) integer(name string, fallback, least, most int) int {
	wants := fmt.Sprintf("a whole number from %d to %d", least, most)
	return parsed(env, name, fallback, wants, func(s string) (int, bool) {
		n, err := strconv.Atoi(s)
		return n, err == nil && n >= least && n <= most
	})
}

func (env *environment) fraction(name string) float64 {
	return parsed(env, name, 0, "a number from 0 to 1, such as 0.05", parseFraction)
}

func parseFraction(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	// NaN is neither above nor below anything, so only the positive form keeps it out.
	return f, err == nil && f >= 0 && f <= 1
}

func (env *environment) boolean(name string) bool {
	return parsed(env, name, false, "true or false", func(s string) (bool, bool) {
		b, err := strconv.ParseBool(s)
		return b, err == nil
	})
}

func (env *environment) duration(name string, fallback, most time.Duration) time.Duration {
	wants := fmt.Sprintf("a time such as 250ms or 2s, at most %s", most)
	return parsed(env, name, fallback, wants, func(s string) (time.Duration, bool) {
		d, err := time.ParseDuration(s)
		return d, err == nil && d >= 0 && d <= most
	})
}

func (env *environment) seconds(name string, fallback time.Duration, least float64) time.Duration {
	const most = 86400
	wants := fmt.Sprintf("a number of seconds from %v to %d", least, most)
	return parsed(env, name, fallback, wants, func(s string) (time.Duration, bool) {
		f, err := strconv.ParseFloat(s, 64)
		return time.Duration(f * float64(time.Second)), err == nil && f >= least && f <= most
	})
}

func (env *environment) level(name string) slog.Level {
	return parsed(env, name, slog.LevelInfo, "debug, info, warn or error", func(s string) (slog.Level, bool) {
		var level slog.Level
		err := level.UnmarshalText([]byte(s))
		return level, err == nil
	})
}

func (env *environment) requestLogging(name string) requestLogging {
	return parsed(env, name, logProblems, "problems, all or none", func(s string) (requestLogging, bool) {
		switch mode := requestLogging(s); mode {
		case logProblems, logAll, logNone:
			return mode, true
		}
		return "", false
	})
}
