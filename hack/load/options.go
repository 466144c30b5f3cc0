package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// options are what the flags say.
type options struct {
	targets       []target
	rate          float64
	duration      time.Duration
	maxRequests   int
	freshFraction float64
	connections   int
	timeout       time.Duration
	allowed       map[int]bool
	jsonOnly      bool
	series        time.Duration
	interval      time.Duration
	listen        string
}

// target is one URL, made ready to be sent.
type target struct {
	url     string
	address string // host:port
	keep    []byte // the request for a connection that stays open
	once    []byte // the request for a connection of its own
}

const usage = `Sends HTTP requests at a constant rate and reports failures, latency, and who answered.

  load -url http://hello.default -rate 1000 -duration 60s

`

// parseOptions reads the flags. The error names the flag that is wrong.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var opts options
	var allowed string
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.Func("url", "http:// `URL` to send requests to; given more than once, they take turns", func(text string) error {
		t, err := parseTarget(text)
		opts.targets = append(opts.targets, t)
		return err
	})
	flags.Float64Var(&opts.rate, "rate", 100, "requests per second")
	flags.DurationVar(&opts.duration, "duration", 10*time.Second, "how long to send; 0: until stopped")
	flags.IntVar(&opts.maxRequests, "max-requests", 0, "how many requests to send at most; 0: no limit")
	flags.Float64Var(&opts.freshFraction, "fresh-fraction", 0, "share of the requests, 0 to 1, that get a connection of their own")
	flags.IntVar(&opts.connections, "connections", 16, "connections that the other requests share, one request on each at a time")
	flags.DurationVar(&opts.timeout, "timeout", 5*time.Second, "how long a request may take from when it was due to the end of its answer")
	flags.StringVar(&allowed, "allow-status", "", "status codes from 400 up, separated by commas, that are no failure")
	flags.BoolVar(&opts.jsonOnly, "json", false, "print only the last line")
	flags.DurationVar(&opts.series, "series", 0, "report requests and latency for each stretch of so much time as well; 0: none")
	flags.DurationVar(&opts.interval, "interval", time.Second, "time between lines of progress on stderr; 0: none")
	flags.StringVar(&opts.listen, "listen", "", "`address` such as :9000 that serves GET /result, POST /stop, /livez and /readyz; it stays up until SIGTERM")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	var err error
	if opts.allowed, err = parseStatuses(allowed); err != nil {
		return options{}, err
	}
	return opts, opts.validate(flags.Args())
}

func (o options) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q is no flag: URLs are given with -url", rest[0])
	case len(o.targets) == 0:
		return errors.New("-url is missing: say where to send requests, for example -url http://hello.default/")
	// Written so that NaN, which compares with nothing, is wrong.
	case !(o.rate >= 0.01 && o.rate <= 100_000):
		return fmt.Errorf("-rate %v: must be from 0.01 to 100000", o.rate)
	case !(o.freshFraction >= 0 && o.freshFraction <= 1):
		return fmt.Errorf("-fresh-fraction %v: must be from 0 to 1", o.freshFraction)
	case o.duration < 0:
		return fmt.Errorf("-duration %s: must not be negative", o.duration)
	case o.maxRequests < 0:
		return fmt.Errorf("-max-requests %d: must not be negative", o.maxRequests)
	case o.connections < 1 || o.connections > 10_000:
		return fmt.Errorf("-connections %d: must be from 1 to 10000", o.connections)
	case o.timeout < time.Millisecond || o.timeout > time.Minute:
		return fmt.Errorf("-timeout %s: must be from 1ms to 1m", o.timeout)
	case o.series != 0 && (o.series < 10*time.Millisecond || o.series > time.Hour):
		return fmt.Errorf("-series %s: must be from 10ms to 1h, or 0", o.series)
	case o.interval < 0:
		return fmt.Errorf("-interval %s: must not be negative", o.interval)
	}
	return nil
}

// total returns how many requests the schedule has.
func (o options) total() int {
	total := math.MaxInt
	if o.duration > 0 {
		total = int(math.Ceil(o.rate * o.duration.Seconds()))
	}
	if o.maxRequests > 0 {
		total = min(total, o.maxRequests)
	}
	return total
}

func parseTarget(text string) (target, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return target{}, err
	case u.Scheme != "http":
		return target{}, errors.New("must begin with http://; TLS is not supported")
	case u.Hostname() == "":
		return target{}, errors.New("has no host")
	case u.User != nil:
		return target{}, errors.New("must not have a user")
	}
	address := u.Host
	if u.Port() == "" {
		address += ":80"
	}
	const request = "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gin-operator-load\r\n%s\r\n"
	return target{
		url:     text,
		address: address,
		keep:    fmt.Appendf(nil, request, u.RequestURI(), u.Host, ""),
		once:    fmt.Appendf(nil, request, u.RequestURI(), u.Host, "Connection: close\r\n"),
	}, nil
}

func parseStatuses(text string) (map[int]bool, error) {
	statuses := map[int]bool{}
	if text == "" {
		return statuses, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		status, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || status < 400 || status > 599 {
			return nil, fmt.Errorf("-allow-status: %q is not a status code from 400 to 599", part)
		}
		statuses[status] = true
	}
	return statuses, nil
}
