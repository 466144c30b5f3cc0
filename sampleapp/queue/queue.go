// Package queue tells others what happened, as events in JSON.
//
// An event is told after the fact and at its own pace: Publish never waits, and what finds the queue full is dropped and counted. An event
// may be lost with the process; who can't do with that writes it to the database together with what it is about.
//
// The settings are KAFKA_BROKERS, host:port and more of them after commas (default: nobody is told), and KAFKA_TOPIC, default
// DefaultTopic.
//
// The tests run against kfake, the broker that franz-go, the client, brings along: it speaks Kafka's protocol over TCP in the process of
// the test. No test here has met the broker of Apache Kafka, a program for the JVM that neither Debian nor the registries of Go and npm
// have.
package queue

import (
	"context"
	"errors"
	"time"

	"github.com/gin-operator/gin-operator/sampleapp/users"
)

// UserCreated is the type of the event that a user was created.
const UserCreated = "user.created"

// Event is something that happened.
type Event struct {
	// Type says what: UserCreated.
	Type string `json:"type"`
	// Key is what it happened to, such as the id of a user. Events of one key keep their order.
	Key string `json:"key"`
	// Time is when it happened.
	Time time.Time `json:"time"`
	// Data is what it happened to, in full.
	Data any `json:"data"`
}

// NewUserCreated returns the event that a user was created.
func NewUserCreated(user users.User) Event {
	return Event{Type: UserCreated, Key: user.ID, Time: user.CreatedAt, Data: user}
}

var (
	// ErrFull says that an event was dropped, because the broker takes them more slowly than they come, or not at all.
	ErrFull = errors.New("the queue of events is full")
	// ErrClosed says that an event was dropped, because the service is stopping.
	ErrClosed = errors.New("the queue of events is closed")
)

// Publisher publishes events. It is safe for concurrent use.
type Publisher interface {
	// Publish takes an event to be sent, with the trace of the context, and does not wait until it is. The event is sent even where the
	// context ends. The errors are ErrFull and ErrClosed, or are about an event that can't be JSON.
	Publish(ctx context.Context, event Event) error
	// Check returns an error where no broker answers.
	Check(ctx context.Context) error
	// Close sends what is left for as long as the context lasts. The error says how many events were lost.
	Close(ctx context.Context) error
}

// Discard is a Publisher that tells nobody.
type Discard struct{}

var _ Publisher = Discard{}

// Publish implements Publisher.
func (Discard) Publish(context.Context, Event) error { return nil }

// Check implements Publisher.
func (Discard) Check(context.Context) error { return nil }

// Close implements Publisher.
func (Discard) Close(context.Context) error { return nil }
