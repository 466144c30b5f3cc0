package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestWrongFlagsNameTheFlagAndTheFix(t *testing.T) {
	const url = "-url=http://127.0.0.1:1"
	tests := map[string]struct {
		args []string
		want string
	}{
		"no target":                    {nil, "-url is missing: say where to send requests, for example -url http://hello.default/"},
		"a target with TLS":            {[]string{"-url", "https://host"}, "must begin with http://; TLS is not supported"},
		"a target without a scheme":    {[]string{"-url", "host:80"}, "must begin with http://"},
		"a target without a host":      {[]string{"-url", "http:///path"}, "has no host"},
		"a target with a password":     {[]string{"-url", "http://a:b@host"}, "must not have a user"},
		"a target beside the flags":    {[]string{url, "http://host"}, `"http://host" is no flag: URLs are given with -url`},
		"no rate":                      {[]string{url, "-rate", "0"}, "-rate 0: must be from 0.01 to 100000"},
		"a rate that is no number":     {[]string{url, "-rate", "NaN"}, "-rate NaN: must be from 0.01 to 100000"},
		"a fraction in percent":        {[]string{url, "-fresh-fraction", "20"}, "-fresh-fraction 20: must be from 0 to 1"},
		"a negative duration":          {[]string{url, "-duration", "-1s"}, "-duration -1s: must not be negative"},
		"a negative number":            {[]string{url, "-max-requests", "-1"}, "-max-requests -1: must not be negative"},
		"no connections":               {[]string{url, "-connections", "0"}, "-connections 0: must be from 1 to 10000"},
		"no time for an answer":        {[]string{url, "-timeout", "0"}, "-timeout 0s: must be from 1ms to 1m"},
		"a negative interval":          {[]string{url, "-interval", "-1s"}, "-interval -1s: must not be negative"},
		"a status that is no failure":  {[]string{url, "-allow-status", "404,200"}, `-allow-status: "200" is not a status code from 400 to 599`},
		"a series of too many rows":    {[]string{url, "-series", "1ms"}, "-series 1ms: must be from 10ms to 1h, or 0"},
		"a flag that does not exist":   {[]string{"-speed", "9"}, "flag provided but not defined: -speed"},
		"a duration without its units": {[]string{url, "-duration", "10"}, `invalid value "10" for flag -duration`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parseOptions(tc.args, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestLengthOfTheSchedule(t *testing.T) {
	tests := map[string]struct {
		opts options
		want int
	}{
		"duration times rate":             {options{rate: 1000, duration: time.Minute}, 60_000},
		"a part of a request is one":      {options{rate: 0.5, duration: time.Second}, 1},
		"the number of requests, if less": {options{rate: 1000, duration: time.Minute, maxRequests: 7}, 7},
		"the number of requests alone":    {options{rate: 1000, maxRequests: 7}, 7},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tc.opts.total(); got != tc.want {
				t.Errorf("%d requests, want %d", got, tc.want)
			}
		})
	}
}

func TestTargetBecomesARequest(t *testing.T) {
	tests := map[string]struct {
		url         string
		wantAddress string
		wantKeep    string
	}{
		"the port defaults to 80": {"http://hello.default", "hello.default:80", "GET / HTTP/1.1\r\nHost: hello.default\r\nUser-Agent: gin-operator-load\r\n\r\n"},
		"path and query are sent": {"http://[::1]:8080/a%20b?x=1#part", "[::1]:8080", "GET /a%20b?x=1 HTTP/1.1\r\nHost: [::1]:8080\r\nUser-Agent: gin-operator-load\r\n\r\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseTarget(tc.url)
			if err != nil {
				t.Fatal(err)
			}
			if got.address != tc.wantAddress || string(got.keep) != tc.wantKeep {
				t.Errorf("address %q and request %q, want %q and %q", got.address, got.keep, tc.wantAddress, tc.wantKeep)
			}
			if !strings.Contains(string(got.once), "\r\nConnection: close\r\n") {
				t.Errorf("request %q does not say that it is the only one on its connection", got.once)
			}
		})
	}
}
