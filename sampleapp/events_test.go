package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gin-operator/gin-operator/ginkit/health"
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
	b.start(t)
	return b
}

func (b *broker) start(t *testing.T) {
	t.Helper()
	var err error
	if b.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(b.port), kfake.DataDir(b.data), kfake.SeedTopics(2, "users")); err != nil {
		t.Fatal(err)
	}
}

func (b *broker) stop() {
	if b.cluster != nil {
		b.cluster.Close()
		b.cluster = nil
	}
}

// read returns the events by their key, once there are that many.
func (b *broker) read(t *testing.T, count int) map[string]*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.address), kgo.ConsumeTopics("users"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	records := map[string]*kgo.Record{}
	for len(records) < count {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("there are %d events, want %d", len(records), count)
		}
		for _, record := range fetches.Records() {
			records[string(record.Key)] = record
		}
	}
	return records
}

// listenAt opens a port that is reserved.
func listenAt(t *testing.T, address string) net.Listener {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func TestOutageOfKafka(t *testing.T) {
	b := newBroker(t)
	p := start(t, "DRAIN_SECONDS=0", "AUTH=none", "KAFKA_BROKERS="+b.address)
	at := p.address(t, "PORT")
	var mu sync.Mutex
	created := map[string]bool{}
	v := visit(t, at, 4, func(visitor, turn int) string {
		return message(http.MethodPost, "/api/v1/users", newUser(fmt.Sprintf("visitor-%d-%d", visitor, turn)))
	}, func(_ string, got answer) string {
		if got.status != http.StatusCreated || got.took > tooLong {
			return "it was not created in time"
		}
		mu.Lock()
		defer mu.Unlock()
		created[strings.TrimPrefix(got.header.Get("Location"), "/api/v1/users/")] = true
		return ""
	})
	v.more(t, http.StatusCreated, 20)
	becomes(t, at, health.OK, "", "")
	b.stop()
	becomes(t, at, health.Degraded, "queue", "asking the brokers of Kafka")
	alive(t, at, http.StatusOK)
	v.more(t, http.StatusCreated, 40)

	b.start(t)
	becomes(t, at, health.OK, "", "")
	v.more(t, http.StatusCreated, 20)
	v.check(t)
	events := b.read(t, len(created))
	for id := range created {
		var event struct {
			Type string
			Data struct{ ID string }
		}
		record := events[id]
		if record == nil {
			t.Errorf("there is no event of user %s", id)
			continue
		}
		if err := json.Unmarshal(record.Value, &event); err != nil || event.Type != "user.created" || event.Data.ID != id {
			t.Errorf("the event of user %s is %s", id, record.Value)
		}
	}
	// What has not been sent is sent on the way out.
	p.signal(t)
	if status := p.waitEnd(t); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	if log := p.log(); strings.Contains(log, "was not published") {
		t.Error("an event was dropped")
	}
}
