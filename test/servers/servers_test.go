package servers_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gin-operator/gin-operator/test/servers"
)

// startAndWait makes the test binary a process that starts both servers, says where they are, and waits for its end.
const startAndWait = "SERVERS_TEST_STARTS_AND_WAITS"

type server interface {
	Address() string
	Start(testing.TB)
	Stop(testing.TB)
	Kill(testing.TB)
	Freeze(testing.TB)
	Thaw(testing.TB)
}

func TestServersComeBackAtTheSameAddress(t *testing.T) {
	tests := map[string]func(testing.TB) server{
		"PostgreSQL": func(t testing.TB) server { return servers.StartPostgreSQL(t) },
		"Redis":      func(t testing.TB) server { return servers.StartRedis(t) },
		"Prometheus": func(t testing.TB) server { return servers.StartPrometheus(t, "global: {}\n") },
	}
	for name, start := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			for name, end := range map[string]func(testing.TB){"stopped": s.Stop, "killed": s.Kill} {
				if !listens(s.Address()) {
					t.Fatal("the server does not listen")
				}
				end(t)
				if listens(s.Address()) {
					t.Errorf("%s, the server still listens", name)
				}
				s.Start(t)
			}
			s.Freeze(t)
			if !listens(s.Address()) {
				t.Error("frozen, the server does not listen")
			}
			s.Thaw(t)
			s.Freeze(t)
			s.Kill(t)
			if listens(s.Address()) {
				t.Error("killed while it was frozen, the server still listens")
			}
		})
	}
}

func TestDatabasesAreApart(t *testing.T) {
	p := servers.StartPostgreSQL(t)
	first, second := p.NewDatabase(t), p.NewDatabase(t)
	if first == second || first == p.URL() {
		t.Errorf("got %s and %s besides %s", first, second, p.URL())
	}
}

func TestRedisAnswers(t *testing.T) {
	s := servers.StartRedis(t)
	servers.AskRedis(t, s, "SET a 7")
	servers.AskRedis(t, s, "GET a") // the length comes first
	if got := servers.AskRedis(t, s, "EXISTS a"); got != ":1" {
		t.Errorf("got %q", got)
	}
}

func TestServersEndWithATestThatIsKilled(t *testing.T) {
	if os.Getenv(startAndWait) != "" {
		fmt.Println("at", servers.StartPostgreSQL(t).Address(), servers.StartRedis(t).Address())
		<-t.Context().Done()
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), startAndWait+"=1", "TMPDIR="+shared(t))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addresses := []string(nil)
	for lines := bufio.NewScanner(stdout); addresses == nil && lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) == 3 && words[0] == "at" {
			addresses = words[1:]
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if len(addresses) != 2 {
		t.Fatal("the servers did not start")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, address := range addresses {
		for listens(address) {
			select {
			case <-ctx.Done():
				t.Fatalf("%s is still there", address)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// shared returns a folder that the process which is killed leaves its data in.
func shared(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.Chmod(folder[:strings.LastIndexByte(folder, '/')], 0o711); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestMissingServerFailsTheTestAndSaysHowToGetIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	failed := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		servers.StartRedis(failed)
	}()
	<-done
	if want := "redis-server is not installed: `make test-servers` installs it"; failed.message != want {
		t.Errorf("got %q, want %q", failed.message, want)
	}
}

// failing is a test that may fail.
type failing struct {
	testing.TB

	message string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func listens(address string) bool {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
