// Package controllers reconciles GinServices: it observes a GinService and its children once, lets package rollout plan what to do,
// executes that in a fixed order and writes status.
//
// Inputs: the GinService, the children that it controls, and the EndpointSlices of its two Services, all from caches.
//
// Outputs: children, written by server-side apply and only where they differ; spec.replicas, once, through /scale where it is missing;
// status, written in one place; events, emitted once status is written.
//
// Invariants: nothing that this GinService does not control is ever changed. A pass that finds everything as it should be writes
// nothing and reads nothing from the API server. A pass that is cut off anywhere is continued by the next one.
package controllers
