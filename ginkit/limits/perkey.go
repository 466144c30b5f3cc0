package limits

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"
)

const (
	defaultMaxKeys = 10_000
	// longestKey is how many bytes of a key are kept. Of a longer one, which may be a header of a megabyte, it is a hash.
	longestKey = 64
)

// KeyOption changes how many keys RatePerKey knows.
type KeyOption func(*limiters)

// WithMaxKeys sets how many keys have a limiter, default 10,000. Each takes about 300 bytes. See RatePerKey for what happens to one
// more.
func WithMaxKeys(n int) KeyOption {
	return func(l *limiters) { l.most = n }
}

// RatePerKey does for each key what Rate does for the process: key says whom a request counts for, such as ByClientIP or a function
// that returns the id of the user. Requests for which it returns "" share one limiter like those of any other key.
//
// Memory is bounded. When there are as many keys as may be, the one that was used least recently is evicted, and forgotten: if it comes
// back it has its whole burst again. So whoever can make up more keys than there may be, in less time than a limiter takes to fill up
// (burst / perSecond), isn't limited by this. Use keys that clients can't make up, leave room for all who are active at once, and have
// Rate or Concurrency for the sum.
//
// perSecond and burst are as for Rate. There must be a key and room for at least 1.
func RatePerKey(perSecond float64, burst int, key func(*gin.Context) string, opts ...KeyOption) (gin.HandlerFunc, error) {
	if err := validRate(perSecond, burst); err != nil {
		return nil, err
	}
	if key == nil {
		return nil, errors.New("limits: a rate for each key, without a function for the key")
	}
	l := newLimiters(perSecond, burst)
	for _, opt := range opts {
		opt(l)
	}
	if l.most < 1 {
		return nil, fmt.Errorf("limits: room for %d keys: must be at least 1", l.most)
	}
	return func(c *gin.Context) {
		if allowed, after := l.take(key(c)); !allowed {
			tooMany(c, after)
		}
	}, nil
}

// ByClientIP is the key for RatePerKey that limits each address, as c.ClientIP has it. Of an IPv6 address it takes the first 64 bits,
// because that is what one customer is given: the others are theirs to change with each request.
//
// Behind an ingress or a load balancer every connection comes from the proxy. There c.ClientIP needs
//
//	engine.SetTrustedProxies([]string{"10.0.0.0/8"}) // the addresses of the proxies, and nobody else's
//
// Without it Gin trusts everybody, and a client makes itself a new address with each X-Forwarded-For; with nil it trusts nobody, and all
// clients of a proxy share its one limiter.
func ByClientIP(c *gin.Context) string {
	text := c.ClientIP()
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return text
	}
	addr = addr.Unmap()
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return text
	}
	return prefix.String()
}

// limiters is a limiter for each key, and the order in which they were used.
type limiters struct {
	now       func() time.Time
	perSecond rate.Limit
	burst     int
	most      int

	mu    sync.Mutex
	byKey map[string]*entry
	// used is the head of a ring: used.next was used last, and used.previous is the first to go.
	used entry
}

type entry struct {
	key            string
	tokens         *rate.Limiter
	next, previous *entry
}

func newLimiters(perSecond float64, burst int) *limiters {
	l := &limiters{now: time.Now, perSecond: rate.Limit(perSecond), burst: burst, most: defaultMaxKeys, byKey: make(map[string]*entry)}
	l.used.next, l.used.previous = &l.used, &l.used
	return l
}

func (l *limiters) take(key string) (allowed bool, after time.Duration) {
	key = bounded(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	return take(l.touch(key).tokens, l.now())
}

// touch returns the entry of a key, which is now the one that was used last, and makes it where there is none.
func (l *limiters) touch(key string) *entry {
	e, known := l.byKey[key]
	switch {
	case known:
		e.unlink()
	case len(l.byKey) < l.most:
		e = &entry{}
	default:
		e = l.used.previous
		e.unlink()
		delete(l.byKey, e.key)
	}
	if !known {
		// A key that is a piece of a larger text would keep all of it.
		e.key, e.tokens = strings.Clone(key), rate.NewLimiter(l.perSecond, l.burst)
		l.byKey[e.key] = e
	}
	e.previous, e.next = &l.used, l.used.next
	e.previous.next, e.next.previous = e, e
	return e
}

func (e *entry) unlink() {
	e.previous.next, e.next.previous = e.next, e.previous
}

// bounded returns a key of no more than 71 bytes. What stands for a long key is itself longer than a short one may be, so nobody gets at
// the limiter of a long key with a short one.
func bounded(key string) string {
	if len(key) <= longestKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}
