package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-operator/gin-operator/ginkit/health"
	"github.com/gin-operator/gin-operator/sampleapp/users"
	"github.com/gin-operator/gin-operator/test/servers"
)

// tooLong is what no request takes whose backends have timeouts of 2 s at most, on any machine.
const tooLong = 10 * time.Second

// report asks for the health. The answer's status has to be that of a service which is ready or not.
func report(t *testing.T, address string) health.Report {
	t.Helper()
	got := askFor(t, address, "/health")
	var r health.Report
	if err := json.Unmarshal([]byte(got.body), &r); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if ready := r.Status == health.OK || r.Status == health.Degraded; ready != (got.status == http.StatusOK) {
		t.Errorf("health: %s", got)
	}
	return r
}

// becomes waits until the health is a status, and where that is not OK, until it is so because of a component, whose error has a text.
func becomes(t *testing.T, address string, status health.Status, component, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("the health is %s because of %q", status, component), func() bool {
		got := report(t, address)
		if got.Status != status {
			return false
		}
		for name, result := range got.Components {
			if bad := result.Status != health.OK; bad != (name == component) || bad && !strings.Contains(result.Error, text) {
				return false
			}
		}
		return true
	})
}

// alive fails the test where a probe is not answered as it should be: liveness always well.
func alive(t *testing.T, address string, readiness int) {
	t.Helper()
	for target, want := range map[string]int{"/livez": http.StatusOK, "/readyz": readiness} {
		if got := askFor(t, address, target); got.status != want || got.took > tooLong {
			t.Errorf("%s: %s, want status %d", target, got, want)
		}
	}
}

// create creates a user, and returns its id.
func create(t *testing.T, address, name string) string {
	t.Helper()
	got := ask(t, address, message(http.MethodPost, "/api/v1/users", newUser(name)))
	var user users.User
	if err := json.Unmarshal([]byte(got.body), &user); err != nil || got.status != http.StatusCreated {
		t.Fatalf("creating %s: %s", name, got)
	}
	return user.ID
}

// refused reports what is wrong with an answer of status 503, which needs a code and Retry-After, or that took too long.
func refused(got answer, code string) string {
	switch {
	case got.took > tooLong:
		return "it took too long"
	case got.status == http.StatusServiceUnavailable && (got.code() != code || got.header.Get("Retry-After") == ""):
		return fmt.Sprintf("code %q, Retry-After %q, want code %q and some Retry-After", got.code(), got.header.Get("Retry-After"), code)
	}
	return ""
}

// stays waits until visitors have had many more answers of a status, and fails the test where one of another status is among them.
func (v *visitors) stays(t *testing.T, status, other int) {
	t.Helper()
	before := v.seen(other)
	v.more(t, status, 50)
	if after := v.seen(other); after != before {
		t.Errorf("%d answers with status %d among those with status %d", after-before, other, status)
	}
}

// readAndWrite starts visitors who create users, list them, and read one. Beside good answers they take 503, where allowed.
func readAndWrite(t *testing.T, address, user string, unavailable bool) *visitors {
	t.Helper()
	return visit(t, address, 6, func(visitor, turn int) string {
		switch turn % 3 {
		case 0:
			return message(http.MethodPost, "/api/v1/users", newUser(fmt.Sprintf("visitor-%d-%d", visitor, turn)))
		case 1:
			return message(http.MethodGet, "/api/v1/users?limit=5", "")
		}
		return message(http.MethodGet, "/api/v1/users/"+user, "")
	}, func(_ string, got answer) string {
		if got.status != http.StatusOK && got.status != http.StatusCreated && (!unavailable || got.status != http.StatusServiceUnavailable) {
			return "it failed"
		}
		return refused(got, "store_unavailable")
	})
}

func TestOutageOfPostgreSQL(t *testing.T) {
	database, redis := servers.StartPostgreSQL(t), servers.StartRedis(t)
	p := start(t, "DRAIN_SECONDS=0", "AUTH=none", "DATABASE_URL="+database.URL(), "REDIS_URL="+redis.URL())
	at := p.address(t, "PORT")
	eventually(t, "the service is ready", func() bool { return askFor(t, at, "/readyz").status == http.StatusOK })
	known, unknown := create(t, at, "known"), create(t, at, "unknown")
	v := readAndWrite(t, at, known, true)
	v.stays(t, http.StatusCreated, http.StatusServiceUnavailable)

	outages := map[string]struct{ begin, end func(testing.TB) }{
		"stopped": {database.Stop, database.Start},
		"killed":  {database.Kill, database.Start},
		"frozen":  {database.Freeze, database.Thaw},
	}
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			eventually(t, "Redis knows a user", func() bool {
				return askFor(t, at, "/api/v1/users/"+known).status == http.StatusOK && servers.AskRedis(t, redis, "EXISTS sampleapp:user:v1:"+known) == ":1"
			})
			outage.begin(t)
			eventually(t, "the service is not ready", func() bool {
				got := askFor(t, at, "/readyz")
				return got.status == http.StatusServiceUnavailable && strings.Contains(got.body, "not ready: database")
			})
			becomes(t, at, health.Failing, "database", "")
			alive(t, at, http.StatusServiceUnavailable)
			v.more(t, http.StatusServiceUnavailable, 10)
			// Not each time: a machine that is slow makes Redis miss its 100 ms, and then the database is asked.
			eventually(t, "a user that Redis has is found", func() bool { return askFor(t, at, "/api/v1/users/"+known).status == http.StatusOK })
			if got := askFor(t, at, "/api/v1/users/"+unknown); got.status != http.StatusServiceUnavailable || refused(got, "store_unavailable") != "" {
				t.Errorf("a user that Redis does not have: %s", got)
			}
			if strings.Contains(askFor(t, at, "/health").body+p.log(), servers.Password) {
				t.Error("the password is in the health or in the log")
			}

			outage.end(t)
			eventually(t, "the service is ready again", func() bool { return askFor(t, at, "/readyz").status == http.StatusOK })
			becomes(t, at, health.OK, "", "")
			v.stays(t, http.StatusCreated, http.StatusServiceUnavailable)
		})
	}
	v.check(t)
	p.signal(t)
	if status := p.waitEnd(t); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

// Without a database it starts, and is ready when there is one.
func TestPostgreSQLComesAfterTheService(t *testing.T) {
	database := servers.StartPostgreSQL(t)
	database.Stop(t)
	p := start(t, "AUTH=none", "DATABASE_URL="+database.URL())
	at := p.address(t, "PORT")
	alive(t, at, http.StatusServiceUnavailable)
	if got := askFor(t, at, "/api/v1/users"); got.status != http.StatusServiceUnavailable || refused(got, "store_unavailable") != "" {
		t.Errorf("users: %s", got)
	}
	database.Start(t)
	eventually(t, "the service is ready", func() bool { return askFor(t, at, "/readyz").status == http.StatusOK })
	create(t, at, "first")
}

func TestOutageOfRedis(t *testing.T) {
	redis := servers.StartRedis(t)
	p := start(t, "AUTH=none", "REDIS_URL="+redis.URL())
	at := p.address(t, "PORT")
	user := create(t, at, "known")
	v := readAndWrite(t, at, user, false)
	is := func(state string) func() bool {
		return func() bool {
			return metric(t, at, fmt.Sprintf(`circuit_breaker_state{name="redis",state=%q}`, state)) == 1
		}
	}
	outages := map[string]struct{ begin, end func(testing.TB) }{
		"stopped": {redis.Stop, redis.Start},
		"killed":  {redis.Kill, redis.Start},
		"frozen":  {redis.Freeze, redis.Thaw},
	}
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			v.more(t, http.StatusOK, 50)
			outage.begin(t)
			becomes(t, at, health.Degraded, "cache", "asking Redis")
			eventually(t, "Redis is left alone", is("open"))
			alive(t, at, http.StatusOK)
			v.more(t, http.StatusOK, 100)
			v.more(t, http.StatusCreated, 20)

			outage.end(t)
			becomes(t, at, health.OK, "", "")
			eventually(t, "the circuit closes by itself", is("closed"))
			eventually(t, "Redis is used again", func() bool { return servers.AskRedis(t, redis, "EXISTS sampleapp:user:v1:"+user) == ":1" })
		})
	}
	v.check(t)
}

// behind is a service that the service calls, always at the same address.
type behind struct {
	address string
	calls   atomic.Int64
	hangs   atomic.Bool
	server  *httptest.Server

	mu   sync.Mutex
	last http.Header // of the last call
}

func newBehind(t *testing.T) *behind {
	t.Helper()
	b := &behind{}
	b.address, _ = servers.ReservePort(t)
	b.start(t)
	t.Cleanup(b.stop)
	return b
}

func (b *behind) start(t *testing.T) {
	t.Helper()
	b.server = httptest.NewUnstartedServer(b)
	b.server.Listener.Close()
	b.server.Listener = listenAt(t, b.address)
	b.server.Start()
}

// stop ends it, and whatever it has not answered.
func (b *behind) stop() {
	b.server.CloseClientConnections()
	b.server.Close()
}

func (b *behind) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.calls.Add(1)
	b.mu.Lock()
	b.last = r.Header.Clone()
	b.mu.Unlock()
	if b.hangs.Load() {
		<-r.Context().Done()
		return
	}
	fmt.Fprint(w, "well")
}

func (b *behind) header(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last.Get(name)
}

func TestOutageOfTheServiceBehind(t *testing.T) {
	b := newBehind(t)
	p := start(t, "DEPENDENCY_URL=http://"+b.address)
	at := p.address(t, "PORT")
	const state, rejected = `circuit_breaker_state{name="dependency",state=%q}`, `circuit_breaker_requests_total{name="dependency",result="rejected"}`
	is := func(name string) bool { return metric(t, at, fmt.Sprintf(state, name)) == 1 }
	v := visit(t, at, 6, func(int, int) string { return message(http.MethodGet, "/api/v1/dependency", "") }, func(_ string, got answer) string {
		want := map[int]string{200: "", 502: "dependency_failed", 503: "dependency_unavailable", 504: "timeout"}
		if code, ok := want[got.status]; !ok || got.code() != code {
			return "it is none of those"
		}
		return refused(got, "dependency_unavailable")
	})
	outages := map[string]struct {
		begin, end func()
		wantStatus int // until the circuit opens
	}{
		"gone":  {b.stop, func() { b.start(t) }, http.StatusBadGateway},
		"hangs": {func() { b.hangs.Store(true) }, func() { b.hangs.Store(false) }, http.StatusGatewayTimeout},
	}
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			v.stays(t, http.StatusOK, http.StatusServiceUnavailable)
			before := v.seen(outage.wantStatus)
			outage.begin()
			eventually(t, "visitors are refused at once", func() bool { return is("open") && !is("closed") })
			if v.seen(outage.wantStatus) == before {
				t.Errorf("no answer had status %d before the circuit opened", outage.wantStatus)
			}
			calls, refusals := b.calls.Load(), metric(t, at, rejected)
			v.more(t, http.StatusServiceUnavailable, 100)
			if more := metric(t, at, rejected) - refusals; more < 90 {
				t.Errorf("%v calls were rejected", more)
			}
			// Those that were on their way, and trials.
			if more := b.calls.Load() - calls; more > 10 {
				t.Errorf("%d calls were made through an open circuit", more)
			}
			becomes(t, at, health.Degraded, "dependency", "circuit open since")
			alive(t, at, http.StatusOK)

			outage.end()
			eventually(t, "the circuit closes by itself", func() bool { return is("closed") })
			becomes(t, at, health.OK, "", "")
			v.stays(t, http.StatusOK, http.StatusServiceUnavailable)
		})
	}
	v.check(t)
}
