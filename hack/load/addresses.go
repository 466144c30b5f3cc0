package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/rs/dnscache"
)

// refreshAddresses is how often names are resolved anew.
const refreshAddresses = time.Second

// addresses resolves the names in URLs, each of them once a second and not once for each connection: the DNS server, whose time is not what is
// measured here, would have more to do than the service has.
type addresses struct {
	names dnscache.Resolver
}

// newAddresses returns the addresses that a resolver knows, or the system's where it is nil, and a function that ends their upkeep.
func newAddresses(resolver dnscache.DNSResolver) (*addresses, func()) {
	a, done := &addresses{names: dnscache.Resolver{Resolver: resolver}}, make(chan struct{})
	go func() {
		ticker := time.NewTicker(refreshAddresses)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				// An address that was right a second ago is better than none.
				a.names.RefreshWithOptions(dnscache.ResolverRefreshOptions{PersistOnFailure: true})
			case <-done:
				return
			}
		}
	}()
	return a, func() { close(done) }
}

// dial opens a connection to a host:port, to the first of the host's addresses that accepts one.
func (a *addresses) dial(target string, deadline time.Time) (*connection, error) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, fmt.Errorf("taking %q apart: %w", target, err)
	}
	ips, err := a.names.LookupHost(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", host, err)
	}
	var dialer net.Dialer
	var conn net.Conn
	err = fmt.Errorf("%s has no address", host)
	for _, ip := range ips {
		if conn, err = dialer.DialContext(ctx, "tcp", net.JoinHostPort(ip, port)); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: conn}
	c.answers = bufio.NewReader(c)
	return c, nil
}
