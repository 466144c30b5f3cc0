// Command cluster runs a real single-node Kubernetes, built from Go modules, on this machine: for the demo, the end-to-end
// tests and the benchmarks of gin-operator. README.md says how to use it.
//
// In: the sources below components/ and a Linux machine with root. Out: binaries in bin/k8s, a cluster whose data, logs and
// kubeconfig are in .cluster, and nothing else on the machine that would outlive the cluster's processes but its cgroups.
//
// What holds at any time, whatever was killed or interrupted:
//   - `down` and the next `up` find every process of the cluster: by record, by a variable in its environment, or by cgroup;
//   - no process is ever signalled that is not known to be the cluster's, by pid and start time through a pidfd;
//   - mounts, sockets and network devices are in namespaces that end with the last process;
//   - nothing listens outside the cluster's namespace but one port on the machine's loopback.
package main
