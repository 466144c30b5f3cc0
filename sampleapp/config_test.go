package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lookupIn reads from a map as os.LookupEnv reads from the environment.
func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

func TestConfigFromThePodEnvironment(t *testing.T) {
	got, err := readConfig(lookupIn(map[string]string{
		"PORT": "9000", "METRICS_PORT": "9001", "APP_VERSION": "v2", "GIN_SERVICE_COLOR": "green", "GIN_SERVICE_REVISION": "abc123",
		"POD_NAME": "hello-green-1", "GIN_SERVICE_SHUTDOWN_SECONDS": "25", "LOG_LEVEL": "warn", "LOG_REQUESTS": "all",
		"SLOW_REQUEST": "250ms", "FAIL_READY": "true", "STARTUP_DELAY": "3s", "CRASH_AFTER": "2s", "ERROR_RATE": "0.05", "LATENCY": "10ms",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		port: 9000, metricsPort: 9001, version: "v2", color: "green", revision: "abc123", pod: "hello-green-1",
		shutdown: 25 * time.Second, drain: 5 * time.Second, logLevel: slog.LevelWarn, logRequests: logAll, slowRequest: 250 * time.Millisecond,
		faults: faults{failReady: true, startupDelay: 3 * time.Second, crashAfter: 2 * time.Second, errorRate: 0.05, latency: 10 * time.Millisecond},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{}, faults{})); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

func TestDefaultsOfConfig(t *testing.T) {
	tests := map[string]struct {
		env                    map[string]string
		wantDrain              time.Duration
		wantPort, wantMetrics  int
		wantVersion, wantColor string
	}{
		"nothing is set":                   {env: nil, wantDrain: 5 * time.Second, wantPort: 8080, wantMetrics: 8080, wantVersion: version, wantColor: "none"},
		"an empty variable is unset":       {env: map[string]string{"PORT": "", "APP_VERSION": ""}, wantDrain: 5 * time.Second, wantPort: 8080, wantMetrics: 8080, wantVersion: version, wantColor: "none"},
		"metrics follow the port":          {env: map[string]string{"PORT": "81"}, wantDrain: 5 * time.Second, wantPort: 81, wantMetrics: 81, wantVersion: version, wantColor: "none"},
		"a short time drains for a third":  {env: map[string]string{"GIN_SERVICE_SHUTDOWN_SECONDS": "3"}, wantDrain: time.Second, wantPort: 8080, wantMetrics: 8080, wantVersion: version, wantColor: "none"},
		"the drain can be switched off":    {env: map[string]string{"DRAIN_SECONDS": "0"}, wantDrain: 0, wantPort: 8080, wantMetrics: 8080, wantVersion: version, wantColor: "none"},
		"the drain may have half a second": {env: map[string]string{"DRAIN_SECONDS": "0.5"}, wantDrain: time.Second / 2, wantPort: 8080, wantMetrics: 8080, wantVersion: version, wantColor: "none"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readConfig(lookupIn(tc.env))
			if err != nil {
				t.Fatal(err)
			}
			if got.drain != tc.wantDrain || got.port != tc.wantPort || got.metricsPort != tc.wantMetrics ||
				got.version != tc.wantVersion || got.color != tc.wantColor {
				t.Errorf("got drain %s, ports %d and %d, version %q, colour %q; want %+v", got.drain, got.port, got.metricsPort, got.version, got.color, tc)
			}
		})
	}
}

func TestWrongConfigNamesTheVariableAndTheFix(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		want string
	}{
		"a port that is a word":       {map[string]string{"PORT": "http"}, `PORT: "http" is not a whole number from 0 to 65535`},
		"a port out of range":         {map[string]string{"METRICS_PORT": "70000"}, `METRICS_PORT: "70000" is not a whole number from 0 to 65535`},
		"a share in percent":          {map[string]string{"ERROR_RATE": "5%"}, `ERROR_RATE: "5%" is not a number from 0 to 1, such as 0.05`},
		"a share above one":           {map[string]string{"ERROR_RATE": "5"}, `ERROR_RATE: "5" is not a number from 0 to 1, such as 0.05`},
		"a share that is no number":   {map[string]string{"ERROR_RATE": "NaN"}, `ERROR_RATE: "NaN" is not a number from 0 to 1, such as 0.05`},
		"a time without a unit":       {map[string]string{"CRASH_AFTER": "2"}, `CRASH_AFTER: "2" is not a time such as 250ms or 2s, at most 1h0m0s`},
		"a negative time":             {map[string]string{"STARTUP_DELAY": "-1s"}, `STARTUP_DELAY: "-1s" is not a time such as 250ms or 2s, at most 1h0m0s`},
		"latency beyond the timeouts": {map[string]string{"LATENCY": "5m"}, `LATENCY: "5m" is not a time such as 250ms or 2s, at most 1m0s`},
		"a switch that is neither":    {map[string]string{"FAIL_READY": "yes"}, `FAIL_READY: "yes" is not true or false`},
		"an unknown level":            {map[string]string{"LOG_LEVEL": "loud"}, `LOG_LEVEL: "loud" is not debug, info, warn or error`},
		"an unknown logging of requests": {
			map[string]string{"LOG_REQUESTS": "some"},
			`LOG_REQUESTS: "some" is not problems, all or none`,
		},
		"no time to shut down": {
			map[string]string{"GIN_SERVICE_SHUTDOWN_SECONDS": "0"},
			`GIN_SERVICE_SHUTDOWN_SECONDS: "0" is not a number of seconds from 1 to 86400`,
		},
		"a drain as long as the shutdown": {
			map[string]string{"DRAIN_SECONDS": "10", "GIN_SERVICE_SHUTDOWN_SECONDS": "10"},
			"DRAIN_SECONDS: 10s leaves no time for requests in flight: it must be less than GIN_SERVICE_SHUTDOWN_SECONDS, 10s",
		},
		"a version that would split a header": {
			map[string]string{"APP_VERSION": "v1\r\nX-Evil: 1"},
			`APP_VERSION: "v1\r\nX-Evil: 1" is not a text on one line`,
		},
		"two at once": {
			map[string]string{"PORT": "x", "LOG_LEVEL": "y"},
			"PORT: \"x\" is not a whole number from 0 to 65535\nLOG_LEVEL: \"y\" is not debug, info, warn or error",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := readConfig(lookupIn(tc.env))
			if err == nil || err.Error() != tc.want {
				t.Errorf("error is\n%v\nwant\n%s", err, tc.want)
			}
		})
	}
}

// FuzzConfigNeverYieldsAValueOutOfBounds guards the bounds that the rest of the program relies on.
func FuzzConfigNeverYieldsAValueOutOfBounds(f *testing.F) {
	for _, seed := range []string{"", "0", "1", "-1", "1e309", "0x10", "NaN", "Inf", "99999999999h", "1h", "5s", "true", strings.Repeat("9", 400)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, name := range []string{"PORT", "ERROR_RATE", "DRAIN_SECONDS", "GIN_SERVICE_SHUTDOWN_SECONDS", "LATENCY", "STARTUP_DELAY"} {
			cfg, err := readConfig(lookupIn(map[string]string{name: value}))
			if err != nil {
				if !strings.HasPrefix(err.Error(), name+": ") && name != "GIN_SERVICE_SHUTDOWN_SECONDS" {
					t.Errorf("%s=%q: the error does not name it: %v", name, value, err)
				}
				continue
			}
			ok := cfg.port >= 0 && cfg.port <= 65535 && cfg.faults.errorRate >= 0 && cfg.faults.errorRate <= 1 &&
				cfg.drain >= 0 && cfg.drain < cfg.shutdown && cfg.shutdown <= 24*time.Hour &&
				cfg.faults.latency >= 0 && cfg.faults.latency <= time.Minute && cfg.faults.startupDelay >= 0
			if !ok {
				t.Errorf("%s=%q is let through: %+v", name, value, cfg)
			}
		}
	})
}
