package limits

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"
)

func TestRetryAfterIsWhenTheNextIsLetIn(t *testing.T) {
	for name, tc := range map[string]struct {
		perSecond  float64
		burst      int
		pause      time.Duration
		retryAfter string
		next       time.Duration
	}{
		"less than a second is one":          {perSecond: 100, burst: 5, retryAfter: "1", next: 10 * time.Millisecond},
		"one in two seconds":                 {perSecond: 0.5, burst: 1, retryAfter: "2", next: 2 * time.Second},
		"one in ten, three seconds ago":      {perSecond: 0.1, burst: 2, pause: 3 * time.Second, retryAfter: "7", next: 7 * time.Second},
		"a fraction is rounded up":           {perSecond: 0.1, burst: 1, pause: 3500 * time.Millisecond, retryAfter: "7", next: 6500 * time.Millisecond},
		"more than a day is said to be one":  {perSecond: 1e-9, burst: 1, retryAfter: "86400"},
		"longer than a duration has numbers": {perSecond: 1e-300, burst: 1, retryAfter: "86400"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := serve(ok, Must(Rate(tc.perSecond, tc.burst)))
				for range tc.burst {
					wantOK(t, get(t, engine))
				}
				<-time.After(tc.pause)
				wantProblem(t, get(t, engine), http.StatusTooManyRequests, "rate_limited", tc.retryAfter)
				if tc.next == 0 {
					return
				}
				// The limiter counts in fractions, so it may be wrong by a little.
				<-time.After(tc.next - tc.next/1000)
				wantProblem(t, get(t, engine), http.StatusTooManyRequests, "rate_limited", "1")
				<-time.After(tc.next / 500)
				wantOK(t, get(t, engine))
			})
		})
	}
}

// TestTheRateHoldsAtEveryMoment knows the time, so it also sees a limiter that lets too few in.
func TestTheRateHoldsAtEveryMoment(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a failure has to come back with its seed
				perSecond, burst := 1+random.Float64()*50, 1+random.IntN(20)
				engine := serve(ok, Must(Rate(perSecond, burst)))
				began, allowed, tokens, last := time.Now(), 0, float64(burst), time.Now()
				for range 500 {
					<-time.After(time.Duration(random.ExpFloat64() / perSecond / 2 * float64(time.Second)))
					tokens = min(tokens+time.Since(last).Seconds()*perSecond, float64(burst))
					last = time.Now()
					let := get(t, engine).Code == http.StatusOK
					// Close to a whole token the two sums may differ.
					if let && tokens < 1-1e-6 || !let && tokens > 1+1e-6 {
						t.Fatalf("let in: %v, with %v tokens", let, tokens)
					}
					if let {
						allowed++
						tokens--
					}
					if most := float64(burst) + time.Since(began).Seconds()*perSecond; float64(allowed) > most+1e-6 {
						t.Fatalf("%d were let in, want at most %v", allowed, most)
					}
				}
			})
		})
	}
}

// TestTheTimeIsReadUnderTheLock keeps limiters from being given times out of order. What that does takes a busy machine to be seen.
func TestTheTimeIsReadUnderTheLock(t *testing.T) {
	process := &limiter{tokens: rate.NewLimiter(1, 1)}
	keys := newLimiters(1, 1)
	read := 0
	locked := func(mu *sync.Mutex) func() time.Time {
		return func() time.Time {
			read++
			if mu.TryLock() {
				mu.Unlock()
				t.Error("the lock is free")
			}
			return time.Now()
		}
	}
	process.now, keys.now = locked(&process.mu), locked(&keys.mu)
	process.take()
	keys.take("")
	if read != 2 {
		t.Errorf("the time was read %d times, want once by each", read)
	}
}

// TestTheRateHoldsInACrowd measures the time from before the first request to after the last, so a slow machine only allows more.
func TestTheRateHoldsInACrowd(t *testing.T) {
	const perSecond, burst, clients, each = 10_000, 1000, 64, 5000
	process, keys := &limiter{now: time.Now, tokens: rate.NewLimiter(perSecond, burst)}, newLimiters(perSecond, burst)
	for name, take := range map[string]func() (bool, time.Duration){
		"process": process.take,
		"key":     func() (bool, time.Duration) { return keys.take("all") },
	} {
		t.Run(name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
			began := time.Now()
			var allowed atomic.Int64
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for range each {
						if ok, _ := take(); ok {
							allowed.Add(1)
						}
					}
				})
			}
			wg.Wait()
			most := burst + time.Since(began).Seconds()*perSecond
			if got := float64(allowed.Load()); got < burst || got > most {
				t.Errorf("%v of %d were let in, want %d to %v", got, clients*each, burst, most)
			}
		})
	}
}

// byName is a key that comes in a header, as no key should.
func byName(c *gin.Context) string { return c.GetHeader("Name") }

func getAs(t *testing.T, engine http.Handler, name string) *httptest.ResponseRecorder {
	t.Helper()
	answer, request := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	request.Header.Set("Name", name)
	engine.ServeHTTP(answer, request)
	return answer
}

func TestEachKeyHasALimitOfItsOwn(t *testing.T) {
	long := strings.Repeat("x", longestKey+1)
	synctest.Test(t, func(t *testing.T) {
		engine := serve(ok, Must(RatePerKey(1, 2, byName)))
		for _, name := range []string{"ann", "bob", "", long, long + "y", bounded(long)[:longestKey]} {
			wantOK(t, getAs(t, engine, name))
			wantOK(t, getAs(t, engine, name))
			wantProblem(t, getAs(t, engine, name), http.StatusTooManyRequests, "rate_limited", "1")
		}
		<-time.After(time.Second)
		wantOK(t, getAs(t, engine, "ann"))
		wantProblem(t, getAs(t, engine, "ann"), http.StatusTooManyRequests, "rate_limited", "1")
	})
}

func TestTheKeyThatWasUsedLeastRecentlyIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := serve(ok, Must(RatePerKey(0.001, 1, byName, WithMaxKeys(2))))
		wantOK(t, getAs(t, engine, "ann"))
		wantOK(t, getAs(t, engine, "bob"))
		// A request that is refused is a use as well: nobody is forgotten for asking too often.
		wantProblem(t, getAs(t, engine, "ann"), http.StatusTooManyRequests, "rate_limited", "1000")
		wantOK(t, getAs(t, engine, "cid"))
		wantProblem(t, getAs(t, engine, "ann"), http.StatusTooManyRequests, "rate_limited", "1000")
		wantOK(t, getAs(t, engine, "bob"))
		wantOK(t, getAs(t, engine, "cid"))
	})
}

func TestTheClientsAddressIsTheKey(t *testing.T) {
	for name, tc := range map[string]struct {
		trusted          []string
		remote, forwards string
		want             string
	}{
		"IPv4":                               {remote: "192.0.2.7:1234", want: "192.0.2.7"},
		"IPv4 as IPv6":                       {remote: "[::ffff:192.0.2.7]:1234", want: "192.0.2.7"},
		"IPv6, of which a customer has 64":   {remote: "[2001:db8:1:2:3:4:5:6]:1234", want: "2001:db8:1:2::/64"},
		"a claim nobody trusts":              {remote: "192.0.2.7:1234", forwards: "198.51.100.1", want: "192.0.2.7"},
		"a proxy's word":                     {trusted: []string{"10.0.0.0/8"}, remote: "10.1.2.3:1234", forwards: "198.51.100.1", want: "198.51.100.1"},
		"a claim that a proxy passes on":     {trusted: []string{"10.0.0.0/8"}, remote: "10.1.2.3:1234", forwards: "1.1.1.1, 198.51.100.1", want: "198.51.100.1"},
		"a client that plays a proxy":        {trusted: []string{"10.0.0.0/8"}, remote: "192.0.2.7:1234", forwards: "198.51.100.1", want: "192.0.2.7"},
		"a proxy's word of an IPv6 address":  {trusted: []string{"10.0.0.0/8"}, remote: "10.1.2.3:1234", forwards: "2001:db8::1", want: "2001:db8::/64"},
		"no address, as of a socket's peer":  {remote: "@", want: ""},
		"an address on one of several links": {remote: "[fe80::1%eth0]:1234", want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := "not called"
			engine := serve(func(c *gin.Context) { got = ByClientIP(c) })
			if err := engine.SetTrustedProxies(tc.trusted); err != nil {
				t.Fatal(err)
			}
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			request.RemoteAddr = tc.remote
			if tc.forwards != "" {
				request.Header.Set("X-Forwarded-For", tc.forwards)
			}
			engine.ServeHTTP(httptest.NewRecorder(), request)
			if got != tc.want {
				t.Errorf("the key is %q, want %q", got, tc.want)
			}
		})
	}
}

// FuzzKeysAreBounded takes the bytes as keys of a length that the first byte gives.
func FuzzKeysAreBounded(f *testing.F) {
	f.Add([]byte("\x01abcabcabc"), uint8(2))
	f.Add([]byte("\x00anything"), uint8(1))
	f.Add([]byte("\x60"+strings.Repeat("long key ", 100)), uint8(3))
	f.Add([]byte("\x03123456789123456789abcdefghi"), uint8(200))
	f.Fuzz(func(t *testing.T, text []byte, most uint8) {
		if len(text) == 0 || most == 0 {
			return
		}
		l := newLimiters(1e-9, 1)
		l.most = int(most)
		length := int(text[0])
		for text = text[1:]; ; text = text[min(max(length, 1), len(text)):] {
			key := string(text[:min(length, len(text))])
			l.take(key)
			if again, _ := l.take(key); again {
				t.Fatalf("the key %q was let in twice in a row", key)
			}
			check(t, l, key)
			if len(text) == 0 {
				return
			}
		}
	})
}

// check looks for a ring that holds what the map holds, with the last key first, within the bounds.
func check(t *testing.T, l *limiters, last string) {
	t.Helper()
	if len(l.byKey) > l.most {
		t.Fatalf("there are %d limiters, want at most %d", len(l.byKey), l.most)
	}
	if first := l.used.next.key; first != bounded(last) {
		t.Fatalf("the last that was used is %q, want %q", first, last)
	}
	count := 0
	for e := l.used.next; e != &l.used; e = e.next {
		count++
		if l.byKey[e.key] != e || e.next.previous != e || len(e.key) > len("sha256:")+64 {
			t.Fatalf("the entry of %q is not where it should be, or too long", e.key)
		}
		if count > len(l.byKey) {
			break
		}
	}
	if count != len(l.byKey) {
		t.Fatalf("the ring has %d entries or more, the map %d", count, len(l.byKey))
	}
}
