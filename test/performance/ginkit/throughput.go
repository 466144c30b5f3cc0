package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// pingPath is the path that all servers answer.
	pingPath = "/api/v1/ping"
	// bareGin is the server that the others are compared with.
	bareGin = "gin"
	// warmUp is how long each server is under load before that counts.
	warmUp = time.Second
	// connections is how many wrk keeps open.
	connections = "16"
	// slowest is how late an answer may come. A busy machine can stop for longer than the two seconds that wrk waits by itself.
	slowest = "30s"
)

// podEnvironment is what the operator sets in a pod of a service without a memory limit, but for the ports. The values are fixed, so that
// every server can give the same answer.
var podEnvironment = []string{
	"POD_NAME=orders-blue-7d4b9c6f5-x2x7k", "POD_NAMESPACE=default", "GIN_SERVICE_NAME=orders", "GIN_SERVICE_COLOR=blue",
	"GIN_SERVICE_REVISION=5f6d8c7b9d", "GIN_SERVICE_SHUTDOWN_SECONDS=25", "APP_VERSION=v1.2.0",
}

// candidate is a server that takes part.
type candidate struct {
	name string
	// start starts it on a core, where it is to answer on an address. body is the answer that is wanted.
	start func(core, address, port, body string) (*server, error)
}

func candidates(o options) []candidate {
	// GOMAXPROCS is what Go finds out by itself on one core; it is set so that nobody has to know.
	const oneThread = "GOMAXPROCS=1"
	mode := func(name string) candidate {
		return candidate{name, func(core, address, port, body string) (*server, error) {
			env := append([]string{oneThread, "PORT=" + port, "METRICS_PORT=" + port}, podEnvironment...)
			return startServer(address, env, "taskset", "-c", core, o.server, "-mode", name, "-address", address, "-path", pingPath, "-body", body)
		}}
	}
	return []candidate{
		mode(bareGin),
		mode("servemux"),
		mode("ginkit"),
		{"sampleapp", func(core, address, port, _ string) (*server, error) {
			env := append([]string{oneThread, "PORT=" + port, "METRICS_PORT=" + port}, podEnvironment...)
			return startServer(address, env, "taskset", "-c", core, o.sampleapp)
		}},
	}
}

// turn is what one server did in one round.
type turn struct {
	rate      float64
	p99Micros float64
	cpuMicros float64
}

// measureThroughput measures the servers one after the other, in each round in another order. Each turn has a new process, so that no
// server keeps the luck or the bad luck of where its memory lies.
func measureThroughput(ctx context.Context, o options, progress io.Writer) (*throughputResult, error) {
	if err := needWrk(ctx, progress); err != nil {
		return nil, err
	}
	serverCore, wrkCore, err := twoCores()
	if err != nil {
		return nil, err
	}
	script, remove, err := writeScript()
	if err != nil {
		return nil, err
	}
	defer remove()
	body, err := sampleappBody(ctx, o)
	if err != nil {
		return nil, err
	}
	w := wrk{core: wrkCore, script: script}
	list := candidates(o)
	turns := map[string][]turn{}
	for round := range o.rounds {
		for i := range list {
			c := list[(round+i)%len(list)]
			measured, err := takeTurn(ctx, c, w, serverCore, body, o.duration)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			turns[c.name] = append(turns[c.name], measured)
			fmt.Fprintf(progress, "throughput: round %d of %d: %s %.0f requests/s\n", round+1, o.rounds, c.name, measured.rate)
		}
	}
	return summariseThroughput(turns, o), nil
}

// sampleappBody returns what the sample application answers: all others are to answer the same.
func sampleappBody(ctx context.Context, o options) (string, error) {
	address, port, err := freeAddress(ctx)
	if err != nil {
		return "", err
	}
	s, err := startServer(address, append([]string{"PORT=" + port, "METRICS_PORT=" + port}, podEnvironment...), o.sampleapp)
	if err != nil {
		return "", err
	}
	defer s.stop()
	body, _, err := s.ready(ctx, pingPath)
	return string(body), err
}

func takeTurn(ctx context.Context, c candidate, w wrk, core, body string, d time.Duration) (turn, error) {
	address, port, err := freeAddress(ctx)
	if err != nil {
		return turn{}, err
	}
	s, err := c.start(core, address, port, body)
	if err != nil {
		return turn{}, err
	}
	defer s.stop()
	got, _, err := s.ready(ctx, pingPath)
	if err != nil {
		return turn{}, err
	}
	if string(got) != body {
		return turn{}, fmt.Errorf("answers %q, and not what the others answer, %q", got, body)
	}
	url := "http://" + address + pingPath
	if _, err := w.run(ctx, url, warmUp); err != nil {
		return turn{}, err
	}
	before, err := s.cpu()
	if err != nil {
		return turn{}, err
	}
	load, err := w.run(ctx, url, d)
	if err != nil {
		return turn{}, err
	}
	after, err := s.cpu()
	if err != nil {
		return turn{}, err
	}
	return turn{
		rate:      load.requests / load.took.Seconds(),
		p99Micros: load.p99Micros,
		cpuMicros: float64((after - before).Microseconds()) / load.requests,
	}, nil
}

func summariseThroughput(turns map[string][]turn, o options) *throughputResult {
	result := &throughputResult{Rounds: o.rounds, Seconds: o.duration.Seconds(), Servers: map[string]serverResult{}}
	base := turns[bareGin]
	for name, own := range turns {
		ratios := make([]turn, len(own))
		for i := range own {
			ratios[i] = turn{rate: own[i].rate / base[i].rate, cpuMicros: base[i].cpuMicros / own[i].cpuMicros}
		}
		rate := func(t turn) float64 { return t.rate }
		cpu := func(t turn) float64 { return t.cpuMicros }
		result.Servers[name] = serverResult{
			RequestsPerSecond: rounded(median(own, rate), 0),
			P99Micros:         rounded(median(own, func(t turn) float64 { return t.p99Micros }), 0),
			CPUMicros:         rounded(median(own, cpu), 2),
			Ratio:             rounded(median(ratios, rate), 3),
			CPURatio:          rounded(median(ratios, cpu), 3),
		}
	}
	return result
}

// wrk makes the load.
type wrk struct {
	core   string
	script string
}

// loaded is what wrk reports.
type loaded struct {
	requests  float64
	took      time.Duration
	p99Micros float64
}

// report has wrk print what it measured on a line of its own. A function that is called once, at the end, costs the load nothing.
const report = `function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("measured %d %d %d %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(99),
    e.connect, e.read, e.write, e.timeout, e.status))
end
`

func writeScript() (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "gin-operator-bench-ginkit-")
	if err != nil {
		return "", nil, fmt.Errorf("making a folder for wrk's script: %w", err)
	}
	remove = func() { _ = os.RemoveAll(dir) }
	path = filepath.Join(dir, "report.lua")
	if err := os.WriteFile(path, []byte(report), 0o600); err != nil {
		remove()
		return "", nil, fmt.Errorf("writing wrk's script: %w", err)
	}
	return path, remove, nil
}

// run sends requests for a time, in whole seconds. An answer that is not a success, and a connection that breaks, are errors.
func (w wrk) run(ctx context.Context, url string, d time.Duration) (loaded, error) {
	command := exec.CommandContext(ctx, "taskset", "-c", w.core, "wrk", "--threads", "1", "--connections", connections,
		"--duration", strconv.Itoa(int(d/time.Second))+"s", "--timeout", slowest, "--script", w.script, url)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Run(); err != nil {
		return loaded{}, errors.Join(context.Cause(ctx), fmt.Errorf("wrk: %w: %s", err, strings.TrimSpace(out.String())))
	}
	return parseLoad(out.String())
}

func parseLoad(out string) (loaded, error) {
	_, line, found := strings.Cut(out, "\nmeasured ")
	if !found {
		return loaded{}, fmt.Errorf("wrk reports nothing: %s", out)
	}
	var requests, micros, p99, connect, read, write, timeout, status int64
	if _, err := fmt.Sscan(line, &requests, &micros, &p99, &connect, &read, &write, &timeout, &status); err != nil {
		return loaded{}, fmt.Errorf("wrk reports %q: %w", line, err)
	}
	if connect+read+write+timeout+status > 0 || requests == 0 || micros == 0 {
		return loaded{}, fmt.Errorf("of %d requests in %d µs, %d could not connect, %d not be read, %d not be written, %d took %s, and %d were no success",
			requests, micros, connect, read, write, timeout, slowest, status)
	}
	return loaded{requests: float64(requests), took: time.Duration(micros) * time.Microsecond, p99Micros: float64(p99)}, nil
}
