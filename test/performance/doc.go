// Command performance measures the operator, which runs as a process of its own with the rights of config/rbac: `make bench`.
//
// It creates GinServices, upgrades them, lets them rest and restarts the operator. In the same run a plain client-go loop creates and
// upgrades the same objects without any operator: the floor, for no operator can be faster.
//
// Where it does so is a site. By default that is etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK, which it starts on
// loopback; requests are counted in the API server's audit log. With -cluster it is a cluster that was there before, with real pods, and a
// proxy between the operator and the API server counts them. From there it removes everything that it made, however it ends.
//
// Times are those at which a watch in this process delivers an event, CPU and memory come from /proc. The last line of the output is
// `bench: ` and a JSON object.
package main
