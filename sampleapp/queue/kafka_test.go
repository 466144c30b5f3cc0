package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"

	"github.com/gin-operator/gin-operator/sampleapp/queue"
	"github.com/gin-operator/gin-operator/sampleapp/users"
	"github.com/gin-operator/gin-operator/test/servers"
)

// broker is a Kafka that can be stopped and started at the same address, with the same data.
type broker struct {
	address string
	port    int
	data    string
	cluster *kfake.Cluster
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{data: t.TempDir()}
	b.address, b.port = servers.ReservePort(t)
	t.Cleanup(b.stop)
	return b
}

func (b *broker) start(t *testing.T) {
	t.Helper()
	var err error
	b.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(b.port), kfake.DataDir(b.data), kfake.SeedTopics(2, queue.DefaultTopic))
	if err != nil {
		t.Fatal(err)
	}
}

func (b *broker) stop() {
	if b.cluster != nil {
		b.cluster.Close()
		b.cluster = nil
	}
}

// read returns what the topic has, once there are that many.
func (b *broker) read(t *testing.T, count int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.address), kgo.ConsumeTopics(queue.DefaultTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var records []*kgo.Record
	for len(records) < count {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("the topic has %d events, want %d", len(records), count)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func open(t *testing.T, brokers string, options ...queue.Option) *queue.Kafka {
	t.Helper()
	k, err := queue.OpenKafka(brokers, "", options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = k.Close(ctx) // what is left over is not of interest any more
	})
	return k
}

func publish(t *testing.T, k queue.Publisher, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := k.Publish(t.Context(), queue.NewUserCreated(users.User{ID: id, Name: "Ada"})); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
	}
}

func closeInTime(t *testing.T, k queue.Publisher) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return k.Close(ctx)
}

func numbered(from, to int) []string {
	var ids []string
	for i := from; i < to; i++ {
		ids = append(ids, fmt.Sprintf("user-%03d", i))
	}
	return ids
}

func TestEventArrivesWithItsTrace(t *testing.T) {
	b := newBroker(t)
	b.start(t)
	k := open(t, b.address)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5}, TraceFlags: trace.FlagsSampled})
	ctx, cancel := context.WithCancel(trace.ContextWithSpanContext(t.Context(), span))
	user := users.User{ID: "7", Name: "Ada", Email: "ada@example.org", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if err := k.Publish(ctx, queue.NewUserCreated(user)); err != nil {
		t.Fatal(err)
	}
	// The request is over before the event is sent.
	cancel()
	if err := closeInTime(t, k); err != nil {
		t.Fatal(err)
	}
	record := b.read(t, 1)[0]
	var event struct {
		Type, Key string
		Time      time.Time
		Data      users.User
	}
	if err := json.Unmarshal(record.Value, &event); err != nil {
		t.Fatal(err)
	}
	if event.Type != "user.created" || event.Key != "7" || !event.Time.Equal(user.CreatedAt) || event.Data != user || string(record.Key) != "7" {
		t.Errorf("got %s with the key %s", record.Value, record.Key)
	}
	headers := map[string]string{}
	for _, header := range record.Headers {
		headers[header.Key] = string(header.Value)
	}
	want := map[string]string{"content-type": "application/json", "traceparent": "00-01020300000000000000000000000000-0405000000000000-01"}
	if diff := cmp.Diff(want, headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(queue.Stats{Delivered: 1}, k.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEventWithoutATraceHasNone(t *testing.T) {
	b := newBroker(t)
	b.start(t)
	k := open(t, b.address)
	publish(t, k, "7")
	for _, header := range b.read(t, 1)[0].Headers {
		if header.Key == "traceparent" {
			t.Errorf("traceparent is %s", header.Value)
		}
	}
}

func TestCloseSendsWhatIsLeft(t *testing.T) {
	b := newBroker(t)
	b.start(t)
	k := open(t, b.address)
	publish(t, k, numbered(0, 500)...)
	if err := closeInTime(t, k); err != nil {
		t.Fatal(err)
	}
	b.wants(t, numbered(0, 500))
	if err := k.Publish(t.Context(), queue.Event{}); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if err := closeInTime(t, k); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if diff := cmp.Diff(queue.Stats{Delivered: 500, Dropped: 1}, k.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// wants holds the topic to one event for each id.
func (b *broker) wants(t *testing.T, ids []string) {
	t.Helper()
	times := map[string]int{}
	for _, record := range b.read(t, len(ids)) {
		times[string(record.Key)]++
	}
	for _, id := range ids {
		if times[id] != 1 {
			t.Errorf("%s is there %d times", id, times[id])
		}
	}
}

func TestFullQueueDropsAndNeverWaits(t *testing.T) {
	b := newBroker(t) // and nobody there
	k := open(t, b.address, queue.WithCapacity(10))
	var all sync.WaitGroup
	var mu sync.Mutex
	taken, full := 0, 0
	began := time.Now()
	for range 40 {
		all.Go(func() {
			err := k.Publish(t.Context(), queue.NewUserCreated(users.User{ID: "7"}))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				taken++
			case errors.Is(err, queue.ErrFull):
				full++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s to take 40 events without a broker", took)
	}
	if taken != 10 || full != 30 {
		t.Errorf("%d events were taken and %d dropped, want 10 and 30", taken, full)
	}
	if diff := cmp.Diff(queue.Stats{Waiting: 10, Dropped: 30}, k.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// There is room again when the broker takes them.
	b.start(t)
	eventually(t, "the events that waited are not sent", func() bool { return k.Stats().Delivered == 10 })
	publish(t, k, "8")
	eventually(t, "the next event is not sent", func() bool { return k.Stats().Delivered == 11 })
}

func TestCloseWithoutABrokerEndsWithTheContext(t *testing.T) {
	b := newBroker(t)
	k := open(t, b.address)
	publish(t, k, numbered(0, 3)...)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := k.Close(ctx)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	if err == nil || !strings.Contains(err.Error(), "3 events were not sent") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	eventually(t, "the events that were lost are not counted", func() bool { return k.Stats() == queue.Stats{Failed: 3} })
}

func TestEventsWaitForTheBroker(t *testing.T) {
	b := newBroker(t)
	k := open(t, b.address)
	if err := k.Check(t.Context()); err == nil {
		t.Error("without a broker Check is content")
	}
	publish(t, k, numbered(0, 20)...)
	b.start(t)
	eventually(t, "events from before the start are not sent", func() bool { return k.Stats().Delivered == 20 })
	eventually(t, "Check fails with a broker", func() bool { return k.Check(t.Context()) == nil })

	b.stop()
	publish(t, k, numbered(20, 40)...)
	if err := k.Check(t.Context()); err == nil {
		t.Error("without a broker Check is content")
	}
	if now := k.Stats(); now.Waiting != 20 || now.Failed != 0 {
		t.Errorf("in the outage there are %+v", now)
	}
	b.start(t)
	eventually(t, "events from the outage are not sent", func() bool { return k.Stats().Delivered == 40 })
	b.wants(t, numbered(0, 40))
}

func TestEventThatCannotBeJSONIsRefused(t *testing.T) {
	k := open(t, "127.0.0.1:1")
	if err := k.Publish(t.Context(), queue.Event{Type: "odd", Data: make(chan int)}); err == nil || errors.Is(err, queue.ErrFull) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(queue.Stats{}, k.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSettings(t *testing.T) {
	tests := map[string]struct{ brokers, topic, wrong string }{
		"one broker":                      {brokers: "kafka:9092"},
		"more of them, with spaces":       {brokers: "kafka-0:9092, kafka-1:9092,[::1]:9092"},
		"a topic":                         {brokers: "kafka:9092", topic: "users_v1.created-events"},
		"nobody":                          {wrong: "KAFKA_BROKERS: "},
		"no port":                         {brokers: "kafka", wrong: "KAFKA_BROKERS: "},
		"a comma too many":                {brokers: "kafka:9092,", wrong: "KAFKA_BROKERS: "},
		"a URL":                           {brokers: "kafka://user:hunter2@kafka:9092", wrong: "KAFKA_BROKERS: "}, //nolint:gosec // what no message may hold
		"a port that there is not":        {brokers: "kafka:99092", wrong: "KAFKA_BROKERS: "},
		"no host":                         {brokers: ":9092", wrong: "KAFKA_BROKERS: "},
		"a topic with spaces":             {brokers: "kafka:9092", topic: "users created", wrong: "KAFKA_TOPIC: "},
		"a topic that is too long":        {brokers: "kafka:9092", topic: strings.Repeat("a", 250), wrong: "KAFKA_TOPIC: "},
		"a topic that is a folder's name": {brokers: "kafka:9092", topic: "..", wrong: "KAFKA_TOPIC: "},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			k, err := queue.OpenKafka(tc.brokers, tc.topic)
			if err == nil {
				defer k.Close(t.Context())
			}
			switch {
			case tc.wrong == "" && err != nil:
				t.Error(err)
			case tc.wrong != "" && err == nil:
				t.Error("taken")
			case tc.wrong != "" && (!strings.HasPrefix(err.Error(), tc.wrong) || strings.Contains(err.Error(), "hunter2")):
				t.Errorf("got %v, want an error that begins with %s", err, tc.wrong)
			}
		})
	}
}

func TestDiscardTellsNobody(t *testing.T) {
	var p queue.Publisher = queue.Discard{}
	if err := errors.Join(p.Publish(t.Context(), queue.Event{}), p.Check(t.Context()), p.Close(t.Context())); err != nil {
		t.Error(err)
	}
}

// eventually polls for what a machine may take its time for.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatal(what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
