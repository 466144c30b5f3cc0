package main

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gin-operator/gin-operator/ginkit/breaker"
	"github.com/gin-operator/gin-operator/ginkit/health"
	"github.com/gin-operator/gin-operator/sampleapp/queue"
	"github.com/gin-operator/gin-operator/sampleapp/users"
	"github.com/gin-operator/gin-operator/sampleapp/users/cache"
	"github.com/gin-operator/gin-operator/sampleapp/users/memory"
	"github.com/gin-operator/gin-operator/sampleapp/users/postgres"
)

// backends are what the service works with.
type backends struct {
	users      users.Store
	events     queue.Publisher
	dependency *dependency
}

// openBackends opens what is configured, registers it as components of the health, and has it closed when the service stops. None of it
// has to be reachable: a service that waits for its database before it answers a probe is restarted until the database is there.
func (s *service) openBackends() (*backends, error) {
	b := &backends{users: memory.New(memory.DefaultCapacity), events: queue.Discard{}}
	errs := []error{s.openDatabase(b), s.openCache(b), s.openQueue(b)}
	var err error
	b.dependency, err = s.newDependency()
	return b, errors.Join(append(errs, err)...)
}

// openDatabase puts the users into PostgreSQL. Without them the service has nothing to say, so it is a required component.
func (s *service) openDatabase(b *backends) error {
	url := s.settings.DatabaseURL.Reveal()
	if url == "" {
		return nil
	}
	store, err := postgres.Open(context.Background(), url)
	if err != nil {
		return err
	}
	b.users = store
	s.kit.OnStop("database", func(context.Context) error {
		store.Close()
		return nil
	})
	return s.kit.Health().Add("database", store.Check)
}

// openCache puts Redis in front of the store. It only makes answers faster, so it is optional.
func (s *service) openCache(b *backends) error {
	url := s.settings.RedisURL.Reveal()
	if url == "" {
		return nil
	}
	store, err := cache.Open(url, b.users, cache.WithLog(s.kit.Log()))
	if err != nil {
		return err
	}
	b.users = store
	s.kit.Metrics().Registry().MustRegister(breaker.Collector(store.Breaker()))
	s.count("sampleapp_cache_requests_total", "Users asked for, by what the cache made of it.", map[string]func() int64{
		"hit":     func() int64 { return store.Stats().Hits },
		"miss":    func() int64 { return store.Stats().Misses },
		"failure": func() int64 { return store.Stats().Failures },
		"skipped": func() int64 { return store.Stats().Skipped },
	})
	s.kit.OnStop("cache", func(context.Context) error { return store.Close() })
	return s.kit.Health().Add("cache", store.Check, health.Optional())
}

// openQueue announces new users. They are created whether or not anybody hears of it, so it is optional.
func (s *service) openQueue(b *backends) error {
	if s.settings.KafkaBrokers == "" {
		return nil
	}
	events, err := queue.OpenKafka(s.settings.KafkaBrokers, s.settings.KafkaTopic)
	if err != nil {
		return err
	}
	b.events = events
	// An event that a broker refuses is lost long after its request, which can't tell: this does.
	s.count("sampleapp_events_total", "Events, by what became of them.", map[string]func() int64{
		"delivered": func() int64 { return events.Stats().Delivered },
		"dropped":   func() int64 { return events.Stats().Dropped },
		"failed":    func() int64 { return events.Stats().Failed },
	})
	s.kit.OnStop("queue", events.Close)
	return s.kit.Health().Add("queue", events.Check, health.Optional())
}

// count puts counters that somebody else keeps among the metrics, told apart by the label result.
func (s *service) count(name, help string, results map[string]func() int64) {
	for result, read := range results {
		s.kit.Metrics().Registry().MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: name, Help: help, ConstLabels: prometheus.Labels{"result": result},
		}, func() float64 { return float64(read()) }))
	}
}
