// Package podmetrics measures pods by what they expose on /metrics. It stands at the top level because two programs share it and neither owns
// it: the metrics adapter, which answers the autoscaler, and the operator's analysis, which judges a new version.
//
// Inputs: the pods to scrape and what is asked of each (Set, Remove), and their answers in the text format of Prometheus or OpenMetrics.
//
// Outputs: values over a window (Read for one pod, Sum over several), each with the time and the window that it was measured over, or an
// Error that says why there is none, in words for the person who runs the service.
//
// Answers are read line by line, and only the lines of metrics that somebody asks for are parsed. A parser that first builds the whole
// document, such as expfmt's, makes objects of every line, and the answer is as large as its pod likes. What is kept of a line is a number:
// label values are hashed, so the memory of a pod is bounded by Options.MaxSeries whatever it exposes, and that of all pods by
// Options.MaxTotal. Native histograms are in the protobuf format alone and are not read: a quantile takes classic buckets.
//
// Invariants:
//   - A pod without a fresh sample has no value. It is never zero.
//   - A scrape counts whole or not at all. Where one series of a metric is NaN, infinite, beyond 1e100, twice there or, in a counter, negative,
//     the metric has no sample of that scrape: a sum that leaves a part out would look like less load than there is.
//   - A counter never goes back: where it falls, or the process is a new one by its start time, it counts on from zero. A series that was not
//     there in the scrape before counts from zero too, so that the first error of a pod is an error; on the first scrape of all, nothing
//     counts yet.
//   - Nothing is dialled but the address of a target, over plain HTTP, without a proxy, and no redirect is followed. An address of the machine
//     itself or of its link is no target.
package podmetrics
