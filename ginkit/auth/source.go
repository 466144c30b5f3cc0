package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// largestKeySet is how many bytes are read of a key set.
const largestKeySet = 1 << 20

// readKeySet returns the text of a key set.
type readKeySet func(ctx context.Context) ([]byte, error)

// openKeySet returns what reads the key set, and how often. It reads nothing yet.
func openKeySet(options Options, timing timing) (readKeySet, time.Duration, error) {
	name := options.KeySet
	if name == "" {
		return nil, 0, errors.New("auth: KeySet is not set: give the path of a file, or a URL such as https://login.example.com/.well-known/jwks.json")
	}
	if !strings.Contains(name, "://") {
		return func(context.Context) ([]byte, error) { return readFile(name) }, timing.poll, nil
	}
	address, err := url.Parse(name)
	if err != nil || address.Host == "" || (address.Scheme != "http" && address.Scheme != "https") {
		return nil, 0, fmt.Errorf("auth: KeySet %s is no URL that can be read: give one with http or https and a host, or the path of a file", printable(name))
	}
	client := *options.HTTPClient
	if client.CheckRedirect == nil {
		client.CheckRedirect = checkRedirect
	}
	return func(ctx context.Context) ([]byte, error) { return readURL(ctx, &client, name) }, options.Refresh, nil
}

// printable is the name of a key set without a password.
func printable(name string) string {
	if !strings.Contains(name, "://") {
		return name
	}
	address, err := url.Parse(name)
	if err != nil {
		// What can't be parsed can't be cleaned either.
		return "(not a URL)"
	}
	return address.Redacted()
}

// checkRedirect keeps a redirect from taking the protection of https away.
func checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) >= 3 {
		return errors.New("more than 3 redirects")
	}
	if via[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return errors.New("a redirect from https to another scheme")
	}
	return nil
}

func readFile(path string) ([]byte, error) {
	// A pipe that nobody writes to would hold up the start without end.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("it can't be read: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("it can't be read: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it can't be read: it is no regular file")
	}
	return readAll(file)
}

func readURL(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("it can't be read: %w", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("it can't be read: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it can't be read: the server answers with status %d", response.StatusCode)
	}
	return readAll(response.Body)
}

func readAll(from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, largestKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("it can't be read: %w", err)
	}
	if len(text) > largestKeySet {
		return nil, fmt.Errorf("it has more than %d bytes", largestKeySet)
	}
	return text, nil
}
