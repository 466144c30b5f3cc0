package servers

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// StartRedis starts a Redis. It keeps nothing when it ends.
func StartRedis(t testing.TB) *Server {
	t.Helper()
	redis := binary(t, "redis-server")
	folder := t.TempDir()
	address, port := ReservePort(t)
	s := &Server{
		address: address,
		url:     fmt.Sprintf("redis://:%s@%s/0", Password, address),
		log:     filepath.Join(folder, "log"),
		command: []string{
			redis, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--requirepass", Password, "--dir", folder, "--save", "", "--appendonly", "no",
		},
		stopSignal:  syscall.SIGTERM,
		deathSignal: syscall.SIGKILL,
	}
	s.ping = func(ctx context.Context) error {
		_, err := ask(ctx, address, "PING")
		return err
	}
	s.follow(t)
	s.Start(t)
	return s
}

// AskRedis sends a command of words without spaces, and returns the first line of the answer.
func AskRedis(t testing.TB, s *Server, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	answer, err := ask(ctx, s.Address(), command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return answer
}

func ask(ctx context.Context, address, command string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(longest / 2)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\n%s\r\n", Password, command); err != nil {
		return "", err
	}
	answers := bufio.NewReader(conn)
	line := ""
	for range 2 {
		if line, err = answers.ReadString('\n'); err != nil {
			return "", err
		}
		if strings.HasPrefix(line, "-") {
			return "", fmt.Errorf("redis: %s", strings.TrimSpace(line))
		}
	}
	return strings.TrimSpace(line), nil
}
