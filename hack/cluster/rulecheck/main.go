// Command rulecheck counts the connections that fall through the rules of a Service while these change: as kube-proxy does it, but in an empty
// network namespace, with nothing of Kubernetes in it. It needs root. See docs/designs/0007-kube-proxy-mode.md.
//
//	go run -C hack/cluster ./rulecheck -rules nftables
//	go run -C hack/cluster ./rulecheck -rules iptables
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	service = "10.96.0.10"
	clients = 4
	inside  = "RULECHECK_INSIDE"
	// longest bounds the load, whatever the flags say.
	longest = 10 * time.Minute
)

// firewall is a way to write rules.
type firewall struct {
	load  []string                  // the command that reads rules from its input
	base  string                    // what does not change: what falls through is counted, and refused
	rules func(ports ...int) string // replaces the rules that send connections on
	count []string                  // the command that prints the counter
}

var firewalls = map[string]firewall{
	"nftables": {
		load: []string{"nft", "-f", "-"},
		base: `add table ip check
add chain ip check first { type nat hook output priority -100 ; }
add chain ip check last { type filter hook output priority 0 ; }
add chain ip check service
add rule ip check first ip daddr ` + service + ` tcp dport 80 goto service
add rule ip check last ip daddr ` + service + ` counter reject
`,
		rules: func(ports ...int) string {
			var chains, ways strings.Builder
			for i, port := range ports {
				fmt.Fprintf(&chains, "add chain ip check to%d\nflush chain ip check to%d\nadd rule ip check to%d meta l4proto tcp dnat to 127.0.0.1:%d\n", port, port, port, port)
				fmt.Fprintf(&ways, "%d : goto to%d, ", i, port)
			}
			return fmt.Sprintf("%sflush chain ip check service\nadd rule ip check service numgen random mod %d vmap { %s }\n",
				chains.String(), len(ports), strings.TrimSuffix(ways.String(), ", "))
		},
		count: []string{"nft", "list", "chain", "ip", "check", "last"},
	},
	"iptables": {
		load: []string{"iptables-legacy-restore", "--noflush"},
		base: "*nat\n:SERVICE - [0:0]\n-A OUTPUT -p tcp -d " + service + " --dport 80 -j SERVICE\nCOMMIT\n" +
			"*filter\n-A OUTPUT -d " + service + " -j REJECT\nCOMMIT\n",
		rules: func(ports ...int) string {
			var rules strings.Builder
			for i, port := range ports {
				fmt.Fprintf(&rules, "-A SERVICE -p tcp -m statistic --mode random --probability %.5f -j DNAT --to-destination 127.0.0.1:%d\n",
					1/float64(len(ports)-i), port)
			}
			return "*nat\n:SERVICE - [0:0]\n" + rules.String() + "COMMIT\n"
		},
		count: []string{"iptables-legacy", "-vxnL", "OUTPUT"},
	},
}

func main() {
	kind := flag.String("rules", "nftables", "How rules are written: nftables or iptables.")
	changing := flag.Bool("change", true, "Whether they change while clients connect.")
	duration := flag.Duration("for", time.Minute, "How long clients connect.")
	flag.Parse()
	how, known := firewalls[*kind]
	if !known {
		log.Fatalf("-rules %s: it must be nftables or iptables", *kind)
	}
	if os.Getenv(inside) == "" {
		own := exec.Command("/proc/self/exe", os.Args[1:]...) //nolint:gosec // itself, with its own arguments
		own.Env = append(os.Environ(), inside+"=1")
		own.Stdout, own.Stderr = os.Stdout, os.Stderr
		own.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if err := own.Run(); err != nil {
			log.Fatalf("in a network namespace of its own: %v (are you root?)", err)
		}
		return
	}
	if err := check(*kind, how, *changing, min(*duration, longest)); err != nil {
		log.Fatal(err)
	}
}

// check lets clients connect to the service for a while, and prints what became of it.
func check(kind string, how firewall, changing bool, duration time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), duration)
	defer cancel()
	for _, command := range []string{"ip link set lo up", "ip route add default dev lo"} {
		if _, err := run(strings.Fields(command), ""); err != nil {
			return err
		}
	}
	for port := 8081; port <= 8084; port++ {
		if err := serve(port); err != nil {
			return err
		}
	}
	sets := []string{how.rules(8081, 8082), how.rules(8081, 8082, 8083, 8084), how.rules(8083, 8084)}
	if _, err := run(how.load, how.base+sets[0]); err != nil {
		return err
	}
	var connections atomic.Int64
	var group sync.WaitGroup
	for range clients {
		group.Go(func() { connect(ctx, &connections) })
	}
	changes := 0
	for changing && ctx.Err() == nil {
		changes++
		if _, err := run(how.load, sets[changes%len(sets)]); err != nil {
			return err
		}
	}
	group.Wait()
	counted, err := run(how.count, "")
	fmt.Printf("%s: %d connections, %d changes of the rules; what fell through:\n%s", kind, connections.Load(), changes, counted)
	return err
}

func run(command []string, input string) (string, error) {
	c := exec.Command(command[0], command[1:]...)
	c.Stdin = strings.NewReader(input)
	output, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, output)
	}
	return string(output), nil
}

// serve ends every connection to a port at once, by a reset, so that none of them lingers.
func serve(port int) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	go func() {
		for {
			if connection, err := listener.Accept(); err == nil {
				reset(connection)
			}
		}
	}()
	return nil
}

// connect opens one connection after the other.
func connect(ctx context.Context, connections *atomic.Int64) {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	for ctx.Err() == nil {
		if connection, err := dialer.DialContext(ctx, "tcp", service+":80"); err == nil {
			connections.Add(1)
			reset(connection)
		}
	}
}

func reset(connection net.Conn) {
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	connection.Close()
}
