package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/propagation"
)

const (
	// DefaultTopic is the topic without KAFKA_TOPIC.
	DefaultTopic = "users"
	// DefaultCapacity is how many events wait at most.
	DefaultCapacity = 1000

	// checkTimeout bounds Check.
	checkTimeout = 2 * time.Second
	// slowestRetry is how long the client waits at most before it tries a broker again.
	slowestRetry = time.Second
)

// Kafka publishes to a topic of Kafka, by franz-go. The brokers need not be there yet; while they are gone events wait.
type Kafka struct {
	client   *kgo.Client
	capacity int64
	trace    propagation.TraceContext

	waiting, delivered, dropped, failed atomic.Int64

	mu     sync.RWMutex // between an event that is taken and Close
	closed bool
}

var _ Publisher = (*Kafka)(nil)

// Stats are counted since Open, but for Waiting.
type Stats struct {
	// Waiting is how many events have been taken and not been sent yet.
	Waiting int64
	// Delivered is how many events a broker has confirmed.
	Delivered int64
	// Dropped is how many events found the queue full or closed.
	Dropped int64
	// Failed is how many events were taken, and refused by the broker or left over at the end.
	Failed int64
}

// Option changes a Kafka.
type Option func(*Kafka)

// WithCapacity sets how many events wait at most, default DefaultCapacity.
func WithCapacity(events int) Option { return func(k *Kafka) { k.capacity = int64(events) } }

// topicName is what Kafka takes.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// OpenKafka returns a publisher to the brokers of KAFKA_BROKERS and the topic of KAFKA_TOPIC, "" for DefaultTopic. An error names the
// setting that is wrong.
func OpenKafka(brokers, topic string, options ...Option) (*Kafka, error) {
	seeds, err := parseBrokers(brokers)
	if err != nil {
		return nil, fmt.Errorf("KAFKA_BROKERS: %w", err)
	}
	if topic == "" {
		topic = DefaultTopic
	}
	if !topicName.MatchString(topic) || topic == "." || topic == ".." {
		return nil, fmt.Errorf("KAFKA_TOPIC: %q is no name of a topic: 1 to 249 of a-z A-Z 0-9 . _ -", topic)
	}
	k := &Kafka{capacity: DefaultCapacity}
	for _, option := range options {
		option(k)
	}
	k.client, err = kgo.NewClient(
		kgo.SeedBrokers(seeds...),
		kgo.ClientID("sampleapp"),
		kgo.DefaultProduceTopic(topic),
		kgo.AllowAutoTopicCreation(),
		// A topic that is made while events wait for it is no reason to lose them.
		kgo.UnknownTopicRetries(-1),
		// The bound is the capacity, which Publish keeps; this one is never reached.
		kgo.MaxBufferedRecords(int(k.capacity)+1),
		// Events are small and few.
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RetryBackoffFn(backoff),
		kgo.DialTimeout(checkTimeout),
	)
	if err != nil {
		return nil, fmt.Errorf("KAFKA_BROKERS: %w", err)
	}
	return k, nil
}

func backoff(tries int) time.Duration {
	return min(slowestRetry, 50*time.Millisecond<<min(tries, 10))
}

func parseBrokers(text string) ([]string, error) {
	var brokers []string
	for broker := range strings.SplitSeq(text, ",") {
		broker = strings.TrimSpace(broker)
		host, port, err := net.SplitHostPort(broker)
		number, errPort := strconv.ParseUint(port, 10, 16)
		if err != nil || errPort != nil || number == 0 || host == "" || strings.ContainsAny(host, "/@ ") {
			return nil, errors.New("it should be host:port, and more of them after commas")
		}
		brokers = append(brokers, broker)
	}
	return brokers, nil
}

// Publish implements Publisher.
func (k *Kafka) Publish(ctx context.Context, event Event) error {
	text, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("writing the event %s: %w", event.Type, err)
	}
	record := &kgo.Record{Key: []byte(event.Key), Value: text, Timestamp: event.Time}
	record.Headers = append(record.Headers, kgo.RecordHeader{Key: "content-type", Value: []byte("application/json")})
	k.trace.Inject(ctx, (*carrier)(record))

	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		k.dropped.Add(1)
		return ErrClosed
	}
	if k.waiting.Add(1) > k.capacity {
		k.waiting.Add(-1)
		k.dropped.Add(1)
		return ErrFull
	}
	// A request that ends takes its event along otherwise.
	k.client.TryProduce(context.WithoutCancel(ctx), record, func(_ *kgo.Record, err error) {
		if err == nil {
			k.delivered.Add(1)
		} else {
			k.failed.Add(1)
		}
		k.waiting.Add(-1)
	})
	return nil
}

// Check implements Publisher. It takes 2 s at most.
func (k *Kafka) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := k.client.Ping(ctx); err != nil {
		return fmt.Errorf("asking the brokers of Kafka: %w", err)
	}
	return nil
}

// Stats returns what was counted.
func (k *Kafka) Stats() Stats {
	return Stats{Waiting: k.waiting.Load(), Delivered: k.delivered.Load(), Dropped: k.dropped.Load(), Failed: k.failed.Load()}
}

// Close implements Publisher.
func (k *Kafka) Close(ctx context.Context) error {
	k.mu.Lock()
	again := k.closed
	k.closed = true
	k.mu.Unlock()
	if again {
		return nil
	}
	err := k.client.Flush(ctx)
	// What a broker has not confirmed may have arrived nevertheless.
	lost := k.waiting.Load()
	k.client.Close()
	if err != nil && lost > 0 {
		return fmt.Errorf("%d events were not sent: %w", lost, err)
	}
	return nil
}

// carrier writes the trace into the headers of a record.
type carrier kgo.Record

var _ propagation.TextMapCarrier = (*carrier)(nil)

// Get implements propagation.TextMapCarrier.
func (c *carrier) Get(key string) string {
	for _, header := range c.Headers {
		if header.Key == key {
			return string(header.Value)
		}
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (c *carrier) Set(key, value string) {
	c.Headers = append(c.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
}

// Keys implements propagation.TextMapCarrier.
func (c *carrier) Keys() []string {
	keys := make([]string, 0, len(c.Headers))
	for _, header := range c.Headers {
		keys = append(keys, header.Key)
	}
	return keys
}
