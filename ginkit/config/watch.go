package config

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Reader has the settings that count now.
type Reader[T any] struct {
	current atomic.Pointer[T]
	done    chan struct{}
}

// Get returns the settings of this moment, all from one version of the sources. It takes no lock. Slices and pointers in them are shared:
// don't change what they hold.
func (r *Reader[T]) Get() T { return *r.current.Load() }

// Done is closed when watching has ended: onChange is called no more.
func (r *Reader[T]) Done() <-chan struct{} { return r.done }

// Watch reads as Read does, and then follows the files of the sources until the context ends. It sees a change within a second; what the
// operating system does not tell of, within a minute.
//
// Only fields with reload:"true" change. A change of another field is logged and takes effect at the next start. Content with anything
// wrong in it, in whatever field, changes nothing: it is logged, once, and what was right before stays. So does it when a file or folder
// goes away.
//
// onChange, which may be nil, is called after each change, in order and never twice at a time; Get has the new settings by then. The
// next change waits for it to return.
func Watch[T any](ctx context.Context, log *slog.Logger, onChange func(before, after T), sources ...Source) (*Reader[T], error) {
	return watch(ctx, log, onChange, pace{quiet: 100 * time.Millisecond, patience: time.Second, poll: time.Minute}, sources)
}

// pace is how long a watcher waits.
type pace struct {
	// quiet is how long nothing must happen before the files are read, and patience after how long they are read nevertheless.
	quiet, patience time.Duration
	// poll is how often they are read although nothing has happened: a folder may be on a file system without events, or have been
	// replaced by another one.
	poll time.Duration
}

func watch[T any](ctx context.Context, log *slog.Logger, onChange func(before, after T), pace pace, sources []Source) (*Reader[T], error) {
	s, err := schemaOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	w := &watcher[T]{schema: s, sources: sources, log: log, onChange: onChange, pace: pace, reader: &Reader[T]{done: make(chan struct{})}}
	for _, source := range sources {
		if folder := source.folder(); folder != "" && !slices.Contains(w.folders, folder) {
			w.folders = append(w.folders, folder)
		}
	}
	// Events come first: what changes after the files were read must not be missed.
	if w.events, err = fsnotify.NewWatcher(); err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "changes of the configuration are seen late, because its files can't be watched",
			slog.Duration("interval", pace.poll), slog.Any("error", err))
	}
	w.subscribe()
	found, errs := s.gather(sources)
	cfg, err := build[T](s, found, errs)
	if err != nil {
		w.close()
		return nil, err
	}
	w.seen, w.inEffect, w.keptOut = fingerprint(found, nil), found, map[string]entry{}
	w.reader.current.Store(cfg)
	go w.run(ctx)
	return w.reader, nil
}

// watcher follows the sources. Once it runs, its goroutine alone touches it.
type watcher[T any] struct {
	schema   *schema
	sources  []Source
	log      *slog.Logger
	onChange func(before, after T)
	pace     pace
	reader   *Reader[T]

	// events is nil where the operating system has none for us.
	events  *fsnotify.Watcher
	folders []string

	// seen is what was read last, right or wrong; refused says that it was wrong.
	seen    [sha256.Size]byte
	refused bool
	// inEffect is where the settings that count come from, and keptOut what has been logged to wait for the next start.
	inEffect, keptOut map[string]entry
}

// subscribe asks for the events of all folders. Again is no harm, and needed after a folder was away. One that is not there is an error
// of its source.
func (w *watcher[T]) subscribe() {
	if w.events == nil {
		return
	}
	for _, folder := range w.folders {
		_ = w.events.Add(folder)
	}
}

func (w *watcher[T]) close() {
	if w.events != nil {
		_ = w.events.Close()
	}
}

func (w *watcher[T]) run(ctx context.Context) {
	defer close(w.reader.done)
	defer w.close()
	var events <-chan fsnotify.Event
	var lost <-chan error
	if w.events != nil {
		events, lost = w.events.Events, w.events.Errors
	}
	poll := time.NewTicker(w.pace.poll)
	defer poll.Stop()
	settled := time.NewTimer(0)
	settled.Stop()
	defer settled.Stop()
	var first time.Time
	changed := func() {
		if first.IsZero() {
			first = time.Now()
		}
		settled.Reset(max(0, min(w.pace.quiet, w.pace.patience-time.Since(first))))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			changed()
		case err := <-lost:
			// The queue was too short, or something else kept an event from us: it may have been one of ours.
			w.log.LogAttrs(ctx, slog.LevelDebug, "an event of the files of the configuration is lost", slog.Any("error", err))
			changed()
		case <-settled.C:
			first = time.Time{}
			w.reload(ctx)
		case <-poll.C:
			w.reload(ctx)
		}
	}
}

// reload reads the sources and takes over what may change.
func (w *watcher[T]) reload(ctx context.Context) {
	w.subscribe()
	found, errs := w.schema.gather(w.sources)
	seen := fingerprint(found, errs)
	if ctx.Err() != nil || seen == w.seen {
		return
	}
	w.seen = seen
	next, err := build[T](w.schema, found, errs)
	if err == nil {
		err = w.apply(ctx, next, found)
	}
	switch {
	case err != nil:
		w.log.LogAttrs(ctx, slog.LevelError, "the configuration is wrong, and what was right before stays", slog.Any("error", err))
	case w.refused:
		w.log.LogAttrs(ctx, slog.LevelInfo, "the configuration is right again")
	}
	w.refused = err != nil
}

// apply makes the fields of next count that may change. The error is that of Validate, for what counts may be a mixture of old and new.
func (w *watcher[T]) apply(ctx context.Context, next *T, found map[string]entry) error {
	before := w.reader.Get()
	after := before
	to, from := reflect.ValueOf(&after).Elem(), reflect.ValueOf(next).Elem()
	var names, late []string
	inEffect, keptOut := map[string]entry{}, map[string]entry{}
	for i := range w.schema.fields {
		f := &w.schema.fields[i]
		is, was := found[f.name], w.inEffect[f.name]
		inEffect[f.name] = was
		value := from.FieldByIndex(f.index)
		// A type that is not ours may never be equal to itself, so the texts decide too.
		same := reflect.DeepEqual(is.value, was.value) || reflect.DeepEqual(value.Interface(), to.FieldByIndex(f.index).Interface())
		switch {
		case same:
		case f.reload:
			to.FieldByIndex(f.index).Set(value)
			inEffect[f.name] = is
			names = append(names, f.name)
		default:
			keptOut[f.name] = is
			if logged, ok := w.keptOut[f.name]; !ok || !reflect.DeepEqual(logged.value, is.value) {
				late = append(late, f.name)
			}
		}
	}
	if len(names) > 0 {
		if err := validate(&after); err != nil {
			return fmt.Errorf("together with what only changes at the next start: %w", err)
		}
	}
	w.keptOut = keptOut
	if len(late) > 0 {
		w.log.LogAttrs(ctx, slog.LevelWarn, changesLater(late))
	}
	if len(names) == 0 {
		return nil
	}
	w.inEffect = inEffect
	w.log.LogAttrs(ctx, slog.LevelInfo, "the configuration has changed", slog.Any("names", names))
	w.reader.current.Store(&after)
	if w.onChange != nil {
		w.onChange(before, after)
	}
	return nil
}

func changesLater(names []string) string {
	if len(names) == 1 {
		return names[0] + " has changed and takes effect at the next start"
	}
	return strings.Join(names, ", ") + " have changed and take effect at the next start"
}

// fingerprint tells one content of the sources from another.
func fingerprint(found map[string]entry, errs []error) [sha256.Size]byte {
	var text strings.Builder
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&text, "%q=%q%q\n", name, found[name].text, found[name].items)
	}
	if err := errors.Join(errs...); err != nil {
		text.WriteString(err.Error())
	}
	return sha256.Sum256([]byte(text.String()))
}
