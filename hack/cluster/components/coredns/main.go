// Command coredns is CoreDNS with only the plugins that the cluster's DNS uses. The full set brings in the SDKs of every cloud.
package main

import (
	_ "github.com/coredns/coredns/core/plugin"
)
func main() {}
