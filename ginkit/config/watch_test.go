package config

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// live has fields that change at once and fields that don't.
type live struct {
	A     int           `env:"A" reload:"true" min:"0"`
	B     int           `env:"B" reload:"true"`
	Token Secret        `env:"TOKEN" reload:"true"`
	Wait  time.Duration `env:"WAIT" default:"1s"`
	Size  int           `env:"SIZE"`
}

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("after 30 seconds: %s", what)
		case <-ticker.C:
		}
	}
}

// change is one call of onChange.
type change[T any] struct{ before, after T }

// watched is a Reader, with what it logged and reported.
type watched[T any] struct {
	*Reader[T]
	log     *logged
	changes chan change[T]
}

var (
	// Events alone, and the clock alone, are enough.
	byEvents = pace{quiet: 5 * time.Millisecond, patience: 50 * time.Millisecond, poll: time.Hour}
	byClock  = pace{quiet: time.Hour, patience: time.Hour, poll: 5 * time.Millisecond}
	byBoth   = pace{quiet: 5 * time.Millisecond, patience: 50 * time.Millisecond, poll: 5 * time.Millisecond}
)

func startWatch[T any](t *testing.T, pace pace, sources ...Source) *watched[T] {
	t.Helper()
	w := &watched[T]{log: &logged{}, changes: make(chan change[T], 1000)}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	ctx, cancel := context.WithCancel(t.Context())
	reader, err := watch(ctx, log, func(before, after T) { w.changes <- change[T]{before, after} }, pace, sources)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	w.Reader = reader
	t.Cleanup(func() {
		cancel()
		<-reader.Done()
	})
	return w
}

// next returns the next change.
func (w *watched[T]) next(t *testing.T) change[T] {
	t.Helper()
	select {
	case c := <-w.changes:
		return c
	case <-time.After(30 * time.Second):
		t.Fatalf("after 30 seconds there is no change; log:\n%s", w.log)
		panic("unreachable")
	}
}

// replace puts a file in the place of another, as editors and careful programs do.
func replace(t *testing.T, path, content string) {
	t.Helper()
	// What moves over it comes from another folder, so that a reader of this one never sees it.
	temporary := filepath.Join(t.TempDir(), "new")
	if err := os.WriteFile(temporary, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
}

func TestChangesAreFollowed(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "shop.yaml")
	tests := map[string]struct {
		source Source
		put    func(t *testing.T, n int)
	}{
		"of a folder": {Files(filepath.Join(folder, "plain")), func(t *testing.T, n int) {
			t.Helper()
			write(t, filepath.Join(folder, "plain"), nil)
			replace(t, filepath.Join(folder, "plain", "A"), strconv.Itoa(n))
		}},
		"of a mounted ConfigMap": {Files(filepath.Join(folder, "mount")), func(t *testing.T, n int) {
			t.Helper()
			mount(t, filepath.Join(folder, "mount"), strconv.Itoa(n), map[string]string{"A": strconv.Itoa(n)})
		}},
		"of a document": {File(file), func(t *testing.T, n int) {
			t.Helper()
			replace(t, file, "A: "+strconv.Itoa(n))
		}},
		"of a document in a mounted ConfigMap": {File(filepath.Join(folder, "doc", "shop.yaml")), func(t *testing.T, n int) {
			t.Helper()
			mount(t, filepath.Join(folder, "doc"), strconv.Itoa(n), map[string]string{"shop.yaml": "A: " + strconv.Itoa(n)})
		}},
	}
	for name, tc := range tests {
		for how, pace := range map[string]pace{"events": byEvents, "clock": byClock} {
			t.Run(name+" by "+how, func(t *testing.T) {
				tc.put(t, 1)
				w := startWatch[live](t, pace, tc.source, Environment([]string{"B=9"}))
				for n := 2; n < 5; n++ {
					tc.put(t, n)
					want := change[live]{live{A: n - 1, B: 9, Wait: time.Second}, live{A: n, B: 9, Wait: time.Second}}
					if diff := cmp.Diff(want, w.next(t), cmp.AllowUnexported(change[live]{})); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
					if got := w.Get().A; got != n {
						t.Errorf("after onChange A is %d, want %d", got, n)
					}
				}
			})
		}
	}
}

func TestOnlyFieldsWithReloadChange(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, map[string]string{"A": "1", "WAIT": "2s", "TOKEN": "s3cr3t-1"})
	w := startWatch[live](t, byBoth, Files(folder))
	replace(t, filepath.Join(folder, "WAIT"), "3s")
	eventually(t, "the change of WAIT is not logged", func() bool {
		return w.log.count("WAIT has changed and takes effect at the next start") == 1
	})
	replace(t, filepath.Join(folder, "TOKEN"), "s3cr3t-2")
	want := live{A: 1, Wait: 2 * time.Second, Token: NewSecret("s3cr3t-2")}
	if diff := cmp.Diff(want, w.next(t).after); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A file that goes away takes its value with it.
	if err := os.Remove(filepath.Join(folder, "A")); err != nil {
		t.Fatal(err)
	}
	want.A = 0
	if diff := cmp.Diff(want, w.next(t).after); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := w.log.count("WAIT has"); got != 1 {
		t.Errorf("that WAIT waits is logged %d times", got)
	}
	// Back again is no change. B says that it was seen, and then the same change is one again.
	replace(t, filepath.Join(folder, "WAIT"), "2000ms")
	replace(t, filepath.Join(folder, "B"), "1")
	w.next(t)
	replace(t, filepath.Join(folder, "WAIT"), "3s")
	replace(t, filepath.Join(folder, "SIZE"), "4")
	eventually(t, "the second change of WAIT is not logged", func() bool { return w.log.count("WAIT") == 2 && w.log.count("SIZE") == 1 })
	if got := w.Get(); got.Wait != 2*time.Second || got.Size != 0 {
		t.Errorf("fields without reload have changed: %+v", got)
	}
	if w.log.count("s3cr3t") > 0 {
		t.Errorf("a secret is in the log:\n%s", w.log)
	}
}

func TestWrongContentChangesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shop.yaml")
	replace(t, file, "A: 1\nB: 1\n")
	w := startWatch[live](t, byBoth, File(file))
	tests := []struct{ content, wants string }{
		{"A: -1\nB: 2\n", `-1`},
		{"A: 2\nB: 2\nWAIT: soon\n", `soon`},
		{"A: 2\nC: 2\n", `C is not known`},
		{"A: [", `is not YAML`},
		{"", `is empty`},
	}
	for _, tc := range tests {
		replace(t, file, tc.content)
		eventually(t, tc.content+" is not refused", func() bool { return w.log.count(tc.wants) > 0 })
		if got := w.Get(); got.A != 1 || got.B != 1 {
			t.Errorf("%q is taken: %+v", tc.content, got)
		}
	}
	replace(t, file, "A: 3\nB: 3\n")
	if got := w.next(t); got.before.A != 1 || got.after.A != 3 || got.after.B != 3 {
		t.Errorf("the change is %+v", got)
	}
	eventually(t, "that it is right again is not logged", func() bool { return w.log.count("right again") == 1 })
	// The clock has had it read many times since.
	if got := w.log.count("is wrong"); got != len(tests) {
		t.Errorf("%d contents are refused in %d lines:\n%s", len(tests), got, w.log)
	}
}

func TestAFileThatGoesAwayAndComesBack(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "shop")
	file := filepath.Join(folder, "shop.yaml")
	write(t, folder, map[string]string{"shop.yaml": "A: 1"})
	w := startWatch[live](t, byEvents, File(file))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "that it is away is not logged", func() bool { return w.log.count("no such file") == 1 })
	if w.Get().A != 1 {
		t.Error("what was right before does not stay")
	}
	write(t, folder, map[string]string{"shop.yaml": "A: 2"})
	if got := w.next(t); got.after.A != 2 {
		t.Errorf("the change is %+v", got)
	}
}

func TestAFolderThatGoesAwayAndComesBack(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "shop")
	write(t, folder, map[string]string{"A": "1"})
	slow := byEvents
	slow.poll = 20 * time.Millisecond
	w := startWatch[live](t, slow, Files(folder))
	if err := os.Rename(folder, folder+"-old"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "that it is away is not logged", func() bool { return w.log.count("no such file") == 1 })
	if w.Get().A != 1 {
		t.Error("what was right before does not stay")
	}
	write(t, folder, map[string]string{"A": "2"})
	for w.next(t).after.A != 2 {
		t.Log("the folder was seen before the file was in it")
	}
}

func TestAChangeThatOnlyFitsTogetherWithALaterOneWaits(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shop.yaml")
	replace(t, file, "LOW: 1\nHIGH: 5\n")
	w := startWatch[validated](t, byEvents, File(file))
	// As a whole it is right, but HIGH stays at 5 until the next start.
	replace(t, file, "LOW: 7\nHIGH: 9\n")
	eventually(t, "it is not refused", func() bool { return w.log.count("LOW must be less than HIGH") == 1 })
	if got := w.Get(); got.Low != 1 || got.High != 5 {
		t.Errorf("it is taken: %+v", got)
	}
	replace(t, file, "LOW: 2\nHIGH: 9\n")
	if got := w.next(t).after; got.Low != 2 || got.High != 5 {
		t.Errorf("the settings are %+v", got)
	}
}

func TestReadersNeverSeeAPartOfAChange(t *testing.T) {
	folder := t.TempDir()
	put := func(n int) {
		text := strconv.Itoa(n)
		mount(t, folder, text, map[string]string{"A": text, "B": text, "TOKEN": text})
	}
	whole := func(l live) bool { return l.A == l.B && l.Token.Reveal() == strconv.Itoa(l.A) }
	put(0)
	w := startWatch[live](t, pace{quiet: time.Millisecond, patience: 2 * time.Millisecond, poll: time.Millisecond}, Files(folder))
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			last := 0
			for {
				select {
				case <-stop:
					return
				default:
				}
				got := w.Get()
				if !whole(got) || got.A < last {
					t.Errorf("after %d a reader sees %+v", last, got)
					return
				}
				last = got.A
				runtime.Gosched()
			}
		})
	}
	readers.Go(func() {
		for read := 0; ; read++ {
			select {
			case <-stop:
				if read == 0 {
					t.Error("nothing was read while the folder changed")
				}
				return
			default:
			}
			if got, err := Read[live](Files(folder)); err != nil || !whole(got) {
				t.Errorf("it reads %+v, %v", got, err)
				return
			}
		}
	})
	const swaps = 100
	for n := 1; n <= swaps; n++ {
		put(n)
		runtime.Gosched()
	}
	eventually(t, "the last set is not seen", func() bool { return w.Get().A == swaps })
	close(stop)
	readers.Wait()
	last := live{Token: NewSecret("0"), Wait: time.Second}
	for last.A < swaps {
		got := w.next(t)
		if diff := cmp.Diff(last, got.before); diff != "" {
			t.Errorf("a change does not begin where the last one ended (-want +got):\n%s", diff)
		}
		if !whole(got.after) || got.after.A <= got.before.A {
			t.Errorf("a change leads from %+v to %+v", got.before, got.after)
		}
		last = got.after
	}
}

func TestOnChangeIsNeverCalledTwiceAtATime(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, map[string]string{"A": "1"})
	inside, goOn := make(chan int), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	log := slog.New(slog.DiscardHandler)
	reader, err := watch(ctx, log, func(_, after live) {
		inside <- after.A
		<-goOn
	}, byBoth, []Source{Files(folder)})
	if err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(folder, "A"), "2")
	if got := <-inside; got != 2 {
		t.Errorf("A is %d, want 2", got)
	}
	replace(t, filepath.Join(folder, "A"), "3")
	// 20 turns of the clock: time enough for a second call.
	ticks := time.NewTicker(byBoth.poll)
	defer ticks.Stop()
	for range 20 {
		select {
		case got := <-inside:
			t.Fatalf("it is called with %d while a call goes on", got)
		case <-ticks.C:
		}
	}
	goOn <- struct{}{}
	if got := <-inside; got != 3 {
		t.Errorf("A is %d, want 3", got)
	}
	goOn <- struct{}{}
	cancel()
	<-reader.Done()
}

func TestWatchEndsWithItsContext(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, map[string]string{"A": "1"})
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	called := make(chan struct{}, 10)
	reader, err := Watch(ctx, slog.New(slog.DiscardHandler), func(_, _ live) { called <- struct{}{} }, Files(folder), Files(folder))
	if err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(folder, "A"), "2")
	<-called
	cancel()
	<-reader.Done()
	if got := reader.Get().A; got != 2 {
		t.Errorf("after the end A is %d, want 2", got)
	}
	eventually(t, "a goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

func TestWatchStartsOnlyWithARightConfiguration(t *testing.T) {
	before := runtime.NumGoroutine()
	log := slog.New(slog.DiscardHandler)
	if _, err := Watch[live](t.Context(), log, nil, Files(filepath.Join(t.TempDir(), "missing"))); err == nil {
		t.Error("a folder that is missing is no error")
	}
	if _, err := Watch[live](t.Context(), log, nil, Environment([]string{"A=x"})); err == nil {
		t.Error("a wrong value is no error")
	}
	if _, err := Watch[twice](t.Context(), log, nil); err == nil {
		t.Error("a wrong struct is no error")
	}
	eventually(t, "a goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}
