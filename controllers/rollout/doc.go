// Package rollout decides what a GinService's children should look like next. It is pure: Compute takes what was observed and the
// time, and returns a Plan; it reads and writes nothing.
//
// Inputs: the spec and its revision, the annotation that approves a promotion, the two colours' Deployments, the colour that the active
// Service selects, the ready endpoints that the EndpointSlices show, and the record of the rollout in status.
//
// Outputs: the revision and the number of pods of each colour, the colour that each Service selects, the new record, when to look again,
// and the transitions that a user should hear of.
//
// Invariants, for whatever is observed:
//   - The active Service never moves to a colour that the EndpointSlices do not show ready with as many pods as serve,
//     except back to what served, from one that has no pod ready.
//   - The colour that serves never gets another number of pods than the spec asks for, nor another template while it has a pod available.
//   - The other colour keeps its pods while it is the last one that has any available, and while the EndpointSlices still send it traffic.
//   - Compute is idempotent: with its own plan executed and nothing else changed, it plans the same again.
package rollout
