package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// nameServer answers every question with the same addresses, or with an error where there are none.
type nameServer struct {
	ips   atomic.Pointer[[]string]
	asked atomic.Int64
}

func (s *nameServer) answer(ips ...string) { s.ips.Store(&ips) }

func (s *nameServer) LookupHost(context.Context, string) ([]string, error) {
	s.asked.Add(1)
	if ips := *s.ips.Load(); len(ips) > 0 {
		return ips, nil
	}
	return nil, errors.New("no such host")
}

func (*nameServer) LookupAddr(context.Context, string) ([]string, error) {
	return nil, errors.New("nobody asks for names")
}

// listenOn accepts connections on the same port of each address, until the test ends.
func listenOn(t *testing.T, ips ...string) (port string) {
	t.Helper()
	port = "0"
	for _, ip := range ips {
		listener, err := net.Listen("tcp", net.JoinHostPort(ip, port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		_, port, err = net.SplitHostPort(listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
	}
	return port
}

// dialed returns the address that a connection to a host leads to, or the error.
func dialed(to *addresses, host, port string) (string, error) {
	conn, err := to.dial(net.JoinHostPort(host, port), time.Now().Add(5*time.Second))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	ip, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	return ip, err
}

func TestNamesAreResolvedOnceASecond(t *testing.T) {
	port := listenOn(t, "127.0.0.1", "127.0.0.2")
	server := &nameServer{}
	server.answer("127.0.0.1")
	began := time.Now()
	to, end := newAddresses(server)
	defer end()
	for range 100 {
		if got, err := dialed(to, "hello.test", port); got != "127.0.0.1" || err != nil {
			t.Fatalf("connected to %q (%v)", got, err)
		}
	}
	asked := server.asked.Load()
	if most := 1 + int64(time.Since(began)/refreshAddresses); asked > most {
		t.Errorf("asked %d times for 100 connections, want at most %d", asked, most)
	}
	server.answer("127.0.0.2")
	eventually(t, "the new address is used", func() bool {
		got, err := dialed(to, "hello.test", port)
		if err != nil {
			t.Fatal(err)
		}
		return got == "127.0.0.2"
	})
	server.answer()
	asked = server.asked.Load()
	eventually(t, "the name server has failed twice", func() bool {
		if got, err := dialed(to, "hello.test", port); got != "127.0.0.2" || err != nil {
			t.Fatalf("connected to %q (%v) while the name server fails; want the address that was right", got, err)
		}
		return server.asked.Load() >= asked+2
	})
}

func TestTheFirstAddressThatAcceptsIsTaken(t *testing.T) {
	port := listenOn(t, "127.0.0.2")
	server := &nameServer{}
	server.answer("127.0.0.1", "127.0.0.2")
	to, end := newAddresses(server)
	defer end()
	if got, err := dialed(to, "hello.test", port); got != "127.0.0.2" || err != nil {
		t.Errorf("connected to %q (%v)", got, err)
	}
	server.answer("127.0.0.1")
	if got, err := dialed(to, "other.test", port); err == nil {
		t.Errorf("connected to %q, where nobody listens", got)
	}
	server.answer()
	_, err := dialed(to, "nobody.test", port)
	if kind := connectFailure(err); err == nil || kind != failedConnect || !strings.Contains(err.Error(), "resolving nobody.test") {
		t.Errorf("a name that does not exist: %v (%s)", err, kind)
	}
}
