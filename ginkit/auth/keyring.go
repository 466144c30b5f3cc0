package auth

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keyring holds the last good key set. One goroutine, follow, reads the source; requests only ask it to.
type keyring struct {
	read     readKeySet
	interval time.Duration
	allowed  []jose.SignatureAlgorithm
	timing   timing
	log      *slog.Logger

	current atomic.Pointer[keySet]
	// text is that of the current set, failure the last error that was logged. Both belong to the goroutine that reads.
	text    []byte
	failure string

	// wake asks for a reading.
	wake chan struct{}
	// stopped is closed when nobody reads any more.
	stopped chan struct{}

	mu sync.Mutex
	// reading is closed when the reading that is asked for, or on its way, has ended. It is nil when there is none.
	reading chan struct{}
	// ended is when the last one did.
	ended time.Time
}

// follow reads the source again and again, until ctx ends.
func (k *keyring) follow(ctx context.Context) {
	defer close(k.stopped)
	timer := time.NewTimer(k.next(nil))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-k.wake:
		}
		k.begin()
		err := k.load(ctx)
		k.end()
		if ctx.Err() != nil {
			return
		}
		k.report(ctx, err)
		timer.Reset(k.next(err))
	}
}

// next is the time until the next reading. Replicas that started together drift apart.
func (k *keyring) next(err error) time.Duration {
	if err != nil {
		return min(k.interval, k.timing.retry)
	}
	return k.interval - time.Duration(rand.Int64N(int64(k.interval)/10+1)) //nolint:gosec // spreads load, guards nothing
}

func (k *keyring) begin() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.reading == nil {
		k.reading = make(chan struct{})
	}
	// This reading is the one that was asked for: not another one after it.
	select {
	case <-k.wake:
	default:
	}
}

func (k *keyring) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.reading)
	k.reading = nil
	k.ended = k.timing.now()
}

// load reads the source once. What can't be used leaves the current set in place.
func (k *keyring) load(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, k.timing.timeout)
	defer cancel()
	text, err := k.read(limited)
	if err != nil {
		return err
	}
	if k.current.Load() != nil && bytes.Equal(text, k.text) {
		return nil
	}
	set, err := parseKeySet(text, k.allowed)
	if err != nil {
		return err
	}
	k.text = text
	k.current.Store(set)
	k.log.LogAttrs(ctx, slog.LevelInfo, "using another key set", slog.Int("keys", len(set.keys)), slog.Any("skipped", set.skipped))
	return nil
}

// report logs a failure once, and that it is over.
func (k *keyring) report(ctx context.Context, err error) {
	switch {
	case err == nil && k.failure != "":
		k.failure = ""
		k.log.LogAttrs(ctx, slog.LevelInfo, "reading the key set works again")
	case err != nil && k.failure != err.Error():
		k.failure = err.Error()
		k.log.LogAttrs(ctx, slog.LevelWarn, "keeping the last good key set", slog.String("reason", k.failure))
	}
}

// renew asks for a reading, unless the last one is not long ago, and waits for it. It reports whether there was one. What a client
// costs is bounded: a reading per pause, and the client's own wait.
func (k *keyring) renew(ctx context.Context) bool {
	k.mu.Lock()
	if k.reading == nil {
		if k.timing.now().Sub(k.ended) < k.timing.pause {
			k.mu.Unlock()
			return false
		}
		k.reading = make(chan struct{})
		k.wake <- struct{}{} // never blocks: it has room for one, and reading was nil
	}
	reading := k.reading
	k.mu.Unlock()
	patience := time.NewTimer(k.timing.patience)
	defer patience.Stop()
	select {
	case <-reading:
		return true
	case <-k.stopped:
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
}

// find returns the keys of the current set that may have signed a token.
func (k *keyring) find(id string, algorithm jose.SignatureAlgorithm) []publicKey {
	return k.current.Load().find(id, algorithm)
}
