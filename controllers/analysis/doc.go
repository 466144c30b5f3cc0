// Package analysis judges new versions by what their pods measure: spec.strategy.blueGreen.analysis before the promotion, and
// postPromotionAnalysis after it.
//
// Inputs: the GinService, with its analysis so far in status; the ready pods of its colours, of which EndpointSlices in the cache tell, and whose
// addresses are those that the kubelet has reported; and a Source, which measures: the pods' own metrics, or one Prometheus.
//
// Outputs: a rollout.Verdict, which has the new status where that has changed.
//
// What decides is pure: begin, advance and untilDue are functions of spec, status, readings and the time, and status holds all that they need. An
// operator that starts anew goes on where its predecessor stopped; only the scrapes of a few seconds have to be made again, and meanwhile nothing is
// counted for or against the version. The Runner has the rest: pods, scrapes, and the requests of a warm-up, for as long as a rollout lasts.
//
// Invariants:
//   - Status changes with a measurement that counts, or with the reason why there is none, and not with time.
//   - What is not known is never good, and never bad, unless onNoData says so. That nobody is there any more to serve is known, and bad.
//   - A result is of what the spec asks for now. What it says of another metric, or by other bounds, is no result.
//   - Nothing is dialled but pods of the GinService, by the addresses that the kubelet reported, and the Prometheus of the administrator.
package analysis
