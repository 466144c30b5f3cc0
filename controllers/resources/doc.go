// Package resources builds the objects that a GinService wants to exist, as apply configurations: what the operator owns of each
// child, and nothing else.
//
// Everything here is pure: a function of its arguments, which it neither changes nor keeps. There is no client, no clock and no
// state. The invariants, each with a test:
//
//   - Two specs that mean the same have the same Revision; any difference in meaning makes another. Neither depends on the version
//     of the operator.
//   - A pod of a valid GinService passes the Pod Security level restricted.
//   - A built object has no field that the API server would drop or change, so an object that is up to date contains its intent.
//   - Every object has a controller owner reference and the labels that the caches select by.
//
// docs/designs/0001-revisions.md says what a revision is and what may change about it.
package resources
