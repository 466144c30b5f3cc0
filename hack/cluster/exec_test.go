package main

import (
	"io"
	"net"
	"strings"
	"testing"
)

func TestRequireLoopback(t *testing.T) {
	tests := map[string]bool{
		"127.0.0.1:8080": true, "[::1]:80": true, "127.9.9.9:0": true,
		"0.0.0.0:80": false, ":80": false, "192.0.2.1:80": false, "localhost:80": false, "127.0.0.1": false,
	}
	for address, want := range tests {
		if err := requireLoopback(address); (err == nil) != want {
			t.Errorf("%s: %v, want it allowed: %t", address, err, want)
		}
	}
}

// TestForwardPassesOnTheEndOfEachDirection lets a client finish sending before the server answers.
func TestForwardPassesOnTheEndOfEachDirection(t *testing.T) {
	server := listen(t)
	go func() {
		connection, err := server.Accept()
		if err != nil {
			return
		}
		defer connection.Close()
		request, _ := io.ReadAll(connection)
		_, _ = connection.Write([]byte(strings.ToUpper(string(request))))
	}()
	front := listen(t)
	go func() {
		_ = forward(front, func() (net.Conn, error) { return net.Dial("tcp", server.Addr().String()) })
	}()
	client, err := net.Dial("tcp", front.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	half, ok := client.(interface{ CloseWrite() error })
	if !ok {
		t.Fatalf("%T can't close one direction", client)
	}
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(client); err != nil || string(answer) != "HELLO" {
		t.Errorf("answer %q, error %v", answer, err)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}
