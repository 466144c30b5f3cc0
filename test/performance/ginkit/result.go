package main

// result is what a run measured: the JSON object at the end of its output. A part that -only left out is null.
type result struct {
	Machine    machine           `json:"machine"`
	Metrics    *metricsResult    `json:"metrics"`
	Throughput *throughputResult `json:"throughput"`
	Ready      *readyResult      `json:"ready"`
	Image      *imageResult      `json:"image"`
}

// machine is where it was measured.
type machine struct {
	CPUs int    `json:"cpus"`
	CPU  string `json:"cpu"`
	Go   string `json:"go"`
	// LoadAverage is that of the minute before the run: other work spoils the figures.
	LoadAverage float64 `json:"loadAverage"`
}

// requestCost is what one request costs, the median of all rounds.
type requestCost struct {
	// Nanos is CPU time, with that of the garbage collector.
	Nanos  float64 `json:"nanos"`
	Allocs float64 `json:"allocs"`
	Bytes  float64 `json:"bytes"`
}

// metricsResult is what middlewares add to a request.
type metricsResult struct {
	// Bare is what a request costs without any of them.
	Bare        requestCost                 `json:"bare"`
	Middlewares map[string]middlewareResult `json:"middlewares"`
}

// middlewareResult is what one of them adds.
type middlewareResult struct {
	Version string `json:"version"`
	requestCost
	// Ratio is its time in units of ginkit's.
	Ratio float64 `json:"ratio"`
}

// throughputResult compares servers.
type throughputResult struct {
	Rounds  int                     `json:"rounds"`
	Seconds float64                 `json:"seconds"`
	Servers map[string]serverResult `json:"servers"`
}

// serverResult is what a server does on one core, the median of all rounds.
type serverResult struct {
	RequestsPerSecond float64 `json:"requestsPerSecond"`
	// P99Micros is the latency that one request in a hundred exceeds, in microseconds.
	P99Micros float64 `json:"p99Micros"`
	// CPUMicros is the CPU time of the server for each request, in microseconds.
	CPUMicros float64 `json:"cpuMicrosPerRequest"`
	// Ratio is the median, over the rounds, of its requests a second in units of bare Gin's in the same round. CPURatio is that of the
	// CPU time of bare Gin in units of its own, which other work on the machine sways less.
	Ratio    float64 `json:"ratio"`
	CPURatio float64 `json:"cpuRatio"`
}

// readyResult is the time from the start of the sample application's process until /readyz answers 200.
type readyResult struct {
	Starts    int     `json:"starts"`
	P50Millis float64 `json:"p50Millis"`
	P99Millis float64 `json:"p99Millis"`
}

// imageResult is the size of the sample application, in bytes.
type imageResult struct {
	// Binary is the file as built for linux/amd64, Image what a registry holds of it: manifest, configuration and compressed layer.
	Binary int64 `json:"binaryBytes"`
	Image  int64 `json:"imageBytes"`
}
