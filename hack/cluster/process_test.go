package main

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 10 10 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0"
	tests := map[string]struct {
		line          string
		wantState     byte
		wantStartTime uint64
		wantErr       bool
	}{
		"a plain name":                      {line: "10 (etcd)" + rest, wantState: 'S', wantStartTime: 4242},
		"a name with spaces":                {line: "10 (tmux: server)" + rest, wantState: 'S', wantStartTime: 4242},
		"a name that looks like the end":    {line: "10 (a) R 1 (b)" + rest, wantState: 'S', wantStartTime: 4242},
		"a line that ends too early":        {line: "10 (etcd) S 1 10", wantErr: true},
		"no name at all":                    {line: "10 etcd S", wantErr: true},
		"a start time that is not a number": {line: "10 (a) S 1 1 1 0 -1 1 0 0 0 0 0 0 0 0 20 0 1 0 x 0", wantErr: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat(tc.line)
			if (err != nil) != tc.wantErr {
				t.Fatalf("error %v, want one: %t", err, tc.wantErr)
			}
			if err == nil && (got.state != tc.wantState || got.startTime != tc.wantStartTime) {
				t.Errorf("got state %c and start time %d", got.state, got.startTime)
			}
		})
	}
}

// sleeper starts a process that does nothing until the test ends.
func sleeper(t *testing.T, environment ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command("sleep", "60")
	command.Env = append(os.Environ(), environment...)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return command
}

func TestRecycledPIDIsNotSignalled(t *testing.T) {
	running, err := identify(sleeper(t).Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	earlier := running
	earlier.StartTime--
	otherBoot := running
	otherBoot.BootID = "another boot"
	for name, recycled := range map[string]process{"same pid, other start time": earlier, "same pid, other boot": otherBoot} {
		if recycled.alive() {
			t.Errorf("%s: taken for alive", name)
		}
		if err := recycled.signal(unix.SIGKILL); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !running.alive() {
		t.Fatal("a process that was never meant got the signal")
	}
}

func TestRecordOutlivesNothing(t *testing.T) {
	l := newLayout(t.TempDir())
	if err := l.makeStateDirs(); err != nil {
		t.Fatal(err)
	}
	if _, alive := l.recorded("etcd"); alive {
		t.Fatal("a part that was never started is alive")
	}
	command := sleeper(t)
	started, err := identify(command.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.record("etcd", started); err != nil {
		t.Fatal(err)
	}
	if got, alive := l.recorded("etcd"); !alive || got != started {
		t.Fatalf("recorded %v, alive %t, want %v", got, alive, started)
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Not collected yet, so it is a zombie first; that must not count as alive either.
	for deadline := time.Now().Add(5 * time.Second); started.alive(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a zombie counts as alive")
		}
	}
}

func TestKillAllEndsOnlyWhatIsMarked(t *testing.T) {
	l, other := newLayout(t.TempDir()), newLayout(t.TempDir())
	mine, err := identify(sleeper(t, markerVariable+"="+l.id).Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := identify(sleeper(t, markerVariable+"="+other.id).Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := killAll(l.marked, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if mine.alive() || !theirs.alive() {
		t.Errorf("mine alive: %t, want false; the other cluster's alive: %t, want true", mine.alive(), theirs.alive())
	}
}
