package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// setUpNetwork gives the network namespace that this process was started in the node's address. There is no way out of it:
// no device leads to the machine's network, and the default route says so at once instead of letting callers wait.
func setUpNetwork() error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the loopback device: %w", err)
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("starting the loopback device: %w", err)
	}
	if err := addNodeDevice(); err != nil {
		return err
	}
	if err := addUnreachableDefault(); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("enabling forwarding: %w", err)
	}
	return nil
}

// addNodeDevice makes the device that has the node's address: a bridge, because kernels without the dummy device have that,
// with one end of a veth pair in it, because a bridge without a port has no carrier.
func addNodeDevice() error {
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "node"}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return kernelFeature("a bridge device", "CONFIG_BRIDGE", err)
	}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "node-port"}, PeerName: "node-carrier"}
	if err := netlink.LinkAdd(pair); err != nil {
		return kernelFeature("a pair of virtual ethernet devices", "CONFIG_VETH", err)
	}
	carrier, err := netlink.LinkByName("node-carrier")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetMaster(pair, bridge); err != nil {
		return fmt.Errorf("putting the pair into the bridge: %w", err)
	}
	address, err := netlink.ParseAddr(nodeNetwork)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(bridge, address); err != nil {
		return fmt.Errorf("giving the node its address: %w", err)
	}
	for _, link := range []netlink.Link{pair, carrier, bridge} {
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("starting %s: %w", link.Attrs().Name, err)
		}
	}
	// Service addresses need a route for the packet to get as far as kube-proxy's rules.
	_, services, err := net.ParseCIDR(serviceRange)
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: bridge.Attrs().Index, Dst: services, Scope: netlink.SCOPE_LINK}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("adding the route to the services: %w", err)
	}
	return nil
}

func addUnreachableDefault() error {
	_, everything, err := net.ParseCIDR("0.0.0.0/0")
	if err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{Dst: everything, Type: unix.RTN_UNREACHABLE}); err != nil {
		return fmt.Errorf("adding the default route: %w", err)
	}
	return nil
}

func kernelFeature(what, option string, err error) error {
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("this kernel can't make %s (%s): load the module or use a cluster of your own: %w", what, option, err)
	}
	return fmt.Errorf("making %s: %w", what, err)
}
