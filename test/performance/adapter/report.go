package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// result is what a run measured: the JSON object at the end of its output.
type result struct {
	Pods            int     `json:"pods"`
	Services        int     `json:"services"`
	IntervalSeconds float64 `json:"intervalSeconds"`
	Seconds         float64 `json:"seconds"`
	// DocumentBytes is the size of what each pod answers.
	DocumentBytes int `json:"documentBytes"`
	// Scrapes and Failures are those of the time that was measured.
	Scrapes  int `json:"scrapes"`
	Failures int `json:"failures"`
	// Cores is CPU time, of user and system, by time.
	Cores              float64 `json:"cores"`
	CPUMillisPerScrape float64 `json:"cpuMillisPerScrape"`
	// PeakRSSMiB is the most memory at any time from the start.
	PeakRSSMiB float64 `json:"peakRssMiB"`
	// Answers are those to the question for the requests a second of all pods of a GinService.
	Answers         int     `json:"answers"`
	AnswerP50Millis float64 `json:"answerP50Millis"`
	AnswerP99Millis float64 `json:"answerP99Millis"`
	// LeastP99Millis is that of an answer with nothing in it, asked for in turn with the others: what the machine adds to each.
	LeastP99Millis float64 `json:"leastP99Millis"`
	// Ages are those of what an answer says about each pod, when it has arrived.
	AgeP50Seconds float64 `json:"ageP50Seconds"`
	AgeMaxSeconds float64 `json:"ageMaxSeconds"`
	// Missing is how many values of pods were not in their answer.
	Missing int `json:"missing"`
	// RateErrorPercent is how far the requests a second of any pod in any answer were from those that it got, at most.
	RateErrorPercent float64 `json:"rateErrorPercent"`
}

// target is a figure that a run is held to: at most its limit.
type target struct {
	what         string
	value, limit float64
}

// targets are for up to 1,000 pods every five seconds, and grow with more than that.
func targets(r *result) []target {
	pods := max(1, float64(r.Pods)/1000)
	return []target{
		{"CPU, cores", r.Cores, 0.5 * max(1, float64(r.Pods)/1000*5/r.IntervalSeconds)},
		{"peak memory, MiB", r.PeakRSSMiB, 150 * pods},
		{fmt.Sprintf("answer for up to %d pods, p99, ms", podsPerService), r.AnswerP99Millis, 20},
		{"age of what an answer says, at most, s", r.AgeMaxSeconds, r.IntervalSeconds + 1},
		{"values missing in answers", float64(r.Missing), 0},
		{"scrapes that failed", float64(r.Failures), 0},
		{"error of the request rate of a pod, at most, %", r.RateErrorPercent, 5},
	}
}

// report prints what was measured, and reports whether all targets are met.
func report(out io.Writer, r *result) (bool, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("writing the report: %w", err)
	}
	fmt.Fprintf(out, "%d pods of %d GinServices, each with %d bytes of metrics, scraped every %gs for %.0f s: %d scrapes, %d answers\n",
		r.Pods, r.Services, r.DocumentBytes, r.IntervalSeconds, r.Seconds, r.Scrapes, r.Answers)
	fmt.Fprintf(out, "an answer with nothing in it, at the same time: p99 %.1f ms\n\n", r.LeastP99Millis)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "target\tat most\tmeasured\tmet")
	met := true
	for _, t := range targets(r) {
		verdict := "yes"
		if !(t.value <= t.limit) {
			verdict, met = "no", false
		}
		fmt.Fprintf(table, "%s\t%g\t%.3f\t%s\n", t.what, t.limit, t.value, verdict)
	}
	if err := table.Flush(); err != nil {
		return false, err
	}
	_, err = fmt.Fprintf(out, "\nbench-adapter: %s\n", text)
	return met, err
}
